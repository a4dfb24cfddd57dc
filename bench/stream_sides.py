"""The sides of a stream's measurement, each asked alike: a bare pipe, a hub with a scripted agent, the whole road.

The road is log server, native executor, outbox, link, hub, store, reader.
"""

import contextlib
import json
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.hub import BenchHub
from bench.lines import LINE_POD
from bench.load import Load, Target, call
from bench.processes import Failed, Process, module, program, said, started

_EXTRA_SECONDS: Final = 60.0
# Longer than any round: whoever starts such a reader also ends it.
_ENDLESS_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True)
class StreamSide:
    """A server, its `source` (pipe's source or agent) and how it is asked: `url` is the client stream, `line` a plain
    command of one line beside the streams, `key` any text for the bare pipe.
    """

    server: Process
    source: Process
    url: str
    key: str
    line: Target

    async def read(self, *arguments: str, seconds: float = 0.0) -> dict[str, Any]:
        """Run a reader (`bench.stream_reader`) that takes about so long, to its end; what it says. Raises Failed."""
        argv = module("stream_reader", self.url, *arguments)
        return await said("a reader", argv, seconds + _EXTRA_SECONDS, environment={"KUBENTLY_BENCH_KEY": self.key})

    @contextlib.asynccontextmanager
    async def reading(self, *arguments: str) -> AsyncIterator[None]:
        """A reader beside what is done in the context, from when it is well under way."""
        argv = module("stream_reader", self.url, *arguments)
        async with started("a reader", argv, environment={"KUBENTLY_BENCH_KEY": self.key}) as reader:
            await reader.find("(under way)")
            yield
            if not reader.is_running:
                raise Failed(f"a reader ended:\n{reader.last_words}")

    def flooded(self) -> contextlib.AbstractAsyncContextManager[None]:
        """A flood and its reader, for as long as the context is open."""
        return self.reading("flood", str(_ENDLESS_SECONDS), "1")

    async def ask(self, seconds: float) -> Load:
        """One caller of the plain command, for some time."""
        return await call(self.line, callers=1, seconds=seconds, generator="own")


@contextlib.asynccontextmanager
async def pipe() -> AsyncIterator[StreamSide]:
    """The bare pipe and its source."""
    async with started("the bare pipe", module("stream_floor", "serve")) as server:
        url = await server.find(r"listening url=(\S+)")
        async with started("the pipe's source", module("stream_floor", "produce", url)) as source:
            await server.find("(source connected)")
            line = Target(f"{url}/debug/execute", "none", json.dumps({"command_type": "logs", "args": [LINE_POD]}))
            yield StreamSide(server, source, f"{url}/debug/session/none/stream", "none", line)


@contextlib.asynccontextmanager
async def scripted(hub: BenchHub) -> AsyncIterator[StreamSide]:
    """A hub's cluster whose agent writes the output itself."""
    cluster_id = "scripted"
    token = await hub.register(cluster_id)
    argv = module("flooding_agent", hub.link_url, cluster_id)
    async with started("the flooding agent", argv, environment={"KUBENTLY_AGENT_TOKEN": token}) as agent:
        await agent.find("(agent connected)")
        yield await _of_hub(hub, cluster_id, agent)


@contextlib.asynccontextmanager
async def road(hub: BenchHub, api_server_url: str) -> AsyncIterator[StreamSide]:
    """A hub's cluster with a real agent, whose API server is a log server."""
    cluster_id = "road"
    with tempfile.TemporaryDirectory(prefix="kubently-bench-") as folder:
        kubeconfig = Path(folder) / "kubeconfig"
        kubeconfig.write_text(json.dumps(_kubeconfig(api_server_url)), encoding="ascii")
        environment = {
            "KUBENTLY_AGENT_TOKEN": await hub.register(cluster_id),
            "KUBENTLY_AGENT_EXECUTORS": "native",
            "KUBECONFIG": str(kubeconfig),
        }
        argv = [program("kubently-agent"), "--hub-url", hub.link_url, "--cluster-id", cluster_id]
        async with started("the agent", argv, environment=environment) as agent:
            await agent.find("(connected to the hub)")
            yield await _of_hub(hub, cluster_id, agent)


@contextlib.asynccontextmanager
async def log_server() -> AsyncIterator[str]:
    """A log server; gives its URL."""
    async with started("the log server", module("log_server", "serve")) as process:
        yield await process.find(r"listening url=(\S+)")


async def bare_bytes_per_second(log_server_url: str, seconds: float) -> float:
    """How fast a bare GET reads a log server's flood."""
    argv = module("log_server", "read", log_server_url, str(seconds))
    return float((await said("a bare GET", argv, seconds + _EXTRA_SECONDS))["bytes_per_second"])


async def _of_hub(hub: BenchHub, cluster_id: str, agent: Process) -> StreamSide:
    url = f"{hub.url}/debug/session/{await hub.open_session(cluster_id)}/stream"
    return StreamSide(hub.process, agent, url, hub.key, await hub.execute_target(cluster_id, "logs", LINE_POD))


def _kubeconfig(url: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "bench", "cluster": {"server": url}}],
        "users": [{"name": "bench", "user": {}}],
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
        "current-context": "bench",
    }
