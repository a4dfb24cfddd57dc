"""Whether the hub lives, and whether it takes work."""

import time

from hub.dispatcher import Dispatcher
from hub.errors import Draining, Unavailable
from hub.store.base import Store


class HealthService:
    """What /health and /ready say."""

    def __init__(self, store: Store, dispatcher: Dispatcher) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._started_at = time.monotonic()
        self._is_started = False

    def started(self) -> None:
        """The hub listens."""
        self._is_started = True

    @property
    def uptime_seconds(self) -> int:
        """Whole seconds since the process built its services."""
        return int(time.monotonic() - self._started_at)

    async def require_ready(self) -> None:
        """Raise Unavailable while starting, Draining while stopping, StoreFull when the store cannot be written."""
        if not self._is_started:
            raise Unavailable("The hub is starting", retry_after=1)
        if self._dispatcher.is_draining:
            raise Draining
        await self._store.check()
