"""What every store must do, run against each there is."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.errors import AlreadyExists, IdempotencyConflict, InvalidRequest, NotFound, SessionNotActive, StoreFull
from hub.records import (
    AuditDetail,
    AuditEvent,
    AuditFilter,
    AuditRow,
    Cluster,
    Ending,
    Idempotency,
    Key,
    Limits,
    Origin,
    OutputChunk,
    Result,
    Session,
    StoredChunks,
    Token,
)
from hub.store.base import Store
from hub.store.sqlite import SqliteStore
from schemas.frames import Stream
from schemas.ids import new_id
from schemas.kubectl import Scope

NOW = 1_800_000_000.0
KEEP_STREAM_BYTES = 1000


@pytest.fixture(params=["sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    backend = {"sqlite": lambda: SqliteStore(tmp_path / "store.db", keep_stream_bytes=KEEP_STREAM_BYTES)}[
        request.param
    ]()
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


def hidden(chunk: OutputChunk) -> OutputChunk:
    """A chunk as followers get it."""
    return OutputChunk(chunk.seq, chunk.stream, "" if chunk.stream == "full" else chunk.data)


async def follow(store: Store, result_id: str, *, max_bytes: int, after_seq: int = 0) -> list[OutputChunk]:
    """All the chunks behind a number, read as a follower does."""
    seen: list[OutputChunk] = []
    while held := (await store.read_chunks(result_id, after_seq=after_seq, max_bytes=max_bytes)).chunks:
        seen += held
        after_seq = held[-1].seq
    return seen


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


async def test_keys_with_limits_and_with_two_secrets(store: Store) -> None:
    scope = Scope(("get",), ("team-*",), ("pods",), ("secrets",))
    key = Key("key_1", "ci", "auditor", "hash-1", NOW, None, None, scope, Limits(execute_per_minute=5))
    await store.add_key(key)
    assert await store.find_key("hash-1") == key
    rotated = await store.rotate_key("key_1", "hash-2", NOW + 60)
    assert rotated == replace(key, secret_hash="hash-2", retired_hash="hash-1", retired_until=NOW + 60)
    assert [await store.find_key(each) for each in ("hash-1", "hash-2")] == [rotated, rotated]
    await store.rotate_key("key_1", "hash-3", NOW + 90)
    assert await store.find_key("hash-1") is None
    assert await store.rotate_key("key_none", "hash-4", NOW) is None


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
    assert await store.get_policy("alpha") is None
    await store.record_policy("alpha", "{}", NOW + 1)
    assert await store.get_policy("alpha") == ("{}", NOW + 1)
    assert await store.get_policy("nowhere") is None
    await store.record_agent(
        "alpha", agent_version="1.0", kubernetes_version=None, policy=None, labels={"env": "dev"}, now=NOW + 2
    )
    assert await store.get_policy("alpha") == ("{}", NOW + 1)
    assert await store.change_cluster("alpha", name=None, labels={"env": "prod", "tier": "a"}) is not None
    changed = await store.change_cluster("alpha", name="Another", labels=None)
    assert changed == await store.get_cluster("alpha")
    assert changed is not None
    assert (changed.name, changed.labels, changed.announced_labels) == (
        "Another",
        {"env": "prod", "tier": "a"},
        {"env": "dev"},
    )
    assert changed.all_labels == {"env": "prod", "tier": "a"}
    assert await store.change_cluster("nowhere", name="x", labels={}) is None
    assert await store.change_cluster("alpha", name="Alpha", labels={}) is not None
    await store.record_agent("alpha", agent_version="1.0", kubernetes_version=None, policy="[]", labels={}, now=NOW + 2)
    assert await store.get_policy("alpha") == ("[]", NOW + 2)
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
    for among, total in (([], 0), (["nowhere"], 0), (["alpha", "beta"], 8)):
        page = await store.list_sessions(cluster_id=None, status=None, limit=50, cursor=None, among=among)
        assert (page.total, len(page.sessions)) == (total, total)
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
    chunks = [OutputChunk(1, "stdout", "äb"), OutputChunk(2, "stderr", "e1 ")]
    assert await store.append_output(result.result_id, chunks)
    assert not await store.append_output(result.result_id, [OutputChunk(2, "stderr", "again")])
    assert await store.append_output(result.result_id, [OutputChunk(3, "stdout", "c")])
    ending = Ending("failed", NOW + 1, 1, "kubectl", "why", 12, output_bytes=100, omitted_bytes=90)
    ended = await store.end_command(
        result.result_id, ending, [OutputChunk(4, "stderr", "e2"), OutputChunk(5, "stdout", "d")]
    )
    assert ended is not None
    assert (ended.status, ended.exit_code, ended.executor, ended.reason) == ("failed", 1, "kubectl", "why")
    assert (ended.output_bytes, ended.omitted_bytes, ended.stored_bytes) == (100, 90, 5)
    assert not await store.append_output(result.result_id, [OutputChunk(6, "stdout", "late")])
    output = await store.read_output(result.result_id)
    assert (output.stdout, output.stderr) == ("äbcd", "e1 e2")
    assert (await store.read_output("res_none")).stdout == ""


async def test_a_result_without_a_count_counts_what_is_stored(store: Store) -> None:
    result = await accept(store, await open_session(store))
    await store.append_output(result.result_id, [OutputChunk(1, "stdout", "abc")])
    ended = await store.end_command(result.result_id, Ending("lost", NOW))
    assert ended is not None
    assert ended.output_bytes == 3


async def test_running_commands_know_their_agents_process(store: Store) -> None:
    session = await open_session(store)
    result = await accept(store, session, status="queued", is_stream=True, max_output_bytes=10**6, contract='{"a":"ü"}')
    assert await store.get_result(result.result_id) == result
    for boot_id in ("boot_1", "boot_2"):
        await store.mark_running(result.result_id, boot_id)
        running = msgspec.structs.replace(result, status="running", boot_id=boot_id)
        assert await store.list_open_results() == [running]
    ending = Ending("failed", NOW, omitted_lines=7, omitted_bytes=70, is_truncated=True)
    ended = await store.end_command(result.result_id, ending)
    await store.mark_running(result.result_id, "boot_3")
    await store.mark_running("res_none", "boot_3")
    assert ended == await store.get_result(result.result_id)
    assert ended == msgspec.structs.replace(
        running, status="failed", ended_at=NOW, omitted_lines=7, omitted_bytes=70, is_truncated=True
    )
    assert ended.is_truncated is True
    assert ended.is_stream is True


async def test_what_an_ending_returns_is_what_is_stored(store: Store) -> None:
    session = await open_session(store, correlation_id="trace")
    ending = Ending("failed", NOW + 1, 3, "native", "why", 12, None, 5, 2, is_truncated=True)
    before = [OutputChunk(1, "stdout", "ä"), OutputChunk(2, "full", "äö")]
    after = [OutputChunk(3, "stdout", "b"), OutputChunk(4, "stderr", "e")]
    for first, last in (((), ()), ((), before), (before, ()), (before, after), (before, [*before, *after])):
        result = await accept(
            store, session, boot_id="boot_1", is_stream=True, max_output_bytes=9, contract="{}", service_identity="s"
        )
        await store.append_output(result.result_id, first)
        ended = await store.end_command(result.result_id, ending, last)
        assert ended == await store.get_result(result.result_id)
        assert ended is not None
        stored = {chunk.seq: chunk for chunk in (*first, *last)}.values()
        assert ended.stored_bytes == sum(len(one.data.encode()) for one in stored if one.stream == "stdout")
        assert ended.output_bytes == ended.stored_bytes
        held = await store.read_chunks(result.result_id, after_seq=0, max_bytes=100)
        assert held.chunks == tuple(hidden(chunk) for chunk in stored)


async def test_numbers_only_go_up(store: Store) -> None:
    result = await accept(store, await open_session(store))
    for numbers in ((1, 2), (2, 3), (3,), (6, 5, 6, 7), (4,), ()):
        await store.append_output(result.result_id, [OutputChunk(seq, "stdout", f"{seq} ") for seq in numbers])
    await store.append_output("res_none", [OutputChunk(1, "stdout", "x")])
    assert (await store.read_output(result.result_id)).stdout == "1 2 3 6 7 "
    assert (await store.read_output(result.result_id, offset=4, limit=4)).stdout == "3 6 "
    assert await store.last_seqs([result.result_id]) == {result.result_id: 7}
    repeated = [OutputChunk(seq, "stdout", f"{seq} ") for seq in (1, 2, 8)]
    ended = await store.end_command(result.result_id, Ending("completed", NOW), repeated)
    assert ended is not None
    assert ended.stored_bytes == 12
    assert (await store.read_output(result.result_id)).stdout == "1 2 3 6 7 8 "


async def test_the_same_output_over_two_links_is_stored_once(store: Store) -> None:
    """What an old link still had to store comes again over the new one, which goes on behind what was stored."""
    result = await accept(store, await open_session(store))

    async def link(first: int, last: int) -> None:
        for seq in range(first, last + 1):
            await store.append_output(result.result_id, [OutputChunk(seq, "stdout", f"{seq} ")])

    await asyncio.gather(link(1, 30), link(1, 40), link(1, 20))
    assert (await store.read_output(result.result_id)).stdout == "".join(f"{seq} " for seq in range(1, 41))


async def test_last_numbers_of_many_open_results(store: Store) -> None:
    session = await open_session(store)
    results = [(await accept(store, session)).result_id for _ in range(300)]
    expected = dict.fromkeys(results, 0)
    for number, result_id in enumerate(results[:100], start=1):
        await store.append_output(result_id, [OutputChunk(number, "stderr", "x")])
        expected[result_id] = number
    await store.end_command(results[50], Ending("completed", NOW))
    await store.end_command(results[200], Ending("completed", NOW), [OutputChunk(1, "stdout", "x")])
    del expected[results[50]], expected[results[200]]
    assert await store.last_seqs([*results, "res_none", "'", "ü"]) == expected
    assert await store.last_seqs([]) == {}


async def test_a_stream_keeps_its_newest_output(store: Store) -> None:
    session = await open_session(store)
    stream, plain = await accept(store, session, is_stream=True), await accept(store, session)
    streams: tuple[Stream, ...] = ("stdout", "stderr", "full", "stdout")
    for seq in range(1, 41):
        chunk = OutputChunk(seq, streams[seq % 4], f"{seq:02}" + "é" * 49)  # 100 bytes: ten of them may be held
        await store.append_output(stream.result_id, [chunk])
        await store.append_output(plain.result_id, [chunk])
        held = await store.read_chunks(stream.result_id, after_seq=0, max_bytes=10**6)
        assert [one.seq for one in held.chunks] == list(range(max(1, seq - 9), seq + 1))
        assert held.first_held == max(1, seq - 9)
    looked = await store.get_result(stream.result_id)
    assert looked is not None
    assert (looked.stored_bytes, looked.expired_bytes) == (2000, 1400)
    assert await store.get_result(plain.result_id) == msgspec.structs.replace(plain, stored_bytes=2000)
    assert (await store.read_chunks(plain.result_id, after_seq=0, max_bytes=10**6)).first_held == 1


async def test_a_repetition_of_what_was_let_go_does_not_come_back(store: Store) -> None:
    result = await accept(store, await open_session(store), is_stream=True)
    for seq in (1, 2, 3, 1, 2):
        await store.append_output(result.result_id, [OutputChunk(seq, "stdout", str(seq) * 500)])
    held = await store.read_chunks(result.result_id, after_seq=0, max_bytes=10**6)
    assert [chunk.seq for chunk in held.chunks] == [2, 3]
    assert (await store.read_output(result.result_id)).stdout == "2" * 500 + "3" * 500


async def test_the_newest_chunk_stays_whatever_its_size(store: Store) -> None:
    result = await accept(store, await open_session(store), is_stream=True)
    await store.append_output(result.result_id, [OutputChunk(1, "stderr", "e"), OutputChunk(2, "stdout", "x" * 5000)])
    await store.append_output(result.result_id, [OutputChunk(seq, "stdout", str(seq) * 3000) for seq in (3, 4, 5)])
    output = await store.read_output(result.result_id)
    assert (output.stdout, output.stderr, output.start) == ("5" * 3000, "", 11_000)
    ended = await store.end_command(result.result_id, Ending("completed", NOW), [OutputChunk(6, "stdout", "6" * 2000)])
    assert ended is not None
    assert (ended.stored_bytes, ended.expired_bytes, ended.output_bytes) == (16_000, 14_000, 16_000)
    assert await store.get_result(result.result_id) == ended


async def test_small_chunks_cannot_be_held_without_end(store: Store) -> None:
    result = await accept(store, await open_session(store), is_stream=True)
    await store.append_output(result.result_id, [OutputChunk(seq, "stdout", "x"[: seq % 2]) for seq in range(1, 2000)])
    held = await store.read_chunks(result.result_id, after_seq=0, max_bytes=10**6)
    assert [chunk.seq for chunk in held.chunks] == list(range(2000 - KEEP_STREAM_BYTES // 16, 2000))
    large = OutputChunk(2000, "stdout", "y" * KEEP_STREAM_BYTES)
    await store.append_output(result.result_id, [large])
    assert (await store.read_chunks(result.result_id, after_seq=0, max_bytes=10**6)).chunks == (large,)


async def test_offsets_count_from_the_first_byte_there_was(store: Store) -> None:
    result = await accept(store, await open_session(store), is_stream=True)
    for seq in range(1, 6):
        chunks = [OutputChunk(2 * seq - 1, "stdout", "äö€" * 50), OutputChunk(2 * seq, "stderr", "e" * 50)]
        await store.append_output(result.result_id, chunks)
    # Of 350 bytes each two pairs are held, and the stderr before them.
    whole = await store.read_output(result.result_id)
    assert (whole.start, whole.stdout, whole.stderr) == (1050, "äö€" * 100, "e" * 150)
    for offset, limit, start, text in (
        (0, 4, 1050, "äö"),
        (1049, 4, 1050, "äö"),
        (1050, 1, 1050, "ä"),
        (1051, 4, 1052, "ö"),
        (1055, None, 1057, "äö€" * 99),
        (1398, 8, 1400, "äö€"),
        (1748, 8, 1750, ""),
        (9000, 8, 9000, ""),
        (1050, 0, 1050, ""),
    ):
        part = await store.read_output(result.result_id, offset=offset, limit=limit)
        assert (part.start, part.stdout) == (start, text), offset


async def test_stdout_before_its_contract_is_read_apart(store: Store) -> None:
    session = await open_session(store)
    chunks = [
        OutputChunk(1, "full", "äa\n"),
        OutputChunk(2, "stdout", "ä\n"),
        OutputChunk(3, "stderr", "e"),
        OutputChunk(4, "full", "b\n"),
        OutputChunk(5, "stdout", "b\n"),
    ]
    for count in (0, 3, 5):  # with its ending come none of them, some, all
        result = await accept(store, session)
        await store.append_output(result.result_id, chunks[: 5 - count])
        await store.end_command(result.result_id, Ending("completed", NOW), chunks[5 - count :])
        output = await store.read_output(result.result_id)
        assert (output.stdout, output.stderr) == ("ä\nb\n", "e")
        full = await store.read_output(result.result_id, is_full=True)
        assert (full.stdout, full.stderr) == ("äa\nb\n", "e")
        part = await store.read_output(result.result_id, is_full=True, offset=1, limit=3)
        assert (part.stdout, part.start) == ("a\nb", 2)
        held = await store.read_chunks(result.result_id, after_seq=0, max_bytes=100)
        assert held.chunks == tuple(hidden(chunk) for chunk in chunks)
    result = await accept(store, session)
    await store.append_output(result.result_id, [OutputChunk(1, "stdout", "äb")])
    assert (await store.read_output(result.result_id, offset=1, is_full=True)).stdout == "b"
    await store.end_command(result.result_id, Ending("completed", NOW))
    assert (await store.read_output(result.result_id, is_full=True)).stdout == "äb"


async def test_followers_read_on_behind_a_number(store: Store) -> None:
    session = await open_session(store)
    chunks = [OutputChunk(seq, "stderr" if seq % 3 else "stdout", "ä" * seq) for seq in range(1, 10)]
    appended, whole = await accept(store, session), await accept(store, session)
    assert await store.read_chunks(appended.result_id, after_seq=0, max_bytes=100) == StoredChunks((), 0)
    await store.append_output(appended.result_id, chunks)
    await store.end_command(whole.result_id, Ending("completed", NOW), chunks)
    for result in (appended, whole):
        for after_seq, max_bytes, seqs in (
            (0, 1, [1]),
            (0, 2, [1]),
            (0, 3, [1, 2]),
            (3, 18, [4, 5]),
            (3, 10**6, [4, 5, 6, 7, 8, 9]),
            (9, 1, []),
            (50, 1, []),
        ):
            held = await store.read_chunks(result.result_id, after_seq=after_seq, max_bytes=max_bytes)
            assert held.first_held == 1
            assert list(held.chunks) == [chunk for chunk in chunks if chunk.seq in seqs]
    assert await store.read_chunks("res_none", after_seq=0, max_bytes=100) == StoredChunks((), 0)


async def test_followers_get_past_output_that_is_not_theirs(store: Store) -> None:
    result = await accept(store, await open_session(store))
    chunks = [OutputChunk(seq, "full", "x" * 100) for seq in range(1, 2001)]
    await store.append_output(result.result_id, chunks)
    await store.append_output(result.result_id, [OutputChunk(2001, "stdout", "end")])
    seen = await follow(store, result.result_id, max_bytes=10)
    assert [chunk.seq for chunk in seen] == list(range(1, 2002))
    assert "".join(chunk.data for chunk in seen) == "end"


async def test_a_follower_sees_each_chunk_or_that_it_is_gone(store: Store) -> None:
    result = await accept(store, await open_session(store), is_stream=True)

    async def write() -> None:
        for seq in range(1, 400):
            await store.append_output(result.result_id, [OutputChunk(seq, "stdout", f"{seq:03}" * 20)])

    writing = asyncio.create_task(write())
    last, seen, gone = 0, 0, 0
    while last < 399:
        held = await store.read_chunks(result.result_id, after_seq=last, max_bytes=150)
        if held.first_held > last + 1:
            gone += held.first_held - last - 1
            last = held.first_held - 1
        for chunk in held.chunks:
            assert chunk == OutputChunk(last + 1, "stdout", f"{last + 1:03}" * 20)
            last, seen = last + 1, seen + 1
    await writing
    assert seen + gone == 399


async def test_open_and_overdue_results(store: Store) -> None:
    session = await open_session(store)
    late = await accept(store, session, deadline_at=NOW + 1, accepted_at=NOW + 1)
    early = await accept(store, session, deadline_at=NOW + 9, status="queued")
    done = await accept(store, session, deadline_at=NOW)
    await store.end_command(done.result_id, Ending("completed", NOW))
    assert [one.result_id for one in await store.list_open_results()] == [early.result_id, late.result_id]
    assert [one.result_id for one in await store.list_overdue(NOW + 5)] == [late.result_id]


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
    tasks = [asyncio.create_task(accept(store, session)) for _ in range(50)]
    await asyncio.sleep(0)
    cancelled = sum(task.cancel() for task in tasks[::2])  # a store may have answered within the call
    assert cancelled > 20
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(outcome, Result) for outcome in outcomes) == 50 - cancelled
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


async def audit_rows(store: Store, limit: int = 100, **wanted: Any) -> list[AuditRow]:
    """Rows of the audit log that are wanted, oldest first."""
    found: list[AuditRow] = []
    cursor: str | None = None
    while True:
        page = await store.list_audit(AuditFilter(**wanted), limit=limit, cursor=cursor, may_see=None)
        assert len(page.rows) <= limit
        found += page.rows
        cursor = page.next_cursor
        if cursor is None:
            return found[::-1]


async def test_a_command_leaves_a_row_when_it_is_accepted_and_one_when_it_ends(store: Store) -> None:
    session = await open_session(store, correlation_id="trace")
    origin = Origin("192.0.2.7", "req_1", "POST /debug/execute", "user")
    idempotency = Idempotency("key_1", "once", "same")
    for _ in range(2):
        accepted = await store.accept_command(
            a_result(session, service_identity="triage"), owner=None, idempotency=idempotency, origin=origin
        )
    result = accepted.result
    with pytest.raises(NotFound):
        await store.accept_command(a_result(session, session_id="sess_none"), owner=None, idempotency=None)
    ending = Ending("failed", NOW + 2, 1, "native", "no", 84, 700, redactions='{"secret":2}')
    for _ in range(2):
        await store.end_command(result.result_id, ending, [OutputChunk(1, "stdout", "x")])
    where = {"key_id": "key_1", "cluster_id": "alpha", "session_id": session.session_id, "result_id": result.result_id}
    first, second = await audit_rows(store)
    assert (first.seq, first.at, first.kind, first.detail) == (
        1,
        NOW,
        "accepted",
        where
        | {
            "action": "POST /debug/execute",
            "role": "user",
            "service_identity": "triage",
            "address": "192.0.2.7",
            "argv": ["get", *result.args],
            "correlation_id": "trace",
            "request_id": "req_1",
        },
    )
    assert (second.seq, second.at, second.kind, second.detail) == (
        2,
        NOW + 2,
        "ended",
        where
        | {
            "status": "failed",
            "exit_code": 1,
            "stdout_bytes": 700,
            "duration_ms": 84,
            "redactions": {"secret": 2},
        },
    )
    assert await store.audit_head() == (2, second.mac)


@pytest.mark.parametrize("chunks", [[], [OutputChunk(1, "stdout", "xy")], [OutputChunk(2, "stdout", "xy")]])
@pytest.mark.parametrize("before", ["nothing", "running", "output"])
async def test_every_way_to_end_leaves_one_row(store: Store, chunks: list[OutputChunk], before: str) -> None:
    result = await accept(store, await open_session(store))
    if before == "running":
        await store.mark_running(result.result_id, "boot_1")
    elif before == "output":
        await store.append_output(result.result_id, [OutputChunk(1, "stdout", "a")])
    ended = await store.end_command(result.result_id, Ending("refused", NOW + 1, redactions=None), chunks)
    assert ended is not None
    _, row = await audit_rows(store, result_id=result.result_id)
    assert (row.kind, row.detail["status"], row.detail["decision"]) == ("ended", "refused", "refused")
    assert row.detail["stdout_bytes"] == ended.output_bytes


async def test_a_long_command_line_is_cut_in_the_audit_log(store: Store) -> None:
    args = tuple("x" * 100 for _ in range(200))
    await accept(store, await open_session(store), args=args)
    (row,) = await audit_rows(store)
    assert row.detail["argv"] == ["get", *args[:20]]
    assert row.detail["argv_omitted"] == 180


async def test_the_audit_log_is_found_by_what_it_says(store: Store) -> None:
    details = [
        AuditDetail(
            action=f"GET /{number}",
            decision="refused" if number % 5 == 0 else "allowed",
            key_id=f"key_{number % 3}",
            cluster_id=f"c{number % 4}" if number % 2 else None,
        )
        for number in range(300)
    ]
    events = [AuditEvent(NOW + number, "request", detail) for number, detail in enumerate(details)]
    for start in range(0, 300, 100):
        await store.append_audit(events[start : start + 100])
    assert [row.seq for row in await audit_rows(store, limit=7)] == list(range(1, 301))
    assert [row.at for row in await audit_rows(store, since=NOW + 100, until=NOW + 110)] == [
        NOW + number for number in range(100, 110)
    ]
    assert len(await audit_rows(store, limit=9, key_id="key_1", cluster_id="c1")) == 25
    assert len(await audit_rows(store, decision="allowed")) == 240
    assert await audit_rows(store, kind="ended") == []
    assert await audit_rows(store, result_id="res_none") == []
    page = await store.list_audit(
        AuditFilter(),
        limit=1000,
        cursor=None,
        may_see=lambda key_id, cluster_id: (key_id, cluster_id) == ("key_0", None),
    )
    assert {row.detail["key_id"] for row in page.rows} == {"key_0"}
    assert len(page.rows) == 50
    for cursor in ("x", "-1", "²", str(2**64)):
        with pytest.raises(InvalidRequest):
            await store.list_audit(AuditFilter(), limit=1, cursor=cursor, may_see=None)
    assert await store.reap_audit(NOW + 250, NOW + 300) == 250
    assert [row.seq for row in await audit_rows(store)] == list(range(251, 301))


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


class Model:
    """What a store should have of one result."""

    def __init__(self, *, keep_bytes: int | None) -> None:
        self.keep_bytes = keep_bytes
        self.held: list[OutputChunk] = []
        self.last_seq = 0
        self.streams: dict[Stream, bytes] = {"stdout": b"", "stderr": b"", "full": b""}
        self.expired: dict[Stream, int] = dict.fromkeys(self.streams, 0)

    def append(self, chunks: Sequence[OutputChunk]) -> None:
        for chunk in chunks:
            if chunk.seq > self.last_seq:
                self.last_seq = chunk.seq
                self.held.append(chunk)
                self.streams[chunk.stream] += chunk.data.encode()
        while self.keep_bytes is not None and len(self.held) > 1 and self._kept() > self.keep_bytes:
            gone = self.held.pop(0)
            self.expired[gone.stream] += len(gone.data.encode())

    def text(self, stream: Stream, offset: int, limit: int | None) -> tuple[int, str]:
        """The part of a stream from the first character behind `offset`, and where it begins."""
        whole, offset = self.streams[stream], max(offset, self.expired[stream])
        place, taken = self.expired[stream], ""
        for character in whole[place:].decode():
            size, used = len(character.encode()), len(taken.encode())
            if place >= offset and (limit is None or not used or used + size <= limit):
                offset = offset if used else place
                taken += character
            elif place >= offset:
                break
            place += size
        return max(offset, place) if not taken else offset, taken

    def _kept(self) -> int:
        return sum(max(16, len(chunk.data.encode())) for chunk in self.held)


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[tuple[asyncio.Runner, Store]]:
    """A loop, and on it a store that is the same for all examples of a test."""
    with asyncio.Runner() as loop:
        store = SqliteStore(tmp_path / "store.db", keep_stream_bytes=60)
        loop.run(store.open())
        yield loop, store
        loop.run(store.close())


CHUNK = st.tuples(
    st.sampled_from([1, 1, 1, 1, 2, 0, -1, -3]),  # behind the number before
    st.sampled_from(["stdout", "stdout", "stderr", "full"]),
    st.text(st.sampled_from("aé€\N{PILE OF POO}\n\x00"), max_size=12),
)


@given(
    is_stream=st.booleans(),
    appends=st.lists(st.lists(CHUNK, max_size=4), max_size=10),
    last=st.none() | st.lists(CHUNK, max_size=3),
    limit=st.none() | st.integers(1, 15),
    max_bytes=st.integers(1, 60),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
def test_whatever_is_appended_the_held_suffix_is_read(
    runner: tuple[asyncio.Runner, Store],
    is_stream: bool,
    appends: list[list[tuple[int, Stream, str]]],
    last: list[tuple[int, Stream, str]] | None,
    limit: int | None,
    max_bytes: int,
) -> None:
    loop, store = runner

    async def check() -> None:
        result = await accept(store, await open_session(store), is_stream=is_stream)
        model, seq = Model(keep_bytes=60 if is_stream else None), 0

        def numbered(steps: list[tuple[int, Stream, str]]) -> list[OutputChunk]:
            nonlocal seq
            chunks = []
            for step, stream, data in steps:
                seq = max(1, seq + step)
                chunks.append(OutputChunk(seq, stream, data))
            return chunks

        for steps in appends:
            chunks = numbered(steps)
            model.append(chunks)
            await store.append_output(result.result_id, chunks)
        assert await store.last_seqs([result.result_id]) == {result.result_id: model.last_seq}
        if last is not None:
            chunks = numbered(last)
            if not model.held and chunks and chunks[0].seq == 1:
                model.keep_bytes = None  # it comes whole
            model.append(chunks)
            ended = await store.end_command(result.result_id, Ending("completed", NOW), chunks)
            assert ended == await store.get_result(result.result_id)
            await store.append_output(result.result_id, [OutputChunk(seq + 1, "stdout", "late")])
        looked = await store.get_result(result.result_id)
        assert looked is not None
        assert looked.stored_bytes == len(model.streams["stdout"])
        assert looked.expired_bytes == model.expired["stdout"]
        for after_seq in range(model.last_seq + 2):
            held = await store.read_chunks(result.result_id, after_seq=after_seq, max_bytes=10**6)
            assert held.first_held == (model.held[0].seq if model.held else 0)
            assert list(held.chunks) == [hidden(chunk) for chunk in model.held if chunk.seq > after_seq]
            assert await follow(store, result.result_id, max_bytes=max_bytes, after_seq=after_seq) == list(held.chunks)
        full: Stream = "full" if model.streams["full"] else "stdout"
        for offset in range(len(model.streams["stdout"]) + 2):
            output = await store.read_output(result.result_id, offset=offset, limit=limit)
            assert (output.start, output.stdout) == model.text("stdout", offset, limit)
            assert output.stderr == "".join(chunk.data for chunk in model.held if chunk.stream == "stderr")
        for offset in range(len(model.streams[full]) + 2):
            output = await store.read_output(result.result_id, offset=offset, limit=limit, is_full=True)
            assert (output.start, output.stdout) == model.text(full, offset, limit)

    loop.run(check())
