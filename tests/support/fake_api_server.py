"""An API server on loopback that answers as a test programs it; for native and for a real kubectl alike.

    async with fake_api_server() as server:
        server.route("/api/v1/namespaces/default/pods", paged(table(["NAME"], [["a"], ["b"]]), 1))
        kubeconfig = server.kubeconfig(tmp_path)

Discovery it answers itself, from `resources`; all other paths without a route are NotFound as of a real server.
"""

import asyncio
import base64
import hashlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from aiohttp import web

from agent.executors.native.resources import Resource

Document = Mapping[str, Any]
# What a route gives: JSON, a body as it is, or whatever a handler makes of the request.
Answer = Document | bytes | Callable[[web.Request], Awaitable[web.StreamResponse]]
DiscoveryForm = Literal["v2", "v2beta1", "legacy"]

_NOT_FOUND: Final = "the server could not find the requested resource"
_READ: Final = ("get", "list", "watch")
_HPA: Final = Resource(
    *("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "horizontalpodautoscaler", True),
    *(("hpa",), ("all",), _READ),
)
RESOURCES: Final = (
    Resource("", "v1", "Namespace", "namespaces", "namespace", False, ("ns",), (), _READ, ("status",)),
    Resource("", "v1", "Node", "nodes", "node", False, ("no",), (), _READ, ("status",)),
    Resource("", "v1", "Pod", "pods", "pod", True, ("po",), ("all",), _READ, ("log", "status")),
    Resource("", "v1", "Secret", "secrets", "secret", True, (), (), _READ),
    Resource("", "v1", "Service", "services", "service", True, ("svc",), ("all",), _READ, ("status",)),
    Resource("apps", "v1", "Deployment", "deployments", "deployment", True, ("deploy",), ("all",), _READ, ("scale",)),
    _HPA,
    replace(_HPA, version="v1"),
    Resource("example.com", "v1", "Widget", "widgets", "widget", True, ("wd", "po"), (), _READ),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came: `Asked("GET", "/api/v1/pods", {"limit": "500"}, {"Accept": …}, b"")`."""

    method: str
    path: str  # percent-encoded
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class FakeApiServer:
    """What it answers and what it was asked. `failing` has group versions whose discovery fails, `etags` whether
    aggregated discovery has ETags, `otherwise` what is said to all that is neither routed nor discovery. All may be
    changed while it runs.
    """

    resources: Sequence[Resource] = RESOURCES
    discovery: DiscoveryForm = "v2"
    failing: Sequence[str] = ()
    has_etags: bool = True
    url: str = ""
    requests: list[Asked] = field(default_factory=list)
    otherwise: Answer = field(default_factory=lambda: status(404, "NotFound", _NOT_FOUND))
    _routes: dict[tuple[str, str], list[Answer]] = field(default_factory=dict)

    def route(self, path: str, *answers: Answer, method: str = "GET") -> None:
        """Answer a path (percent-encoded, without query); with several answers one after another, the last for good."""
        self._routes[method, path] = list(answers)

    @property
    def paths(self) -> list[str]:
        """What was asked, with queries: `["/api/v1/pods?limit=500"]`."""
        return [
            asked.path
            + ("?" + "&".join(f"{name}={value}" for name, value in asked.query.items()) if asked.query else "")
            for asked in self.requests
        ]

    def config(
        self, *, namespace: str = "default", user: Document | None = None, cluster: Document | None = None
    ) -> bytes:
        """The kubeconfig of this server, as `agent.executors.kubeconfig.resolve` gives it."""
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "agent", "cluster": {"server": self.url, **(cluster or {})}}],
                "users": [{"name": "agent", "user": user or {}}],
                "contexts": [
                    {"name": "agent", "context": {"cluster": "agent", "user": "agent", "namespace": namespace}}
                ],
                "current-context": "agent",
            }
        ).encode()

    def kubeconfig(self, folder: Path, **parts: Any) -> Path:
        """The same as a file, for kubectl; takes what `config` takes."""
        path = folder / "kubeconfig"
        path.write_bytes(self.config(**parts))
        return path

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        path = request.raw_path.partition("?")[0]
        self.requests.append(
            Asked(request.method, path, dict(request.query), request.headers.copy(), await request.read())
        )
        answers = self._routes.get((request.method, path))
        if answers is None:
            found = self._discovered(request, path) if request.method == "GET" else None
            if found is not None:
                return found
            answers = [self.otherwise]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if callable(answer):
            return await answer(request)
        if isinstance(answer, bytes):
            return web.Response(body=answer, content_type="application/json")
        return web.json_response(answer)

    def _discovered(self, request: web.Request, path: str) -> web.StreamResponse | None:
        segments = path.strip("/").split("/")
        if segments[0] not in {"api", "apis"}:
            return None
        wanted = f"v={self.discovery};as=APIGroupDiscoveryList"
        if len(segments) == 1 and wanted in request.headers.get("Accept", ""):
            return self._aggregated(request, is_core=path == "/api")
        if path == "/api":
            return web.json_response({"kind": "APIVersions", "versions": self._versions("")})
        if path == "/apis":
            return web.json_response({"kind": "APIGroupList", "apiVersion": "v1", "groups": self._legacy_groups()})
        group, version = ("", segments[1]) if segments[0] == "api" else (segments[1], "".join(segments[2:3]))
        if len(segments) != (2 if segments[0] == "api" else 3) or version not in self._versions(group):
            return None
        if _group_version(group, version) in self.failing:
            return web.Response(status=503, text="service unavailable")
        return web.json_response(self._legacy_resources(group, version))

    def _groups(self) -> list[str]:
        return list(dict.fromkeys(resource.group for resource in self.resources))

    def _versions(self, group: str) -> list[str]:
        return list(dict.fromkeys(resource.version for resource in self.resources if resource.group == group))

    def _of(self, group: str, version: str) -> Iterable[Resource]:
        return (resource for resource in self.resources if (resource.group, resource.version) == (group, version))

    def _aggregated(self, request: web.Request, *, is_core: bool) -> web.Response:
        document = {
            "kind": "APIGroupDiscoveryList",
            "apiVersion": f"apidiscovery.k8s.io/{self.discovery}",
            "metadata": {},
            "items": [
                {
                    "metadata": {"name": group, "creationTimestamp": None},
                    "versions": [
                        {
                            "version": version,
                            "freshness": "Stale" if _group_version(group, version) in self.failing else "Current",
                            "resources": [_aggregated_resource(resource) for resource in self._of(group, version)],
                        }
                        for version in self._versions(group)
                    ],
                }
                for group in self._groups()
                if (group == "") is is_core
            ],
        }
        body = json.dumps(document).encode()
        etag = f'"{hashlib.sha256(body).hexdigest().upper()}"'
        headers = {"ETag": etag, "Vary": "Accept"} if self.has_etags else {}
        if self.has_etags and request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers=headers)
        headers["Content-Type"] = f"application/json;g=apidiscovery.k8s.io;v={self.discovery};as=APIGroupDiscoveryList"
        return web.Response(body=body, headers=headers)

    def _legacy_groups(self) -> list[Document]:
        groups: list[Document] = []
        for group in filter(None, self._groups()):
            versions = [{"groupVersion": f"{group}/{version}", "version": version} for version in self._versions(group)]
            # A real server lists versions in an order of its own, and names the preferred one.
            groups.append({"name": group, "versions": versions[::-1], "preferredVersion": versions[0]})
        return groups

    def _legacy_resources(self, group: str, version: str) -> Document:
        entries: list[Document] = []
        for resource in self._of(group, version):
            entry = {"singularName": "", "namespaced": resource.is_namespaced, "kind": resource.kind}
            entries.append(
                {
                    **entry,
                    "name": resource.plural,
                    "singularName": resource.singular,
                    "verbs": list(resource.verbs),
                    **({"shortNames": list(resource.short_names)} if resource.short_names else {}),
                    **({"categories": list(resource.categories)} if resource.categories else {}),
                }
            )
            entries += [
                {**entry, "name": f"{resource.plural}/{name}", "verbs": ["get"]} for name in resource.subresources
            ]
        return {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": _group_version(group, version),
            "resources": entries,
        }


@asynccontextmanager
async def fake_api_server(
    resources: Sequence[Resource] = RESOURCES,
    *,
    discovery: DiscoveryForm = "v2",
    tls: ssl.SSLContext | None = None,
    port: int = 0,
) -> AsyncIterator[FakeApiServer]:
    """Serve until the context is left, on a free loopback port unless `port` says which; https with `tls`."""
    server = FakeApiServer(resources, discovery)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    web_server = runner.server
    assert web_server is not None  # the runner is set up
    connections = _Connections()
    listener = await asyncio.get_running_loop().create_server(
        lambda: _Protocol(web_server, connections), "127.0.0.1", port, ssl=tls, reuse_address=True
    )
    try:
        server.url = f"{'https' if tls else 'http'}://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        yield server
    finally:
        listener.close()
        await runner.cleanup()
        await connections.abort()


class _Connections:
    """Those that are open, so that none outlives the server, and with it the event loop of its test.

    aiohttp only begins to close them: one with TLS then waits for the other side's goodbye, one with something left to
    send for the other side to read.
    """

    def __init__(self) -> None:
        self._transports: dict[asyncio.BaseProtocol, asyncio.Transport] = {}
        self._is_over = False

    def made(self, protocol: asyncio.BaseProtocol, transport: asyncio.Transport) -> None:
        self._transports[protocol] = transport
        if self._is_over:  # it was accepted before the listener closed, and is ready only now
            transport.abort()

    def lost(self, protocol: asyncio.BaseProtocol) -> None:
        del self._transports[protocol]

    async def abort(self) -> None:
        """Close all without a goodbye; they are gone when this returns."""
        self._is_over = True
        for transport in self._transports.values():
            transport.abort()
        while self._transports:
            await asyncio.sleep(0)  # a round or two of the event loop, which wait for nothing


class _Protocol(web.RequestHandler):
    """aiohttp's own, which forgets its transport once it begins to close it."""

    __slots__ = ("_connections",)

    def __init__(self, server: web.Server, connections: _Connections) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), access_log=None)  # type: ignore[arg-type]
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert isinstance(transport, asyncio.Transport)
        self._connections.made(self, transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._connections.lost(self)
        super().connection_lost(exc)


def status(
    code: int, reason: str, message: str, *, headers: Mapping[str, str] | None = None, **details: Any
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A Status, as the API server words its errors; `details` such as `name="web", kind="pods"`."""
    document = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        **({"reason": reason} if reason else {}),
        **({"details": details} if details else {}),
        "code": code,
    }
    return respond(json.dumps(document).encode(), code=code, headers=headers)


def respond(
    body: bytes, *, code: int = 200, content_type: str = "application/json", headers: Mapping[str, str] | None = None
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Any bytes at all, with any status: `respond(b"moved", code=302, headers={"Location": "/x"})`."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, status=code, headers={**(headers or {}), "Content-Type": content_type})

    return answer


def warning(document: Document, *texts: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    """JSON with `Warning: 299` headers."""

    async def answer(_: web.Request) -> web.Response:
        response = web.json_response(document)
        for text in texts:
            escaped = text.replace("\\", "\\\\").replace('"', '\\"')
            response.headers.add("Warning", f'299 - "{escaped}"')
        return response

    return answer


def unauthorized() -> Callable[[web.Request], Awaitable[web.Response]]:
    """The 401 of a server that does not know who asks."""
    return status(401, "Unauthorized", "Unauthorized")


def authorized(token: str, answer: Document) -> Callable[[web.Request], Awaitable[web.Response]]:
    """JSON for who has this bearer token, else the 401."""

    async def answered(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {token}":
            return await unauthorized()(request)
        return web.json_response(answer)

    return answered


def redirect(location: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A way elsewhere."""
    return respond(b"", code=302, headers={"Location": location})


def later(seconds: int, code: int = 429) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Come back in so many seconds."""
    return status(code, "TooManyRequests", "too many requests", headers={"Retry-After": str(seconds)})


def never() -> Callable[[web.Request], Awaitable[web.Response]]:
    """No answer until the asker goes."""

    async def answer(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    return answer


def pieces(
    *parts: bytes, content_type: str = "application/json", is_endless: bool = False
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """A body in pieces, as logs and watches come; `is_endless`: it stays open behind the last one."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": content_type})
        await response.prepare(request)
        for part in parts:
            await response.write(part)
        if is_endless:
            await asyncio.Event().wait()
        return response

    return answer


def cut_off(body: bytes) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """A body that ends before the length it announced, with its connection."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(body) + 100)})
        await response.prepare(request)
        await response.write(body)
        assert request.transport is not None
        request.transport.close()
        return response

    return answer


def table(
    columns: Sequence[str | Document], rows: Iterable[Sequence[Any]], *, namespace: str = "default", kind: str = "Pod"
) -> dict[str, Any]:
    """A Table as the server prints it. A column is its name, or its whole definition; the first cell is the name."""
    definitions = [
        {
            "name": column,
            "type": "string",
            "format": "name" if column == "Name" else "",
            "priority": 0,
            "description": "",
        }
        if isinstance(column, str)
        else dict(column)
        for column in columns
    ]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": "1000"},
        "columnDefinitions": definitions,
        "rows": [
            {
                "cells": list(cells),
                "object": {
                    "kind": "PartialObjectMetadata",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": {"name": str(cells[0]), "namespace": namespace, "labels": {"kind": kind.lower()}},
                },
            }
            for cells in rows
        ],
    }


def objects(kind: str, api_version: str, items: Iterable[Document]) -> dict[str, Any]:
    """A list of objects: `objects("Pod", "v1", [{"metadata": {"name": "a"}}])`."""
    return {
        "kind": f"{kind}List",
        "apiVersion": api_version,
        "metadata": {"resourceVersion": "1000"},
        "items": list(items),
    }


def paged(
    whole: Document, size: int, *, gone_after: int | None = None
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A list (or Table) in pages of at most `size`, as `limit` and `continue` ask for them.

    `gone_after`: the token of the page behind so many pages has expired (410 Gone).
    """
    items = "rows" if "rows" in whole else "items"

    async def answer(request: web.Request) -> web.Response:
        start = int(base64.b64decode(request.query.get("continue", "") or "MA=="))
        limit = int(request.query.get("limit", 0)) or len(whole[items])
        count = min(limit, size)
        if gone_after is not None and start and start // count >= gone_after:
            text = "The provided continue parameter is too old to display a consistent list result."
            return await status(410, "Expired", text)(request)
        metadata = dict(whole["metadata"])
        left = len(whole[items]) - start - count
        if left > 0:
            metadata["continue"] = base64.b64encode(str(start + count).encode()).decode()
            metadata["remainingItemCount"] = left
        return web.json_response({**whole, "metadata": metadata, items: whole[items][start : start + count]})

    return answer


def _aggregated_resource(resource: Resource) -> Document:
    # The server leaves group and version of a kind away where they are those around it.
    kind = {"group": "", "version": "", "kind": resource.kind}
    return {
        "resource": resource.plural,
        "responseKind": kind,
        "scope": "Namespaced" if resource.is_namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
        **({"shortNames": list(resource.short_names)} if resource.short_names else {}),
        **({"categories": list(resource.categories)} if resource.categories else {}),
        **(
            {
                "subresources": [
                    {"subresource": name, "responseKind": kind, "verbs": ["get"]} for name in resource.subresources
                ]
            }
            if resource.subresources
            else {}
        ),
    }


def _group_version(group: str, version: str) -> str:
    return f"{group}/{version}" if group else version
