"""Readers of output: every chunk once, in order, whoever reads and whenever they came; and what credit that gives."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.bus.local import LocalBus
from hub.collector import Collector
from hub.errors import OutputExpired, SubscriberLagging
from hub.records import Cluster, Ending, OutputChunk, Result, Session, Token
from hub.settings import Streams
from hub.store.sqlite import SqliteStore
from hub.subscribers import Follower, Subscribers
from schemas.frames import Chunk, Credit, Exit, HubFrame, Output

RESULT = Result("res_1", "sess_1", "alpha", "key_1", "logs", ("web", "-f"), 600, 1, 700, "running", is_stream=True)
KIB = 1024


class Road:
    """A store, a collector and the readers, as the hub has them; `credits` is what the agent was given."""

    def __init__(self, store: SqliteStore, settings: Streams) -> None:
        self.credits: list[int] = []
        bus = LocalBus()
        bus.serve(self._deliver, self._post)
        self.store = store
        self.collector = Collector(store, bus)
        self.subscribers = Subscribers(store, bus, settings, window_bytes=256 * KIB)
        self.seq = 0

    async def _deliver(self, _cluster_id: str, _frame: HubFrame) -> bool:
        return True

    def _post(self, _cluster_id: str, frame: HubFrame) -> None:
        assert isinstance(frame, Credit)
        self.credits.append(frame.results["res_1"])

    def follow(self, after_seq: int = 0) -> Follower:
        return self.subscribers.follow(RESULT, after_seq)

    async def write(self, data: str) -> None:
        self.seq += 1
        await self.collector.take("alpha", Output("res_1", self.seq, "stdout", data))

    async def exit(self, *chunks: str) -> None:
        frame = Exit("res_1", self.seq + 1, "completed", exit_code=0, chunks=[Chunk("stdout", text) for text in chunks])
        self.seq += len(chunks) + 1
        await self.collector.take("alpha", frame)


@contextlib.asynccontextmanager
async def a_road(folder: Path, *, keep_stream_bytes: int = 64 * KIB * KIB, **settings: int) -> AsyncIterator[Road]:
    store = SqliteStore(folder / "hub.db", keep_stream_bytes=keep_stream_bytes)
    await store.open()
    try:
        await store.add_cluster(Cluster("alpha", "alpha", 0), Token("tok_1", "alpha", "hash", 0))
        await store.add_session(Session("sess_1", "alpha", "key_1", 0, 10_000, 0))
        await store.accept_command(RESULT, owner=None, idempotency=None, fallback_correlation_id="corr")
        yield Road(store, Streams(**settings))  # type: ignore[arg-type]
    finally:
        await store.close()


@pytest.fixture
async def road(tmp_path: Path) -> AsyncIterator[Road]:
    async with a_road(tmp_path) as made:
        yield made


async def read(follower: Follower, count: int | None = None) -> list[OutputChunk]:
    """So many chunks, or all to the end."""
    chunks: list[OutputChunk] = []
    async with asyncio.timeout(10):
        while count is None or len(chunks) < count:
            more = await follower.next()
            if isinstance(more, Result):
                assert count is None
                return chunks
            chunks += more
    return chunks


def text(chunks: list[OutputChunk]) -> str:
    return "".join(chunk.data for chunk in chunks)


async def test_before_during_and_after_give_the_same(road: Road) -> None:
    with road.follow() as early:
        reading = asyncio.create_task(read(early))
        await road.write("one ")
        await road.write("two ")
        with road.follow() as late:
            await road.write("three ")
            assert text(await read(late, 3)) == "one two three "
            await road.exit("four ", "five")
            assert text(await read(late)) == "four five"
        assert text(await reading) == "one two three four five"
    with road.follow() as after:
        assert [chunk.seq for chunk in await read(after)] == [1, 2, 3, 4, 5]
    with road.follow(3) as rest:
        assert text(await read(rest)) == "four five"


async def test_output_that_came_whole_is_followed_too(road: Road) -> None:
    await road.exit("all of it")
    with road.follow() as follower:
        assert text(await read(follower)) == "all of it"
        result = await follower.next()
    assert isinstance(result, Result)
    assert result.status == "completed"


async def test_an_end_without_output_wakes_who_waits(road: Road) -> None:
    with road.follow() as follower:
        waiting = asyncio.create_task(follower.next())
        await asyncio.sleep(0)
        await road.collector.end("res_1", Ending("cancelled", 2.0, reason="why"))
        ended = await asyncio.wait_for(waiting, 5)
    assert isinstance(ended, Result)
    assert ended.reason == "why"


async def test_readers_that_come_and_go_at_any_time_miss_nothing(road: Road) -> None:
    expected = [f"{number};" for number in range(200)]

    async def reader(delay_turns: int) -> str:
        for _ in range(delay_turns):
            await asyncio.sleep(0)
        seen, after = "", 0
        while True:
            with road.follow(after) as follower:
                for _ in range(7):  # then it comes again
                    more = await follower.next()
                    if isinstance(more, Result):
                        return seen
                    seen += text(list(more))
                    after = more[-1].seq

    readers = [asyncio.create_task(reader(turns)) for turns in range(0, 400, 13)]
    for piece in expected:
        await road.write(piece)
    await road.exit()
    async with asyncio.timeout(30):
        assert set(await asyncio.gather(*readers)) == {"".join(expected)}
    assert len(road.subscribers) == 0


async def test_without_readers_what_is_stored_gives_credit(road: Road) -> None:
    for _ in range(8):
        await road.write("x" * 32 * KIB)
    assert road.credits == [2, 4, 6, 8]


async def test_small_frames_count_what_they_cost(road: Road) -> None:
    for _ in range(512):
        await road.write("a line\n")
    assert len(road.credits) == 4


async def test_a_reader_that_does_not_read_holds_the_credit_back(road: Road) -> None:
    with road.follow() as follower:
        for _ in range(4):
            await road.write("x" * 32 * KIB)
        assert road.credits == []
        assert len(await read(follower, 4)) == 4
        assert road.credits == []  # returned, and not yet known to be taken
        for _ in range(4):
            await road.write("x" * 32 * KIB)
        await read(follower, 4)
        assert road.credits == [4]
        await road.write("x" * 32 * KIB)
        assert road.credits == [4]
    assert road.credits == [4, 9]  # it left, and nobody is waited for


async def test_many_small_frames_do_not_fill_the_memory(tmp_path: Path) -> None:
    """An agent that minds no credit, a reader that does not read: what is kept for him is bounded all the same."""
    async with a_road(tmp_path, tail_bytes=512 * KIB) as road:
        with road.follow() as follower:
            await road.write("first")
            assert text(await read(follower, 1)) == "first"
            waiting = asyncio.create_task(follower.next())
            async with asyncio.timeout(5):
                while not follower.is_live:
                    await asyncio.sleep(0)
            for _ in range(3000):
                await road.write("")
            await waiting
            feed = road.subscribers._feeds["res_1"]
            assert len(feed.tail) <= 1024
            assert len(feed.untaken) <= 3000 / 16


async def test_the_fastest_reader_sets_the_pace(road: Road) -> None:
    with road.follow(), road.follow() as fast:
        reading = asyncio.create_task(read(fast))
        for _ in range(8):
            await road.write("x" * 32 * KIB)
        await road.exit()
        await reading
    assert road.credits[-1] >= 6


async def test_who_falls_off_the_tail_is_told_and_can_follow_again(tmp_path: Path) -> None:
    async with a_road(tmp_path, tail_bytes=64 * KIB) as road:
        with road.follow() as slow, road.follow() as fast:
            reading = asyncio.create_task(read(fast))
            await road.write("first")
            assert text(await read(slow, 1)) == "first"
            waiting = asyncio.create_task(slow.next())
            async with asyncio.timeout(5):
                while not slow.is_live:
                    await asyncio.sleep(0)
            await road.write("second")
            assert text(list(await waiting)) == "second"  # type: ignore[arg-type]
            for _ in range(10):
                await road.write("x" * 32 * KIB)
                async with asyncio.timeout(5):
                    while fast.last_seq < road.seq:
                        await asyncio.sleep(0)
            with pytest.raises(SubscriberLagging) as lagging:
                await slow.next()
            assert lagging.value.details == {"result_id": "res_1", "last_seq": 2, "newest_seq": 12}
            with road.follow(2) as again:
                await road.exit("end")
                assert text(await read(again)) == "x" * 320 * KIB + "end"
            await reading


async def test_what_is_no_longer_held_is_said(tmp_path: Path) -> None:
    async with a_road(tmp_path, keep_stream_bytes=256 * KIB) as road:
        for _ in range(20):
            await road.write("x" * 64 * KIB)
        with road.follow() as follower, pytest.raises(OutputExpired) as expired:
            await follower.next()
        first_seq = expired.value.details["first_seq"]
        assert 1 < first_seq <= 20
        with road.follow(first_seq - 1) as follower:
            await road.exit()
            assert [chunk.seq for chunk in await read(follower)] == list(range(first_seq, 21))


async def test_output_after_the_end_leaves_nothing_behind(road: Road) -> None:
    await road.collector.end("res_1", Ending("timeout", 2.0))
    await road.write("late")
    assert road.subscribers._feeds == {}


async def test_a_thousand_readers_of_one_stream(road: Road) -> None:
    with contextlib.ExitStack() as stack:
        readers = [asyncio.create_task(read(stack.enter_context(road.follow()))) for _ in range(1000)]
        for _ in range(20):
            await road.write("x" * 1000)
        await road.exit()
        async with asyncio.timeout(60):
            everybody = await asyncio.gather(*readers)
    assert {len(text(chunks)) for chunks in everybody} == {20_000}
