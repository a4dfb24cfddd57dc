"""The streams that clients hold open, sockets and lines alike: counted by key, and told when the hub stops."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Coroutine, Iterator
from typing import Any, Final, Protocol

from hub.errors import Draining, TooManyStreams
from hub.settings import Streams

_log = logging.getLogger(__name__)

# A stopping hub waits so long for what it still does for clients that have left.
_SETTLE_SECONDS: Final = 5.0
# A fair time to ask again in, for a key that has too many open.
_RETRY_AFTER_SECONDS: Final = 5


class OpenStream(Protocol):
    """One client's stream."""

    async def drain(self) -> None:
        """Tell the client that the hub stops and where to go on, and end; never takes longer than some seconds."""


class OpenStreams:
    """All of them, and the tasks that outlive one."""

    def __init__(self, settings: Streams) -> None:
        self._settings = settings
        self._streams: set[OpenStream] = set()
        self._per_key: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_draining = False

    def __len__(self) -> int:
        return len(self._streams)

    @contextlib.contextmanager
    def hold(self, key_id: str, stream: OpenStream) -> Iterator[None]:
        """Count a key's stream for as long as the context is open. Raises Draining, TooManyStreams."""
        if self._is_draining:
            raise Draining
        most = self._settings.max_sockets_per_key
        if self._per_key[key_id] >= most:
            raise TooManyStreams(
                f"This key has {most} streams open, no more may be; close one first",
                details={"limit": most},
                headers={"Retry-After": str(_RETRY_AFTER_SECONDS)},
            )
        self._per_key[key_id] += 1
        self._streams.add(stream)
        try:
            yield
        finally:
            self._streams.discard(stream)
            self._per_key[key_id] -= 1
            if not self._per_key[key_id]:
                del self._per_key[key_id]

    def own(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Do something that must be done though its client has left."""

        async def guarded() -> None:
            try:
                await work
            except Exception:  # noqa: BLE001 - a border: logged, and life goes on
                _log.exception("what a client left behind could not be ended", extra={"task": name})

        task = asyncio.create_task(guarded(), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self) -> None:
        """Admit no more streams, and end those there are; a few seconds at most."""
        self._is_draining = True
        await asyncio.gather(*(stream.drain() for stream in tuple(self._streams)), return_exceptions=True)
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=_SETTLE_SECONDS)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
