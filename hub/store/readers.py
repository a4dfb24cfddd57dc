"""The threads that read: a few, each with its own connection, beside the writer (SQLite's WAL lets them)."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from hub.errors import StoreFull

T = TypeVar("T")

# Reads are short; more threads than this only wait for each other's interpreter lock.
_THREADS: Final = 3


class Readers:
    """A pool of reading connections."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="store-reader")

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run a query in a thread of the pool. Raises StoreFull when the store is closed or unreadable."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._run, query)
        except sqlite3.OperationalError as error:
            raise StoreFull(f"The store cannot be read: {error}") from error
        except RuntimeError as error:  # the pool is shut down
            raise StoreFull("The store is closed") from error

    async def close(self) -> None:
        """Finish what runs, then close every connection."""
        await asyncio.to_thread(self._pool.shutdown)
        for connection in self._connections:
            connection.close()

    def _run(self, query: Callable[[sqlite3.Connection], T]) -> T:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
            self._connections.append(connection)
        return query(connection)


@contextlib.contextmanager
def snapshot(db: sqlite3.Connection) -> Iterator[None]:
    """Several statements that read the same state of the store, whatever is written meanwhile."""
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.execute("ROLLBACK")
