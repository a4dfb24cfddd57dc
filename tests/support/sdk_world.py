"""What a client library meets: a real hub, a real agent process, an API server on loopback; one cluster is offline.

    async with sdk_world(tmp_path) as world:
        client = kubently.Client(world.url, ADMIN_KEY)

Pods of `default`: `web-0`, whose log has 2,000 lines, some of them odd, and ends; `talker`, which says a line every
20 ms for good; `quiet`, whose followed log says one line and then nothing.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from tests.support.fake_api_server import FakeApiServer, fake_api_server, objects, table
from tests.support.hub import TestHub, running_hub, settings
from tests.support.program import Program, agent_program

CLUSTER_ID: Final = "alpha"
OFFLINE_ID: Final = "dark"
PODS: Final = ("quiet", "talker", "web-0")
LOG: Final = [
    f"line {number} {'zürich → 東京 😀' if number % 7 == 0 else 'x' * (number % 200)}" for number in range(2000)
]


@dataclass(frozen=True, slots=True)
class SdkWorld:
    """What runs. `url` is the hub's; `server` may be given other routes."""

    hub: TestHub
    server: FakeApiServer
    agent: Program

    @property
    def url(self) -> str:
        return self.hub.url


@contextlib.asynccontextmanager
async def sdk_world(folder: Path, **sections: Any) -> AsyncIterator[SdkWorld]:
    """Start it all; `sections` are settings of the hub. The agent is connected."""
    async with fake_api_server() as server:
        fill(server)
        kubernetes = {"KUBECONFIG": str(server.kubeconfig(folder)), "KUBENTLY_AGENT_EXECUTORS": "native"}
        async with running_hub(settings(folder, **sections)) as hub:
            await hub.register(OFFLINE_ID)
            async with linked(hub, CLUSTER_ID, kubernetes) as agent:
                yield SdkWorld(hub, server, agent)


@contextlib.asynccontextmanager
async def linked(hub: TestHub, cluster_id: str, kubernetes: dict[str, str]) -> AsyncIterator[Program]:
    """A registered cluster with its agent connected."""
    token = await hub.register(cluster_id)
    async with agent_program(hub.url, token, cluster_id=cluster_id, env=kubernetes) as agent:

        async def is_connected() -> bool:
            status = await hub.call("GET", f"/clusters/{cluster_id}/status")
            return bool(status.body["status"] == "connected")

        async with asyncio.timeout(20):
            while not await is_connected():
                await asyncio.sleep(0.02)
        yield agent


def fill(server: FakeApiServer) -> None:
    """Give a server the pods and their logs."""
    rows = [[name, "1/1", "Running", "0", "5m"] for name in PODS]
    columns = ["Name", "Ready", "Status", "Restarts", "Age"]
    pods = [_pod(name) for name in PODS]

    async def listed(request: web.Request) -> web.StreamResponse:
        is_table = "as=Table" in request.headers.get("Accept", "")
        if "watch" in request.query:
            await asyncio.Event().wait()
        return web.json_response(table(columns, rows) if is_table else objects("Pod", "v1", pods))

    server.route("/api/v1/pods", listed)
    server.route("/api/v1/namespaces/default/pods", listed)
    for pod in pods:
        name = pod["metadata"]["name"]
        server.route(f"/api/v1/namespaces/default/pods/{name}", pod)
        server.route(f"/api/v1/namespaces/default/pods/{name}/log", _log_of(name))


def _pod(name: str) -> dict[str, Any]:
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [{"name": "main", "image": "example.com/app:1"}]},
        "status": {"phase": "Running"},
    }


def _log_of(name: str) -> Any:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        is_followed = request.query.get("follow") == "true"
        if name == "web-0":
            for start in range(0, len(LOG), 50):
                await response.write("".join(f"{line}\n" for line in LOG[start : start + 50]).encode())
                if is_followed:
                    await asyncio.sleep(0.01)
        elif name == "quiet":
            await response.write(b"ready\n")
            if is_followed:
                await asyncio.Event().wait()
        else:
            for number in itertools.count():
                await response.write(f"tick {number}\n".encode())
                if not is_followed and number == 9:
                    break
                await asyncio.sleep(0.02 if is_followed else 0)
        return response

    return answer
