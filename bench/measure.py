"""Floor and hub side by side: short rounds in turn, so that a noisy neighbour meets both."""

import contextlib
import statistics
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from bench.hub import running_hub
from bench.load import Generator, Load, Target, call
from bench.processes import Process, module, started

CALLERS: Final = 32

_CLUSTER: Final = "bench"


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to look: `rounds` times, each side `seconds` with one caller and again with CALLERS."""

    rounds: int
    seconds: float
    generator: Generator


@dataclass(frozen=True, slots=True)
class Round:
    """One side in one round. `cpu_ms` is what the server's process used per request with CALLERS callers."""

    one: Load
    many: Load
    cpu_ms: float


@dataclass(frozen=True, slots=True)
class Rounds:
    """Both sides, round by round; and the hub's memory at rest, before the first command and after the last."""

    floor: Sequence[Round]
    hub: Sequence[Round]
    rss_bytes_before: int
    rss_bytes_after: int

    def medians(self, figure: Callable[[Round], float]) -> tuple[float, float, float]:
        """The floor's median, the hub's, and the median of hub over floor within one round."""
        floor, hub = [figure(row) for row in self.floor], [figure(row) for row in self.hub]
        ratios = [above / below for below, above in zip(floor, hub, strict=True)]
        return statistics.median(floor), statistics.median(hub), statistics.median(ratios)


@dataclass(frozen=True, slots=True)
class _Side:
    server: Process
    target: Target

    async def round(self, plan: Plan) -> Round:
        one = await call(self.target, callers=1, seconds=plan.seconds, generator=plan.generator)
        cpu = self.server.cpu_seconds()
        many = await call(self.target, callers=CALLERS, seconds=plan.seconds, generator=plan.generator)
        return Round(one, many, (self.server.cpu_seconds() - cpu) * 1000 / many.requests)


async def measure_rounds(plan: Plan, say: Callable[[str], None]) -> Rounds:
    """Run the plan. `say` is told of each round."""
    async with _floor() as floor, _hub() as (hub, rss_bytes_before):
        sides = {"floor": floor, "hub": hub}
        for side in sides.values():  # warm-up, not counted
            await call(side.target, callers=CALLERS, seconds=plan.seconds, generator=plan.generator)
        seen: dict[str, list[Round]] = {"floor": [], "hub": []}
        for number in range(plan.rounds):
            order = ("floor", "hub") if number % 2 == 0 else ("hub", "floor")
            for name in order:
                seen[name].append(await sides[name].round(plan))
            below, above = seen["floor"][-1], seen["hub"][-1]
            say(
                f"round {number + 1} of {plan.rounds}: floor {below.one.p50_ms:.2f} ms {below.many.per_second:,.0f}/s,"
                f" hub {above.one.p50_ms:.2f} ms {above.many.per_second:,.0f}/s"
            )
        return Rounds(seen["floor"], seen["hub"], rss_bytes_before, hub.server.rss_bytes())


@contextlib.asynccontextmanager
async def _floor() -> AsyncIterator[_Side]:
    async with started("the floor", module("floor", "serve")) as server:
        url = await server.find(r"listening url=(\S+)")
        async with started("the floor's agent", module("floor", "agent", url)):
            await server.find("(agent connected)")
            body = '{"cluster_id": "bench", "command_type": "get", "args": ["pods", "-A", "--limit=10"]}'
            yield _Side(server, Target(f"{url}/debug/execute", "none", body))


@contextlib.asynccontextmanager
async def _hub() -> AsyncIterator[tuple[_Side, int]]:
    async with running_hub() as hub:
        token = await hub.register(_CLUSTER)
        argv = module("scripted_agent", hub.link_url, _CLUSTER)
        async with started("the scripted agent", argv, environment={"KUBENTLY_AGENT_TOKEN": token}) as agent:
            await agent.find("(agent connected)")
            target = await hub.execute_target(_CLUSTER, "get", "pods", "-A", "--limit=10")
            yield _Side(hub.process, target), hub.process.rss_bytes()
