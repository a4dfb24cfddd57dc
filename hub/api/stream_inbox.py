"""What happened to sessions and clusters while a client's socket was busy: a bounded queue."""

import asyncio
from collections import deque
from typing import Final

from hub.bus.base import ClusterEvent, Event
from hub.records import Session

# A fleet whose agents all come back at once is as many events; an event takes some 200 bytes.
_MAX_EVENTS: Final = 20_000


class Inbox:
    """Events in their order. `put` never blocks; `next` waits."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._changed = asyncio.Event()
        self._session: Session | None = None
        self._is_full = False

    def choose(self, session: Session | None) -> None:
        """Keep only what concerns one session and its cluster; None: keep all."""
        self._session = session
        kept = [event for event in self._events if self._is_wanted(event)]
        self._events = deque(kept)

    def put(self, event: Event) -> None:
        """Add an event; beyond the bound it is dropped, and `next` says so."""
        if not self._is_wanted(event):
            return
        if len(self._events) >= _MAX_EVENTS:
            self._is_full = True
        else:
            self._events.append(event)
        self._changed.set()

    async def next(self) -> Event | None:
        """The oldest event. None: events were dropped behind it. One caller at a time; cancelling loses nothing."""
        while not self._events:
            if self._is_full:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._events.popleft()

    def _is_wanted(self, event: Event) -> bool:
        if self._session is None:
            return True
        if isinstance(event, ClusterEvent):
            return event.cluster_id == self._session.cluster_id
        return event.session.session_id == self._session.session_id
