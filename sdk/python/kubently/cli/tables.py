"""kubectl's tables of many clusters as one, with a column CLUSTER. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

# Titles of kubectl's columns: upper case, one blank within at most (`NOMINATED NODE`), perhaps a unit behind
# (`CPU(cores)`); three blanks between them.
_TITLE: Final = re.compile(r"\S+(?: \S+)*")
_IS_TITLE: Final = re.compile(r"[A-Z0-9%/_.-]+(?:\([a-z%]+\))?(?: [A-Z0-9%/_.-]+)*")


@dataclass(frozen=True, slots=True)
class Table:
    """Titles, and rows with a cell for each."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def parse(text: str) -> Table | None:
    """A table as kubectl prints one; None for a text that is none, or is several."""
    lines = text.rstrip("\n").split("\n")
    found = list(_TITLE.finditer(lines[0]))
    if not found or not all(_IS_TITLE.fullmatch(match[0]) for match in found):
        return None
    starts = [match.start() for match in found]
    rows = []
    for line in lines[1:]:
        if not line or line.split() == lines[0].split():
            return None
        if any(start and len(line) > start and line[start - 1] != " " for start in starts):
            return None
        ends = [*starts[1:], len(line)]
        rows.append(tuple(line[start:end].strip() for start, end in zip(starts, ends, strict=True)))
    return Table(tuple(match[0] for match in found), tuple(rows))


def merge(tables: Mapping[str, Table]) -> Table:
    """One table of many, by cluster; a column that one cluster has not is empty there."""
    columns: list[str] = []
    for table in tables.values():
        columns += [column for column in table.columns if column not in columns]
    rows = []
    for cluster, table in tables.items():
        for row in table.rows:
            cells = dict(zip(table.columns, row, strict=True))
            rows.append((cluster, *(cells.get(column, "") for column in columns)))
    return Table(("CLUSTER", *columns), tuple(rows))
