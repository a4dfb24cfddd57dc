"""A command with a great deal of output, by an agent spoken by hand that keeps to its credit."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from schemas.frames import WINDOW_BYTES, Credit, Output, Run
from tests.support.raw_agent import RawAgent

PIECE_BYTES = 60_000


async def flood(agent: RawAgent, run: Run, size: int) -> int:
    """Send so many bytes of output, as fast as there is credit for it; the number of the last piece."""
    count = size // PIECE_BYTES
    credit = 0
    for seq in range(1, count + 1):
        while (seq - credit) * PIECE_BYTES > WINDOW_BYTES:
            credit = (await agent.expect(Credit, 60)).results.get(run.result_id, credit)
        await agent.send(Output(run.result_id, seq, "stdout", "x" * PIECE_BYTES))
    return count


@contextlib.asynccontextmanager
async def flooding(agent: RawAgent, run: Run, size: int) -> AsyncIterator[asyncio.Task[int]]:
    """A flood beside the rest of the test; it takes all frames that come for the agent."""
    task = asyncio.create_task(flood(agent, run, size), name="flood")
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def come_to_rest(agent: RawAgent) -> None:
    """Wait until the agent hears nothing more: it has all the credit that its readers are worth."""
    heard, quiet = -1, 0
    async with asyncio.timeout(20):
        while quiet < 20:
            quiet = quiet + 1 if heard == len(agent.received) else 0
            heard = len(agent.received)
            await asyncio.sleep(0.02)
