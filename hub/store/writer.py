"""The one writer. What waits is committed together, so that many callers share one commit.

An operation is a function of the connection. One that fails takes nothing else of its batch with it: the batch is then
rolled back and run again with a savepoint around each operation, so an operation may run twice, and must not mind. Its
caller hears of the outcome after the commit, never before.

The connection belongs to a thread. But a change of thread costs more than a small commit does, and a command makes two:
waking a thread takes 30 to 50 µs, there and back. So while the thread has nothing to do, small batches are committed
where they are, on the event loop's thread. Such a commit waits for no disk: SQLite's log is written without fsync
(`synchronous = NORMAL`), and is copied into the database elsewhere: most of it by a second thread over a connection of
its own, while commits go on, then by the first one what came meanwhile. The first commit after that begins the log
anew, with an fsync, so the thread makes that one too. Should one take long all the same, the thread has all the work
for a while.
"""

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from hub.errors import StoreFull

_log = logging.getLogger(__name__)

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], Any]
_Item = tuple[Operation, "asyncio.Future[Any]"]
_Batch = tuple[list[_Item], bool]  # the operations, and whether to checkpoint before them
_Outcome = tuple["asyncio.Future[Any]", Any, BaseException | None]

# Operations in one transaction: enough to share the commit's cost, few enough that the first need not wait long.
_MAX_BATCH: Final = 256
# Operations that may wait. At 5,000 writes a second this is two seconds of work; beyond it the hub says it is full.
_MAX_WAITING: Final = 10_000
# For so long after a write found no room the store says that it is full, even if a smaller write would still fit.
_FULL_SECONDS: Final = 2.0
# What SQLite says when the disk is full or broken, or another program keeps the database for itself
# (https://www.sqlite.org/rescode.html), by primary result code.
_FULL: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_BUSY,
    }
)
# How long, and how often, the thread tries to begin while another program holds the database.
_BUSY_SECONDS: Final = 5.0
_BUSY_STEP_SECONDS: Final = 0.01
# Pages of 4 KiB that a batch on the event loop may write, 1 MiB: under a millisecond of copying into the page cache.
_SMALL_PAGES: Final = 256
# Beginning and ending a transaction costs as much as a write in it, so that more than so many gain little.
_FULL_BATCH: Final = 16
# An operation that does not say how many pages it writes counts as so many.
_UNKNOWN_PAGES: Final = 1000
# Pages in the log before they are copied into the database, 16 MiB; SQLite's own 1,000 would be four times the fsyncs.
_CHECKPOINT_PAGES: Final = 4000
# Of what came while the log was copied so much may be left for the checkpoint that commits wait for, 1 MiB; more is
# copied again, so many times in all: on a disk that is slower than the writes it would never become little.
_LEFT_PAGES: Final = 256
_MAX_COPIES: Final = 3
# A commit that took so long met a slow disk. For so many times as long the thread has all the work then, so that
# waiting for a disk takes a fiftieth of the event loop's time at the most.
_SLOW_SECONDS: Final = 0.025
_SLOW_FACTOR: Final = 50


class Statement:
    """An operation of one statement, its rows the result. Alone in its batch it is a transaction by itself."""

    __slots__ = ("sql", "values")

    def __init__(self, sql: str, values: tuple[Any, ...]) -> None:
        self.sql = sql
        self.values = values

    def __call__(self, connection: sqlite3.Connection) -> list[Any]:
        """Run it."""
        return connection.execute(self.sql, self.values).fetchall()


class Change(Statement):
    """A statement without rows; the number of rows it changed is the result."""

    __slots__ = ()

    def __call__(self, connection: sqlite3.Connection) -> int:  # type: ignore[override]
        """Run it."""
        return connection.execute(self.sql, self.values).rowcount


class Writer:
    """A queue, a thread, a connection. `submit` may be called from the event loop's thread only.

    `connect` opens another one to the same file. `may_commit_here`: a commit waits for no fsync, so that the event
    loop's thread may make small ones. `on_undone` is called, in the thread that has the connection, when anything was
    rolled back: what somebody remembers of the connection's transaction is then no longer so.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        connect: Callable[[], sqlite3.Connection],
        *,
        may_commit_here: bool,
        on_undone: Callable[[], None] = lambda: None,
    ) -> None:
        connection.execute("PRAGMA wal_autocheckpoint = 0")  # a commit never turns into one
        connection.execute("PRAGMA busy_timeout = 0")  # the event loop waits for nobody; the thread waits by itself
        self._connection = connection
        self._connect = connect
        self._may_commit_here = may_commit_here
        self._on_undone = on_undone
        self._queue: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._gathered: list[_Item] = []
        self._gathered_pages = 0
        self._seen_gathered = 0
        self._is_alone = False  # a write is committed without a turn's wait for company
        self._is_turn_taken = False  # this turn of the event loop has committed one so
        self._pages_in_log = 0
        self._copies = 0  # of the log as it is now; 0: none was begun
        self._pages_copied = 0  # in the log when the last copy began
        self._is_copied = False  # so that a checkpoint has little left to do
        self._batches_in_thread = 0  # while there are any, the connection is the thread's
        self._thread_until = float("-inf")
        self._loop = asyncio.get_running_loop()
        self._waiting = 0
        self._is_closed = False
        self._full_until = float("-inf")
        self._copier = ThreadPoolExecutor(1, thread_name_prefix="store-copier")
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    async def submit(self, operation: Callable[[sqlite3.Connection], T], *, pages: int | None = None) -> T:
        """Run an operation in a transaction and return its result once that is committed.

        `pages` says how many pages of 4 KiB it changes, about; None: nobody knows, or many. Operations run in the order
        of their submission. Cancelling the caller does not stop an operation. Raises StoreFull, or what the operation
        raised.
        """
        if self._is_closed:
            raise StoreFull("The store is closed")
        if self._waiting >= _MAX_WAITING:
            raise StoreFull("Too many writes wait for the store")
        future: asyncio.Future[T] = self._loop.create_future()
        self._waiting += 1
        self._gathered.append((operation, future))
        self._gathered_pages += _UNKNOWN_PAGES if pages is None else pages
        if self._is_alone and not self._is_turn_taken:
            self._is_turn_taken = True
            self._loop.call_soon(self._end_turn)
            self._hand_over()
        elif len(self._gathered) == 1:
            self._is_alone = False
            self._loop.call_soon(self._hand_over_turn)
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
            await asyncio.to_thread(self._copier.shutdown)

    def _hand_over_turn(self) -> None:
        """Commit what is gathered, unless this turn of the event loop brought company: then the next may bring more.

        Where a whole turn brought nothing but one write, the writes that follow do not wait for company at all, until
        one turn brings two.
        """
        count = len(self._gathered)
        if max(1, self._seen_gathered) < count < _FULL_BATCH:
            self._seen_gathered = count
            self._loop.call_soon(self._hand_over_turn)
            return
        self._is_alone = count == 1
        self._hand_over()

    def _end_turn(self) -> None:
        self._is_turn_taken = False

    def _hand_over(self) -> None:
        """Commit what is gathered, here or in the thread."""
        gathered, self._gathered = self._gathered, []
        self._seen_gathered = 0
        pages, self._gathered_pages = self._gathered_pages, 0
        if not gathered:
            return
        is_checkpoint_due, self._is_copied = self._is_copied, False
        self._pages_in_log = pages if is_checkpoint_due else self._pages_in_log + pages
        if self._pages_in_log >= _CHECKPOINT_PAGES and not self._copies:
            self._start_copy()
        if pages <= _SMALL_PAGES and not is_checkpoint_due and self._is_idle_and_quick():
            outcomes = self._commit_here(gathered)
            if outcomes is not None:
                self._tell(outcomes)
                return
        self._batches_in_thread += 1
        self._queue.put((gathered, is_checkpoint_due))

    def _is_idle_and_quick(self) -> bool:
        return self._may_commit_here and not self._batches_in_thread and time.monotonic() >= self._thread_until

    def _commit_here(self, batch: list[_Item]) -> list[_Outcome] | None:
        """Commit on the event loop's thread. None: it went wrong, and the thread shall find out how."""
        started_at = time.monotonic()
        outcomes: list[_Outcome] | None = None
        try:
            outcomes = self._commit_together(batch)
        except Exception:  # noqa: BLE001 - run again, apart, it is told to whom it concerns
            self._roll_back()
        took = time.monotonic() - started_at
        if took > _SLOW_SECONDS:
            self._thread_until = started_at + took * _SLOW_FACTOR
        return outcomes

    def _run(self) -> None:
        is_last = False
        while not is_last:
            batches, is_last = self._take()
            if any(is_checkpoint_due for _, is_checkpoint_due in batches):
                with contextlib.suppress(sqlite3.Error):  # the next one tries again
                    self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            operations = [item for batch, _ in batches for item in batch]
            outcomes = self._commit(operations) if operations else []
            self._call(self._take_back, outcomes, len(batches))
        self._connection.close()

    def _take(self) -> tuple[list[_Batch], bool]:
        """Wait for batches, as many as make one transaction; and whether they are the last."""
        batches: list[_Batch] = []
        count = 0
        batch = self._queue.get()
        while batch is not None:
            batches.append(batch)
            count += len(batch[0])
            if count >= _MAX_BATCH:
                return batches, False
            try:
                batch = self._queue.get_nowait()
            except queue.Empty:
                return batches, False
        return batches, True

    def _start_copy(self) -> None:
        self._copies += 1
        self._pages_copied = self._pages_in_log
        self._copier.submit(self._copy)

    def _copy(self) -> None:
        """Copy the log into the database while commits go on."""
        with contextlib.suppress(sqlite3.Error), contextlib.closing(self._connect()) as beside:
            beside.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        self._call(self._copied)

    def _copied(self) -> None:
        """Copy again what came meanwhile, until it is little; the next batch then waits for the rest of it."""
        is_little = self._pages_in_log - self._pages_copied <= _LEFT_PAGES
        if is_little or self._copies == _MAX_COPIES or self._is_closed:
            self._copies = 0
            self._is_copied = True
        else:
            self._start_copy()

    def _call(self, callback: Callable[..., None], *args: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone, and with it everybody who waits
            self._loop.call_soon_threadsafe(callback, *args)

    def _take_back(self, outcomes: list[_Outcome], batches: int) -> None:
        self._batches_in_thread -= batches
        self._tell(outcomes)

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

    def _roll_back(self) -> None:
        self._on_undone()
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _commit(self, batch: list[_Item]) -> list[_Outcome]:
        """Run a batch in one transaction. Never raises."""
        if len(batch) > 1:
            try:
                return self._commit_together(batch)
            except Exception:  # noqa: BLE001 - run again, apart, it is told to whom it concerns
                self._roll_back()
        return self._commit_apart(batch)

    def _commit_together(self, batch: list[_Item]) -> list[_Outcome]:
        connection = self._connection
        if len(batch) == 1 and isinstance(batch[0][0], Statement):
            operation, future = batch[0]
            return [(future, operation(connection), None)]
        connection.execute("BEGIN IMMEDIATE")
        outcomes: list[_Outcome] = [(future, operation(connection), None) for operation, future in batch]
        connection.execute("COMMIT")
        return outcomes

    def _commit_apart(self, batch: list[_Item]) -> list[_Outcome]:
        outcomes: list[_Outcome] = []
        try:
            self._begin()
            for operation, future in batch:
                value, error = self._attempt(operation, is_alone=len(batch) == 1)
                outcomes.append((future, value, error))
                if not self._connection.in_transaction:
                    # A full disk makes SQLite roll everything back; the operations before this one went with it.
                    raise StoreFull
            self._connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - told to every caller of the batch
            self._roll_back()
            fault = _translated(error)
            if isinstance(fault, StoreFull):
                with contextlib.suppress(sqlite3.Error):  # what the log holds may fit into the database itself
                    self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            told = {future: fault for _, future in batch} | {
                future: own for future, _, own in outcomes if own is not None
            }
            return [(future, None, told[future]) for _, future in batch]
        return outcomes

    def _begin(self) -> None:
        """Begin a transaction, waiting some seconds for another program that writes: a person with an SQLite shell."""
        until = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                    raise
                time.sleep(_BUSY_STEP_SECONDS)

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
            self._on_undone()
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
