"""Rows of the audit log, found: newest first, in pages. Functions of a connection that reads.

There is no index by what a row says, since each command would have to write it: SQLite goes through the rows of a time.
That time is cut down first: by `since` and `until`, and by the ids of sessions and results, which have theirs in them.
"""

import sqlite3
from collections.abc import Callable
from typing import Any, Final

import msgspec

from hub.errors import InvalidRequest
from hub.records import AuditFilter, AuditPage, AuditRow
from schemas.ids import made_at

MaySee = Callable[[str | None, str | None], bool] | None

# Rows that one call goes through at the most: a tenth of a second, without the interpreter's lock.
_MAX_ROWS: Final = 100_000
# One row in so many is in the index of times.
_STEP: Final = 64
# Rows are not quite in the order of their times: plain ones wait for up to a second for company, longer where the store
# is full, and a clock may be set back.
_SLACK_SECONDS: Final = 120.0
# An id's time is that of its making in sixteenths of a second.
_ID_SLACK_SECONDS: Final = 2.0
_MAX_CURSOR: Final = 2**63 - 1
_DETAIL: Final = ("decision", "key_id", "cluster_id", "session_id", "result_id")
# A row's bytes beside its detail, and how many of the last ones stand for all.
_ROW_BYTES: Final = 64
_SAMPLE: Final = 500


def search(db: sqlite3.Connection, wanted: AuditFilter, limit: int, below: int | None, may_see: MaySee) -> AuditPage:
    """See Store.list_audit; `below` is the number that the rows are below of."""
    conditions, values = _conditions(wanted)
    if may_see is not None:
        db.create_function("may_see", 2, may_see)
        conditions += " AND may_see(json_extract(detail, '$.key_id'), json_extract(detail, '$.cluster_id'))"
    first, last = _bounds(db, wanted)
    last = last if below is None else min(last, below - 1)
    floor = max(first, last - _MAX_ROWS + 1)
    rows = db.execute(
        f"SELECT seq, at, kind, detail, mac FROM audit WHERE seq BETWEEN ? AND ?{conditions} ORDER BY seq DESC LIMIT ?",
        (floor, last, *values, limit),
    ).fetchall()
    reached = rows[-1][0] if len(rows) == limit else floor
    return AuditPage(tuple(map(as_row, rows)), str(reached) if reached > first else None)


def as_row(row: Any) -> AuditRow:
    """A row of the table as a value."""
    seq, at, kind, detail, mac = row
    try:
        content = msgspec.json.decode(detail)
    except (msgspec.DecodeError, TypeError):  # somebody has changed it
        content = {"decision": "error", "rule": "unreadable"}
    return AuditRow(seq, at, kind, content, mac.hex() if isinstance(mac, bytes) else str(mac))


def read_cursor(cursor: str) -> int:
    """The number in a cursor. Raises InvalidRequest."""
    if cursor.isascii() and cursor.isdecimal() and int(cursor) <= _MAX_CURSOR:
        return int(cursor)
    message = "cursor is not one that this listing gave; start without one"
    raise InvalidRequest(message, field="cursor", code="invalid_value")


def used_bytes(db: sqlite3.Connection) -> int:
    """What the audit log takes of the database, about."""
    first, last = _ends(db)
    sample = "SELECT length(detail) AS size FROM audit ORDER BY seq DESC LIMIT ?"
    size = db.execute(f"SELECT avg(size) FROM ({sample})", (_SAMPLE,)).fetchone()[0] or 0
    return int((last - first + 1) * (size + _ROW_BYTES))


def _conditions(wanted: AuditFilter) -> tuple[str, list[Any]]:
    found: list[tuple[str, Any]] = []
    if wanted.since is not None:
        found.append(("at >= ?", wanted.since))
    if wanted.until is not None:
        found.append(("at < ?", wanted.until))
    if wanted.kind is not None:
        found.append(("kind = ?", wanted.kind))
    for name in _DETAIL:
        value = getattr(wanted, name)
        if value is not None:
            default = "'allowed'" if name == "decision" else "NULL"  # what is left out of the JSON
            found.append((f"coalesce(json_extract(detail, '$.{name}'), {default}) = ?", value))
    return "".join(f" AND {condition}" for condition, _ in found), [value for _, value in found]


def _ends(db: sqlite3.Connection) -> tuple[int, int]:
    """The first and the last number that are held; the last is below the first where nothing is."""
    first, last = db.execute("SELECT (SELECT min(seq) FROM audit), (SELECT max(seq) FROM audit)").fetchone()
    return (1, 0) if first is None else (first, last)


def _bounds(db: sqlite3.Connection, wanted: AuditFilter) -> tuple[int, int]:
    """Between which numbers rows of the wanted time can be."""
    first, last = _ends(db)
    times = [made_at(an_id) for an_id in (wanted.session_id, wanted.result_id) if an_id is not None]
    known = [at - _ID_SLACK_SECONDS for at in times if at is not None]
    since = max([*known, *([] if wanted.since is None else [wanted.since])], default=None)
    if since is not None:
        query = f"SELECT min(seq) FROM audit WHERE seq % {_STEP} = 0 AND at >= ?"
        found = db.execute(query, (since - _SLACK_SECONDS,)).fetchone()[0]
        first = max(first, (last if found is None else found) - 2 * _STEP)
    if wanted.until is not None:
        query = f"SELECT max(seq) FROM audit WHERE seq % {_STEP} = 0 AND at <= ?"
        found = db.execute(query, (wanted.until + _SLACK_SECONDS,)).fetchone()[0]
        last = min(last, (first if found is None else found) + 2 * _STEP)
    return first, last
