"""The bus of a hub that is one process: method calls and futures."""

import asyncio

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

    def watch(self, result_id: str) -> "_Watch":
        """See Bus."""
        return _Watch(self._watches, result_id)


class _Watch:
    """A future among those of its result, for as long as the context is open."""

    __slots__ = ("_all", "_future", "_result_id")

    def __init__(self, watches: dict[str, list[asyncio.Future[Ended]]], result_id: str) -> None:
        self._all = watches
        self._result_id = result_id
        self._future: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()

    def __enter__(self) -> asyncio.Future[Ended]:
        self._all.setdefault(self._result_id, []).append(self._future)
        return self._future

    def __exit__(self, *_: object) -> None:
        watches = self._all[self._result_id]
        watches.remove(self._future)
        if not watches:
            del self._all[self._result_id]
        self._future.cancel()
