"""What is SQLite's own: files and their modes, a full disk, kill -9, two hubs on one file."""

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from hub.errors import StoreFull, StoreUnusable
from hub.records import Cluster, Ending, OutputChunk, Session, Token
from hub.store import audit_file
from hub.store.migrations import MIGRATIONS
from hub.store.sqlite import SqliteStore
from hub.store.writer import Writer
from tests.contract.test_store import NOW, a_result, accept, add_cluster, open_session


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB; where nothing may be mounted the test is left to its twin without one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("may not mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def fill(store: SqliteStore, session: Session) -> None:
    """Write results until the disk is full."""

    async def write() -> None:
        for _ in range(200):
            result = await accept(store, session)
            chunk = OutputChunk(1, "stdout", "x" * 50_000)
            await store.end_command(result.result_id, Ending("completed", NOW), [chunk])

    with pytest.raises(StoreFull):
        await write()


async def test_a_full_disk_is_said_and_survived(small_disk: Path) -> None:
    store = SqliteStore(small_disk / "x.db")
    await store.open()
    session = await open_session(store)
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 1_000_000)
    await fill(store, session)
    with pytest.raises(StoreFull):
        await store.check()
    assert await store.get_session(session.session_id) is not None
    ballast.unlink()
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(StoreFull):
                await store.check()
                break
            await asyncio.sleep(0.05)
    await accept(store, session)
    await store.close()
    assert audit_file.verify(small_disk / "x.db", small_disk / "x.db.audit-key", None).faults == []


async def test_a_full_database_takes_new_rows_after_a_reaping(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "x.db")
    await store.open()
    session = await open_session(store)
    assert store._writer is not None
    await store._writer.submit(lambda db: db.execute("PRAGMA max_page_count = 400").fetchone())
    await fill(store, session)
    reaped = await store.reap(NOW + 10, keep_results_seconds=1, keep_sessions_seconds=1, max_store_bytes=0)
    assert reaped.results > 0
    await accept(store, session)
    await store.close()


async def test_neighbours_of_a_write_that_fills_the_disk_hear_the_truth(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "x.db")
    await store.open()
    session = await open_session(store)
    results = [await accept(store, session) for _ in range(30)]
    assert store._writer is not None
    await store._writer.submit(lambda db: db.execute("PRAGMA max_page_count = 60").fetchone())
    chunk = OutputChunk(1, "stdout", "x" * 30_000)
    outcomes = await asyncio.gather(
        *(store.end_command(result.result_id, Ending("completed", NOW), [chunk]) for result in results),
        return_exceptions=True,
    )
    assert any(isinstance(outcome, StoreFull) for outcome in outcomes)
    for result, outcome in zip(results, outcomes, strict=True):
        stored = await store.get_result(result.result_id)
        assert stored is not None
        assert stored.is_open is isinstance(outcome, StoreFull)
    await store.close()


async def test_the_file_shrinks_when_rows_go(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    store = SqliteStore(path)
    await store.open()
    session = await open_session(store)
    for _ in range(30):
        result = await accept(store, session)
        await store.end_command(result.result_id, Ending("completed", NOW), [OutputChunk(1, "stdout", "x" * 10**6)])
    for _ in range(8):
        await store.reap(NOW + 10, keep_results_seconds=1, keep_sessions_seconds=1, max_store_bytes=0)
    await store.close()
    assert path.stat().st_size < 5_000_000


async def test_files_are_their_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = SqliteStore(tmp_path / "x.db")
        await store.open()
        await add_cluster(store)
        assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == dict.fromkeys(
            ("x.db", "x.db-wal", "x.db-shm", "x.db.lock", "x.db.audit-key"), 0o600
        )
        await store.close()
    finally:
        os.umask(before)


async def test_one_hub_per_file(tmp_path: Path) -> None:
    first, second = SqliteStore(tmp_path / "x.db"), SqliteStore(tmp_path / "x.db")
    await first.open()
    with pytest.raises(StoreUnusable, match="in use by another hub"):
        await second.open()
    await first.close()
    await second.open()
    await second.close()


@pytest.mark.parametrize("url", ["x.db", "sqlite://", "sqlite:///", "sqlite:///:memory:", "postgres://x/y"])
def test_urls_that_name_no_file(url: str) -> None:
    with pytest.raises(StoreUnusable, match="names no database file"):
        SqliteStore.from_url(url)


async def unusable(path: Path, says: str) -> None:
    before = path.read_bytes() if path.is_file() else None
    store = SqliteStore(path)
    with pytest.raises(StoreUnusable, match=says) as caught:
        await store.open()
    assert str(path) in str(caught.value)
    assert (path.read_bytes() if path.is_file() else None) == before


async def test_files_that_cannot_be_used_are_left_as_they_are(tmp_path: Path) -> None:
    await unusable(tmp_path / "no" / "x.db", "No such file or directory")
    await unusable(tmp_path, "not a file")
    text = tmp_path / "text"
    text.write_bytes(b"SQLite format 3, it says, but is a letter" * 50)
    await unusable(text, "not an SQLite database")
    broken = tmp_path / "broken"
    broken.write_bytes(b"SQLite format 3\x00" + os.urandom(5000))
    await unusable(broken, "cannot be")
    newer = tmp_path / "newer"
    store = SqliteStore(newer)
    await store.open()
    await store.close()
    with contextlib.closing(sqlite3.connect(newer)) as db, db:
        row = ("kubently", "m999", "2030-01-01")
        db.execute("INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES (?, ?, ?)", row)
    await unusable(newer, "newer version")


async def test_a_database_another_program_has_locked(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "x.db")
    await store.open()
    await store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnusable, match="locked"):
            await SqliteStore(tmp_path / "x.db").open()
        db.execute("ROLLBACK")
    await store.open()
    await store.close()


async def test_a_store_that_was_opened_twice_in_a_row_keeps_its_rows(tmp_path: Path) -> None:
    for number in range(3):
        store = SqliteStore(tmp_path / "x.db")
        await store.open()
        await store.add_cluster(Cluster(f"c{number}", "x", NOW), Token(f"t{number}", f"c{number}", f"h{number}", NOW))
        assert len(await store.list_clusters()) == number + 1
        await store.close()


HAMMER = """
import asyncio, sys
from pathlib import Path
from hub.store.migrations import MIGRATIONS
from hub.store.sqlite import SqliteStore
from hub.records import Ending, OutputChunk
from tests.contract.test_store import NOW, accept, open_session

async def work(store, session):
    while True:
        result = await accept(store, session)
        print("accepted", result.result_id, flush=True)
        await store.end_command(result.result_id, Ending("completed", NOW), [OutputChunk(1, "stdout", "x" * 500)])
        print("ended", result.result_id, flush=True)

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    await store.open()
    session = await open_session(store)
    await asyncio.gather(*(work(store, session) for _ in range(8)))

asyncio.run(main())
"""


async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    for number in range(5):
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HAMMER, path, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[3]
        )
        assert child.stdout is not None
        lines = [(await child.stdout.readline()).decode().split() for _ in range(200 + 77 * number)]
        child.kill()
        lines += [
            line.split()
            for line in (await child.stdout.read()).decode().splitlines(keepends=True)
            if line.endswith("\n")
        ]
        await child.wait()
        store = SqliteStore(path)
        await store.open()
        for what, result_id in lines:
            result = await store.get_result(result_id)
            assert result is not None
            if what == "ended":
                assert result.status == "completed"
                assert (await store.read_output(result_id)).stdout == "x" * 500
        await store.close()


async def test_an_open_result_is_not_reaped_for_size(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "x.db")
    await store.open()
    session = await open_session(store)
    result = a_result(session)
    await store.accept_command(result, owner=None, idempotency=None)
    await store.append_output(result.result_id, [OutputChunk(1, "stdout", "x" * 10**6)])
    reaped = await store.reap(NOW, keep_results_seconds=1, keep_sessions_seconds=1, max_store_bytes=1000)
    assert reaped.results == 0
    await store.close()


async def test_the_event_loop_copies_little_whatever_the_text_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written on its thread is small in bytes: not in characters, and not before JSON has escaped them."""
    copied: list[int] = []
    log = tmp_path / "x.db-wal"
    commit_here = Writer._commit_here

    def measured(writer: Writer, batch: list[Any]) -> Any:
        before = log.stat().st_size
        outcomes = commit_here(writer, batch)
        copied.append(log.stat().st_size - before)
        return outcomes

    store = SqliteStore(tmp_path / "x.db")
    await store.open()
    session = await open_session(store)
    monkeypatch.setattr(Writer, "_commit_here", measured)
    results = await asyncio.gather(*(accept(store, session, args=("x" * 60_000,)) for _ in range(45)))
    chunk = OutputChunk(2, "stdout", "\N{PILE OF POO}" * 16_000)
    await asyncio.gather(*(store.append_output(result.result_id, [chunk]) for result in results[:30]))
    ending, chunk = Ending("completed", NOW), OutputChunk(1, "stderr", "\x1b" * 60_000)
    await asyncio.gather(*(store.end_command(result.result_id, ending, [chunk]) for result in results[30:43]))
    assert copied
    assert max(copied) < 1.5 * 1024 * 1024
    await store.close()


async def test_a_clock_that_was_wrong_once_does_not_end_the_reaping(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "x.db")
    await store.open()
    session = await open_session(store, expires_at=NOW + 10**9)
    ahead = await accept(store, session, accepted_at=NOW + 10**8)
    await store.end_command(ahead.result_id, Ending("completed", NOW + 10**8))
    for _ in range(3):
        result = await accept(store, session)
        await store.end_command(result.result_id, Ending("completed", NOW), [OutputChunk(1, "stdout", "x" * 10**5)])
    recent = await accept(store, session, accepted_at=NOW + 90)
    await store.end_command(recent.result_id, Ending("completed", NOW + 91), [OutputChunk(1, "stdout", "x" * 10**5)])
    keep = {"keep_results_seconds": 50.0, "keep_sessions_seconds": 50.0}
    assert (await store.reap(NOW + 100, max_store_bytes=0, **keep)).results == 3
    assert (await store.reap(NOW + 100, max_store_bytes=1000, **keep)).results == 1
    assert await store.get_result(ahead.result_id) is not None
    await store.close()


async def test_a_long_streams_chunks_are_reaped_in_batches(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "x.db")
    await store.open()
    session = await open_session(store)
    small, large, plain = [await accept(store, session, is_stream=True) for _ in range(3)]
    for first in range(1, 20_000, 1000):
        chunks = [OutputChunk(seq, "stdout", "tick\n") for seq in range(first, first + 1000)]
        await store.append_output(small.result_id, chunks)
    for seq in range(1, 401):
        await store.append_output(large.result_id, [OutputChunk(seq, "stdout", "x" * 65_536)])
    for result in (small, large, plain):
        await store.end_command(result.result_id, Ending("cancelled", NOW))
    assert store._writer is not None
    submit, batches = store._writer.submit, 0

    async def counted(operation: Any, *, pages: int | None = None) -> Any:
        nonlocal batches
        batches += 1
        value = await submit(operation, pages=pages)
        looked = await store.get_result(large.result_id)
        if looked is not None:  # what is read meanwhile holds together
            output = await store.read_output(large.result_id, offset=looked.stored_bytes - 1)
            assert (output.stdout, output.start) == ("x", looked.stored_bytes - 1)
        return value

    store._writer.submit = counted  # type: ignore[method-assign]
    reaped = await store.reap(NOW + 10, keep_results_seconds=1, keep_sessions_seconds=1, max_store_bytes=0)
    assert reaped.results == 3
    assert batches > 8
    used = await store._read(lambda db: db.execute("SELECT count(*) FROM chunks").fetchone()[0])
    assert used == 0
    await store.close()


async def test_a_lower_bound_holds_for_a_stream_that_was_there_before(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "x.db")
    await store.open()
    session = await open_session(store)
    results = [await accept(store, session, is_stream=True) for _ in range(2)]
    for result in results:
        for seq in range(1, 100):
            await store.append_output(result.result_id, [OutputChunk(seq, "stdout", "x" * 65_536)])
    await store.close()
    store = SqliteStore(tmp_path / "x.db", keep_stream_bytes=200_000)
    await store.open()
    chunk = OutputChunk(100, "stdout", "end")
    await store.append_output(results[0].result_id, [chunk])
    held = await store.read_chunks(results[0].result_id, after_seq=0, max_bytes=10**9)
    assert [one.seq for one in held.chunks] == [97, 98, 99, 100]
    ended = await store.end_command(results[1].result_id, Ending("cancelled", NOW), [chunk])
    assert ended is not None
    assert 500_000 < ended.expired_bytes < 5_000_000  # in one transaction, and not for long
    assert await store.get_result(results[1].result_id) == ended
    await store.close()


async def test_a_stream_takes_no_more_of_the_file_than_it_keeps(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    store = SqliteStore(path, keep_stream_bytes=2_000_000)
    await store.open()
    result = await accept(store, await open_session(store), is_stream=True)
    for seq in range(1, 500):
        await store.append_output(result.result_id, [OutputChunk(seq, "stdout", "\N{PILE OF POO}" * 16_000)])
    await store.close()
    assert path.stat().st_size < 3_000_000


async def test_a_database_of_the_first_tables_is_brought_up_to_date(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "x.db")) as old:
        MIGRATIONS.apply(Database(old, execute_plugins=False), stop_before="m002_a_command_is_two_statements")
        old.execute(
            "INSERT INTO sessions (session_id, cluster_id, key_id, created_at, expires_at, last_activity, status,"
            " commands_executed, metadata) VALUES ('sess_1', 'alpha', 'key_1', ?, ?, ?, 'active', 1, '{}')",
            (NOW, NOW + 3600, NOW),
        )
        old.execute(
            "INSERT INTO results (result_id, session_id, cluster_id, key_id, command_type, args, timeout_seconds,"
            " accepted_at, deadline_at, status, output_bytes, omitted_bytes, stored_bytes, ended_at)"
            " VALUES ('res_1', 'sess_1', 'alpha', 'key_1', 'get', '[]', 30, ?, ?, 'completed', 2, 0, 2, ?)",
            (NOW, NOW + 35, NOW),
        )
        old.execute(
            "INSERT INTO chunks (result_id, seq, stream, start, size, data) VALUES ('res_1', 1, 'stdout', 0, 2, 'ok')"
        )
        old.commit()
    store = SqliteStore(tmp_path / "x.db")
    await store.open()
    try:
        assert (await store.read_output("res_1")).stdout == "ok"
        await store.close_session("sess_1", NOW)
        keep = {"keep_results_seconds": 50.0, "keep_sessions_seconds": 50.0, "max_store_bytes": 0}
        reaped = await store.reap(NOW + 51, **keep)  # type: ignore[arg-type]
        assert (reaped.results, reaped.sessions) == (1, 1)
        assert (await store.read_output("res_1")).stdout == ""
    finally:
        await store.close()


async def test_a_database_before_streams_stays_readable(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "x.db")) as old:
        MIGRATIONS.apply(Database(old, execute_plugins=False), stop_before="m003_streams")
        old.execute(
            "INSERT INTO sessions (session_id, cluster_id, key_id, created_at, expires_at, last_activity, status,"
            " commands_executed, metadata) VALUES ('sess_1', 'alpha', 'key_1', ?, ?, ?, 'active', 0, '{}')",
            (NOW, NOW + 3600, NOW),
        )
        for result_id, status, omitted, stored, ended_at, chunks in (
            ("res_whole", "completed", 5, 3, NOW, '[[1,"stdout","äb"],[2,"stderr","e"]]'),
            ("res_ended", "completed", 0, 5, NOW, None),
            ("res_open", "running", 0, 5, None, None),
            ("res_waits", "queued", 0, 0, None, None),
        ):
            old.execute(
                "INSERT INTO results (result_id, session_id, cluster_id, key_id, command_type, args, timeout_seconds,"
                " accepted_at, deadline_at, status, output_bytes, omitted_bytes, stored_bytes, ended_at, chunks)"
                " VALUES (?, 'sess_1', 'alpha', 'key_1', 'get', '[]', 30, ?, ?, ?, 0, ?, ?, ?, ?)",
                (result_id, NOW, NOW + 35, status, omitted, stored, ended_at, chunks),
            )
        for result_id in ("res_ended", "res_open"):
            old.executemany(
                "INSERT INTO chunks (result_id, seq, stream, start, size, data) VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (result_id, 1, "stdout", 0, 3, "äb"),
                    (result_id, 2, "stderr", 3, 1, "e"),
                    (result_id, 3, "stdout", 3, 2, "cd"),
                ],
            )
        old.commit()
    store = SqliteStore(tmp_path / "x.db")
    await store.open()
    try:
        for result_id, text, is_truncated, bound in (
            ("res_whole", "äb", True, 0),
            ("res_ended", "äbcd", False, 0),
            ("res_open", "äbcd", False, 8 * 1024 * 1024),
            ("res_waits", "", False, 8 * 1024 * 1024),
        ):
            result = await store.get_result(result_id)
            assert result is not None
            assert (result.is_truncated, result.max_output_bytes, result.is_stream) == (is_truncated, bound, False)
            for is_full in (False, True):
                output = await store.read_output(result_id, is_full=is_full)
                assert (output.stdout, output.stderr) == (text, "e" if text else "")
            assert (await store.read_output(result_id, offset=2)).stdout == text[1:]
            held = await store.read_chunks(result_id, after_seq=1, max_bytes=100)
            assert "".join(chunk.data for chunk in held.chunks) == ("e" + text[2:] if text else "")
        assert await store.last_seqs(["res_whole", "res_ended", "res_open", "res_waits"]) == {
            "res_open": 3,
            "res_waits": 0,
        }
        await store.append_output("res_open", [OutputChunk(3, "stdout", "cd"), OutputChunk(4, "stdout", "f")])
        ended = await store.end_command("res_open", Ending("completed", NOW), [OutputChunk(5, "stdout", "g")])
        assert ended is not None
        assert ended.stored_bytes == 7
        assert (await store.read_output("res_open", offset=3)).stdout == "cdfg"
        await store.mark_running("res_waits", "boot_1")
        chunk = OutputChunk(1, "stdout", "x")
        assert await store.end_command("res_waits", Ending("completed", NOW), [chunk]) is not None
        keep = {"keep_results_seconds": 50.0, "keep_sessions_seconds": 50.0, "max_store_bytes": 0}
        assert (await store.reap(NOW + 51, **keep)).results == 4  # type: ignore[arg-type]
        await store.close_session("sess_1", NOW + 51)
    finally:
        await store.close()
