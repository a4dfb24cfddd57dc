"""A hub, agents on the cluster, and a proxy before each agent."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chaos.follower import PATH as STREAM_PATH
from chaos.kinds import ALLOWED_VERBS, Mix
from chaos.processes import Port, Process, ProcessFailed, program
from chaos.rest import Rest
from chaos.samples import Samples
from tests.support.chaos_proxy import ChaosProxy, chaos_proxy
from tests.support.kubectl import kubectl_binary

START_SECONDS: Final = 30.0

_POLL_SECONDS: Final = 0.05
# mallopt(3): what is larger is mapped, and given back when it is freed; else each thread's arena keeps the largest
# output it ever had, and a leak would not show before that.
_MEMORY: Final[Mapping[str, str]] = {"MALLOC_MMAP_THRESHOLD_": "65536"}
# A dead link is noticed within 2.5 s, so that a run has many of them.
_HUB: Final[Mapping[str, str]] = {
    "KUBENTLY_HUB_RATELIMIT_STANDARD_PER_MINUTE": "0",
    "KUBENTLY_HUB_RATELIMIT_EXECUTE_PER_MINUTE": "0",
    "KUBENTLY_HUB_RATELIMIT_SESSION_PER_MINUTE": "0",
    "KUBENTLY_HUB_RATELIMIT_ADDRESS_PER_MINUTE": "0",
    "KUBENTLY_HUB_AGENTS_HEARTBEAT_INTERVAL_SECONDS": "1",
    "KUBENTLY_HUB_AGENTS_HELLO_TIMEOUT_SECONDS": "3",
    **_MEMORY,
}
_AGENT: Final[Mapping[str, str]] = {
    "KUBENTLY_AGENT_LINK_OPEN_TIMEOUT_SECONDS": "3",
    "KUBENTLY_AGENT_LINK_WELCOME_TIMEOUT_SECONDS": "3",
    **_MEMORY,
}


@dataclass(frozen=True, slots=True)
class Place:
    """One cluster as the hub knows it: its agent, and the proxy that agent dials."""

    cluster_id: str
    agent: Process
    proxy: ChaosProxy


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that runs. `database` is the hub's file."""

    hub: Process
    rest: Rest
    places: Sequence[Place]
    mix: Mix
    database: Path

    @property
    def processes(self) -> list[Process]:
        """Hub and agents."""
        return [self.hub, *(place.agent for place in self.places)]

    async def heal(self) -> None:
        """Make every link carry again."""
        for place in self.places:
            await place.proxy.heal()

    async def until_connected(self, timeout_seconds: float = START_SECONDS) -> None:
        """Wait until the hub is ready and every agent connected. Raises ProcessFailed."""
        started_at = time.monotonic()
        await until_ready(self.hub, self.rest, timeout_seconds)
        for place in self.places:
            while not await self._is_connected(place):
                place.agent.check()
                if time.monotonic() - started_at > timeout_seconds:
                    raise ProcessFailed(f"{place.agent.name} was not connected within {timeout_seconds:g} s")
                await asyncio.sleep(_POLL_SECONDS)

    async def _is_connected(self, place: Place) -> bool:
        answer = await self.rest.call("GET", f"/clusters/{place.cluster_id}/status")
        return answer is not None and answer.status == 200 and answer.body["status"] == "connected"


def hub_process(folder: Path, port: int, key: str, settings: Mapping[str, str] = _HUB) -> tuple[Process, Path]:
    """A hub, not yet started, and its database file."""
    database = folder / "hub.db"
    argv = [program("kubently-hub"), "serve", "--port", str(port), "--database", f"sqlite:///{database}"]
    return Process("hub", argv, {**settings, "KUBENTLY_HUB_ADMIN_KEY": key}, folder), database


async def until_ready(hub: Process, rest: Rest, timeout_seconds: float = START_SECONDS) -> None:
    """Wait until the hub takes work. Raises ProcessFailed."""
    started_at = time.monotonic()
    while True:
        answer = await rest.call("GET", "/ready", timeout_seconds=1.0)
        if answer is not None and answer.status == 200:
            return
        hub.check()
        if time.monotonic() - started_at > timeout_seconds:
            raise ProcessFailed(f"the hub was not ready within {timeout_seconds:g} s; see {hub.log}")
        await asyncio.sleep(_POLL_SECONDS)


@contextlib.asynccontextmanager
async def scene(folder: Path, kubeconfig: Path, samples: Samples, agents: int) -> AsyncIterator[Scene]:
    """Start everything and connect it; what still runs at the end is stopped. Raises ProcessFailed."""
    key = secrets.token_hex(32)
    async with contextlib.AsyncExitStack() as stack:
        port = stack.enter_context(contextlib.closing(Port()))
        rest = Rest(f"http://127.0.0.1:{port.number}", key)
        stack.push_async_callback(rest.close)
        hub, database = hub_process(folder, port.number, key)
        stack.push_async_callback(hub.kill)
        await hub.start()
        await until_ready(hub, rest)
        policy = folder / "policy.yaml"
        policy.write_text(f"verbs: [{', '.join(ALLOWED_VERBS)}]\n", encoding="utf-8")
        places = []
        for number in range(agents):
            cluster_id = f"chaos-{number}"
            proxy = await stack.enter_async_context(chaos_proxy(port.number))
            registered = await rest.demand("POST", "/admin/clusters", {"cluster_id": cluster_id})
            environment = {
                **_AGENT,
                "KUBENTLY_AGENT_TOKEN": registered["agent_token"],
                "KUBENTLY_AGENT_KUBECTL": kubectl_binary(),
                "KUBENTLY_AGENT_POLICY_FILE": str(policy),
                "KUBECONFIG": str(kubeconfig),
                "TMPDIR": str(folder),
            }
            argv = [program("kubently-agent"), "--hub-url", f"ws://127.0.0.1:{proxy.port}", "--cluster-id", cluster_id]
            agent = Process(f"agent-{number}", argv, environment, folder)
            stack.push_async_callback(agent.kill)
            await agent.start()
            places.append(Place(cluster_id, agent, proxy))
        paths = (await rest.demand("GET", "/openapi.json"))["paths"]
        mix = Mix(
            samples,
            has_streams=STREAM_PATH in paths,
            has_cancel="delete" in paths["/debug/result/{result_id}"],
        )
        running = Scene(hub, rest, places, mix, database)
        await running.until_connected()
        yield running
