"""BACK on the road: what an agent sends is stored first, then told on the bus.

Every way a command can end, whether the agent says so or the hub gives up on it, goes through `end`, and the store lets
only the first one through.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Final

from hub.bus.base import Bus, Ended
from hub.errors import StoreFull
from hub.records import Ending, OutputChunk
from hub.store.base import Store
from schemas.frames import Exit, Output

_log = logging.getLogger(__name__)

# A full disk is looked at again this often while an agent's frame waits to be stored.
_RETRY_SECONDS: Final = 1.0


class Collector:
    """Stores output and endings, then publishes the endings."""

    def __init__(self, store: Store, bus: Bus) -> None:
        self._store = store
        self._bus = bus

    async def take(self, frame: Output | Exit) -> None:
        """Store one frame of an agent; returns when it may be acknowledged.

        While the store is full it keeps trying, so that no output is lost; cancelling gives the frame up.
        """
        while True:
            try:
                if isinstance(frame, Output):
                    chunk = OutputChunk(frame.seq, frame.stream, frame.data)
                    await self._store.append_output(frame.result_id, [chunk])
                else:
                    await self._take_exit(frame)
                return
            except StoreFull:
                _log.error("store full, an agent's frame waits", extra={"result_id": frame.result_id})
                await asyncio.sleep(_RETRY_SECONDS)

    async def end(
        self, result_id: str, ending: Ending, chunks: Sequence[OutputChunk] = (), *, is_whole: bool = False
    ) -> bool:
        """End a command. False: it had ended before, and nothing happened.

        `is_whole` says that `chunks` is all the output there is, so that nobody need read it from the store.
        Raises StoreFull.
        """
        result = await self._store.end_command(result_id, ending, chunks)
        if result is None:
            return False
        self._bus.publish(Ended(result, chunks if is_whole else None))
        return True

    async def _take_exit(self, frame: Exit) -> None:
        chunks = [OutputChunk(seq, chunk.stream, chunk.data) for seq, chunk in enumerate(frame.chunks, start=frame.seq)]
        ending = Ending(
            status=frame.status,
            ended_at=time.time(),
            exit_code=frame.exit_code,
            executor=frame.executor,
            reason=frame.error,
            execution_time_ms=frame.execution_time_ms,
            output_bytes=frame.output_bytes,
            omitted_bytes=frame.omitted_bytes,
        )
        await self.end(frame.result_id, ending, chunks, is_whole=frame.seq == 1)
