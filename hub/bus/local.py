"""The bus of a hub that is one process: method calls and futures."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from hub.bus.base import Deliver, Ended, OnEnded
from schemas.frames import HubFrame


class LocalBus:
    """Everything stays in this process; see `Bus` for what each method promises."""

    def __init__(self) -> None:
        self._deliver: Deliver | None = None
        self._connected: set[str] = set()
        self._callbacks: list[OnEnded] = []
        self._watches: dict[str, list[asyncio.Future[Ended]]] = {}

    def serve(self, deliver: Deliver) -> None:
        """See Bus."""
        self._deliver = deliver

    def announce(self, cluster_id: str, *, is_connected: bool) -> None:
        """See Bus."""
        if is_connected:
            self._connected.add(cluster_id)
        else:
            self._connected.discard(cluster_id)

    def is_connected(self, cluster_id: str) -> bool:
        """See Bus."""
        return cluster_id in self._connected

    async def deliver(self, cluster_id: str, frame: HubFrame) -> bool:
        """See Bus."""
        return self._deliver is not None and await self._deliver(cluster_id, frame)

    def publish(self, ended: Ended) -> None:
        """See Bus."""
        for callback in self._callbacks:
            callback(ended)
        for watch in self._watches.get(ended.result.result_id, ()):
            if not watch.done():
                watch.set_result(ended)

    def on_ended(self, callback: OnEnded) -> None:
        """See Bus."""
        self._callbacks.append(callback)

    @contextmanager
    def watch(self, result_id: str) -> Iterator[asyncio.Future[Ended]]:
        """See Bus."""
        watch: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        watches = self._watches.setdefault(result_id, [])
        watches.append(watch)
        try:
            yield watch
        finally:
            watches.remove(watch)
            if not watches:
                del self._watches[result_id]
            watch.cancel()
