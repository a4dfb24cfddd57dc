"""Who is here: the connections of this replica, one per cluster, and the heartbeat that keeps and ends them."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

from hub.agents.connection import Connection
from hub.bus.base import Bus
from hub.records import Ending
from hub.settings import Agents
from hub.store.base import Store
from schemas.frames import HEARTBEATS_MISSED, CloseCode, Drain, Heartbeat, HubFrame

_log = logging.getLogger(__name__)

End = Callable[[str, Ending], Awaitable[bool]]

# Agents of a stopping hub are sent away spread over this time.
_DRAIN_SPREAD_SECONDS: Final = 5.0
# How stale `last_seen` in the store may be when the hub is killed.
_SEEN_INTERVAL_SECONDS: Final = 30.0


class Registry:
    """The connections, by cluster. The newest of a cluster wins; liveness is the socket's, nothing else's."""

    def __init__(self, store: Store, bus: Bus, end: End, agent_came: Callable[[str], None], settings: Agents) -> None:
        self._store = store
        self._bus = bus
        self._end = end
        self._agent_came = agent_came
        self._settings = settings
        self._connections: dict[str, Connection] = {}
        self._departed: dict[str, float] = {}
        bus.serve(self.deliver)

    def __len__(self) -> int:
        return len(self._connections)

    def find(self, cluster_id: str) -> Connection | None:
        """The cluster's connection to this replica."""
        return self._connections.get(cluster_id)

    async def deliver(self, cluster_id: str, frame: HubFrame) -> bool:
        """Send a frame to the cluster's agent; False: it is not here, or its link is broken."""
        connection = self._connections.get(cluster_id)
        return connection is not None and await connection.send(frame)

    async def hold(self, connection: Connection) -> None:
        """Keep a welcomed connection for as long as its socket lives; its commands that are left then are lost."""
        cluster_id = connection.cluster_id
        older = self._connections.get(cluster_id)
        self._connections[cluster_id] = connection
        if older is not None:
            older.close_soon(CloseCode.REPLACED)
        self._bus.announce(cluster_id, is_connected=True)
        hello = connection.hello
        _log.info("agent connected", extra={"cluster_id": cluster_id, "agent_version": hello.agent_version})
        try:
            await self._store.record_agent(
                cluster_id,
                agent_version=hello.agent_version,
                kubernetes_version=hello.kubernetes_version,
                now=time.time(),
            )
            self._agent_came(cluster_id)
            await connection.read(self._on_leaving)
        finally:
            self._departed[cluster_id] = connection.last_seen
            if self._connections.get(cluster_id) is connection:
                del self._connections[cluster_id]
                self._bus.announce(cluster_id, is_connected=False)
            _log.info("agent disconnected", extra={"cluster_id": cluster_id})
            for result_id in await connection.settle():
                reason = "The agent's connection broke while the command ran"
                await self._end(result_id, Ending("lost", time.time(), reason=reason))

    def last_seen(self, cluster_id: str) -> float | None:
        """When the cluster's agent was last heard here, if the store does not know it yet."""
        connection = self._connections.get(cluster_id)
        return connection.last_seen if connection else self._departed.get(cluster_id)

    def close_token(self, token_id: str) -> None:
        """Cut the link that was opened with a token that has just been revoked."""
        for connection in self._connections.values():
            if connection.token_id == token_id:
                connection.close_soon(CloseCode.TOKEN_REVOKED)

    def close_cluster(self, cluster_id: str) -> None:
        """Cut the link of a cluster that has just been removed."""
        connection = self._connections.get(cluster_id)
        if connection is not None:
            connection.close_soon(CloseCode.TOKEN_REVOKED)

    def drain(self) -> None:
        """Tell every agent to look for another hub, spread over some seconds."""
        for connection in self._connections.values():
            delay = random.uniform(0.5, _DRAIN_SPREAD_SECONDS)  # noqa: S311 - spreads load, hides nothing
            connection.send_soon(Drain(delay, "the hub is stopping"))

    async def close(self) -> None:
        """Close every link with 1001."""
        closing = [connection.close(CloseCode.GOING_AWAY) for connection in list(self._connections.values())]
        await asyncio.gather(*closing, return_exceptions=True)

    async def beat(self) -> None:
        """Keep the links alive and cut the dead ones, until cancelled; also keeps `last_seen` in the store."""
        interval = self._settings.heartbeat_interval_seconds
        seen_at = time.monotonic()
        while True:
            await asyncio.sleep(min(1.0, interval / 4))
            for connection in list(self._connections.values()):
                if connection.silent_seconds > interval * HEARTBEATS_MISSED:
                    connection.close_soon(CloseCode.SILENT_PEER)
                elif connection.unsaid_seconds >= interval * 0.75:
                    connection.send_soon(Heartbeat())
            is_due = time.monotonic() - seen_at >= _SEEN_INTERVAL_SECONDS
            if is_due or self._departed:
                seen_at = time.monotonic() if is_due else seen_at
                await self._record_seen(is_due=is_due)

    async def record_seen(self) -> None:
        """Write down when each agent was last heard; the last thing a stopping hub does."""
        await self._record_seen(is_due=True)

    async def _record_seen(self, *, is_due: bool) -> None:
        departed, self._departed = self._departed, {}
        seen = {cluster_id: link.last_seen for cluster_id, link in self._connections.items()} if is_due else {}
        try:
            await self._store.record_seen(departed | seen)
        except Exception:  # noqa: BLE001 - a border: logged, and life goes on
            _log.exception("last_seen could not be stored")

    def _on_leaving(self, connection: Connection) -> None:
        if self._connections.get(connection.cluster_id) is connection:
            self._bus.announce(connection.cluster_id, is_connected=False)
