"""Sessions: opened on a connected cluster, looked at by those who own them, closed or expired with what ran in them."""

import logging
import time
from dataclasses import replace
from typing import Any

from hub.bus.base import Bus, SessionEvent
from hub.dispatcher import Dispatcher
from hub.errors import NotFound
from hub.records import Session, SessionPage, SessionStatus
from hub.services.caller import Caller
from hub.services.clusters import ClusterService
from hub.store.base import Store
from schemas.ids import new_id

_log = logging.getLogger(__name__)


class SessionService:
    """Everything about sessions."""

    def __init__(self, store: Store, bus: Bus, dispatcher: Dispatcher, clusters: ClusterService) -> None:
        self._store = store
        self._bus = bus
        self._dispatcher = dispatcher
        self._clusters = clusters

    async def open(self, caller: Caller, *, cluster_id: str, ttl_seconds: int, metadata: dict[str, Any]) -> Session:
        """Open a session. Raises NotFound for an unknown cluster, ClusterOffline for one that is not connected."""
        caller.require_hands()
        await self._clusters.require_connected(caller, cluster_id)
        now = time.time()
        correlation_id = metadata.get("correlation_id")
        session = Session(
            session_id=new_id("sess"),
            cluster_id=cluster_id,
            key_id=caller.key.key_id,
            created_at=now,
            expires_at=now + ttl_seconds,
            last_activity=now,
            metadata=metadata,
            correlation_id=correlation_id if isinstance(correlation_id, str) else None,
            service_identity=caller.service_identity,
        )
        await self._store.add_session(session)
        self._bus.publish_event(SessionEvent("created", session))
        return session

    async def get(self, caller: Caller, session_id: str) -> Session:
        """A session the caller may see. Raises NotFound."""
        session = await self._store.get_session(session_id)
        if session is None or not caller.may_see_session(session):
            raise NotFound(f"Session not found: {session_id}")
        return as_of(session, time.time())

    async def list_sessions(
        self,
        caller: Caller,
        *,
        cluster_id: str | None,
        status: SessionStatus | None,
        limit: int,
        cursor: str | None,
    ) -> SessionPage:
        """Sessions of every key on the clusters that the caller may see, newest first."""
        caller.require_overview()
        among = None
        if caller.key.clusters is not None:
            clusters = await self._store.list_clusters()
            among = [each.cluster_id for each in clusters if caller.may_see_cluster(each.cluster_id)]
        return await self._store.list_sessions(
            cluster_id=cluster_id, status=status, limit=limit, cursor=cursor, among=among
        )

    async def close(self, caller: Caller, session_id: str) -> Session:
        """Close a session and cancel what runs in it; one that ended before stays as it is. Raises NotFound."""
        caller.require_hands()
        before = await self.get(caller, session_id)
        ended = await self._store.close_session(session_id, time.time())
        if ended is None:
            raise NotFound(f"Session not found: {session_id}")
        if before.status == "active":
            await self._dispatcher.end_session(ended, "the session was closed")
        return ended.session

    async def expire(self, now: float) -> None:
        """Expire the sessions whose time is up; the reaper calls it."""
        for ended in await self._store.expire_sessions(now):
            await self._dispatcher.end_session(ended, "the session expired")


def as_of(session: Session, now: float) -> Session:
    """The session as a caller should see it: one whose time is up is expired, whether or not the reaper was there."""
    if session.status == "active" and session.expires_at <= now:
        return replace(session, status="expired", closed_at=session.expires_at)
    return session
