"""Where commits are made: small ones on the event loop's thread, everything else in the writer's own."""

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hub.errors import StoreFull
from hub.store.writer import Writer

SMALL = 4


def connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


@contextlib.asynccontextmanager
async def writing(path: Path, *, may_commit_here: bool = True) -> AsyncIterator[Writer]:
    db = connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, thread INTEGER, data BLOB)")
    writer = Writer(db, lambda: connect(path), may_commit_here=may_commit_here)
    try:
        yield writer
    finally:
        await writer.close()


async def write(writer: Writer, *, pages: int | None = SMALL, data: bytes = b"") -> int:
    """Write a row; the thread that did it."""
    row = (threading.get_ident(), data)

    def operation(db: sqlite3.Connection) -> int:
        db.execute("INSERT INTO rows (thread, data) VALUES (?, ?)", row)
        return threading.get_ident()

    return await writer.submit(operation, pages=pages)


async def test_small_writes_change_no_thread(tmp_path: Path) -> None:
    here = threading.get_ident()
    async with writing(tmp_path / "x.db") as writer:
        assert await write(writer) == here
        assert await write(writer, pages=None) != here
        assert await write(writer, pages=2000) != here
        assert await write(writer) == here


async def test_where_a_commit_waits_for_the_disk_the_thread_makes_it(tmp_path: Path) -> None:
    async with writing(tmp_path / "x.db", may_commit_here=False) as writer:
        assert await write(writer) != threading.get_ident()


async def test_order_holds_between_the_threads(tmp_path: Path) -> None:
    done: list[int] = []
    async with writing(tmp_path / "x.db") as writer:

        async def numbered(number: int) -> None:
            await writer.submit(lambda db: done.append(number), pages=SMALL if number % 3 else None)

        for start in range(0, 300, 10):
            await asyncio.gather(*(numbered(number) for number in range(start, start + 10)))
            later = asyncio.create_task(numbered(-1))
            await asyncio.sleep(0)
            await later
    assert [number for number in done if number >= 0] == list(range(300))


async def test_another_programs_lock_does_not_stop_the_event_loop(tmp_path: Path) -> None:
    async with writing(tmp_path / "x.db") as writer:
        await write(writer)
        other = connect(tmp_path / "x.db")
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(write(writer))
        longest = 0.0
        for _ in range(30):
            before = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - before)
        assert not waiting.done()
        other.execute("ROLLBACK")
        async with asyncio.timeout(5):
            assert await waiting != threading.get_ident()
        other.close()
        assert longest < 1.0


async def test_a_slow_commit_hands_the_work_to_the_thread(tmp_path: Path) -> None:
    def slow(db: sqlite3.Connection) -> None:
        time.sleep(0.05)  # a disk that blocks: there is nothing to wait for but time

    async with writing(tmp_path / "x.db") as writer:
        await writer.submit(slow, pages=SMALL)
        assert await write(writer) != threading.get_ident()


async def test_an_operation_that_fails_here_is_tried_again_in_the_thread(tmp_path: Path) -> None:
    async with writing(tmp_path / "x.db") as writer:

        def fails(db: sqlite3.Connection) -> None:
            db.execute("INSERT INTO rows (thread) VALUES (1)")
            raise ValueError("no")

        outcomes = await asyncio.gather(
            write(writer), writer.submit(fails, pages=SMALL), write(writer), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes] == [int, ValueError, int]
        count = await writer.submit(lambda db: db.execute("SELECT count(*) FROM rows").fetchone()[0], pages=SMALL)
        assert count == 2


async def test_the_log_is_copied_into_the_database_before_it_grows_large(tmp_path: Path) -> None:
    log = tmp_path / "x.db-wal"
    async with writing(tmp_path / "x.db") as writer:
        for _ in range(6000):
            await write(writer, data=b"x" * 4000)
        assert log.stat().st_size < 40 * 1024 * 1024


async def test_commits_go_on_while_the_log_is_copied(tmp_path: Path) -> None:
    here = threading.get_ident()
    begun, go_on = threading.Event(), threading.Event()
    async with writing(tmp_path / "x.db") as writer:
        copy = writer._copy

        def slow_copy() -> None:
            begun.set()
            assert go_on.wait(10)
            copy()

        writer._copy = slow_copy  # type: ignore[method-assign]
        while not begun.is_set():
            await write(writer, pages=250, data=b"x" * 100_000)
            await asyncio.sleep(0)
        assert [await write(writer) for _ in range(10)] == [here] * 10
        go_on.set()
        async with asyncio.timeout(10):
            while not writer._is_copied:
                await asyncio.sleep(0.001)
        assert await write(writer) != here  # the rest is copied and the log begun anew
        async with asyncio.timeout(10):
            while await write(writer) != here:
                await asyncio.sleep(0.001)
    other = connect(tmp_path / "x.db")
    assert other.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    other.close()


async def test_the_log_is_begun_anew_where_waiting_for_the_disk_hurts_nobody(tmp_path: Path) -> None:
    """The first commit after a checkpoint begins the log again, which takes an fsync: the header then is another."""
    log = tmp_path / "x.db-wal"
    begun_by: list[int] = []
    async with writing(tmp_path / "x.db") as writer:
        await write(writer)
        header = log.read_bytes()[:32]
        for _ in range(50):
            thread = await write(writer, pages=250)
            while writer._batches_in_thread or writer._copies:
                await asyncio.sleep(0.001)
            before, header = header, log.read_bytes()[:32]
            if header != before:
                begun_by.append(thread)
    assert len(begun_by) >= 2
    assert threading.get_ident() not in begun_by


async def test_a_slow_failure_hands_the_work_to_the_thread_as_well(tmp_path: Path) -> None:
    def fails(db: sqlite3.Connection) -> None:
        time.sleep(0.05)  # a disk that blocks: there is nothing to wait for but time
        raise ValueError("no")

    async with writing(tmp_path / "x.db") as writer:
        with pytest.raises(ValueError, match="no"):
            await writer.submit(fails, pages=SMALL)
        assert await write(writer) != threading.get_ident()


async def test_a_lock_that_is_kept_says_that_the_store_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.store.writer._BUSY_SECONDS", 0.1)
    async with writing(tmp_path / "x.db") as writer:
        other = connect(tmp_path / "x.db")
        other.execute("BEGIN IMMEDIATE")
        outcomes = await asyncio.gather(*(write(writer) for _ in range(3)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [StoreFull] * 3
        other.execute("ROLLBACK")
        other.close()
        assert await write(writer)


@pytest.mark.parametrize("may_commit_here", [True, False])
async def test_what_was_told_is_in_the_file(tmp_path: Path, may_commit_here: bool) -> None:
    async with writing(tmp_path / "x.db", may_commit_here=may_commit_here) as writer:
        await asyncio.gather(*(write(writer) for _ in range(100)))
        other = connect(tmp_path / "x.db")
        assert other.execute("SELECT count(*) FROM rows").fetchone()[0] == 100
        other.close()


async def test_writes_that_come_together_are_committed_together(tmp_path: Path) -> None:
    async with writing(tmp_path / "x.db") as writer:
        batches: list[int] = []
        commit = writer._commit_together

        def counted(batch: list[Any]) -> list[Any]:
            batches.append(len(batch))
            return commit(batch)

        writer._commit_together = counted  # type: ignore[method-assign]

        async def callers(count: int) -> None:
            async def call() -> None:
                for _ in range(20):
                    await write(writer)
                    await asyncio.sleep(0)

            await asyncio.gather(*(call() for _ in range(count)))

        await callers(1)
        assert batches == [1] * 20
        batches.clear()
        await callers(32)
        assert sum(batches) == 32 * 20
        assert len(batches) < 32 * 20 / 4
