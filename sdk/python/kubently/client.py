"""The client: everything that can be asked of a hub.

client = kubently.Client("https://hub.example.com:8080", "kubently_key_...")
async with client.debug_session("production-cluster") as session:
    result = await session.execute("get", ["pods", "-A"])
    print(result.output)
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kubently.admin import Admin
from kubently.command import Command
from kubently.errors import ServiceUnavailable
from kubently.fleet import Fleet
from kubently.models import (
    AuditRow,
    Cluster,
    ClusterPolicy,
    ClusterState,
    Health,
    Json,
    Key,
    Result,
    Session,
    Verdict,
    parse_all,
)
from kubently.pages import pages
from kubently.session import DebugSession, follow
from kubently.settings import DEFAULT_RETRIES, DEFAULT_TIMEOUT_SECONDS, Settings
from kubently.stream import Stream
from kubently.transport import Transport, path_part


class Client:
    """A hub and a key to it.

    `endpoint` and `api_key` default to `KUBENTLY_ENDPOINT` and `KUBENTLY_API_KEY`. `timeout` is how many seconds the
    hub may take over a request, beside what the command may. `retries` is how often what may be repeated is sent once
    more, waiting as the hub asks. `ca_file` has the authorities to trust, in PEM, in place of Python's own
    (`KUBENTLY_CA_FILE`); `proxy` is the URL of one, None for what the environment says. `service_identity` says who
    calls, `correlation_id` is the trace that all calls belong to.

    It may be used as it is. `async with client:` keeps connections from call to call; so does a session. Not for
    several event loops or threads at once: see `kubently.sync`. Raises ConfigurationError.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        retries: int = DEFAULT_RETRIES,
        ca_file: str | Path | None = None,
        proxy: str | None = None,
        service_identity: str | None = None,
        correlation_id: str | None = None,
    ) -> None:
        settings = Settings.make(
            endpoint,
            api_key,
            timeout=timeout,
            retries=retries,
            ca_file=ca_file,
            proxy=proxy,
            service_identity=service_identity,
            correlation_id=correlation_id,
        )
        self._transport = Transport(settings)
        self.admin = Admin(self._transport)
        """What admins do: clusters, their tokens, and keys."""

    def __repr__(self) -> str:
        return f"<Client of {self.endpoint}>"

    @property
    def endpoint(self) -> str:
        """Where the hub is, without a `/` behind."""
        return self._transport.settings.endpoint

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.__aexit__(kind, error, trace)

    # sessions

    def debug_session(
        self,
        cluster_id: str,
        *,
        ttl_seconds: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        wait: int = 0,
    ) -> DebugSession:
        """A session on a cluster, for `async with`.

        It lives for `ttl_seconds` at most, None for the hub's hour. `metadata` is yours, up to 4 KiB of JSON. `wait`:
        so many seconds for the cluster's agent, if it is away.
        """
        return DebugSession(self._transport, cluster_id, ttl_seconds=ttl_seconds, metadata=metadata, wait=wait)

    async def session(self, session_id: str) -> Session:
        """How a session is. Raises NotFound."""
        return Session.parse(await self._get(f"/debug/session/{path_part(session_id)}"))

    async def close_session(self, session_id: str) -> None:
        """Close a session by its id, which cancels what runs in it. Raises NotFound."""
        await self._transport.request("DELETE", f"/debug/session/{path_part(session_id)}", is_repeatable=True)

    async def sessions(
        self, *, cluster_id: str | None = None, status: str | None = None, limit: int | None = None
    ) -> list[Session]:
        """Sessions, newest first, `limit` at most; of all keys, for admins and auditors.

        `status` is `"active"`, which is also meant by None, `"closed"` or `"expired"`.
        """
        query = {"cluster_id": cluster_id, "status": status}
        return parse_all(Session, await pages(self._transport, "/debug/sessions", "sessions", query, limit, most=500))

    # results

    async def result(
        self,
        result_id: str,
        *,
        wait: float = 0,
        offset: int | None = None,
        limit: int | None = None,
        full: bool = False,
    ) -> Result:
        """A command's result, waiting for its end for `wait` seconds, 60 at most.

        `offset` and `limit` read a part of `output`, in bytes of UTF-8; `full` what it was before `grep` and the like,
        where the command kept it. Raises NotFound, OutputExpired.
        """
        query = {"wait": wait or None, "offset": offset, "limit": limit, "full": full or None}
        return Result.parse(await self._get(f"/debug/result/{path_part(result_id)}", query, more_seconds=wait))

    async def cancel(self, result_id: str) -> Result:
        """End a command early; one that has ended stays as it was. `is_open` when it takes longer. Raises NotFound."""
        path = f"/debug/result/{path_part(result_id)}"
        return Result.parse((await self._transport.request("DELETE", path, is_repeatable=True)).json)

    def follow(self, result_id: str, after_seq: int = 0) -> Stream:
        """Read the output of a command that runs or has run, behind a number; leaving it leaves the command alone."""
        return follow(self._transport, path_part(result_id), after_seq)

    # clusters

    async def clusters(
        self, *, status: str | None = None, selector: str | None = None, limit: int | None = None
    ) -> list[Cluster]:
        """Clusters by id, `limit` at most; for admins and auditors.

        `status` is `"connected"` or `"disconnected"`, `selector` chooses by labels: `"env=prod,tier in (web,api)"`.
        """
        query = {"status": status, "selector": selector}
        return parse_all(Cluster, await pages(self._transport, "/clusters", "clusters", query, limit, most=1000))

    async def cluster(self, cluster_id: str) -> ClusterState:
        """How a cluster is now. Raises NotFound."""
        return ClusterState.parse(await self._get(f"/clusters/{path_part(cluster_id)}/status"))

    async def policy(self, cluster_id: str) -> ClusterPolicy:
        """What a cluster's owner allows. Raises NotFound."""
        return ClusterPolicy.parse(await self._get(f"/clusters/{path_part(cluster_id)}/policy"))

    async def validate(self, cluster_id: str, command_type: str, args: Sequence[str] = ()) -> Verdict:
        """Whether a command may run, by grammar, hub, key and the cluster's policy; nothing runs. Raises NotFound."""
        body = {"cluster_id": cluster_id, "command_type": command_type, "args": list(args)}
        reply = await self._transport.request("POST", "/debug/validate", body=body, is_repeatable=True)
        return Verdict.parse(reply.json)

    def fleet(
        self,
        command_type: str,
        args: Sequence[str] = (),
        *,
        clusters: Sequence[str] = (),
        selector: str | None = None,
        concurrency: int | None = None,
        timeout: int | None = None,
        grep: str | None = None,
        tail_lines: int | None = None,
        max_lines: int | None = None,
        max_output_bytes: int | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Fleet:
        """Run a command on many clusters, and read each one's answer as it comes: see `Fleet`.

        `clusters` are names and globs, `selector` chooses by labels; what either chooses is asked, `concurrency` at a
        time, None for the hub's 16. `timeout` is in seconds for each cluster; the others are as `execute` has them.
        """
        command = Command(
            command_type=command_type,
            args=args,
            timeout=timeout,
            grep=grep,
            tail_lines=tail_lines,
            max_lines=max_lines,
            max_output_bytes=max_output_bytes,
        )
        chosen = {
            "selector": selector,
            "concurrency": concurrency,
            "metadata": None if metadata is None else {**metadata},
        }
        body = command.body() | {name: value for name, value in chosen.items() if value is not None}
        return Fleet(self._transport, body | ({"clusters": list(clusters)} if clusters else {}))

    # the hub

    async def key(self) -> Key:
        """What the key of this client is."""
        return Key.parse(await self._get("/auth/self"))

    async def audit(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        kind: str | None = None,
        decision: str | None = None,
        key_id: str | None = None,
        cluster_id: str | None = None,
        session_id: str | None = None,
        result_id: str | None = None,
        limit: int | None = 100,
    ) -> list[AuditRow]:
        """Rows of the audit log, newest first, `limit` at most and None for all; for admins and auditors.

        Rows of `since` and later, and before `until`: aware datetimes.
        """
        query = {
            "since": None if since is None else since.isoformat(),
            "until": None if until is None else until.isoformat(),
            "kind": kind,
            "decision": decision,
            "key_id": key_id,
            "cluster_id": cluster_id,
            "session_id": session_id,
            "result_id": result_id,
        }
        return parse_all(AuditRow, await pages(self._transport, "/audit", "rows", query, limit, most=1000))

    async def health(self) -> Health:
        """The hub's process answers. Needs no valid key."""
        return Health.parse(await self._get("/health"))

    async def ready(self) -> bool:
        """Whether the hub takes work: False while it starts or stops, or cannot write to its store."""
        try:
            await self._transport.request("GET", "/ready", is_repeatable=True, tries=1)
        except ServiceUnavailable:
            return False
        return True

    async def openapi(self) -> Json:
        """The hub's API as OpenAPI 3.0 has it."""
        return await self._get("/openapi.json")

    async def _get(self, path: str, query: Mapping[str, Any] | None = None, *, more_seconds: float = 0) -> Json:
        reply = await self._transport.request("GET", path, query=query, is_repeatable=True, more_seconds=more_seconds)
        return reply.json
