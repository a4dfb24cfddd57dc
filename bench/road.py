"""The whole road on a real API server: REST, hub, link, the real agent; once with each executor.

Beside it kubectl alone and a bare GET of the same list, in turn, so that a busy machine slows all of them.
"""

import asyncio
import contextlib
import json
import statistics
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from bench import pods
from bench.hub import BenchHub, running_hub
from bench.load import Load, Target, call
from bench.processes import Process, module, program, started
from tests.cluster.assets import AssetsMissing
from tests.cluster.cluster import Cluster, ClusterFailed
from tests.cluster.debian import BuildFailed
from tests.support.kubectl import kubectl_binary

Executor = Literal["native", "kubectl"]

CALLERS: Final = 32
ROUNDS: Final = 3
COMMANDS: Final = 10_000

_CLUSTER: Final = "bench"
_EXTRA_SECONDS: Final = 60.0


class NoCluster(Exception):
    """The road cannot be measured; the message says why."""


@dataclass(frozen=True, slots=True)
class Listing:
    """`get pods` in a namespace of `pods` pods, medians in milliseconds: kubectl spawned directly, a bare GET, and
    through hub and agent with either executor.
    """

    pods: int
    alone_ms: float
    bare_ms: float
    kubectl_ms: float
    native_ms: float


@dataclass(frozen=True, slots=True)
class Memory:
    """The native agent's resident bytes: after half the commands, after all of them, and at its highest while it listed
    the largest namespace as a table and as JSON.
    """

    commands: int
    half_bytes: int
    end_bytes: int
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Road:
    """One measurement. `per_second` is of CALLERS callers of one cluster listing the smallest namespace."""

    listings: tuple[Listing, ...]
    kubectl_per_second: float
    native_per_second: float
    memory: Memory

    @property
    def smallest(self) -> Listing:
        """The listing of the fewest pods."""
        return self.listings[0]


async def measure_road(seconds: float) -> Road:
    """Measure on a cluster of its own, with kubectl's discovery cache warm. Raises NoCluster."""
    cluster = Cluster(f"bench-{time.time_ns() % 10**9}")
    try:
        kubectl = kubectl_binary()
        cluster.up()  # here and not in a thread: it minds signals, and nothing else is under way
        try:
            await pods.fill(cluster.kubeconfig)
            return await _measure(cluster.agent_kubeconfig, kubectl, seconds)
        finally:
            cluster.down()
    except (LookupError, AssetsMissing, BuildFailed, ClusterFailed) as error:
        raise NoCluster(str(error)) from None


async def _measure(kubeconfig: Path, kubectl: str, seconds: float) -> Road:
    async with (
        running_hub() as hub,
        _agent(hub, "kubectl", kubeconfig, kubectl),
        _agent(hub, "native", kubeconfig, kubectl) as native,
    ):
        listings = [await _list(hub, size, kubeconfig, kubectl, seconds) for size in pods.SIZES]
        many = {}
        for executor in ("kubectl", "native"):
            target = await _target(hub, executor, pods.SIZES[0])
            many[executor] = await call(target, callers=CALLERS, seconds=seconds, generator="own")
        memory = await _memory(hub, native)
    return Road(tuple(listings), many["kubectl"].per_second, many["native"].per_second, memory)


@contextlib.asynccontextmanager
async def _agent(hub: BenchHub, executor: Executor, kubeconfig: Path, kubectl: str) -> AsyncIterator[Process]:
    """A real agent with one executor alone; its cluster is named for that."""
    environment = {
        "KUBENTLY_AGENT_TOKEN": await hub.register(executor),
        "KUBENTLY_AGENT_KUBECTL": kubectl,
        "KUBENTLY_AGENT_EXECUTORS": executor,
        "KUBECONFIG": str(kubeconfig),
    }
    argv = [program("kubently-agent"), "--hub-url", hub.link_url, "--cluster-id", executor]
    async with started(f"the agent with {executor}", argv, environment=environment) as process:
        await process.find("(connected to the hub)")
        yield process


async def _target(hub: BenchHub, executor: Executor, size: int, *args: str) -> Target:
    return await hub.execute_target(executor, "get", "pods", f"--namespace={pods.namespace(size)}", *args)


async def _list(hub: BenchHub, size: int, kubeconfig: Path, kubectl: str, seconds: float) -> Listing:
    """The four ways in turn, ROUNDS times; medians over the rounds."""
    argv = [kubectl, f"--kubeconfig={kubeconfig}", "get", "pods", f"--namespace={pods.namespace(size)}"]
    targets = {name: await _target(hub, name, size) for name in ("kubectl", "native")}
    seen: dict[str, list[float]] = {name: [] for name in ("alone", "bare", "kubectl", "native")}
    for _ in range(ROUNDS):
        seen["alone"].append(await asyncio.to_thread(_alone, argv, seconds))
        seen["bare"].append(await _bare(kubeconfig, size, seconds))
        for name, target in targets.items():
            seen[name].append((await call(target, callers=1, seconds=seconds, generator="own")).p50_ms)
    medians = {name: statistics.median(took) for name, took in seen.items()}
    return Listing(size, medians["alone"], medians["bare"], medians["kubectl"], medians["native"])


async def _memory(hub: BenchHub, agent: Process) -> Memory:
    target = await _target(hub, "native", pods.SIZES[0])
    half_bytes = done = 0
    while done < COMMANDS:
        load: Load = await call(target, callers=CALLERS, seconds=2.0, generator="own")
        if done < COMMANDS // 2 <= done + load.requests:
            half_bytes = agent.rss_bytes()
        done += load.requests
    end_bytes = agent.rss_bytes()
    for args in ((), ("--output=json",)):
        await _target(hub, "native", pods.SIZES[-1], *args)
    return Memory(done, half_bytes, end_bytes, agent.peak_rss_bytes())


def _alone(argv: list[str], seconds: float) -> float:
    took: list[float] = []
    subprocess.run(argv, capture_output=True, check=True)  # fills the discovery cache
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        started_at = time.perf_counter()
        subprocess.run(argv, capture_output=True, check=True)
        took.append((time.perf_counter() - started_at) * 1000)
    return statistics.median(took)


async def _bare(kubeconfig: Path, size: int, seconds: float) -> float:
    argv = module("bare_get", str(kubeconfig), pods.namespace(size), str(seconds))
    child = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(seconds + _EXTRA_SECONDS):
        stdout, _ = await child.communicate()
    return float(json.loads(stdout)["p50"]) / 1000
