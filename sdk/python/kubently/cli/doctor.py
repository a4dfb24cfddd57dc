"""Why can I not reach it? One question after another on the way to a cluster, each with its remedy; the first that
fails ends it, for what lies behind it cannot be known.
"""

import asyncio
import socket
import ssl
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from kubently.cli.failures import EXIT_FAILED, EXIT_OK
from kubently.cli.printing import ago, is_terminal, printable, say_json
from kubently.cli.running import client_of
from kubently.cli.target import Target
from kubently.client import Client
from kubently.errors import ClusterOffline, ConnectionFailed, KubentlyError, NotFound, Unauthorized

_SECONDS: Final = 5.0
# A certificate or a key that ends so soon is worth a word.
_SOON_SECONDS: Final = 14 * 86_400
_MARKS: Final = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red")}


@dataclass(frozen=True, slots=True)
class Finding:
    """One question's answer. `state` is `"ok"`, `"warning"` or `"failed"`; `remedy` None: there is nothing to do."""

    name: str
    state: str
    text: str
    remedy: str | None = None


async def examine(target: Target, *, as_json: bool) -> int:
    """Print the findings as they come; 0 when nothing failed."""
    found = []
    async for finding in _findings(target):
        found.append(finding)
        if not as_json:
            _say(finding)
    if as_json:
        say_json([asdict(finding) for finding in found])
    return EXIT_FAILED if any(finding.state == "failed" for finding in found) else EXIT_OK


async def _findings(target: Target) -> AsyncIterator[Finding]:
    try:
        client = client_of(target)
    except KubentlyError as error:
        yield Finding("profile", "failed", str(error), "kubently login")
        return
    yield Finding("profile", "ok", f"{client.endpoint}, from {target.source}")
    stages = [_way(client, target), _hub(client), _key(client)]
    if target.cluster is not None:
        stages += [_agent(client, target.cluster), _cluster(client, target.cluster)]
    for stage in stages:
        async for finding in stage:
            yield finding
            if finding.state == "failed":
                return
    if target.cluster is None:
        yield Finding("cluster", "warning", "none was named", "kubently doctor CLUSTER looks on to a cluster")


async def _way(client: Client, target: Target) -> AsyncIterator[Finding]:
    """DNS, TCP, TLS; where a proxy of the environment is used these are the proxy's business."""
    parts = urlsplit(client.endpoint)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(host):
        yield Finding("proxy", "ok", f"by way of {urlsplit(proxy).hostname}, as the environment says")
        return
    try:
        async with asyncio.timeout(_SECONDS):
            addresses = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError) as error:
        text = f"{host} has no address: {error or 'no answer in time'}"
        yield Finding("dns", "failed", text, "check the name, the VPN, and /etc/resolv.conf; or a proxy: HTTPS_PROXY")
        return
    shown = sorted({str(address[4][0]) for address in addresses})
    yield Finding("dns", "ok", f"{host} is {', '.join(shown[:3])}")
    tls = None
    if parts.scheme == "https":
        tls = ssl.create_default_context(cafile=target.ca_file)
    try:
        async with asyncio.timeout(_SECONDS):
            _, writer = await asyncio.open_connection(host, port, ssl=tls, server_hostname=host if tls else None)
    except ssl.SSLCertVerificationError as error:
        remedy = (
            "kubently login --ca-file FILE with the authority that signed it, or a hub with a certificate that fits"
        )
        yield Finding("tls", "failed", f"the certificate is not trusted: {error.verify_message}", remedy)
        return
    except ssl.SSLError as error:
        yield Finding("tls", "failed", f"no TLS there: {error.reason}", f"is it http:// ? Or another port than {port}")
        return
    except (OSError, TimeoutError) as error:
        text = f"nobody takes connections at {host}:{port}: {error or 'no answer in time'}"
        yield Finding("tcp", "failed", text, "is the hub running, and does a firewall let you through?")
        return
    yield Finding("tcp", "ok", f"{host}:{port} takes connections")
    if tls is not None:
        yield _certificate(writer)
    elif host not in ("localhost", "127.0.0.1", "::1"):
        yield Finding(
            "tls", "warning", "none: the key travels in clear", "give the hub a certificate, and use https://"
        )
    writer.close()


def _certificate(writer: asyncio.StreamWriter) -> Finding:
    certificate = writer.get_extra_info("peercert") or {}
    ends = ssl.cert_time_to_seconds(str(certificate.get("notAfter", "Jan  1 00:00:00 2100 GMT")))
    left = ends - datetime.now(UTC).timestamp()
    version = writer.get_extra_info("ssl_object").version()
    if left < _SOON_SECONDS:
        return Finding("tls", "warning", f"{version}, the certificate ends in {left / 86_400:.0f} days", "renew it")
    return Finding("tls", "ok", f"{version}, the certificate lasts {left / 86_400:.0f} days")


async def _hub(client: Client) -> AsyncIterator[Finding]:
    try:
        health = await client.health()
    except KubentlyError as error:
        yield Finding("hub", "failed", str(error), "is the endpoint that of a Kubently hub, and no proxy in between?")
        return
    if not await client.ready():
        yield Finding(
            "hub", "failed", f"{health.version} takes no work", "it starts, stops or has a full disk: see its log"
        )
        return
    yield Finding("hub", "ok", f"version {health.version}, up {health.uptime_seconds // 60} min")
    skew = abs((datetime.now(UTC) - health.timestamp).total_seconds())
    if skew > 60:
        yield Finding("clock", "warning", f"this machine and the hub differ by {skew:.0f} s", "set the clock: NTP")


async def _key(client: Client) -> AsyncIterator[Finding]:
    try:
        key = await client.key()
    except Unauthorized as error:
        yield Finding(
            "key", "failed", str(error), "kubently login with a valid key; an admin makes one: kubently admin keys add"
        )
        return
    except KubentlyError as error:
        yield Finding("key", "failed", str(error), None)
        return
    text = f"{key.name}, role {key.role}"
    if key.clusters is not None:
        text += f", clusters {', '.join(key.clusters)}"
    if key.expires_at is not None and (key.expires_at - datetime.now(UTC)).total_seconds() < _SOON_SECONDS:
        yield Finding("key", "warning", f"{text}, ends {key.expires_at:%Y-%m-%d %H:%M} UTC", "have it replaced")
        return
    yield Finding("key", "ok", text)


async def _agent(client: Client, cluster: str) -> AsyncIterator[Finding]:
    try:
        state = await client.cluster(cluster)
    except NotFound:
        remedy = f"check the name (kubently clusters); an admin registers it: kubently admin clusters add {cluster}"
        yield Finding("cluster", "failed", f"{cluster} is not registered, or not for this key", remedy)
        return
    if not state.is_connected:
        seen = "was never here" if state.last_seen is None else f"was last here {ago(state.last_seen)} ago"
        remedy = (
            "in the cluster: kubectl -n kubently logs deploy/kubently-agent; another token for it: kubently admin"
            f" clusters add-token {cluster}"
        )
        yield Finding("agent", "failed", f"the agent of {cluster} {seen}", remedy)
        return
    waiting = f", {state.queue_depth} commands wait" if state.queue_depth else ""
    yield Finding("agent", "ok", f"version {state.agent_version}, connected{waiting}")


async def _cluster(client: Client, cluster: str) -> AsyncIterator[Finding]:
    """The API server behind the agent, and what the agent's account may do."""
    try:
        async with client.debug_session(cluster) as session:
            version = await session.execute("version")
            if not version.ok:
                remedy = "the agent is there, its API server does not answer: see the agent's log"
                yield Finding("api server", "failed", version.error or version.status, remedy)
                return
            server = next((line for line in version.output.splitlines() if line.startswith("Server")), "it answers")
            yield Finding("api server", "ok", f"{server}, in {version.execution_time_ms} ms")
            allowed = await session.execute("auth", ["can-i", "list", "pods", "-A"])
            if allowed.output.strip() == "yes":
                yield Finding("rbac", "ok", "the agent's account may list pods in all namespaces")
                return
            remedy = (
                "kubectl apply -f deploy/agent.yaml gives it the roles; kubently-agent check says which are missing"
            )
            yield Finding("rbac", "warning", "the agent's account may not list pods in all namespaces", remedy)
    except (ClusterOffline, ConnectionFailed) as error:
        yield Finding("api server", "failed", str(error), "it went just now; try again")
    except KubentlyError as error:
        remedy = "what the key is limited to: kubently admin keys list; what the owner allows: the agent's policy file"
        yield Finding("api server", "failed", str(error), remedy)


def _say(finding: Finding) -> None:
    mark, colour = _MARKS[finding.state]
    text = printable(finding.text)
    if is_terminal():
        from rich.console import Console
        from rich.text import Text

        line = Text.assemble((mark, colour), " ", (f"{finding.name:<11}", "bold"), text)
        console = Console(highlight=False)
        console.print(line)
        if finding.remedy is not None:
            console.print(Text(f"  {'':<11}→ {finding.remedy}", style="dim"))
        return
    print(f"{mark} {finding.name:<11}{text}", flush=True)
    if finding.remedy is not None:
        print(f"  {'':<11}→ {finding.remedy}", flush=True)
