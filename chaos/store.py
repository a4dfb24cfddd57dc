"""What lies in the database file of a hub that has stopped: the last word, past all of its code."""

import sqlite3
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

from chaos.ledger import STATUSES


@dataclass(frozen=True, slots=True)
class Stored:
    """The ids of the results there are, and of those that have not ended."""

    results: Set[str]
    is_open: Set[str]


def read(database: Path) -> Stored:
    """Read the file of a stopped hub."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        rows = connection.execute("SELECT result_id, status FROM results").fetchall()
    finally:
        connection.close()
    return Stored({row[0] for row in rows}, {row[0] for row in rows if row[1] not in STATUSES})


def faults(stored: Stored, named: Set[str], unanswered: int) -> list[str]:
    """Hold the file against the ids callers were given. As many others may be there as calls were not answered."""
    found = [f"{result_id} is in the store and has not ended" for result_id in sorted(stored.is_open)]
    found += [f"{result_id} was accepted and is not in the store" for result_id in sorted(named - stored.results)]
    others = len(stored.results - named)
    if others > unanswered:
        found.append(f"{others} results are in the store that nobody was told of; {unanswered} calls were not answered")
    return found
