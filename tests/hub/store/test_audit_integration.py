"""The audit log's chain in a real file: what was done to it is found, and nothing that the store itself does is."""

import asyncio
import contextlib
import functools
import os
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.errors import NotFound, StoreFull, StoreUnusable
from hub.records import AuditDetail, AuditEvent, Ending, OutputChunk
from hub.store import audit_file
from hub.store.audit_file import Verdict
from hub.store.sqlite import SqliteStore
from tests.contract.test_store import NOW, a_result, accept, open_session

ROWS = 30
COLUMNS = ("seq", "at", "kind", "detail", "mac")


@contextlib.asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def event(number: int, at: float = NOW) -> AuditEvent:
    return AuditEvent(at, "request", AuditDetail(action=f"GET /thing/{number}", key_id="key_1"))


async def log(path: Path, rows: int = ROWS, at: float = NOW) -> tuple[int, str]:
    """A file with so many rows more; its head."""
    async with opened(path) as store:
        await store.append_audit([event(number, at + number) for number in range(rows)])
        return await store.audit_head()


def verify(path: Path, head: tuple[int, str] | None = None) -> Verdict:
    return audit_file.verify(path, Path(f"{path}.audit-key"), head)


@functools.cache
def template(folder: Path) -> tuple[Path, tuple[int, str]]:
    """A log that is made once, and closed."""
    path = folder / "template.db"
    head = asyncio.run(log(path))
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA journal_mode = DELETE")
    return path, head


@contextlib.contextmanager
def changing(folder: Path) -> Any:
    """A copy of the template that may be changed, as by somebody who knows about the triggers."""
    source, _ = template(folder)
    path = folder / "copy.db"
    shutil.copy(source, path)
    shutil.copy(f"{source}.audit-key", f"{path}.audit-key")
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        triggers = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name GLOB 'audit*'")
        made = dict(triggers.fetchall())
        for name in made:
            db.execute(f"DROP TRIGGER {name}")
        yield path, db
        for statement in made.values():
            db.execute(statement)


def rows_of(db: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return db.execute("SELECT seq, at, kind, detail, mac FROM audit ORDER BY seq").fetchall()


def put(db: sqlite3.Connection, rows: list[tuple[Any, ...]]) -> None:
    db.execute("DELETE FROM audit")
    db.executemany("INSERT INTO audit (seq, at, kind, detail, mac) VALUES (?, ?, ?, ?, ?)", rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit")


PROPERTY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80, deadline=None)
NUMBERS = st.integers(1, ROWS)
VALUES = st.one_of(st.none(), st.integers(-(2**60), 2**60), st.floats(), st.text(max_size=40), st.binary(max_size=40))


def test_a_log_nobody_touched_is_whole(folder: Path) -> None:
    path, head = template(folder)
    verdict = verify(path, head)
    assert (verdict.faults, verdict.rows, verdict.first) == ([], ROWS, 1)
    assert verdict.head == f"{head[0]}:{head[1]}"


@PROPERTY
@given(seq=NUMBERS, column=st.sampled_from(COLUMNS[1:]), value=VALUES)
def test_a_changed_value_is_found(folder: Path, seq: int, column: str, value: Any) -> None:
    with changing(folder) as (path, db):
        before = rows_of(db)
        with contextlib.suppress(sqlite3.IntegrityError, OverflowError, UnicodeEncodeError):
            db.execute(f"UPDATE audit SET {column} = ? WHERE seq = ?", (value, seq))
        is_changed = rows_of(db) != before
    faults = verify(path).faults
    assert bool(faults) == is_changed
    if is_changed:
        assert f"row {seq} " in faults[0]
        assert len(faults) <= 2


@PROPERTY
@given(seq=NUMBERS, at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found(folder: Path, seq: int, at: int, bit: int) -> None:
    with changing(folder) as (path, db):
        detail = bytearray(db.execute("SELECT detail FROM audit WHERE seq = ?", (seq,)).fetchone()[0].encode())
        detail[at % len(detail)] ^= 1 << bit
        db.execute("UPDATE audit SET detail = CAST(? AS TEXT) WHERE seq = ?", (bytes(detail), seq))
    assert [f"row {seq} " in fault for fault in verify(path).faults] == [True]


@PROPERTY
@given(seq=st.integers(1, ROWS - 1), count=st.integers(1, 5), is_renumbered=st.booleans())
def test_removed_rows_are_found(folder: Path, seq: int, count: int, is_renumbered: bool) -> None:
    count = min(count, ROWS - seq)
    with changing(folder) as (path, db):
        kept = [row for row in rows_of(db) if not seq <= row[0] < seq + count]
        if is_renumbered:
            kept = [(number, *row[1:]) for number, row in enumerate(kept, start=1)]
        put(db, kept)
    faults = verify(path).faults
    assert faults
    assert ("missing" in faults[0]) != is_renumbered


@PROPERTY
@given(one=NUMBERS, other=NUMBERS)
def test_swapped_rows_are_found(folder: Path, one: int, other: int) -> None:
    with changing(folder) as (path, db):
        rows = rows_of(db)
        first, second = rows[one - 1], rows[other - 1]
        rows[one - 1], rows[other - 1] = (one, *second[1:]), (other, *first[1:])
        put(db, rows)
    assert bool(verify(path).faults) == (one != other)


@PROPERTY
@given(seq=st.integers(1, ROWS + 1), of=NUMBERS, is_renumbered=st.booleans())
def test_inserted_rows_are_found(folder: Path, seq: int, of: int, is_renumbered: bool) -> None:
    with changing(folder) as (path, db):
        rows = rows_of(db)
        rows.insert(seq - 1, (seq, *rows[of - 1][1:]))
        if is_renumbered:
            rows = [(number, *row[1:]) for number, row in enumerate(rows, start=1)]
        else:
            rows = list({row[0]: row for row in rows}.values())
        if rows == rows_of(db):
            return
        put(db, rows)
    assert verify(path).faults


@PROPERTY
@given(left=st.integers(0, ROWS - 1))
def test_a_cut_off_end_is_found_with_a_head_and_not_without(folder: Path, left: int) -> None:
    _, head = template(folder)
    with changing(folder) as (path, db):
        db.execute("DELETE FROM audit WHERE seq > ?", (left,))
    assert verify(path).faults == []
    assert "cut off" in verify(path, head).faults[0]


@PROPERTY
@given(removed=st.integers(0, ROWS + 5), with_rows=st.booleans())
def test_rows_that_retention_did_not_remove_are_found(folder: Path, removed: int, with_rows: bool) -> None:
    """Whoever moves the beginning without the key cannot sign it."""
    with changing(folder) as (path, db):
        mac = {row[0]: row[4] for row in rows_of(db)}.get(removed, b"x" * 32)
        if removed:
            db.execute("UPDATE audit_chain SET removed_seq = ?, removed_mac = ?", (removed, mac))
        if with_rows:
            db.execute("DELETE FROM audit WHERE seq <= ?", (removed,))
    assert bool(verify(path).faults) == (removed > 0)


@pytest.mark.parametrize("name", ["hub_id", "removed_seq", "removed_mac", "removed_at", "signature"])
@pytest.mark.parametrize("value", [1, 2.5, "x", b"", b"x" * 32, 2**62])
def test_a_changed_beginning_is_found(folder: Path, name: str, value: Any) -> None:
    with changing(folder) as (path, db):
        db.execute(f"UPDATE audit_chain SET {name} = ?", (value,))
    try:
        assert verify(path).faults
    except StoreUnusable:
        assert name == "hub_id"  # the key is then another hub's


@pytest.mark.parametrize(("column", "kind"), [("detail", "BLOB"), ("kind", "BLOB"), ("mac", "TEXT")])
def test_the_same_bytes_of_another_type_are_found(folder: Path, column: str, kind: str) -> None:
    with changing(folder) as (path, db):
        db.execute(f"UPDATE audit SET {column} = CAST({column} AS {kind}) WHERE seq = 7")
    assert "row 7 was changed" in verify(path).faults[0]


def test_triggers_that_are_not_ours_or_gone_are_told(folder: Path) -> None:
    with changing(folder) as (path, db):
        db.execute("CREATE TRIGGER hush BEFORE INSERT ON audit BEGIN SELECT RAISE(IGNORE); END")
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("DROP TRIGGER audit_is_not_changed")
    assert verify(path).faults == ["the trigger audit_is_not_changed is gone", "the trigger hush is not the hub's"]


async def test_a_row_that_a_trigger_keeps_out_keeps_out_the_command(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path) as store:
        session = await open_session(store)
        with contextlib.closing(sqlite3.connect(path)) as db, db:
            db.execute("CREATE TRIGGER hush BEFORE INSERT ON audit BEGIN SELECT RAISE(IGNORE); END")
        result = a_result(session)
        with pytest.raises(sqlite3.IntegrityError):
            await store.accept_command(result, owner=None, idempotency=None)
        assert await store.get_result(result.result_id) is None


async def test_verifying_keeps_up_with_rows_that_come_and_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_file, "_PORTION", 7)
    path = tmp_path / "x.db"
    async with opened(path) as store:
        await store.append_audit([event(number, NOW + number) for number in range(400)])
        is_done = False

        async def live() -> None:
            number = 400
            while not is_done:
                await store.append_audit([event(number, NOW + number)])
                number += 1
                await store.reap_audit(NOW + number - 390, NOW + 10**6)

        living = asyncio.create_task(live())
        firsts = set()
        for _ in range(15):
            verdict = await asyncio.to_thread(verify, path)
            assert verdict.faults == []
            firsts.add(verdict.first)
        is_done = True
        await living
        assert len(firsts) > 1


async def test_a_head_that_is_another_rows_is_found(tmp_path: Path) -> None:
    seq, mac = await log(tmp_path / "x.db")
    assert verify(tmp_path / "x.db", (seq, "0" * 64)).faults == [f"row {seq} is another one than the head names"]
    assert verify(tmp_path / "x.db", (seq - 1, mac)).faults


async def test_the_triggers_say_no(tmp_path: Path) -> None:
    await log(tmp_path / "x.db")
    with contextlib.closing(sqlite3.connect(tmp_path / "x.db")) as db:
        for statement in (
            "UPDATE audit SET kind = 'hub' WHERE seq = 3",
            "DELETE FROM audit WHERE seq = 3",
            "DELETE FROM audit_chain",
        ):
            with pytest.raises(sqlite3.IntegrityError):
                db.execute(statement)


async def test_commands_have_two_rows_each_in_their_own_transactions(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path) as store:
        session = await open_session(store)

        async def one(number: int) -> None:
            if number % 4 == 3:  # fails, and takes nothing else of its batch with it
                with pytest.raises(NotFound):
                    await accept(store, session, session_id="sess_none")
                return
            result = await accept(store, session)
            await store.append_audit([event(number)])
            if number % 4 == 0:
                await store.mark_running(result.result_id, "boot_1")
            if number % 4 == 1:
                await store.append_output(result.result_id, [OutputChunk(1, "stdout", "x")])
            chunks = [OutputChunk(2, "stdout", "y")] if number % 2 else []
            await asyncio.gather(
                *(store.end_command(result.result_id, Ending("completed", NOW + 1), chunks) for _ in range(2))
            )

        callers = [asyncio.create_task(one(number)) for number in range(120)]
        await asyncio.sleep(0)
        for caller in callers[::7]:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        assert verify(path).faults == []  # while it is open
    check_pairs(path)


def check_pairs(path: Path) -> int:
    """Every result has the rows that it should; how many results there are."""
    assert verify(path).faults == []
    with contextlib.closing(sqlite3.connect(path)) as db:
        results = dict(db.execute("SELECT result_id, ended_at IS NOT NULL FROM results"))
        counted: dict[tuple[str, str], int] = {}
        for kind, result_id in db.execute(
            "SELECT kind, json_extract(detail, '$.result_id') FROM audit WHERE kind IN ('accepted', 'ended')"
        ):
            counted[kind, result_id] = counted.get((kind, result_id), 0) + 1
    wanted = {("accepted", result_id): 1 for result_id in results}
    wanted |= {("ended", result_id): 1 for result_id, has_ended in results.items() if has_ended}
    assert counted == wanted
    return len(results)


HAMMER = """
import asyncio, sys
from pathlib import Path
from hub.store.sqlite import SqliteStore
from hub.records import Ending, OutputChunk
from tests.contract.test_store import NOW, accept, open_session
from tests.hub.store.test_audit_integration import event

async def work(store, session):
    while True:
        result = await accept(store, session)
        await store.append_audit([event(1)])
        await store.end_command(result.result_id, Ending("completed", NOW), [OutputChunk(1, "stdout", "x" * 500)])
        print("ended", result.result_id, flush=True)

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    await store.open()
    session = await open_session(store)
    await asyncio.gather(*(work(store, session) for _ in range(8)))

asyncio.run(main())
"""


async def test_a_store_that_is_killed_has_a_whole_chain(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    for number in range(4):
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HAMMER, path, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[3]
        )
        assert child.stdout is not None
        for _ in range(100 + 77 * number):
            await child.stdout.readline()
        assert verify(path).faults == []  # while it is written to
        child.kill()
        await child.stdout.read()
        await child.wait()
        assert check_pairs(path) >= 100


async def test_a_full_disk_breaks_no_chain(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path) as store:
        session = await open_session(store)
        assert store._writer is not None
        await store._writer.submit(lambda db: db.execute("PRAGMA max_page_count = 120").fetchone())

        async def one(number: int) -> None:
            with contextlib.suppress(StoreFull):
                result = await accept(store, session)
                chunk = OutputChunk(1, "stdout", "x" * (20_000 if number % 3 == 0 else 10))
                await store.end_command(result.result_id, Ending("completed", NOW), [chunk])

        for _ in range(4):
            await asyncio.gather(*(one(number) for number in range(40)))
        with pytest.raises(StoreFull):
            await store.append_audit([event(number) for number in range(5000)])
        await store._writer.submit(lambda db: db.execute("PRAGMA max_page_count = 100000").fetchone())
        async with asyncio.timeout(10):  # it says for a while that it is full
            while True:
                try:
                    await store.append_audit([event(0)])
                    break
                except StoreFull:
                    await asyncio.sleep(0.05)
        await one(1)
    assert check_pairs(path) > 1


async def test_old_rows_go_and_the_rest_is_proven(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path) as store:
        await store.append_audit([event(number, NOW + number) for number in range(1700)])
        old_head = await store.audit_head()
        assert await store.reap_audit(NOW, NOW + 2000) == 0
        assert await store.reap_audit(NOW + 1200, NOW + 2000) == 1200
        verdict = verify(path, old_head)
        assert (verdict.faults, verdict.first, verdict.rows) == ([], 1201, 500)
        await store.append_audit([event(1, NOW + 3000)])
        assert await store.reap_audit(NOW + 9000, NOW + 9000) == 501
        verdict = verify(path)
        assert (verdict.faults, verdict.rows, verdict.head) == ([], 0, "{}:{}".format(*await store.audit_head()))
        assert not verify(path, old_head).is_head_known
    head = await log(path)
    assert head[0] == 1701 + ROWS
    assert verify(path, head).faults == []


async def test_a_clock_that_was_wrong_does_not_stop_retention(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path) as store:
        times = [NOW, NOW + 10**9, NOW + 1, NOW + 5, NOW + 2]
        await store.append_audit([event(number, at) for number, at in enumerate(times)])
        assert await store.reap_audit(NOW + 4, NOW + 100) == 3  # not the last, which lies behind a younger one
        assert verify(path).faults == []


async def test_the_key_must_be_there_and_the_right_one(tmp_path: Path) -> None:
    path, key = tmp_path / "x.db", tmp_path / "x.db.audit-key"
    await log(path)
    assert key.stat().st_mode & 0o777 == 0o600
    content = key.read_text()
    for text, says in ((None, "its key is not at"), ("0" * 64, "is not the key of"), ("secret", "is no audit key")):
        key.unlink(missing_ok=True)
        if text is not None:
            key.write_text(text)
        before = path.read_bytes()
        with pytest.raises(StoreUnusable, match=says):
            await SqliteStore(path).open()
        assert path.read_bytes() == before
        with pytest.raises(StoreUnusable):
            verify(path)
    key.unlink()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text(content)
    store = SqliteStore(path, audit_key_file=str(elsewhere))
    await store.open()
    await store.close()
    assert audit_file.verify(path, elsewhere, None).faults == []
    assert not key.exists()


async def test_a_key_file_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "x.db", audit_key_file=str(tmp_path / "no" / "key"))
    with pytest.raises(StoreUnusable, match="cannot be made"):
        await store.open()
    async with opened(tmp_path / "x.db") as again:
        assert await again.audit_head()


async def test_a_row_that_somebody_puts_behind_the_last_stops_nothing_and_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path) as store:
        await store.append_audit([event(1)])
        with contextlib.closing(sqlite3.connect(path)) as db, db:
            db.execute("INSERT INTO audit VALUES (2, ?, 'request', '{}', ?)", (NOW, os.urandom(32)))
        session = await open_session(store)
        await store.accept_command(a_result(session), owner=None, idempotency=None)
    assert [fault.partition(",")[0] for fault in verify(path).faults] == ["row 2 was changed"]
