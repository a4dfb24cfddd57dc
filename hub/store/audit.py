"""The audit log's chain: each row has a MAC over itself and the MAC before it, so that a row which was changed,
removed, moved or put in shows.

Commands pass through it on their way OUT and BACK: `Chain` has the statements that accept and end them put down a row
each, by triggers of the connection that writes. `sqlite.py` attaches it, and has it add the other rows in transactions.

    mac(n)    = MAC(key, mac(n - 1) | seq and at, as big-endian int64 and float64 | kind | 0 | detail)
    mac(0)    = MAC(key, "kubently audit begin" | 0 | hub id)
    signature = MAC(key, "kubently audit removed" | 0 | hub id | 0 | seq and at of the last removed row | its mac)

MAC is BLAKE2b with a key and 32 bytes of digest (RFC 7693), which takes half the time of HMAC-SHA-256. Numbers begin
with 1 and have no gaps. What retention removed is stated by the one row of `audit_chain`, signed.
"""

import hashlib
import sqlite3
import struct
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import msgspec

from hub.records import AuditDetail, AuditEvent, Origin, Result
from hub.store.writer import Statement

_ORDER: Final = struct.Struct(">qd").pack
_INSERT: Final = "INSERT INTO audit (seq, at, kind, detail, mac) VALUES (?, ?, ?, ?, ?)"
_LAST: Final = "SELECT seq, mac FROM audit ORDER BY seq DESC LIMIT 1"
_encode: Final = msgspec.json.Encoder().encode
# Those that m008_audit makes.
TRIGGERS: Final = frozenset({"audit_is_not_changed", "audit_is_not_removed", "audit_chain_is_not_removed"})
# Of a command's arguments the row has so many characters, whole arguments from the first on.
_MAX_ARGV: Final = 2048
# Rows that one transaction removes: a few milliseconds.
_REAP_ROWS: Final = 500


class Beginning(NamedTuple):
    """Where the rows that are held begin: behind row `seq`, 0 where none was ever removed; as `audit_chain` has it."""

    hub_id: str
    seq: int
    mac: bytes
    at: float
    signature: bytes


_KEPT_OUT: Final = "a row of the audit log was kept out; look at the triggers of its table"
# The first statement makes the link, the second puts down what it made: in one, nobody says what comes first.
_TRIGGER: Final = (
    "CREATE TEMP TRIGGER audit_{kind} AFTER {event} BEGIN SELECT {link};"
    " INSERT INTO audit (seq, at, kind, detail, mac) VALUES (audit_seq(), {at}, '{kind}', audit_detail(), audit_mac());"
    " SELECT RAISE(ABORT, '{kept_out}') WHERE changes() != 1; END"
)
_TRIGGERS: Final = (
    _TRIGGER.format(
        kind="accepted",
        event="INSERT ON main.results",
        link="audit_accepted(NEW.result_id, NEW.correlation_id)",
        at="NEW.accepted_at",
        kept_out=_KEPT_OUT,
    ),
    _TRIGGER.format(
        kind="ended",
        event="UPDATE OF ended_at ON main.results WHEN OLD.ended_at IS NULL",
        link="audit_ended(NEW.ended_at, NEW.key_id, NEW.cluster_id, NEW.session_id, NEW.result_id, NEW.status,"
        " NEW.exit_code, NEW.output_bytes, NEW.execution_time_ms, NEW.redactions)",
        at="NEW.ended_at",
        kept_out=_KEPT_OUT,
    ),
)


class Chain:
    """The end of the chain, for the one connection that writes.

    It knows the last row's number and MAC as they are in the connection's transaction. `forget` them whenever something
    was rolled back: they are then read again.
    """

    __slots__ = ("_coming", "_db", "_hub_id", "_is_known", "_key", "_mac", "_seq", "_text")

    def __init__(self, key: bytes, hub_id: str) -> None:
        self._key = key
        self._hub_id = hub_id
        self._seq = 0
        self._mac = b""
        self._text = ""
        self._is_known = False
        self._db: sqlite3.Connection | None = None
        self._coming: tuple[Result, Origin | None]

    def forget(self) -> None:
        """Read the end of the chain again before the next row."""
        self._is_known = False

    def attach(self, db: sqlite3.Connection) -> None:
        """Have this connection put a row beside each command that it accepts or ends, in the same statement.

        A second statement would need a transaction around both, which costs as much as either. The triggers are the
        connection's own, and nothing of them is in the file.
        """
        db.create_function("audit_accepted", 2, self._accepted)
        db.create_function("audit_ended", 10, self._ended)
        db.create_function("audit_seq", 0, lambda: self._seq)
        db.create_function("audit_detail", 0, lambda: self._text)
        db.create_function("audit_mac", 0, lambda: self._mac)
        for statement in _TRIGGERS:
            db.execute(statement)
        self._db = db

    def append_all(self, db: sqlite3.Connection, events: Iterable[AuditEvent]) -> None:
        """Insert rows in their order, in the caller's transaction."""
        for event in events:
            seq = self._link(event.at, event.kind, event.detail)
            row = (seq, event.at, event.kind, self._text, self._mac)
            if db.execute(_INSERT, row).rowcount != 1:
                raise sqlite3.IntegrityError(_KEPT_OUT)

    def accept(self, result: Result, origin: Origin | None) -> None:
        """Say what the next command is that is accepted."""
        self._coming = (result, origin)

    @property
    def accepted(self) -> Result:
        """The command that was accepted last, as it is stored."""
        return self._coming[0]

    def _accepted(self, result_id: str, correlation_id: str | None) -> int:
        result, origin = self._coming
        if result.result_id != result_id:
            raise ValueError("a command is stored that nobody announced")
        if result.correlation_id != correlation_id:
            result = msgspec.structs.replace(result, correlation_id=correlation_id)
            self._coming = (result, origin)
        return self._link(result.accepted_at, "accepted", accepted(result, origin))

    def _ended(self, at: float, *columns: Any) -> int:
        return self._link(at, "ended", ended(*columns))

    def _link(self, at: float, kind: str, detail: AuditDetail) -> int:
        """Add a link to the chain: its number, its text and its MAC."""
        if not self._is_known:
            assert self._db is not None  # it is attached
            self._seq, self._mac = read_head(self._db)
            self._is_known = True
        text = _encode(detail)
        self._seq += 1
        self._mac = link(self._key, self._mac, self._seq, at, kind.encode(), text)
        self._text = text.decode()
        return self._seq

    def remove(self, db: sqlite3.Connection, before: float, now: float) -> int:
        """Remove the oldest rows, those of times before `before`; a portion of them, and how many it was.

        Rows go from the first on, and none goes that has a younger one before it. A row of a time that is still to come
        was written when the clock was wrong; it goes with the old ones around it.
        """
        last: tuple[int, float, bytes] | None = None
        removed = 0
        rows = db.execute("SELECT seq, at, mac FROM audit ORDER BY seq LIMIT ?", (_REAP_ROWS,)).fetchall()
        for count, (seq, at, mac) in enumerate(rows, start=1):
            if before <= at <= now:
                break
            if at < before:
                last, removed = (seq, at, mac), count
        if last is None:
            return 0
        seq, at, mac = last
        beginning = Beginning(self._hub_id, seq, mac, at, sign(self._key, self._hub_id, seq, at, mac))
        db.execute(
            "UPDATE audit_chain SET removed_seq = ?, removed_mac = ?, removed_at = ?, signature = ?", beginning[1:]
        )
        db.execute("DELETE FROM audit WHERE seq <= ?", (seq,))
        return removed


def triggers(db: sqlite3.Connection) -> set[str]:
    """The triggers of the tables: others than TRIGGERS could keep rows out before they are in the chain."""
    query = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name IN ('audit', 'audit_chain')"
    return {name.decode() if isinstance(name, bytes) else name for (name,) in db.execute(query)}


class Acceptance(Statement):
    """The statement that accepts a command; the stored result is its result, None where it did not store one."""

    __slots__ = ("_chain", "_origin", "_result")

    def __init__(self, chain: Chain, sql: str, values: tuple[Any, ...], result: Result, origin: Origin | None) -> None:
        super().__init__(sql, values)
        self._chain = chain
        self._result = result
        self._origin = origin

    def __call__(self, connection: sqlite3.Connection) -> Result | None:  # type: ignore[override]
        """Run it."""
        self._chain.accept(self._result, self._origin)
        return self._chain.accepted if connection.execute(self.sql, self.values).rowcount > 0 else None


# what the MACs are of


def link(key: bytes, before: bytes, seq: int, at: float, kind: bytes, detail: bytes) -> bytes:
    """The MAC of a row behind the row with the MAC `before`."""
    return _mac(key, b"%b%b%b\0%b" % (before, _ORDER(seq, at), kind, detail))


def genesis(key: bytes, hub_id: str) -> bytes:
    """What stands for the MAC before the first row."""
    return _mac(key, b"kubently audit begin\0" + hub_id.encode())


def sign(key: bytes, hub_id: str, seq: int, at: float, mac: bytes) -> bytes:
    """The signature of where the held rows begin."""
    return _mac(key, b"kubently audit removed\0" + hub_id.encode() + b"\0" + _ORDER(seq, at) + mac)


def check_of(key: bytes, hub_id: str) -> bytes:
    """What tells a key from another one."""
    return _mac(key, b"kubently audit key\0" + hub_id.encode())


def _mac(key: bytes, text: bytes) -> bytes:
    return hashlib.blake2b(text, key=key, digest_size=32).digest()


# the row of audit_chain


def begin(db: sqlite3.Connection, key: bytes, hub_id: str, now: float) -> None:
    """Begin a chain in a database that has none."""
    mac = genesis(key, hub_id)
    row = (hub_id, now, check_of(key, hub_id), 0, mac, now, sign(key, hub_id, 0, now, mac))
    db.execute(
        "INSERT INTO audit_chain (id, hub_id, created_at, key_check, removed_seq, removed_mac, removed_at, signature)"
        " VALUES (1, ?, ?, ?, ?, ?, ?, ?)",
        row,
    )


def read_identity(db: sqlite3.Connection) -> tuple[str, bytes] | None:
    """The hub's id and what its key is checked against; None: the database has no chain."""
    if db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'audit_chain'").fetchone() is None:
        return None
    row = db.execute("SELECT hub_id, key_check FROM audit_chain").fetchone()
    if row is None:
        return None
    hub_id, key_check = row
    if isinstance(hub_id, bytes):  # as one reads it who takes nothing for granted
        hub_id = hub_id.decode(errors="replace")
    return str(hub_id), key_check if isinstance(key_check, bytes) else b""


def read_head(db: sqlite3.Connection) -> tuple[int, bytes]:
    """The number and the MAC of the last row, of the beginning where there is none."""
    seq, mac = db.execute(_LAST).fetchone() or read_beginning(db)[1:3]
    return int(seq), bytes(mac)


def read_beginning(db: sqlite3.Connection) -> Beginning:
    """Where the rows that are held begin."""
    query = "SELECT hub_id, removed_seq, removed_mac, removed_at, signature FROM audit_chain"
    return Beginning(*db.execute(query).fetchone())


# the rows of commands


def accepted(result: Result, origin: Origin | None) -> AuditDetail:
    """The row of a command that was accepted, with the result's final correlation id."""
    argv = (result.command_type, *result.args)
    omitted = 0
    if sum(map(len, argv)) > _MAX_ARGV:
        argv, omitted = _bounded(argv)
    return AuditDetail(
        action="execute" if origin is None else origin.action,
        key_id=result.key_id,
        role=None if origin is None else origin.role,
        service_identity=result.service_identity,
        address=None if origin is None else origin.address,
        cluster_id=result.cluster_id,
        session_id=result.session_id,
        result_id=result.result_id,
        argv=argv,
        argv_omitted=omitted,
        correlation_id=result.correlation_id,
        request_id=None if origin is None else origin.request_id,
    )


def ended(
    key_id: str,
    cluster_id: str,
    session_id: str,
    result_id: str,
    status: str,
    exit_code: int | None,
    stdout_bytes: int,
    duration_ms: int | None,
    redactions: str | None,
) -> AuditDetail:
    """The row of a command's end."""
    is_refused = status == "refused"
    return AuditDetail(
        decision="refused" if is_refused else "allowed",
        rule="agent" if is_refused else None,
        key_id=key_id,
        cluster_id=cluster_id,
        session_id=session_id,
        result_id=result_id,
        status=status,
        exit_code=exit_code,
        stdout_bytes=stdout_bytes,
        duration_ms=duration_ms,
        redactions=None if redactions is None else msgspec.Raw(redactions),
    )


def _bounded(argv: tuple[str, ...]) -> tuple[tuple[str, ...], int]:
    room, kept = _MAX_ARGV, 0
    for argument in argv:
        room -= len(argument)
        if room < 0:
            break
        kept += 1
    return argv[:kept], len(argv) - kept
