"""What every store must do, run against each there is."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.errors import AlreadyExists, IdempotencyConflict, InvalidRequest, NotFound, SessionNotActive, StoreFull
from hub.records import Cluster, Ending, Idempotency, Key, OutputChunk, Result, Session, Token
from hub.store.base import Store
from hub.store.sqlite import SqliteStore
from schemas.ids import new_id

NOW = 1_800_000_000.0


@pytest.fixture(params=["sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    backend = {"sqlite": lambda: SqliteStore(tmp_path / "store.db")}[request.param]()
    await backend.open()
    yield backend
    await backend.close()


def a_session(cluster_id: str = "alpha", **changes: Any) -> Session:
    session = Session(new_id("sess"), cluster_id, "key_1", NOW, NOW + 3600, NOW)
    return replace(session, **changes)


def a_result(session: Session, **changes: Any) -> Result:
    result = Result(
        result_id=new_id("res"),
        session_id=session.session_id,
        cluster_id=session.cluster_id,
        key_id="key_1",
        command_type="get",
        args=("--all-namespaces=true", "--", "pöds"),
        timeout_seconds=30,
        accepted_at=NOW,
        deadline_at=NOW + 35,
        status="running",
    )
    return msgspec.structs.replace(result, **changes)


async def add_cluster(store: Store, cluster_id: str = "alpha") -> None:
    await store.add_cluster(Cluster(cluster_id, cluster_id, NOW), Token(new_id("tok"), cluster_id, new_id("h"), NOW))


async def open_session(store: Store, **changes: Any) -> Session:
    if await store.get_cluster("alpha") is None:
        await add_cluster(store)
    session = a_session(**changes)
    await store.add_session(session)
    return session


async def accept(store: Store, session: Session, **changes: Any) -> Result:
    return (await store.accept_command(a_result(session, **changes), owner=None, idempotency=None)).result


async def test_keys(store: Store) -> None:
    key = Key("key_1", "ci", "user", "hash-1", NOW, ("prod-*", "dev"), NOW + 5)
    bare = Key("key_2", "all", "admin", "hash-2", NOW + 1)
    await store.add_key(key)
    await store.add_key(bare)
    assert await store.find_key("hash-1") == key
    assert await store.find_key("hash-3") is None
    assert await store.list_keys() == [key, bare]
    assert await store.remove_key("key_1") == key
    assert await store.remove_key("key_1") is None
    assert await store.find_key("hash-1") is None


async def test_clusters_and_tokens(store: Store) -> None:
    cluster = Cluster("alpha", "Alpha", NOW)
    token = Token("tok_1", "alpha", "hash", NOW)
    await store.add_cluster(cluster, token)
    with pytest.raises(AlreadyExists):
        await store.add_cluster(cluster, Token("tok_2", "alpha", "other", NOW))
    assert await store.find_token("other") is None
    assert await store.get_cluster("alpha") == cluster
    second = Token("tok_3", "alpha", "hash-3", NOW + 1)
    await store.add_token(second)
    with pytest.raises(NotFound):
        await store.add_token(Token("tok_4", "beta", "hash-4", NOW))
    assert await store.list_tokens("alpha") == [token, second]
    assert await store.find_token("hash-3") == second
    assert not await store.remove_token("beta", "tok_3")
    assert await store.remove_token("alpha", "tok_3")
    assert not await store.remove_token("alpha", "tok_3")
    await store.record_agent("alpha", agent_version="1.0", kubernetes_version=None, now=NOW + 2)
    await store.record_seen({"alpha": NOW + 3, "unknown": NOW})
    assert await store.list_clusters() == [replace(cluster, agent_version="1.0", last_seen=NOW + 3)]


async def test_removing_a_cluster_closes_its_sessions(store: Store) -> None:
    session = await open_session(store)
    running = await accept(store, session)
    ended = await store.remove_cluster("alpha", NOW + 1)
    assert ended is not None
    assert [(one.session.status, one.session.closed_at, one.open_results) for one in ended] == [
        ("closed", NOW + 1, (running.result_id,))
    ]
    assert await store.remove_cluster("alpha", NOW) is None
    assert await store.get_result(running.result_id) == running
    with pytest.raises(NotFound):
        await store.add_session(a_session())


async def test_sessions_close_once(store: Store) -> None:
    session = await open_session(store, metadata={"user": "ü", "n": [1, None]}, correlation_id="trace")
    assert await store.get_session(session.session_id) == session
    assert await store.get_session("sess_none") is None
    assert await store.count_active_sessions("alpha") == 1
    result = await accept(store, session)
    first = await store.close_session(session.session_id, NOW + 1)
    assert first is not None
    assert (first.session.status, first.open_results) == ("closed", (result.result_id,))
    again = await store.close_session(session.session_id, NOW + 2)
    assert again is not None
    assert (again.session, again.open_results) == (first.session, ())
    assert await store.close_session("sess_none", NOW) is None
    assert await store.count_active_sessions("alpha") == 0


async def test_sessions_expire(store: Store) -> None:
    session = await open_session(store, expires_at=NOW + 10)
    other = await open_session(store, expires_at=NOW + 20)
    assert await store.expire_sessions(NOW + 9) == []
    result = await accept(store, session)
    (ended,) = await store.expire_sessions(NOW + 10)
    assert (ended.session.status, ended.session.closed_at, ended.open_results) == (
        "expired",
        NOW + 10,
        (result.result_id,),
    )
    assert await store.expire_sessions(NOW + 11) == []
    late = await store.close_session(other.session_id, NOW + 25)
    assert late is not None
    assert late.session.status == "expired"


async def test_sessions_are_listed_newest_first_in_pages(store: Store) -> None:
    await add_cluster(store, "beta")
    made = [await open_session(store, created_at=NOW + number // 2) for number in range(7)]
    await store.add_session(a_session("beta"))
    await store.close_session(made[0].session_id, NOW)
    everything = sorted(made[1:], key=lambda one: (one.created_at, one.session_id), reverse=True)
    seen: list[str] = []
    cursor = None
    while True:
        page = await store.list_sessions(cluster_id="alpha", status="active", limit=4, cursor=cursor)
        assert page.total == 6
        seen += [session.session_id for session in page.sessions]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [session.session_id for session in everything]
    assert (await store.list_sessions(cluster_id=None, status=None, limit=50, cursor=None)).total == 8
    for foreign in ("x", "AAAA", "ü", ""):
        with pytest.raises(InvalidRequest):
            await store.list_sessions(cluster_id=None, status=None, limit=5, cursor=foreign)


async def test_accepting_counts_and_checks(store: Store) -> None:
    await add_cluster(store, "beta")
    session = await open_session(store)
    accepted = await store.accept_command(a_result(session, accepted_at=NOW + 5), owner="key_1", idempotency=None)
    assert accepted.is_new
    assert await store.get_result(accepted.result.result_id) == accepted.result
    looked = await store.get_session(session.session_id)
    assert looked is not None
    assert (looked.commands_executed, looked.last_activity) == (1, NOW + 5)
    with pytest.raises(NotFound, match=f"Session not found: {session.session_id}"):
        await store.accept_command(a_result(session), owner="key_2", idempotency=None)
    with pytest.raises(NotFound):
        await store.accept_command(a_result(session, session_id="sess_none"), owner=None, idempotency=None)
    with pytest.raises(InvalidRequest) as caught:
        await store.accept_command(a_result(session, cluster_id="beta"), owner=None, idempotency=None)
    assert caught.value.details == {"field": "cluster_id", "code": "cluster_mismatch"}
    with pytest.raises(SessionNotActive):
        await store.accept_command(a_result(session, accepted_at=NOW + 3600), owner=None, idempotency=None)
    await store.close_session(session.session_id, NOW + 6)
    with pytest.raises(SessionNotActive):
        await accept(store, session)
    looked = await store.get_session(session.session_id)
    assert looked is not None
    assert looked.commands_executed == 1


async def test_correlation_ids_come_from_the_nearest(store: Store) -> None:
    plain, traced = await open_session(store), await open_session(store, correlation_id="of-session")
    for session, own, expected in (
        (plain, None, "fallback"),
        (traced, None, "of-session"),
        (traced, "own", "own"),
    ):
        result = a_result(session, correlation_id=own)
        accepted = await store.accept_command(result, owner=None, idempotency=None, fallback_correlation_id="fallback")
        assert accepted.result.correlation_id == expected
        assert await store.get_result(result.result_id) == accepted.result


async def test_idempotency_holds_for_a_day(store: Store) -> None:
    session = await open_session(store, expires_at=NOW + 10 * 86_400)
    key = Idempotency("key_1", "once", "print")
    assert await store.find_accepted(key, NOW) is None
    first = await store.accept_command(a_result(session), owner=None, idempotency=key)
    again = await store.accept_command(a_result(session), owner=None, idempotency=key)
    assert (again.is_new, again.result) == (False, first.result)
    assert await store.find_accepted(key, NOW) == first.result
    with pytest.raises(IdempotencyConflict):
        await store.accept_command(a_result(session), owner=None, idempotency=replace(key, fingerprint="other"))
    with pytest.raises(IdempotencyConflict):
        await store.find_accepted(replace(key, fingerprint="other"), NOW)
    others = await store.accept_command(a_result(session), owner=None, idempotency=replace(key, key_id="key_2"))
    assert others.is_new
    later = a_result(session, accepted_at=NOW + 86_401)
    assert (await store.accept_command(later, owner=None, idempotency=key)).is_new
    looked = await store.get_session(session.session_id)
    assert looked is not None
    assert looked.commands_executed == 3


async def test_a_command_ends_once_whoever_says_so(store: Store) -> None:
    result = await accept(store, await open_session(store))
    endings = [Ending("completed", NOW + number, exit_code=number % 200) for number in range(50)]
    outcomes = await asyncio.gather(*(store.end_command(result.result_id, ending) for ending in endings))
    (winner,) = [outcome for outcome in outcomes if outcome is not None]
    assert await store.get_result(result.result_id) == winner
    assert await store.end_command("res_none", endings[0]) is None


async def test_output_is_kept_in_order_and_counted(store: Store) -> None:
    result = await accept(store, await open_session(store))
    await store.append_output(result.result_id, [OutputChunk(1, "stdout", "äb"), OutputChunk(2, "stderr", "e1 ")])
    await store.append_output(result.result_id, [OutputChunk(2, "stderr", "again")])
    await store.append_output(result.result_id, [OutputChunk(3, "stdout", "c")])
    ending = Ending("failed", NOW + 1, 1, "kubectl", "why", 12, output_bytes=100, omitted_bytes=90)
    ended = await store.end_command(
        result.result_id, ending, [OutputChunk(4, "stderr", "e2"), OutputChunk(5, "stdout", "d")]
    )
    assert ended is not None
    assert (ended.status, ended.exit_code, ended.executor, ended.reason) == ("failed", 1, "kubectl", "why")
    assert (ended.output_bytes, ended.omitted_bytes, ended.stored_bytes) == (100, 90, 5)
    await store.append_output(result.result_id, [OutputChunk(6, "stdout", "late")])
    output = await store.read_output(result.result_id)
    assert (output.stdout, output.stderr) == ("äbcd", "e1 e2")
    assert (await store.read_output("res_none")).stdout == ""


async def test_a_result_without_a_count_counts_what_is_stored(store: Store) -> None:
    result = await accept(store, await open_session(store))
    await store.append_output(result.result_id, [OutputChunk(1, "stdout", "abc")])
    ended = await store.end_command(result.result_id, Ending("lost", NOW))
    assert ended is not None
    assert ended.output_bytes == 3


async def test_open_and_overdue_results(store: Store) -> None:
    session = await open_session(store)
    late = await accept(store, session, deadline_at=NOW + 1, accepted_at=NOW + 1)
    early = await accept(store, session, deadline_at=NOW + 9, status="queued")
    done = await accept(store, session, deadline_at=NOW)
    await store.end_command(done.result_id, Ending("completed", NOW))
    assert [one.result_id for one in await store.list_open_results()] == [early.result_id, late.result_id]
    assert [one.result_id for one in await store.list_overdue(NOW + 5)] == [late.result_id]
    await store.mark_running(early.result_id)
    await store.mark_running(done.result_id)
    statuses = [one.status for result in (early, done) if (one := await store.get_result(result.result_id)) is not None]
    assert statuses == ["running", "completed"]


async def test_reaping_by_age(store: Store) -> None:
    session = await open_session(store)
    old, new, running = [await accept(store, session) for _ in range(3)]
    await store.end_command(old.result_id, Ending("completed", NOW), [OutputChunk(1, "stdout", "x")])
    await store.end_command(new.result_id, Ending("completed", NOW + 100))
    await store.close_session(session.session_id, NOW)
    keep = {"keep_results_seconds": 50.0, "keep_sessions_seconds": 50.0, "max_store_bytes": 0}
    reaped = await store.reap(NOW + 51, **keep)  # type: ignore[arg-type]
    assert (reaped.results, reaped.sessions) == (1, 0)
    assert await store.get_result(old.result_id) is None
    assert (await store.read_output(old.result_id)).stdout == ""
    await store.end_command(running.result_id, Ending("lost", NOW + 100))
    reaped = await store.reap(NOW + 1000, **keep)  # type: ignore[arg-type]
    assert (reaped.results, reaped.sessions) == (2, 1)
    assert await store.get_session(session.session_id) is None


async def test_reaping_by_size_takes_the_oldest_first(store: Store) -> None:
    session = await open_session(store)
    made = []
    for number in range(40):
        result = await accept(store, session)
        chunk = OutputChunk(1, "stdout", "x" * 1_000_000)
        await store.end_command(result.result_id, Ending("completed", NOW + number), [chunk])
        made.append(result.result_id)
    running = await accept(store, session)
    reaped = await store.reap(NOW + 50, keep_results_seconds=1e9, keep_sessions_seconds=1e9, max_store_bytes=30_000_000)
    assert 10 <= reaped.results < 40
    left = [result_id for result_id in made if await store.get_result(result_id) is not None]
    assert left == made[reaped.results :]
    assert await store.get_result(running.result_id) is not None


async def test_a_cancelled_caller_breaks_nothing(store: Store) -> None:
    session = await open_session(store)
    for _ in range(20):  # a store that is asked for several things at once does not answer within the call
        await asyncio.gather(accept(store, session), accept(store, session))
    tasks = [asyncio.create_task(accept(store, session)) for _ in range(50)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(outcome, Result) for outcome in outcomes) == 25
    await store.check()


async def test_a_failing_operation_takes_nothing_with_it(store: Store) -> None:
    session = await open_session(store)
    good = [accept(store, session) for _ in range(10)]
    bad = [accept(store, session, session_id="sess_none") for _ in range(10)]
    outcomes = await asyncio.gather(
        *(one for pair in zip(good, bad, strict=True) for one in pair), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [Result, NotFound] * 10
    looked = await store.get_session(session.session_id)
    assert looked is not None
    assert looked.commands_executed == 10


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "x.db")
    await store.open()
    writes = [asyncio.create_task(add_cluster(store, f"c{number}")) for number in range(100)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*writes)
    with pytest.raises(StoreFull):
        await store.check()
    with pytest.raises(StoreFull):
        await store.list_keys()
    again = SqliteStore(tmp_path / "x.db")
    await again.open()
    assert len(await again.list_clusters()) == 100
    await again.close()


@given(
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), max_size=8),
    limit=st.integers(1, 20),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_pages_of_output_make_the_whole(tmp_path: Path, texts: list[str], limit: int) -> None:
    async def check() -> None:
        store = SqliteStore(tmp_path / f"{time.monotonic_ns()}.db")
        await store.open()
        try:
            result = await accept(store, await open_session(store))
            await store.append_output(
                result.result_id, [OutputChunk(seq, "stdout", text) for seq, text in enumerate(texts, start=1)]
            )
            whole, offset = "".join(texts), 0
            pages = []
            while offset < len(whole.encode()):
                page = (await store.read_output(result.result_id, offset=offset, limit=limit)).stdout
                assert page
                assert len(page) == 1 or len(page.encode()) <= limit
                pages.append(page)
                offset += len(page.encode())
            assert "".join(pages) == whole
            assert (await store.read_output(result.result_id, offset=offset, limit=limit)).stdout == ""
        finally:
            await store.close()

    asyncio.run(check())
