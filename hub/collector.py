"""BACK on the road: what an agent sends is stored first, then told on the bus.

Every way a command can end, whether the agent says so or the hub gives up on it, goes through `end`, and the store lets
only the first one through.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine, Sequence
from typing import Any, Final

import msgspec

from hub.bus.base import Bus, Ended, Stored
from hub.errors import StoreFull
from hub.records import Ending, OutputChunk
from hub.store.base import Store
from schemas.frames import Exit, Output

_log = logging.getLogger(__name__)

# A full disk is looked at again this often while an agent's frame waits to be stored.
_RETRY_SECONDS: Final = 1.0
# A stopping hub waits so long for what was stored and is not yet told.
_CLOSE_SECONDS: Final = 5.0


class Collector:
    """Stores output and endings, then publishes the endings."""

    def __init__(self, store: Store, bus: Bus) -> None:
        self._store = store
        self._bus = bus
        self._tasks: set[asyncio.Task[None]] = set()

    async def take(self, cluster_id: str, frame: Output | Exit) -> None:
        """Store one frame of a cluster's agent; returns when it may be acknowledged.

        While the store is full it keeps trying, so that no output is lost; cancelling gives the frame up, but what the
        store has of it by then is told.
        """
        is_retry = False
        while True:
            try:
                if isinstance(frame, Output):
                    chunk = OutputChunk(frame.seq, frame.stream, frame.data)
                    await self._take_output(cluster_id, frame.result_id, chunk, is_retry=is_retry)
                else:
                    await self._take_exit(frame)
                return
            except StoreFull:
                _log.error("store full, an agent's frame waits", extra={"result_id": frame.result_id})
                is_retry = True
                await asyncio.sleep(_RETRY_SECONDS)

    async def end(
        self, result_id: str, ending: Ending, chunks: Sequence[OutputChunk] = (), *, is_whole: bool = False
    ) -> bool:
        """End a command. False: it had ended before, and nothing happened.

        `is_whole` says that `chunks` is all the output there is, so that nobody need read it from the store.
        Cancelling the caller does not stop it, since the store may have ended the command already. Raises StoreFull.
        """
        try:
            result = await self._store.end_command(result_id, ending, chunks)
        except asyncio.CancelledError:
            self._own(self._tell_end(result_id, ending, chunks), f"tell the end of {result_id}")
            raise
        if result is None:
            return False
        if chunks:
            self._bus.publish_output(Stored(result.cluster_id, result_id, chunks, is_last=True))
        self._bus.publish(Ended(result, chunks if is_whole else None))
        return True

    async def drop(self, result_id: str, reason: str) -> None:
        """End a command whose output has a gap: it is lost, since an answer with a hole in it would be wrong."""
        await self.end(result_id, Ending("lost", time.time(), reason=reason))

    async def close(self) -> None:
        """Tell what is not yet told, of which the callers are gone."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSE_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _take_output(self, cluster_id: str, result_id: str, chunk: OutputChunk, *, is_retry: bool) -> None:
        """Store a chunk and tell of it. `is_retry`: an earlier try may have stored it, and could not say so."""
        try:
            is_new = await self._store.append_output(result_id, [chunk])
        except asyncio.CancelledError:
            work = self._take_output(cluster_id, result_id, chunk, is_retry=True)
            self._own(work, f"tell output of {result_id}")
            raise
        if is_new:
            self._bus.publish_output(Stored(cluster_id, result_id, [chunk]))
        elif is_retry:
            stored = await self._store.read_chunks(result_id, after_seq=chunk.seq - 1, max_bytes=1)
            if chunk in stored.chunks:  # `is_last`: the command may have ended meanwhile
                self._bus.publish_output(Stored(cluster_id, result_id, [chunk], is_last=True))

    async def _tell_end(self, result_id: str, ending: Ending, chunks: Sequence[OutputChunk]) -> None:
        """End a command whose end nobody waits for any more; tell of it too if the store had ended it just before."""
        while True:
            try:
                if not await self.end(result_id, ending, chunks):
                    result = await self._store.get_result(result_id)
                    if result is not None:
                        self._bus.publish(Ended(result, None))
                return
            except StoreFull:
                await asyncio.sleep(_RETRY_SECONDS)

    def _own(self, work: Coroutine[Any, Any, None], name: str) -> None:
        async def guarded() -> None:
            try:
                await work
            except Exception:  # noqa: BLE001 - a border: logged, and life goes on
                _log.exception("what is stored could not be told", extra={"task": name})

        task = asyncio.create_task(guarded(), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

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
            omitted_lines=frame.omitted_lines,
            is_truncated=frame.omitted_bytes > 0 if frame.is_truncated is None else frame.is_truncated,
            redactions=msgspec.json.encode(frame.redactions).decode() if frame.redactions else None,
        )
        await self.end(frame.result_id, ending, chunks, is_whole=frame.seq == 1)
