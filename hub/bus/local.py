"""The bus of a hub that is one process: method calls and futures."""

import asyncio
import contextlib
from collections.abc import Iterator

from hub.bus.base import ClusterEvent, Deliver, Ended, Event, OnEnded, OnEvent, OnStored, Post, Presence, Stored
from schemas.frames import HubFrame


class LocalBus:
    """Everything stays in this process; see `Bus` for what each method promises."""

    def __init__(self) -> None:
        self._deliver: Deliver | None = None
        self._post: Post | None = None
        self._connected: dict[str, Presence] = {}
        self._on_ended: list[OnEnded] = []
        self._on_output: list[OnStored] = []
        self._listeners: list[OnEvent] = []
        self._watches: dict[str, list[asyncio.Future[Ended]]] = {}

    def serve(self, deliver: Deliver, post: Post) -> None:
        """See Bus."""
        self._deliver = deliver
        self._post = post

    def announce(self, cluster_id: str, presence: Presence | None) -> None:
        """See Bus."""
        was_connected = cluster_id in self._connected
        if presence is not None:
            self._connected[cluster_id] = presence
        else:
            self._connected.pop(cluster_id, None)
        if was_connected is not (presence is not None):
            self.publish_event(ClusterEvent("disconnected" if presence is None else "connected", cluster_id))

    def presence(self, cluster_id: str) -> Presence | None:
        """See Bus."""
        return self._connected.get(cluster_id)

    async def deliver(self, cluster_id: str, frame: HubFrame) -> bool:
        """See Bus."""
        return self._deliver is not None and await self._deliver(cluster_id, frame)

    def post(self, cluster_id: str, frame: HubFrame) -> None:
        """See Bus."""
        if self._post is not None:
            self._post(cluster_id, frame)

    def publish(self, ended: Ended) -> None:
        """See Bus."""
        for callback in self._on_ended:
            callback(ended)
        for watch in self._watches.get(ended.result.result_id, ()):
            if not watch.done():
                watch.set_result(ended)

    def on_ended(self, callback: OnEnded) -> None:
        """See Bus."""
        self._on_ended.append(callback)

    def publish_output(self, stored: Stored) -> None:
        """See Bus."""
        for callback in self._on_output:
            callback(stored)

    def on_output(self, callback: OnStored) -> None:
        """See Bus."""
        self._on_output.append(callback)

    def publish_event(self, event: Event) -> None:
        """See Bus."""
        for callback in tuple(self._listeners):
            callback(event)

    @contextlib.contextmanager
    def listen(self, callback: OnEvent) -> Iterator[None]:
        """See Bus."""
        self._listeners.append(callback)
        try:
            yield
        finally:
            self._listeners.remove(callback)

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
