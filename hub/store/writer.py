"""The one thread that writes. What waits is committed together, so that many callers share one commit.

An operation is a function of the connection. One that fails takes nothing else of its batch with it: the batch is then
rolled back and run again with a savepoint around each operation, so an operation may run twice, and must not mind. Its
caller hears of the outcome after the commit, never before.

Each pass through the writer's queue and each statement costs a change of thread, which is dear while the event loop is
busy. So operations cross over together, once per turn of the loop, and have as few statements as they can.
"""

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from hub.errors import StoreFull

_log = logging.getLogger(__name__)

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], Any]
_Item = tuple[Operation, "asyncio.Future[Any]"]
_Outcome = tuple["asyncio.Future[Any]", Any, BaseException | None]

# Operations in one transaction: enough to share the commit's cost, few enough that the first need not wait long.
_MAX_BATCH: Final = 256
# Operations that may wait. At 5,000 writes a second this is two seconds of work; beyond it the hub says it is full.
_MAX_WAITING: Final = 10_000
# For so long after a write found no room the store says that it is full, even if a smaller write would still fit.
_FULL_SECONDS: Final = 2.0
# What SQLite says when the disk is full or broken (https://www.sqlite.org/rescode.html), by primary result code.
_FULL: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN})


class Writer:
    """A queue, a thread, a connection. `submit` may be called from the event loop's thread only."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._queue: queue.SimpleQueue[list[_Item] | None] = queue.SimpleQueue()
        self._gathered: list[_Item] = []
        self._loop = asyncio.get_running_loop()
        self._waiting = 0
        self._is_closed = False
        self._full_until = float("-inf")
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    async def submit(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """Run an operation in a transaction and return its result once that is committed.

        Operations run in the order of their submission. Cancelling the caller does not stop an operation. Raises
        StoreFull, or what the operation raised.
        """
        if self._is_closed:
            raise StoreFull("The store is closed")
        if self._waiting >= _MAX_WAITING:
            raise StoreFull("Too many writes wait for the store")
        future: asyncio.Future[T] = self._loop.create_future()
        self._waiting += 1
        if not self._gathered:
            self._loop.call_soon(self._hand_over)
        self._gathered.append((operation, future))
        return await future

    def require_room(self) -> None:
        """Raise StoreFull when a write found no room a moment ago."""
        if time.monotonic() < self._full_until:
            raise StoreFull

    async def close(self) -> None:
        """Commit what waits and end the thread."""
        if not self._is_closed:
            self._is_closed = True
            self._hand_over()
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join)

    def _hand_over(self) -> None:
        gathered, self._gathered = self._gathered, []
        if gathered:
            self._queue.put(gathered)

    def _run(self) -> None:
        is_last = False
        while not is_last:
            batch = self._queue.get()
            is_last = batch is None
            batch = batch or []
            with contextlib.suppress(queue.Empty):
                while not is_last and len(batch) < _MAX_BATCH:
                    more = self._queue.get_nowait()
                    is_last = more is None
                    batch += more or []
            if batch:
                outcomes = self._commit(batch)
                with contextlib.suppress(RuntimeError):  # the loop is gone, and with it everybody who waits
                    self._loop.call_soon_threadsafe(self._tell, outcomes)
        self._connection.close()

    def _tell(self, outcomes: list[_Outcome]) -> None:
        self._waiting -= len(outcomes)
        for future, value, error in outcomes:
            if isinstance(error, StoreFull):
                self._full_until = time.monotonic() + _FULL_SECONDS
            if future.done():
                continue
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)

    def _commit(self, batch: list[_Item]) -> list[_Outcome]:
        """Run a batch in one transaction. Never raises."""
        if len(batch) > 1:
            try:
                return self._commit_together(batch)
            except Exception:  # noqa: BLE001 - run again, apart, it is told to whom it concerns
                with contextlib.suppress(sqlite3.Error):
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
        return self._commit_apart(batch)

    def _commit_together(self, batch: list[_Item]) -> list[_Outcome]:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        outcomes: list[_Outcome] = [(future, operation(connection), None) for operation, future in batch]
        connection.execute("COMMIT")
        return outcomes

    def _commit_apart(self, batch: list[_Item]) -> list[_Outcome]:
        outcomes: list[_Outcome] = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for operation, future in batch:
                value, error = self._attempt(operation, is_alone=len(batch) == 1)
                outcomes.append((future, value, error))
                if not self._connection.in_transaction:
                    # A full disk makes SQLite roll everything back; the operations before this one went with it.
                    raise StoreFull
            self._connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - told to every caller of the batch
            with contextlib.suppress(sqlite3.Error):
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            fault = _translated(error)
            if isinstance(fault, StoreFull):
                with contextlib.suppress(sqlite3.Error):  # what the log holds may fit into the database itself
                    self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            told = {future: fault for _, future in batch} | {
                future: own for future, _, own in outcomes if own is not None
            }
            return [(future, None, told[future]) for _, future in batch]
        return outcomes

    def _attempt(self, operation: Operation, *, is_alone: bool) -> tuple[Any, BaseException | None]:
        connection = self._connection
        try:
            if is_alone:
                return operation(connection), None
            connection.execute("SAVEPOINT one")
            value = operation(connection)
            connection.execute("RELEASE one")
            return value, None
        except Exception as error:  # noqa: BLE001 - told to the operation's caller
            if connection.in_transaction and not is_alone:
                connection.execute("ROLLBACK TO one")
                connection.execute("RELEASE one")
            elif connection.in_transaction:
                connection.execute("ROLLBACK")
                connection.execute("BEGIN")
            return None, _translated(error)


def _translated(error: BaseException) -> BaseException:
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in _FULL:
        _log.error("the database cannot be written", extra={"detail": str(error)})
        return StoreFull()
    return error
