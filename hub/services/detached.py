"""Work that goes on when its caller leaves: what was begun for it is ended in order."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

_log = logging.getLogger(__name__)

T = TypeVar("T")

# A stopping hub waits so long for what it began for callers that have left.
_CLOSE_SECONDS: Final = 5.0


class Detached:
    """Owns such tasks."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def finish(self, work: Coroutine[Any, Any, T], name: str) -> T:
        """Await work that goes on when the caller is cancelled."""
        return await asyncio.shield(self.begin(work, name))

    def begin(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Begin work that nobody need await."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def close(self) -> None:
        """Wait a little for all of it, then end it."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSE_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:  # read, for a caller who is no longer there to
            _log.debug("a command was refused", extra={"task": task.get_name(), "error": str(task.exception())})
