"""The agent that floods, as a process against a hub that says only what the test has it say."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from bench.flooding_agent import Window
from bench.lines import FLOOD, LINE
from bench.processes import module, started
from schemas.frames import FRAME_OVERHEAD_BYTES, MAX_DATA_BYTES, Cancel, Chunk, Credit, Exit, Heartbeat, Output
from tests.support.scripted_hub import HubLink, scripted_hub

FRAME_BYTES = len(FLOOD) + FRAME_OVERHEAD_BYTES


@contextlib.asynccontextmanager
async def linked(**welcome: object) -> AsyncIterator[HubLink]:
    """A welcomed agent's link."""
    async with scripted_hub() as hub:
        argv = module("flooding_agent", hub.url, "alpha")
        async with started("the flooding agent", argv, environment={"KUBENTLY_AGENT_TOKEN": "token"}):
            link = await hub.link()
            await link.welcome(**welcome)  # type: ignore[arg-type]
            yield link


async def outputs(link: HubLink, count: int) -> list[Output]:
    """The next frames, all of them output."""
    return [await link.expect(Output) for _ in range(count)]


async def test_a_stream_is_a_window_ahead_of_its_credit_and_no_further() -> None:
    async with linked(window_bytes=3 * FRAME_BYTES, heartbeat_interval_seconds=0.2) as link:
        await link.run("logs", "flood", "-f", is_stream=True)
        frames = await outputs(link, 3)
        assert [frame.seq for frame in frames] == [1, 2, 3]
        assert {frame.data for frame in frames} == {FLOOD}
        assert isinstance(await link.receive(), Heartbeat)
        await link.send(Credit({"res_1": 2}))
        assert [frame.seq for frame in await outputs(link, 2)] == [4, 5]
        assert isinstance(await link.receive(), Heartbeat)


async def test_a_plain_command_is_answered_beside_a_stream_that_waits() -> None:
    async with linked(window_bytes=MAX_DATA_BYTES) as link:
        await link.run("logs", "flood", "-f", is_stream=True)
        await outputs(link, 1)
        await link.run("logs", "line", result_id="res_2")
        _, ended = await link.result("res_2")
        assert ended.chunks == [Chunk("stdout", LINE)]


@pytest.mark.parametrize("pod", ["flood", "quiet"])
async def test_a_cancelled_stream_ends_behind_its_last_number(pod: str) -> None:
    async with linked() as link:
        await link.run("logs", pod, "-f", is_stream=True)
        await outputs(link, 1)
        await link.send(Cancel("res_1", "enough"))
        last_seq = 1
        while not isinstance(frame := await link.receive(), Exit):
            assert isinstance(frame, Output)
            last_seq = frame.seq
        assert (frame.seq, frame.status, frame.exit_code) == (last_seq + 1, "cancelled", None)


async def test_a_frame_larger_than_the_window_goes_alone() -> None:
    window = Window(1000)
    await window.enter(1, 4000)
    second = asyncio.create_task(window.enter(2, 10))
    await asyncio.sleep(0)
    assert not second.done()
    window.credit(1)
    await second
