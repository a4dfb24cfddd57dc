"""The store in one SQLite file. `writer.py` has the thread that writes, `readers.py` those that read, `output.py` has
what becomes of output, `audit.py` the chain of the audit log.

sqlite-utils makes and migrates the tables; the operations are plain SQL on its connection, since each command passes
through two of them.
"""

import base64
import binascii
import contextlib
import fcntl
import functools
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from sqlite_utils import Database

from hub.errors import (
    AlreadyExists,
    ClusterMismatch,
    IdempotencyConflict,
    InvalidRequest,
    NotFound,
    SessionNotActive,
    StoreFull,
    StoreUnusable,
)
from hub.records import (
    Accepted,
    AuditEvent,
    AuditFilter,
    AuditPage,
    Cluster,
    EndedSession,
    Ending,
    Idempotency,
    Key,
    Limits,
    Origin,
    OutputChunk,
    OutputText,
    Reaped,
    Result,
    Session,
    SessionPage,
    SessionStatus,
    StoredChunks,
    Token,
)
from hub.store import audit, audit_rows, output
from hub.store.audit_key import make_key, read_key
from hub.store.files import database_path, key_path
from hub.store.migrations import MIGRATIONS
from hub.store.readers import Readers, snapshot
from hub.store.writer import Change, Statement, Writer
from schemas.codec import utf8_bytes
from schemas.ids import new_id
from schemas.kubectl.scope import Scope

_HEADER: Final = b"SQLite format 3\x00"  # https://www.sqlite.org/fileformat.html#the_database_header
_BUSY_TIMEOUT_SECONDS: Final = 5.0
_OPEN_TIMEOUT_SECONDS: Final = 1.0
_WAL_LIMIT_BYTES: Final = 64 * 1024 * 1024
_KEEP_STREAM_BYTES: Final = 64 * 1024 * 1024  # as hub.settings has it
_CHECK_SECONDS: Final = 1.0  # probes of /ready need no key: they must not be able to write as often as they like
_IDEMPOTENCY_SECONDS: Final = 24 * 3600.0
# A reaping batch ends at so many rows or so much output: a few tens of milliseconds of the writer's time.
_REAP_ROWS: Final = 500
_REAP_BYTES: Final = 16 * 1024 * 1024
_REAP_CHUNKS: Final = 2000
_VACUUM_PAGES: Final = 2000


def _columns(record: type[Any], prefix: str = "") -> str:
    return ", ".join(prefix + name for name in record.__match_args__)


_KEY: Final = _columns(Key)
# The columns of a key that are JSON, and of what.
_KEY_JSON: Final[dict[str, Any]] = {"clusters": tuple[str, ...], "scope": Scope, "limits": Limits}
_CLUSTER: Final = _columns(Cluster)
_CLUSTER_JSON: Final = ("labels", "announced_labels")
_TOKEN: Final = _columns(Token)
_SESSION: Final = _columns(Session)
_RESULT: Final = _columns(Result)

_ARGS: Final = Result.__match_args__.index("args")
_IS_TRUNCATED: Final = Result.__match_args__.index("is_truncated")
_IS_STREAM: Final = Result.__match_args__.index("is_stream")

# A command's two statements: one that accepts it, if its session takes it, and one that ends it. Triggers put a row of
# the audit log beside each (`audit.Chain.attach`), so each is still a transaction by itself.
_ACCEPT: Final = (
    "INSERT INTO results (result_id, command_type, args, timeout_seconds, accepted_at, deadline_at, status,"
    " service_identity, key_id, boot_id, is_stream, max_output_bytes, contract, correlation_id, session_id, cluster_id,"
    " output_bytes, omitted_bytes, stored_bytes)"
    " SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, coalesce(?, correlation_id, ?), session_id, cluster_id, 0, 0, 0"
    " FROM sessions"
    " WHERE session_id = ? AND cluster_id = ? AND status = 'active' AND expires_at > ? AND (? IS NULL OR key_id = ?)"
)
_RUN: Final = "UPDATE results SET status = 'running', boot_id = ? WHERE result_id = ? AND ended_at IS NULL"
_GROW: Final = (
    "stored_bytes = stored_bytes + ?, full_bytes = full_bytes + ?, kept_bytes = kept_bytes + ?,"
    " expired_bytes = expired_bytes + ?, last_seq = max(last_seq, ?)"
)
_APPEND: Final = f"UPDATE results SET {_GROW} WHERE result_id = ?"
_ENDING: Final = (
    "UPDATE results SET status = ?, ended_at = ?, exit_code = ?, executor = ?, reason = ?, execution_time_ms = ?,"
    " omitted_bytes = ?, omitted_lines = ?, is_truncated = ?, redactions = ?,"
    " output_bytes = coalesce(?, stored_bytes + ?),"
    f" {_GROW}"
)
# What of an ended result its ending does not say. SQLite takes time for each column that it returns.
_TOLD: Final = {"result_id", *Ending.__match_args__} - {"output_bytes"}
_UNTOLD: Final = ", ".join(name for name in Result.__match_args__ if name not in _TOLD)
_END: Final = f"{_ENDING} WHERE result_id = ? AND ended_at IS NULL RETURNING {_UNTOLD}"
# All its output came with the ending and lies in the row; no chunk was stored before.
_CHANGE_WHOLE: Final = f"{_ENDING}, chunks = ? WHERE result_id = ? AND ended_at IS NULL AND last_seq = 0"
_END_WHOLE: Final = f"{_CHANGE_WHOLE} RETURNING {_UNTOLD}"
# Pages of 4 KiB that a small write changes, about; see Writer.submit.
_COMMAND_PAGES: Final = 5
_PAGE_BYTES: Final = 4096


class SqliteStore:
    """See `Store` for what each method promises. One hub process per file: a lock file beside it keeps others out."""

    def __init__(
        self,
        path: Path,
        *,
        synchronous: Literal["NORMAL", "FULL"] = "NORMAL",
        keep_stream_bytes: int = _KEEP_STREAM_BYTES,
        audit_key_file: str | None = None,
    ) -> None:
        self._path = path
        self._synchronous = synchronous
        self._keep_stream_bytes = keep_stream_bytes
        self._audit_key_path = key_path(path, audit_key_file)
        self._chain: audit.Chain | None = None
        self._lock: int | None = None
        self._writer: Writer | None = None
        self._readers: Readers | None = None
        self._checked_at = float("-inf")
        # Commands that this process has accepted, as their rows are while nothing has changed in them: RETURNING takes
        # longer than the rest of the statement that ends a command.
        self._untouched: dict[str, Result] = {}

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        synchronous: Literal["NORMAL", "FULL"] = "NORMAL",
        keep_stream_bytes: int = _KEEP_STREAM_BYTES,
        audit_key_file: str | None = None,
    ) -> "SqliteStore":
        """Make a store of `sqlite:///./relative.db` or `sqlite:////absolute.db`. Raises StoreUnusable."""
        return cls(
            database_path(url),
            synchronous=synchronous,
            keep_stream_bytes=keep_stream_bytes,
            audit_key_file=audit_key_file,
        )

    # life

    async def open(self) -> None:
        """See Store."""
        self._take_lock()
        try:
            identity = self._prepare_file()
            key = self._audit_key(identity)
            connection = self._open_writer()
            self._chain = chain = _begin_chain(connection, key)
        except BaseException:
            self._drop_lock()
            raise
        connect = functools.partial(self._connect, timeout_seconds=_BUSY_TIMEOUT_SECONDS)
        self._writer = Writer(
            connection, connect, may_commit_here=self._synchronous == "NORMAL", on_undone=chain.forget
        )
        self._readers = Readers(self._connect_reader)

    async def close(self) -> None:
        """See Store."""
        if self._writer is not None and self._readers is not None:
            await self._readers.close()
            await self._writer.close()
            self._writer = self._readers = None
            self._drop_lock()

    async def check(self) -> None:
        """See Store."""

        def write(db: sqlite3.Connection) -> None:
            # Enough to need pages of its own, so that a full disk shows.
            db.execute("INSERT OR REPLACE INTO health (id, padding) VALUES (1, zeroblob(8192))")

        if self._writer is not None:
            self._writer.require_room()
        if time.monotonic() - self._checked_at >= _CHECK_SECONDS:
            await self._write(write)
            self._checked_at = time.monotonic()

    def _take_lock(self) -> None:
        lock = f"{self._path}.lock"
        try:
            self._lock = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnusable(f"{self._path} cannot be used: {error.strerror} ({lock})") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._drop_lock()
            raise StoreUnusable(f"{self._path} is in use by another hub; stop it, or name another file") from None

    def _drop_lock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _prepare_file(self) -> tuple[str, bytes] | None:
        """Make the file, readable by its owner alone, or see that what is there is a database of ours; the identity of
        its audit log, None where it has none.
        """
        path = self._path
        try:
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            if not path.is_file():
                raise StoreUnusable(f"{path} is not a file")
            descriptor = os.open(path, os.O_RDWR)
            with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
                header = file.read(len(_HEADER))
        except OSError as error:
            raise StoreUnusable(f"{path} cannot be written: {error.strerror}") from None
        if header and header != _HEADER:
            raise StoreUnusable(f"{path} is not an SQLite database; name another file")
        return self._look() if header else None

    def _look(self) -> tuple[str, bytes] | None:
        with contextlib.closing(sqlite3.connect(":memory:")) as empty:
            known = {migration.name for migration in MIGRATIONS.pending(Database(empty, execute_plugins=False))}
        try:
            with contextlib.closing(
                sqlite3.connect(f"{self._path.resolve().as_uri()}?mode=ro", uri=True, timeout=1)
            ) as db:
                applied = {migration.name for migration in MIGRATIONS.applied(Database(db, execute_plugins=False))}
                identity = audit.read_identity(db)
        except sqlite3.DatabaseError as error:
            raise StoreUnusable(f"{self._path} cannot be read: {error}") from None
        if applied - known:
            raise StoreUnusable(f"{self._path} was written by a newer version of the hub; upgrade the hub")
        return identity

    def _audit_key(self, identity: tuple[str, bytes] | None) -> bytes:
        """The key of the audit log, made where there is none yet. Raises StoreUnusable when it is gone, or another."""
        path = self._audit_key_path
        key = read_key(path)
        if identity is None:
            return make_key(path) if key is None else key
        hub_id, key_check = identity
        if key is None:
            raise StoreUnusable(
                f"{self._path} has an audit log, and its key is not at {path}; put it back there, or name it with"
                " audit.key_file"
            )
        if audit.check_of(key, hub_id) != key_check:
            raise StoreUnusable(
                f"{path} is not the key of the audit log in {self._path}; put the right one there, or name it with"
                " audit.key_file"
            )
        return key

    def _open_writer(self) -> sqlite3.Connection:
        db = self._connect(timeout_seconds=_OPEN_TIMEOUT_SECONDS)
        try:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first table, or it is without effect
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(f"PRAGMA synchronous = {self._synchronous}")
            db.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
            db.execute("BEGIN IMMEDIATE")
            db.execute("COMMIT")
            MIGRATIONS.apply(Database(db, execute_plugins=False))
        except sqlite3.DatabaseError as error:
            db.close()
            raise StoreUnusable(f"{self._path} cannot be opened: {error}") from None
        return db

    def _connect_reader(self) -> sqlite3.Connection:
        db = self._connect(timeout_seconds=_BUSY_TIMEOUT_SECONDS)
        db.execute("PRAGMA query_only = ON")
        return db

    def _connect(self, *, timeout_seconds: float) -> sqlite3.Connection:
        return sqlite3.connect(
            self._path,
            timeout=timeout_seconds,
            isolation_level=None,  # transactions are begun and ended by the writer
            check_same_thread=False,  # opened here, then used by one thread alone
            cached_statements=256,
        )

    async def _write(self, operation: Any, *, pages: int | None = None) -> Any:
        if self._writer is None:
            raise StoreFull("The store is closed")
        return await self._writer.submit(operation, pages=pages)

    def _chain_of_ours(self) -> audit.Chain:
        if self._chain is None:
            raise StoreFull("The store is closed")
        return self._chain

    async def _read(self, query: Any) -> Any:
        if self._readers is None:
            raise StoreFull("The store is closed")
        return await self._readers.read(query)

    # keys

    async def add_key(self, key: Key) -> None:
        """See Store."""
        row = [_json(value) if name in _KEY_JSON and value is not None else value for name, value in _pairs(key)]
        await self._write(lambda db: db.execute(f"INSERT INTO keys ({_KEY}) VALUES ({_marks(row)})", row))

    async def find_key(self, secret_hash: str) -> Key | None:
        """See Store."""
        query = f"SELECT {_KEY} FROM keys WHERE secret_hash = ? OR retired_hash = ?"
        row = await self._read(lambda db: db.execute(query, (secret_hash, secret_hash)).fetchone())
        return _key(row) if row else None

    async def list_keys(self) -> list[Key]:
        """See Store."""
        query = f"SELECT {_KEY} FROM keys ORDER BY created_at, key_id"
        return [_key(row) for row in await self._read(lambda db: db.execute(query).fetchall())]

    async def rotate_key(self, key_id: str, secret_hash: str, retired_until: float) -> Key | None:
        """See Store."""
        query = (
            "UPDATE keys SET retired_hash = secret_hash, retired_until = ?, secret_hash = ? WHERE key_id = ?"
            f" RETURNING {_KEY}"
        )
        row = await self._write(lambda db: db.execute(query, (retired_until, secret_hash, key_id)).fetchone())
        return _key(row) if row else None

    async def remove_key(self, key_id: str) -> Key | None:
        """See Store."""
        query = f"DELETE FROM keys WHERE key_id = ? RETURNING {_KEY}"
        row = await self._write(lambda db: db.execute(query, (key_id,)).fetchone())
        return _key(row) if row else None

    # clusters and their tokens

    async def add_cluster(self, cluster: Cluster, token: Token) -> None:
        """See Store."""

        def write(db: sqlite3.Connection) -> None:
            if _cluster_exists(db, cluster.cluster_id):
                raise AlreadyExists(f"Cluster exists: {cluster.cluster_id}")
            row = [_json(value) if name in _CLUSTER_JSON else value for name, value in _pairs(cluster)]
            db.execute(f"INSERT INTO clusters ({_CLUSTER}) VALUES ({_marks(row)})", row)
            db.execute(f"INSERT INTO tokens ({_TOKEN}) VALUES (?, ?, ?, ?, ?)", _values(token))

        await self._write(write)

    async def get_cluster(self, cluster_id: str) -> Cluster | None:
        """See Store."""
        query = f"SELECT {_CLUSTER} FROM clusters WHERE cluster_id = ?"
        row = await self._read(lambda db: db.execute(query, (cluster_id,)).fetchone())
        return _cluster(row) if row else None

    async def list_clusters(self) -> list[Cluster]:
        """See Store."""
        query = f"SELECT {_CLUSTER} FROM clusters ORDER BY cluster_id"
        return [_cluster(row) for row in await self._read(lambda db: db.execute(query).fetchall())]

    async def remove_cluster(self, cluster_id: str, now: float) -> list[EndedSession] | None:
        """See Store."""

        def write(db: sqlite3.Connection) -> list[EndedSession] | None:
            if not db.execute("DELETE FROM clusters WHERE cluster_id = ?", (cluster_id,)).rowcount:
                return None
            db.execute("DELETE FROM tokens WHERE cluster_id = ?", (cluster_id,))
            query = "SELECT session_id FROM sessions WHERE cluster_id = ? AND status = 'active'"
            ids = [row[0] for row in db.execute(query, (cluster_id,)).fetchall()]
            return [_end_session(db, session_id, "closed", now) for session_id in ids]

        ended: list[EndedSession] | None = await self._write(write)
        return ended

    async def change_cluster(
        self, cluster_id: str, *, name: str | None, labels: dict[str, str] | None
    ) -> Cluster | None:
        """See Store."""
        query = (
            "UPDATE clusters SET name = coalesce(?, name), labels = coalesce(?, labels) WHERE cluster_id = ?"
            f" RETURNING {_CLUSTER}"
        )
        values = (name, None if labels is None else _json(labels), cluster_id)
        row = await self._write(lambda db: db.execute(query, values).fetchone())
        return _cluster(row) if row else None

    async def record_agent(
        self,
        cluster_id: str,
        *,
        agent_version: str,
        kubernetes_version: str | None,
        policy: str | None,
        labels: dict[str, str],
        now: float,
    ) -> None:
        """See Store."""
        query = (
            "UPDATE clusters SET agent_version = ?, kubernetes_version = ?, last_seen = ?, announced_labels = ?,"
            " policy = coalesce(?, policy), policy_at = CASE WHEN ? IS NULL THEN policy_at ELSE ? END"
            " WHERE cluster_id = ?"
        )
        values = (agent_version, kubernetes_version, now, _json(labels), policy, policy, now, cluster_id)
        await self._write(lambda db: db.execute(query, values))

    async def record_policy(self, cluster_id: str, policy: str, now: float) -> None:
        """See Store."""
        query = "UPDATE clusters SET policy = ?, policy_at = ? WHERE cluster_id = ?"
        await self._write(lambda db: db.execute(query, (policy, now, cluster_id)))

    async def get_policy(self, cluster_id: str) -> tuple[str, float] | None:
        """See Store."""
        query = "SELECT policy, policy_at FROM clusters WHERE cluster_id = ? AND policy IS NOT NULL"
        row: tuple[str, float] | None = await self._read(lambda db: db.execute(query, (cluster_id,)).fetchone())
        return row

    async def record_seen(self, seen: Mapping[str, float]) -> None:
        """See Store."""
        rows = [(at, cluster_id) for cluster_id, at in seen.items()]
        await self._write(lambda db: db.executemany("UPDATE clusters SET last_seen = ? WHERE cluster_id = ?", rows))

    async def add_token(self, token: Token) -> None:
        """See Store."""

        def write(db: sqlite3.Connection) -> None:
            if not _cluster_exists(db, token.cluster_id):
                raise NotFound(f"Cluster not found: {token.cluster_id}")
            db.execute(f"INSERT INTO tokens ({_TOKEN}) VALUES (?, ?, ?, ?, ?)", _values(token))

        await self._write(write)

    async def find_token(self, secret_hash: str) -> Token | None:
        """See Store."""
        query = f"SELECT {_TOKEN} FROM tokens WHERE secret_hash = ?"
        row = await self._read(lambda db: db.execute(query, (secret_hash,)).fetchone())
        return Token(*row) if row else None

    async def list_tokens(self, cluster_id: str) -> list[Token]:
        """See Store."""
        query = f"SELECT {_TOKEN} FROM tokens WHERE cluster_id = ? ORDER BY created_at, token_id"
        return [Token(*row) for row in await self._read(lambda db: db.execute(query, (cluster_id,)).fetchall())]

    async def remove_token(self, cluster_id: str, token_id: str) -> bool:
        """See Store."""
        query = "DELETE FROM tokens WHERE cluster_id = ? AND token_id = ?"
        return bool(await self._write(lambda db: db.execute(query, (cluster_id, token_id)).rowcount))

    # sessions

    async def add_session(self, session: Session) -> None:
        """See Store."""
        row = _values(replace(session, metadata=_json(session.metadata)))  # type: ignore[arg-type]

        def write(db: sqlite3.Connection) -> None:
            if not _cluster_exists(db, session.cluster_id):
                raise NotFound(f"Cluster not found: {session.cluster_id}")
            db.execute(f"INSERT INTO sessions ({_SESSION}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

        await self._write(write, pages=_COMMAND_PAGES)

    async def get_session(self, session_id: str) -> Session | None:
        """See Store."""
        query = f"SELECT {_SESSION} FROM sessions WHERE session_id = ?"
        row = await self._read(lambda db: db.execute(query, (session_id,)).fetchone())
        return _session(row) if row else None

    async def list_sessions(
        self,
        *,
        cluster_id: str | None,
        status: SessionStatus | None,
        limit: int,
        cursor: str | None,
        among: Sequence[str] | None = None,
    ) -> SessionPage:
        """See Store."""
        after = _read_cursor(cursor) if cursor is not None else None
        matches = "(? IS NULL OR cluster_id = ?) AND (? IS NULL OR status = ?)"
        values = [cluster_id, cluster_id, status, status]
        if among is not None:
            matches += " AND cluster_id IN (SELECT value FROM json_each(?))"
            values.append(_json(among))

        def query(db: sqlite3.Connection) -> tuple[list[Any], int]:
            total = db.execute(f"SELECT count(*) FROM sessions WHERE {matches}", values).fetchone()[0]
            beyond = "" if after is None else " AND (created_at, session_id) < (?, ?)"
            rows = db.execute(
                f"SELECT {_SESSION} FROM sessions WHERE {matches}{beyond}"
                " ORDER BY created_at DESC, session_id DESC LIMIT ?",
                [*values, *(after or ()), limit + 1],
            ).fetchall()
            return rows, total

        rows, total = await self._read(query)
        sessions = tuple(_session(row) for row in rows[:limit])
        next_cursor = _write_cursor(sessions[-1]) if len(rows) > limit else None
        return SessionPage(sessions, total, next_cursor)

    async def count_active_sessions(self, cluster_id: str) -> int:
        """See Store."""
        query = "SELECT count(*) FROM sessions WHERE cluster_id = ? AND status = 'active'"
        return int(await self._read(lambda db: db.execute(query, (cluster_id,)).fetchone()[0]))

    async def close_session(self, session_id: str, now: float) -> EndedSession | None:
        """See Store."""

        def write(db: sqlite3.Connection) -> EndedSession | None:
            row = db.execute(f"SELECT {_SESSION} FROM sessions WHERE session_id = ?", (session_id,)).fetchone()
            if row is None:
                return None
            session = _session(row)
            if session.status != "active":
                return EndedSession(session, ())
            if session.expires_at <= now:
                return _end_session(db, session_id, "expired", session.expires_at)
            return _end_session(db, session_id, "closed", now)

        ended: EndedSession | None = await self._write(write)
        return ended

    async def expire_sessions(self, now: float) -> list[EndedSession]:
        """See Store."""
        query = "SELECT session_id, expires_at FROM sessions WHERE status = 'active' AND expires_at <= ?"
        rows = await self._read(lambda db: db.execute(query, (now,)).fetchall())
        if not rows:
            return []

        def write(db: sqlite3.Connection) -> list[EndedSession]:
            due = db.execute(query, (now,)).fetchall()
            return [_end_session(db, session_id, "expired", at) for session_id, at in due]

        ended: list[EndedSession] = await self._write(write)
        return ended

    # commands and results

    async def accept_command(
        self,
        result: Result,
        *,
        owner: str | None,
        idempotency: Idempotency | None,
        fallback_correlation_id: str | None = None,
        origin: Origin | None = None,
    ) -> Accepted:
        """See Store."""
        args = _json(result.args)
        row = (
            result.result_id,
            result.command_type,
            args,
            result.timeout_seconds,
            result.accepted_at,
            result.deadline_at,
            result.status,
            result.service_identity,
            result.key_id,
            result.boot_id,
            result.is_stream,
            result.max_output_bytes,
            result.contract,
            result.correlation_id,
            fallback_correlation_id,
            result.session_id,
            result.cluster_id,
            result.accepted_at,
            owner,
            owner,
        )

        acceptance = audit.Acceptance(self._chain_of_ours(), _ACCEPT, row, result, origin)

        def write(db: sqlite3.Connection) -> Accepted:
            if idempotency is not None:
                earlier = _earlier(db, idempotency, result.accepted_at)
                if earlier is not None:
                    return Accepted(earlier, is_new=False)
            stored = acceptance(db)
            if stored is None:
                raise _why_not(db, result, owner)
            if idempotency is not None:
                db.execute(
                    "INSERT OR REPLACE INTO idempotency (key_id, value, fingerprint, result_id, created_at)"
                    " VALUES (?, ?, ?, ?, ?)",
                    (*_values(idempotency), result.result_id, result.accepted_at),
                )
            return Accepted(stored, is_new=True)

        pages = _pages(utf8_bytes(args))
        if idempotency is None:
            stored: Result | None = await self._write(acceptance, pages=pages)
            if stored is not None:
                self._untouched[result.result_id] = stored
                return Accepted(stored, is_new=True)
        accepted: Accepted = await self._write(write, pages=pages)
        return accepted

    async def find_accepted(self, idempotency: Idempotency, now: float) -> Result | None:
        """See Store."""
        earlier: Result | None = await self._read(lambda db: _earlier(db, idempotency, now))
        return earlier

    async def mark_running(self, result_id: str, boot_id: str) -> None:
        """See Store."""
        self._untouched.pop(result_id, None)
        await self._write(Statement(_RUN, (boot_id, result_id)), pages=_COMMAND_PAGES)

    async def append_output(self, result_id: str, chunks: Sequence[OutputChunk]) -> bool:
        """See Store."""
        pieces = output.measure(chunks)

        def write(db: sqlite3.Connection) -> tuple[bool, int]:
            growth, excess_bytes = output.add(db, result_id, pieces, self._keep_stream_bytes)
            if growth.last_seq:
                db.execute(_APPEND, (*growth, result_id))
            return growth.last_seq > 0, excess_bytes

        is_new, excess_bytes = await self._write(write, pages=_pages(*(size for _, size in pieces)))
        await self._let_go(result_id, excess_bytes)
        return bool(is_new)

    async def end_command(self, result_id: str, ending: Ending, chunks: Sequence[OutputChunk] = ()) -> Result | None:
        """See Store."""
        how = (
            ending.status,
            ending.ended_at,
            ending.exit_code,
            ending.executor,
            ending.reason,
            ending.execution_time_ms,
            ending.omitted_bytes,
            ending.omitted_lines,
            ending.is_truncated,
            ending.redactions,
            ending.output_bytes,
        )
        untouched = self._untouched.pop(result_id, None)
        pieces = output.measure(chunks)
        growth = output.grow(pieces)
        if not pieces:
            rows = await self._write(Statement(_END, (*how, 0, *growth, result_id)), pages=_COMMAND_PAGES)
            return _ended(result_id, ending, rows[0]) if rows else None
        if pieces[0][0].seq == 1:
            whole = output.whole(pieces)
            values = (*how, growth.stored_bytes, *growth, whole, result_id)
            pages = _pages(utf8_bytes(whole))
            if untouched is not None:
                if await self._write(Change(_CHANGE_WHOLE, values), pages=pages):
                    return _ended_whole(untouched, ending, growth.stored_bytes)
            elif rows := await self._write(Statement(_END_WHOLE, values), pages=pages):
                return _ended(result_id, ending, rows[0])

        def write(db: sqlite3.Connection) -> Any:
            growth, _ = output.add(db, result_id, pieces, self._keep_stream_bytes)
            return db.execute(_END, (*how, growth.stored_bytes, *growth, result_id)).fetchone()

        row = await self._write(write, pages=_pages(*(size for _, size in pieces)))
        return _ended(result_id, ending, row) if row else None

    async def _let_go(self, result_id: str, excess_bytes: int) -> None:
        """Let go of what is too much for one write: small chunks are many."""
        while excess_bytes > 0:
            gone = await self._write(functools.partial(output.let_go, result_id=result_id, excess_bytes=excess_bytes))
            if not gone:
                break
            excess_bytes -= gone

    async def get_result(self, result_id: str) -> Result | None:
        """See Store."""
        query = f"SELECT {_RESULT} FROM results WHERE result_id = ?"
        row = await self._read(lambda db: db.execute(query, (result_id,)).fetchone())
        return _result(row) if row else None

    async def read_chunks(self, result_id: str, *, after_seq: int, max_bytes: int) -> StoredChunks:
        """See Store."""

        def query(db: sqlite3.Connection) -> StoredChunks:
            with snapshot(db):
                return output.read_chunks(db, result_id, after_seq, max_bytes)

        stored: StoredChunks = await self._read(query)
        return stored

    async def last_seqs(self, result_ids: Sequence[str]) -> dict[str, int]:
        """See Store."""
        query = (
            "SELECT result_id, last_seq FROM results"
            " WHERE result_id IN (SELECT value FROM json_each(?)) AND ended_at IS NULL"
        )
        return dict(await self._read(lambda db: db.execute(query, (_json(result_ids),)).fetchall()))

    async def read_output(
        self, result_id: str, *, offset: int = 0, limit: int | None = None, is_full: bool = False
    ) -> OutputText:
        """See Store."""

        def query(db: sqlite3.Connection) -> OutputText:
            with snapshot(db):
                return output.read_output(db, result_id, offset=offset, limit=limit, is_full=is_full)

        text: OutputText = await self._read(query)
        return text

    async def list_open_results(self) -> list[Result]:
        """See Store."""
        query = f"SELECT {_RESULT} FROM results WHERE ended_at IS NULL ORDER BY accepted_at"
        return [_result(row) for row in await self._read(lambda db: db.execute(query).fetchall())]

    async def list_overdue(self, now: float) -> list[Result]:
        """See Store."""
        query = f"SELECT {_RESULT} FROM results WHERE ended_at IS NULL AND deadline_at <= ?"
        return [_result(row) for row in await self._read(lambda db: db.execute(query, (now,)).fetchall())]

    # the audit log

    async def append_audit(self, events: Sequence[AuditEvent]) -> None:
        """See Store."""
        chain = self._chain_of_ours()
        await self._write(lambda db: chain.append_all(db, events), pages=_COMMAND_PAGES + len(events) // 4)

    async def list_audit(
        self,
        wanted: AuditFilter,
        *,
        limit: int,
        cursor: str | None,
        may_see: Callable[[str | None, str | None], bool] | None,
    ) -> AuditPage:
        """See Store."""
        below = None if cursor is None else audit_rows.read_cursor(cursor)
        page: AuditPage = await self._read(lambda db: audit_rows.search(db, wanted, limit, below, may_see))
        return page

    async def audit_head(self) -> tuple[int, str]:
        """See Store."""
        seq, mac = await self._read(audit.read_head)
        return seq, mac.hex()

    async def reap_audit(self, before: float, now: float) -> int:
        """See Store."""
        chain = self._chain_of_ours()
        count = 0
        while removed := await self._write(lambda db: chain.remove(db, before, now)):
            count += removed
        return count

    # housekeeping

    async def reap(
        self, now: float, *, keep_results_seconds: float, keep_sessions_seconds: float, max_store_bytes: int
    ) -> Reaped:
        """See Store. The store's size is what its pages in use take; freed ones go back to the file system in steps."""
        results = sessions = 0
        is_more = True
        while is_more:
            removed, is_more = await self._write(lambda db: _reap_results(db, now, keep_results_seconds))
            results += removed
        is_more = True
        while is_more and max_store_bytes and await self._read(_used_bytes) > max_store_bytes:
            removed, is_more = await self._write(lambda db: _reap_results(db, now, 0.0))
            results += removed
        while removed := await self._write(lambda db: _reap_sessions(db, now - keep_sessions_seconds)):
            sessions += removed
        query = "DELETE FROM idempotency WHERE created_at <= ?"
        await self._write(lambda db: db.execute(query, (now - _IDEMPOTENCY_SECONDS,)))
        await self._write(_vacuum)
        return Reaped(sessions, results)


def _begin_chain(db: sqlite3.Connection, key: bytes) -> audit.Chain:
    """The audit log's chain, begun if there is none. Raises StoreUnusable."""
    try:
        if audit.read_identity(db) is None:
            audit.begin(db, key, new_id("hub"), time.time())
        chain = audit.Chain(key, audit.read_beginning(db).hub_id)
        chain.attach(db)
        return chain
    except sqlite3.DatabaseError as error:
        db.close()
        raise StoreUnusable(f"the audit log cannot be begun: {error}") from None


# rows to records


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _pairs(record: Any) -> Iterator[tuple[str, Any]]:
    return ((name, getattr(record, name)) for name in record.__match_args__)


def _values(record: Any) -> tuple[Any, ...]:
    return tuple(value for _, value in _pairs(record))


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def _key(row: Any) -> Key:
    key = Key(*row)
    kept = [(name, value) for name, value in _pairs(key) if name in _KEY_JSON and value is not None]
    return replace(key, **{name: msgspec.json.decode(value, type=_KEY_JSON[name]) for name, value in kept})


def _cluster(row: Any) -> Cluster:
    """A cluster of its row. There may be 10,000 in a list, most of them without labels."""
    cluster_id, name, created_at, agent_version, kubernetes_version, last_seen, labels, announced = row
    known = (agent_version, kubernetes_version, last_seen)
    return Cluster(cluster_id, name, created_at, *known, _labels(labels), _labels(announced))


def _labels(text: str) -> dict[str, str]:
    return {} if text == "{}" else msgspec.json.decode(text, type=dict[str, str])


def _session(row: Any) -> Session:
    values = list(row)
    values[9] = msgspec.json.decode(values[9])
    return Session(*values)


def _result(row: Sequence[Any]) -> Result:
    values = list(row)
    values[_ARGS] = tuple(msgspec.json.decode(values[_ARGS]))
    values[_IS_TRUNCATED] = bool(values[_IS_TRUNCATED])
    values[_IS_STREAM] = bool(values[_IS_STREAM])
    return Result(*values)


def _ended(result_id: str, ending: Ending, row: Any) -> Result:
    """A result that just ended, of the _UNTOLD columns of its row."""
    return _result(
        [
            result_id,
            *row[:8],  # up to deadline_at
            ending.status,
            *row[8:10],  # correlation_id, service_identity
            ending.ended_at,
            ending.exit_code,
            ending.executor,
            ending.reason,
            ending.execution_time_ms,
            row[10],  # output_bytes
            ending.omitted_bytes,
            row[11],  # stored_bytes
            ending.omitted_lines,
            ending.is_truncated,
            *row[12:],  # from expired_bytes to contract
            ending.redactions,
        ]
    )


def _ended_whole(accepted: Result, ending: Ending, stored_bytes: int) -> Result:
    """A result that just ended, all its output with it, of what was accepted."""
    return msgspec.structs.replace(
        accepted,
        status=ending.status,
        ended_at=ending.ended_at,
        exit_code=ending.exit_code,
        executor=ending.executor,
        reason=ending.reason,
        execution_time_ms=ending.execution_time_ms,
        output_bytes=stored_bytes if ending.output_bytes is None else ending.output_bytes,
        omitted_bytes=ending.omitted_bytes,
        stored_bytes=stored_bytes,
        omitted_lines=ending.omitted_lines,
        is_truncated=ending.is_truncated,
        redactions=ending.redactions,
    )


# pieces of transactions


def _cluster_exists(db: sqlite3.Connection, cluster_id: str) -> bool:
    return db.execute("SELECT 1 FROM clusters WHERE cluster_id = ?", (cluster_id,)).fetchone() is not None


def _end_session(db: sqlite3.Connection, session_id: str, status: SessionStatus, at: float) -> EndedSession:
    query = f"UPDATE sessions SET status = ?, closed_at = ? WHERE session_id = ? RETURNING {_SESSION}"
    session = _session(db.execute(query, (status, at, session_id)).fetchone())
    query = "SELECT result_id FROM results WHERE session_id = ? AND ended_at IS NULL"
    return EndedSession(session, tuple(row[0] for row in db.execute(query, (session_id,)).fetchall()))


def _why_not(db: sqlite3.Connection, result: Result, owner: str | None) -> Exception:
    """Why a session takes no command."""
    query = f"SELECT {_SESSION} FROM sessions WHERE session_id = ?"
    row = db.execute(query, (result.session_id,)).fetchone()
    session = _session(row) if row else None
    if session is None or owner not in (None, session.key_id):
        return NotFound(f"Session not found: {result.session_id}")
    if session.cluster_id != result.cluster_id:
        return ClusterMismatch(session.cluster_id, result.cluster_id)
    return SessionNotActive(session.session_id, "expired" if session.status == "active" else session.status)


def _earlier(db: sqlite3.Connection, idempotency: Idempotency, now: float) -> Result | None:
    row = db.execute(
        f"SELECT fingerprint, {_columns(Result, 'results.')} FROM idempotency JOIN results USING (result_id)"
        " WHERE idempotency.key_id = ? AND value = ? AND created_at > ?",
        (idempotency.key_id, idempotency.value, now - _IDEMPOTENCY_SECONDS),
    ).fetchone()
    if row is None:
        return None
    if row[0] != idempotency.fingerprint:
        raise IdempotencyConflict("This Idempotency-Key was used with another request")
    return _result(row[1:])


def _pages(*sizes: int) -> int:
    """Pages that a small write with texts of so many bytes in it changes, about."""
    return _COMMAND_PAGES + sum(sizes) // _PAGE_BYTES


def _used_bytes(db: sqlite3.Connection) -> int:
    """What the database holds beside the audit log, which is not to drive out results."""
    pages, free, size = (
        db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size) - audit_rows.used_bytes(db)


def _vacuum(db: sqlite3.Connection) -> None:
    """Give freed pages back to the file system, some at a time."""
    free = db.execute("PRAGMA freelist_count").fetchone()[0]
    for _ in range(min(free, _VACUUM_PAGES)):
        db.execute("PRAGMA incremental_vacuum(1)")  # Python steps a statement without columns only once: one page


def _reap_results(db: sqlite3.Connection, now: float, keep_seconds: float) -> tuple[int, bool]:
    """Remove the oldest results that ended so long ago, a batch of them; how many, and whether there may be more.

    The chunks of a long stream go in batches of their own, before the result does.
    """
    before = now - keep_seconds
    ids: list[tuple[int]] = []
    size = 0
    for rowid, result_id, accepted_at, ended_at, kept_bytes, last_seq in db.execute(
        "SELECT rowid, result_id, accepted_at, ended_at, kept_bytes, last_seq FROM results ORDER BY rowid"
    ):
        if before < accepted_at <= now:
            break  # those behind it were accepted later still, and cannot have ended before; unless the clock was wrong
        if ended_at is not None and ended_at <= before:
            if kept_bytes > _REAP_BYTES or last_seq > _REAP_CHUNKS:
                if ids:
                    break
                if output.let_go(db, result_id, kept_bytes):
                    return 0, True
            ids.append((rowid,))
            size += kept_bytes
        if size > _REAP_BYTES or len(ids) == _REAP_ROWS:
            break
    db.executemany("DELETE FROM results WHERE rowid = ?", ids)
    return len(ids), bool(ids)


def _reap_sessions(db: sqlite3.Connection, before: float) -> int:
    query = (
        "DELETE FROM sessions WHERE session_id IN (SELECT session_id FROM sessions WHERE status != 'active'"
        " AND closed_at <= ? AND results_kept = 0 LIMIT ?)"
    )
    return db.execute(query, (before, _REAP_ROWS)).rowcount


# cursors


def _write_cursor(session: Session) -> str:
    return base64.urlsafe_b64encode(f"{session.created_at!r} {session.session_id}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[float, str]:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        created_at, _, session_id = text.partition(" ")
        return float(created_at), session_id
    except (binascii.Error, ValueError):
        message = "cursor is not one that this listing gave; start without one"
        raise InvalidRequest(message, field="cursor", code="invalid_value") from None
