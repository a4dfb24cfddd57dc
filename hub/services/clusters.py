"""Clusters and their agent tokens: registered, shown, removed."""

import logging
import time
from dataclasses import dataclass
from typing import Literal

import msgspec

from hub.agents.registry import Registry
from hub.bus.base import Bus
from hub.dispatcher import Dispatcher
from hub.errors import ClusterOffline, Forbidden, InvalidRequest, NotFound, Unauthorized
from hub.records import Cluster, Token
from hub.services.caller import Caller
from hub.store.base import Store
from schemas import labels
from schemas.ids import AGENT_TOKEN_PREFIX, hash_secret, new_id, new_secret
from schemas.policy import AnnouncedPolicy

_log = logging.getLogger(__name__)

_MAX_SECRET_LENGTH = 512

ClusterStatus = Literal["connected", "disconnected"]


@dataclass(frozen=True, slots=True)
class ClusterView:
    """A cluster as it is now. `last_seen` is None for one whose agent never came."""

    cluster: Cluster
    status: ClusterStatus
    last_seen: float | None


@dataclass(frozen=True, slots=True)
class PolicyView:
    """What a cluster's owner allows, as its agent last told at `told_at`; None: no agent has told yet."""

    policy: AnnouncedPolicy | None
    told_at: float | None


@dataclass(frozen=True, slots=True)
class ClusterPage:
    """Some clusters by id; `total` counts all that match, `next_cursor` is None on the last page."""

    clusters: list[ClusterView]
    total: int
    next_cursor: str | None


class ClusterService:
    """Everything about clusters."""

    def __init__(self, store: Store, bus: Bus, dispatcher: Dispatcher, registry: Registry) -> None:
        self._store = store
        self._bus = bus
        self._dispatcher = dispatcher
        self._registry = registry

    async def authenticate_agent(self, secret: str) -> Token:
        """The token of an agent's secret; it names the cluster. Raises Unauthorized."""
        if not secret or len(secret) > _MAX_SECRET_LENGTH:
            raise Unauthorized("Invalid or missing agent token")
        token = await self._store.find_token(hash_secret(secret))
        if token is None or (token.expires_at is not None and token.expires_at <= time.time()):
            raise Unauthorized("Invalid or missing agent token")
        return token

    async def get(self, caller: Caller, cluster_id: str) -> ClusterView:
        """A cluster the caller may see. Raises NotFound."""
        cluster = await self._store.get_cluster(cluster_id) if caller.may_see_cluster(cluster_id) else None
        if cluster is None:
            raise NotFound(f"Cluster not found: {cluster_id}")
        return self._view(cluster)

    async def require_connected(self, caller: Caller, cluster_id: str) -> None:
        """Raise NotFound, or ClusterOffline with when it was last seen, unless the cluster's agent is connected."""
        view = await self.get(caller, cluster_id)
        if view.status == "disconnected":
            raise offline(view)

    async def policy(self, caller: Caller, cluster_id: str) -> PolicyView:
        """The policy of a cluster the caller may see, also of one that is away. Raises NotFound."""
        await self.get(caller, cluster_id)
        told = await self._store.get_policy(cluster_id)
        if told is None:
            return PolicyView(None, None)
        return PolicyView(msgspec.json.decode(told[0], type=AnnouncedPolicy), told[1])

    async def list_clusters(
        self,
        caller: Caller,
        *,
        status: ClusterStatus | None = None,
        cluster_id: str | None = None,
        selector: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> ClusterPage:
        """Registered clusters by id, those after `cursor`, `limit` at most. Raises LabelError for no selector."""
        caller.require_overview()
        views = [self._view(cluster) for cluster in await self._store.list_clusters()]
        chosen = None if selector is None else labels.selector(selector)
        matching = [
            view
            for view in views
            if caller.may_see_cluster(view.cluster.cluster_id)
            and status in (None, view.status)
            and cluster_id in (None, view.cluster.cluster_id)
            and (chosen is None or chosen.matches(view.cluster.all_labels))
        ]
        rest = [view for view in matching if cursor is None or view.cluster.cluster_id > cursor]
        page = rest[:limit]
        next_cursor = page[-1].cluster.cluster_id if len(rest) > limit else None
        return ClusterPage(page, len(matching), next_cursor)

    async def visible(self, caller: Caller) -> list[Cluster]:
        """The clusters that the caller may see, by id."""
        return [each for each in await self._store.list_clusters() if caller.may_see_cluster(each.cluster_id)]

    async def activity(self, cluster_id: str) -> tuple[int, int]:
        """How many sessions of a cluster are active, and how many of its commands wait."""
        return await self._store.count_active_sessions(cluster_id), self._dispatcher.queue_depth(cluster_id)

    async def register(
        self, caller: Caller, cluster_id: str, name: str | None, set_labels: dict[str, str]
    ) -> tuple[ClusterView, Token, str]:
        """Register a cluster; returns it with its first token and the token's secret, shown once."""
        caller.require_admin()
        if not caller.may_see_cluster(cluster_id):
            raise Forbidden(f"This key is limited to the clusters {', '.join(caller.key.clusters or ())}")
        now = time.time()
        cluster = Cluster(cluster_id, name or cluster_id, now, labels=set_labels)
        secret = new_secret(AGENT_TOKEN_PREFIX)
        token = Token(new_id("tok"), cluster_id, hash_secret(secret), now)
        await self._store.add_cluster(cluster, token)
        _log.info("cluster registered", extra={"cluster_id": cluster_id, "by": caller.key.key_id})
        return self._view(cluster), token, secret

    async def change(
        self, caller: Caller, cluster_id: str, *, name: str | None, labels: dict[str, str] | None
    ) -> ClusterView:
        """Give a cluster another name, other labels than it had, or both. Raises NotFound."""
        caller.require_admin()
        cluster = None
        if caller.may_see_cluster(cluster_id):
            cluster = await self._store.change_cluster(cluster_id, name=name, labels=labels)
        if cluster is None:
            raise NotFound(f"Cluster not found: {cluster_id}")
        _log.info("cluster changed", extra={"cluster_id": cluster_id, "by": caller.key.key_id})
        return self._view(cluster)

    async def remove(self, caller: Caller, cluster_id: str) -> None:
        """Remove a cluster: its tokens stop working, its link is cut, its sessions close."""
        caller.require_admin()
        ended = (
            await self._store.remove_cluster(cluster_id, time.time()) if caller.may_see_cluster(cluster_id) else None
        )
        if ended is None:
            raise NotFound(f"Cluster not found: {cluster_id}")
        for session in ended:
            await self._dispatcher.end_session(session, "the cluster was removed")
        self._registry.close_cluster(cluster_id)
        _log.info("cluster removed", extra={"cluster_id": cluster_id, "by": caller.key.key_id})

    async def list_tokens(self, caller: Caller, cluster_id: str) -> list[Token]:
        """A cluster's tokens."""
        caller.require_admin()
        await self.get(caller, cluster_id)
        return await self._store.list_tokens(cluster_id)

    async def add_token(self, caller: Caller, cluster_id: str, expires_at: float | None) -> tuple[Token, str]:
        """Make one more token, so that an agent can change over before the old one is removed."""
        caller.require_admin()
        await self.get(caller, cluster_id)
        now = time.time()
        if expires_at is not None and expires_at <= now:
            raise InvalidRequest("expires_at is in the past", field="expires_at", code="invalid_value")
        secret = new_secret(AGENT_TOKEN_PREFIX)
        token = Token(new_id("tok"), cluster_id, hash_secret(secret), now, expires_at)
        await self._store.add_token(token)
        _log.info("agent token made", extra={"cluster_id": cluster_id, "token_id": token.token_id})
        return token, secret

    async def remove_token(self, caller: Caller, cluster_id: str, token_id: str) -> None:
        """Revoke a token and cut the link that was opened with it."""
        caller.require_admin()
        await self.get(caller, cluster_id)
        if not await self._store.remove_token(cluster_id, token_id):
            raise NotFound(f"Token not found: {token_id}")
        self._registry.close_token(token_id)
        _log.info("agent token revoked", extra={"cluster_id": cluster_id, "token_id": token_id})

    def _view(self, cluster: Cluster) -> ClusterView:
        is_connected = self._bus.presence(cluster.cluster_id) is not None
        last_seen = self._registry.last_seen(cluster.cluster_id) or cluster.last_seen
        return ClusterView(cluster, "connected" if is_connected else "disconnected", last_seen)


def offline(view: ClusterView) -> ClusterOffline:
    """The error for a cluster whose agent is not here; `last_seen` in its details is seconds since the epoch."""
    details = {"cluster_id": view.cluster.cluster_id, "last_seen": view.last_seen}
    return ClusterOffline("Cluster agent is not connected", details=details)
