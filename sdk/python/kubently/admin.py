"""What admins do: clusters, the tokens of their agents, and API keys."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from kubently.models import Cluster, ClusterTokens, Json, Key, NewCluster, NewKey, NewToken, RotatedKey, parse_all
from kubently.pages import pages
from kubently.transport import Transport, path_part


class Admin:
    """`client.admin`. Everything raises Forbidden for a key that is not an admin's."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def clusters(
        self, *, status: str | None = None, selector: str | None = None, limit: int | None = None
    ) -> list[Cluster]:
        """The same as `client.clusters`."""
        query = {"status": status, "selector": selector}
        return parse_all(Cluster, await pages(self._transport, "/admin/clusters", "clusters", query, limit, most=1000))

    async def cluster(self, cluster_id: str) -> ClusterTokens:
        """A cluster with its tokens. Raises NotFound."""
        path = f"/admin/clusters/{path_part(cluster_id)}"
        return ClusterTokens.parse((await self._transport.request("GET", path, is_repeatable=True)).json)

    async def add_cluster(
        self, cluster_id: str, *, name: str | None = None, labels: Mapping[str, str] | None = None
    ) -> NewCluster:
        """Register a cluster; the answer has its first agent token, this once. Raises AlreadyExists."""
        body: Json = {"cluster_id": cluster_id} | _given(name=name, labels=labels)
        return NewCluster.parse(await self._post("/admin/clusters", body))

    async def change_cluster(
        self, cluster_id: str, *, name: str | None = None, labels: Mapping[str, str] | None = None
    ) -> Cluster:
        """Give a cluster another name, or other labels than admins had set; None changes nothing. Raises NotFound."""
        path, body = f"/admin/clusters/{path_part(cluster_id)}", _given(name=name, labels=labels)
        return Cluster.parse((await self._transport.request("PATCH", path, body=body, is_repeatable=True)).json)

    async def remove_cluster(self, cluster_id: str) -> None:
        """Remove a cluster: its link and its sessions end, its results stay. Raises NotFound."""
        await self._delete(f"/admin/clusters/{path_part(cluster_id)}")

    async def add_token(self, cluster_id: str, *, expires_at: datetime | None = None) -> NewToken:
        """One more token for a cluster's agent. `expires_at` is an aware datetime. Raises NotFound."""
        body: Json = {"expires_at": _time(expires_at)}
        return NewToken.parse(await self._post(f"/admin/clusters/{path_part(cluster_id)}/tokens", body))

    async def remove_token(self, cluster_id: str, token_id: str) -> None:
        """Revoke a token, and close the link that was opened with it. Raises NotFound."""
        await self._delete(f"/admin/clusters/{path_part(cluster_id)}/tokens/{path_part(token_id)}")

    async def keys(self) -> list[Key]:
        """API keys, oldest first; for auditors too."""
        reply = await self._transport.request("GET", "/admin/keys", is_repeatable=True)
        return parse_all(Key, reply.json["keys"])

    async def add_key(
        self,
        name: str,
        role: str = "user",
        *,
        clusters: Sequence[str] | None = None,
        namespaces: Sequence[str] | None = None,
        command_types: Sequence[str] | None = None,
        kinds: Sequence[str] | None = None,
        denied_kinds: Sequence[str] | None = None,
        standard_per_minute: int | None = None,
        execute_per_minute: int | None = None,
        session_per_minute: int | None = None,
        max_output_bytes: int | None = None,
        expires_at: datetime | None = None,
    ) -> NewKey:
        """Make a key; the answer has its secret, this once. `role`: `"user"`, `"admin"`, `"auditor"`.

        What is None limits nothing; `clusters` and `namespaces` are globs. See docs/api.md, "API keys".
        """
        rates = {
            "standard_per_minute": standard_per_minute,
            "execute_per_minute": execute_per_minute,
            "session_per_minute": session_per_minute,
        }
        limits = {
            "clusters": clusters,
            "namespaces": namespaces,
            "command_types": command_types,
            "kinds": kinds,
            "denied_kinds": denied_kinds,
        }
        body: Json = {"name": name, "role": role, "expires_at": _time(expires_at), "max_output_bytes": max_output_bytes}
        body |= {word: None if globs is None else list(globs) for word, globs in limits.items()}
        if any(rate is not None for rate in rates.values()):
            body["rate_limits"] = rates
        return NewKey.parse(await self._post("/admin/keys", body))

    async def rotate_key(self, key_id: str, *, overlap_seconds: int | None = None) -> RotatedKey:
        """A new secret; the one it had works for `overlap_seconds` more, None for an hour. Raises NotFound."""
        body: Json = {} if overlap_seconds is None else {"overlap_seconds": overlap_seconds}
        return RotatedKey.parse(await self._post(f"/admin/keys/{path_part(key_id)}/rotate", body))

    async def remove_key(self, key_id: str) -> None:
        """Remove a key; what it holds open ends. Raises NotFound."""
        await self._delete(f"/admin/keys/{path_part(key_id)}")

    async def _post(self, path: str, body: Json) -> Json:
        return (await self._transport.request("POST", path, body=body, is_repeatable=False)).json

    async def _delete(self, path: str) -> None:
        """Not repeated where the first may have arrived: the second would be told that there is no such thing."""
        await self._transport.request("DELETE", path, is_repeatable=False)


def _given(*, name: str | None, labels: Mapping[str, str] | None) -> Json:
    return ({} if name is None else {"name": name}) | ({} if labels is None else {"labels": dict(labels)})


def _time(moment: datetime | None) -> str | None:
    if moment is not None and moment.tzinfo is None:
        raise ValueError("expires_at has no time zone; use datetime(..., tzinfo=timezone.utc)")
    return None if moment is None else moment.isoformat()
