"""The audit log of a database file, verified and read from outside of the hub, whether or not one runs on it.

Read in portions: a long transaction would keep SQLite's log from being begun anew. Rows are only ever added at the end
and removed at the beginning, so each portion goes on where the one before ended, or where the rows begin by then.
"""

import contextlib
import hmac
import sqlite3
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hub.errors import StoreUnusable
from hub.records import AuditRow
from hub.store import audit
from hub.store.audit_key import read_key
from hub.store.audit_rows import as_row
from hub.store.readers import snapshot

_PORTION: Final = 5000
# Faults that are told one by one.
_MAX_FAULTS: Final = 50
_BUSY_SECONDS: Final = 5.0
# The same bytes of another type would be as good to the MAC, and worse to whoever reads them.
_QUERY: Final = (
    "SELECT seq, at, CASE typeof(kind) WHEN 'text' THEN kind END, CASE typeof(detail) WHEN 'text' THEN detail END,"
    " CASE typeof(mac) WHEN 'blob' THEN mac END FROM audit WHERE seq > ? ORDER BY seq LIMIT ?"
)


@dataclass(slots=True)
class Verdict:
    """What a verification found. `faults` are sentences, empty when all is well; `head` is the last row's `seq:mac`.

    `first` is the number of the first row that is held; those before it went by retention. `is_head_known` is false
    when the row that a given head names was removed since, and could not be compared.
    """

    hub_id: str
    first: int
    rows: int = 0
    head: str = ""
    faults: list[str] = field(default_factory=list)
    more_faults: int = 0
    is_head_known: bool = True

    def blame(self, fault: str) -> None:
        """Add a fault, or count it where there are many."""
        if len(self.faults) < _MAX_FAULTS:
            self.faults.append(fault)
        else:
            self.more_faults += 1


def verify(database: Path, key_file: Path, head: tuple[int, str] | None) -> Verdict:
    """Look at every row. `head` is a number and the MAC its row must have. Raises StoreUnusable."""
    key = read_key(key_file)
    if key is None:
        raise StoreUnusable(f"the audit key {key_file} is not there; name it with --key-file")
    with _reading(database) as db:
        db.text_factory = bytes  # whatever stands in the file, it must not keep us from looking
        hub_id = _check_key(db, key, key_file)
        return _Walk(db, key, hub_id, head).walk()


def rows(database: Path, since: float | None, until: float | None) -> Iterator[AuditRow]:
    """Every row of a time, oldest first. Raises StoreUnusable."""
    query = "SELECT seq, at, kind, detail, mac FROM audit WHERE seq > ? AND at >= ? AND at < ? ORDER BY seq LIMIT ?"
    bounds = (float("-inf") if since is None else since, float("inf") if until is None else until)
    with _reading(database) as db:
        if audit.read_identity(db) is None:
            raise StoreUnusable(f"{database} has no audit log; a hub of this version begins one")
        seq = 0
        while found := db.execute(query, (seq, *bounds, _PORTION)).fetchall():
            yield from map(as_row, found)
            seq = found[-1][0]


class _Walk:
    """One way along the chain."""

    def __init__(self, db: sqlite3.Connection, key: bytes, hub_id: str, head: tuple[int, str] | None) -> None:
        self._db = db
        self._key = key
        self._head = head
        self._seq = 0  # the last row looked at
        self._mac = b""  # and what it says its MAC is
        self._verdict = Verdict(hub_id, 1)

    def walk(self) -> Verdict:
        verdict = self._verdict
        for name in sorted(audit.triggers(self._db) ^ audit.TRIGGERS):
            verdict.blame(f"the trigger {name} " + ("is gone" if name in audit.TRIGGERS else "is not the hub's"))
        is_first = True
        while True:
            with snapshot(self._db):
                self._begin(is_first=is_first)
                found = self._db.execute(_QUERY, (self._seq, _PORTION)).fetchall()
            is_first = False
            if not found:
                break
            for row in found:
                self._look(*row)
            verdict.rows += len(found)
        verdict.head = f"{self._seq}:{self._mac.hex()}"
        if self._head is not None and self._head[0] > self._seq:
            verdict.blame(f"rows {self._seq + 1} to {self._head[0]} are cut off: the head names row {self._head[0]}")
        return verdict

    def _begin(self, *, is_first: bool) -> None:
        """Begin where the rows begin; later too, when retention has overtaken."""
        verdict = self._verdict
        beginning: tuple[Any, ...] = audit.read_beginning(self._db)
        _, seq, mac, *_ = beginning
        if not is_first and not (isinstance(seq, int) and seq > self._seq):
            return
        if not _is_signed(self._key, verdict.hub_id, beginning):
            verdict.blame("what is said of the rows that retention removed is not signed with this key")
            if not (isinstance(seq, int) and isinstance(mac, bytes)):
                return
        self._seq, self._mac = seq, mac
        verdict.first = seq + 1
        if self._head is not None:
            if self._head[0] == seq:
                self._compare_head(seq, mac)
            elif self._head[0] < seq and is_first:
                verdict.is_head_known = False

    def _look(self, seq: int, at: Any, kind: Any, detail: Any, mac: Any) -> None:
        verdict = self._verdict
        if seq == self._seq + 2:
            verdict.blame(f"row {seq - 1} is missing")
        elif seq > self._seq + 1:
            verdict.blame(f"rows {self._seq + 1} to {seq - 1} are missing")
        if not self._is_linked(seq, at, kind, detail, mac):
            if seq == self._seq + 1:
                verdict.blame(f"row {seq} was changed, or is not the one that was written behind row {self._seq}")
            elif not isinstance(mac, bytes):
                verdict.blame(f"row {seq} was changed")
        self._seq, self._mac = seq, mac if isinstance(mac, bytes) else b""
        if self._head is not None and self._head[0] == seq:
            self._compare_head(seq, self._mac)

    def _is_linked(self, seq: int, at: Any, kind: Any, detail: Any, mac: Any) -> bool:
        if not (
            isinstance(at, float) and isinstance(kind, bytes) and isinstance(detail, bytes) and isinstance(mac, bytes)
        ):
            return False
        return hmac.compare_digest(mac, audit.link(self._key, self._mac, seq, at, kind, detail))

    def _compare_head(self, seq: int, mac: bytes) -> None:
        assert self._head is not None
        if mac.hex() != self._head[1]:
            self._verdict.blame(f"row {seq} is another one than the head names")


def _check_key(db: sqlite3.Connection, key: bytes, key_file: Path) -> str:
    identity = audit.read_identity(db)
    if identity is None:
        raise StoreUnusable("the database has no audit log; a hub of this version begins one")
    hub_id, key_check = identity
    if not hmac.compare_digest(key_check, audit.check_of(key, hub_id)):
        raise StoreUnusable(f"{key_file} is not the key of this audit log; name the right one with --key-file")
    return hub_id


def _is_signed(key: bytes, hub_id: str, beginning: tuple[Any, ...]) -> bool:
    said, seq, mac, at, signature = beginning
    try:
        good = audit.sign(key, hub_id, seq, at, mac)
    except (struct.error, TypeError):
        return False
    return _text(said) == hub_id and isinstance(signature, bytes) and hmac.compare_digest(signature, good)


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


@contextlib.contextmanager
def _reading(database: Path) -> Iterator[sqlite3.Connection]:
    if not database.is_file():
        raise StoreUnusable(f"{database} is not there; name the database with --database")
    try:
        uri = f"{database.resolve().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)) as db:
            yield db
    except sqlite3.Error as error:
        raise StoreUnusable(f"{database} cannot be read: {error}") from None
