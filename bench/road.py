"""The whole road with kubectl: REST, hub, link, the real agent, kubectl, a real API server; beside kubectl alone."""

import asyncio
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.hub import running_hub
from bench.load import Load, call
from bench.processes import program, started
from tests.support.kubectl import kubectl_binary

CALLERS: Final = 8

_ROOT: Final = Path(__file__).parents[1]
_CLUSTER: Final = "bench"
_COMMAND: Final = ("get", "pods", "-A")


class NoCluster(Exception):
    """The road cannot be measured; the message says why."""


@dataclass(frozen=True, slots=True)
class Road:
    """`alone_ms` is the median of spawning kubectl directly; `one` and `many` go through hub and agent."""

    alone_ms: float
    one: Load
    many: Load


async def measure_road(seconds: float) -> Road:
    """Measure on the test cluster, with kubectl's discovery cache warm on both sides. Raises NoCluster."""
    kubeconfig = await asyncio.to_thread(_kubeconfig)
    try:
        kubectl = kubectl_binary()
    except LookupError as error:
        raise NoCluster(str(error)) from None
    argv = [kubectl, f"--kubeconfig={kubeconfig}", *_COMMAND]
    alone_ms = await asyncio.to_thread(_alone, argv, seconds)
    async with running_hub() as hub:
        token = await hub.register(_CLUSTER)
        environment = {
            "KUBENTLY_AGENT_TOKEN": token,
            "KUBENTLY_AGENT_KUBECTL": kubectl,
            "KUBECONFIG": str(kubeconfig),
        }
        agent = [program("kubently-agent"), "--hub-url", hub.link_url, "--cluster-id", _CLUSTER]
        async with started("the agent", agent, environment=environment) as process:
            await process.find("(connected to the hub)")
            target = await hub.execute_target(_CLUSTER, *_COMMAND)
            one = await call(target, callers=1, seconds=seconds, generator="own")
            many = await call(target, callers=CALLERS, seconds=seconds, generator="own")
    return Road(alone_ms, one, many)


def _kubeconfig() -> Path:
    up = subprocess.run(
        [_ROOT / "scripts" / "testcluster", "up"],
        stdout=subprocess.PIPE,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if up.returncode != 0:
        raise NoCluster("the test cluster cannot be had, see above")
    return Path(up.stdout.strip().removeprefix("KUBECONFIG=")).with_name("agent.kubeconfig")


def _alone(argv: list[str], seconds: float) -> float:
    took: list[float] = []
    until = time.perf_counter() + seconds
    subprocess.run(argv, capture_output=True, check=True)  # fills the discovery cache
    while time.perf_counter() < until:
        started_at = time.perf_counter()
        subprocess.run(argv, capture_output=True, check=True)
        took.append((time.perf_counter() - started_at) * 1000)
    return statistics.median(took)
