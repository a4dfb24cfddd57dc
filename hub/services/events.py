"""Events: what happens to sessions and clusters, to those who may see them."""

from contextlib import AbstractContextManager

from hub.bus.base import Bus, ClusterEvent, Event, OnEvent
from hub.services.caller import Caller


class EventService:
    """Everything about events."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def listen(self, caller: Caller, callback: OnEvent) -> AbstractContextManager[None]:
        """Have every event this caller may see told to `callback`, which must not block, while the context is open."""

        def filtered(event: Event) -> None:
            if isinstance(event, ClusterEvent):
                is_visible = caller.may_see_cluster(event.cluster_id)
            else:
                is_visible = caller.may_see_session(event.session)
            if is_visible:
                callback(event)

        return self._bus.listen(filtered)
