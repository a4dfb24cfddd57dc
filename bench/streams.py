"""Streams side by side in one run; see `bench.stream_sides` for what the sides are."""

import asyncio
import contextlib
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from bench.hub import running_hub
from bench.stream_sides import StreamSide, bare_bytes_per_second, log_server, pipe, road, scripted

SideName = Literal["pipe", "scripted", "road"]

SIDES: Final[tuple[SideName, ...]] = ("pipe", "scripted", "road")
NEIGHBOURS: Final[tuple[SideName, ...]] = ("pipe", "road")
READERS: Final = 10

_FIRST_TIMES: Final = 20
# How long the memory of what has ended is left alone before it is read.
_SETTLE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """How long to look: `rounds` times, each side `seconds` of a flood; and `lines` of a quiet stream."""

    rounds: int
    seconds: float
    lines: int


@dataclass(frozen=True, slots=True)
class Flow:
    """A flood as its reader saw it, in bytes and lines of output, and the CPU time of the server and of its source."""

    bytes_per_second: float
    lines_per_second: float
    frame_bytes: float
    server_ms_per_megabyte: float
    source_ms_per_megabyte: float


@dataclass(frozen=True, slots=True)
class Quiet:
    """Milliseconds from the source's writing a line to the reader's having it; and from `execute` to first output."""

    p50_ms: float
    p99_ms: float
    first_output_ms: float


@dataclass(frozen=True, slots=True)
class Neighbour:
    """The p99 of a plain command of one line, one after the other: alone, and while a stream of its cluster floods."""

    idle_ms: float
    flooded_ms: float


@dataclass(frozen=True, slots=True)
class Side:
    """What was seen of one side; floods and neighbours round by round. Scripted agents have no neighbours."""

    flows: Sequence[Flow]
    quiet: Quiet
    neighbours: Sequence[Neighbour]


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident bytes of one process: before its first stream; the peak when a flood's only reader had stalled for some
    seconds; the peak when after that READERS had read a flood; and at rest behind both.
    """

    before_bytes: int
    stalled_bytes: int
    crowded_bytes: int
    after_bytes: int

    @property
    def growth_bytes(self) -> int:
        """How far it went above what it had before."""
        return max(self.stalled_bytes, self.crowded_bytes) - self.before_bytes


@dataclass(frozen=True, slots=True)
class Flood:
    """Memory of a hub and a real agent, and what each of READERS got of one flood."""

    hub: Memory
    agent: Memory
    bytes_per_second_each: float
    times_lagging: int


@dataclass(frozen=True, slots=True)
class Streams:
    """One measurement. `source_bytes_per_second` is the road's source alone, read by a bare GET."""

    sides: Mapping[SideName, Side]
    source_bytes_per_second: float
    flood: Flood

    def flow(self, name: SideName, figure: Callable[[Flow], float]) -> float:
        """The median of one side's figure."""
        return statistics.median(map(figure, self.sides[name].flows))

    def flow_ratio(self, name: SideName, figure: Callable[[Flow], float]) -> float:
        """The median of one side's figure over the pipe's within one round."""
        pairs = zip(self.sides["pipe"].flows, self.sides[name].flows, strict=True)
        return statistics.median(figure(above) / figure(below) for below, above in pairs)

    def neighbour(self, name: SideName, figure: Callable[[Neighbour], float]) -> float:
        """The median of a neighbour's figure."""
        return statistics.median(map(figure, self.sides[name].neighbours))


async def measure_streams(plan: StreamPlan, say: Callable[[str], None]) -> Streams:
    """Run the plan. `say` is told of each round."""
    flows: dict[SideName, list[Flow]] = {name: [] for name in SIDES}
    neighbours: dict[SideName, list[Neighbour]] = {name: [] for name in SIDES}
    async with contextlib.AsyncExitStack() as stack:
        logs_url = await stack.enter_async_context(log_server())
        hub = await stack.enter_async_context(running_hub())
        sides: dict[SideName, StreamSide] = {
            "pipe": await stack.enter_async_context(pipe()),
            "scripted": await stack.enter_async_context(scripted(hub)),
            "road": await stack.enter_async_context(road(hub, logs_url)),
        }
        source = await bare_bytes_per_second(logs_url, plan.seconds)
        for number in range(plan.rounds):
            for name in SIDES if number % 2 == 0 else SIDES[::-1]:
                flows[name].append(await _flow(sides[name], plan.seconds))
            rates = ", ".join(f"{name} {flows[name][-1].bytes_per_second / 1e6:,.0f} MB/s" for name in SIDES)
            say(f"streams, round {number + 1} of {plan.rounds}: {rates}")
        first = {name: await _first(side) for name, side in sides.items()}
        # All at once: so few lines keep nobody from the processor.
        ages = await asyncio.gather(
            *(side.read("quiet", str(plan.lines), seconds=plan.lines) for side in sides.values())
        )
        for number in range(plan.rounds):
            for name in NEIGHBOURS if number % 2 == 0 else NEIGHBOURS[::-1]:
                neighbours[name].append(await _neighbour(sides[name], plan.seconds / 2))
    quiet = {name: Quiet(age["p50_ms"], age["p99_ms"], first[name]) for name, age in zip(sides, ages, strict=True)}
    seen = {name: Side(flows[name], quiet[name], neighbours[name]) for name in SIDES}
    say(f"memory under a flood, with a reader that stalls and with {READERS}")
    return Streams(seen, source, await _flood(plan.seconds * 1.5))


async def _flow(side: StreamSide, seconds: float) -> Flow:
    processes = (side.server, side.source)
    before = [process.cpu_seconds() for process in processes]
    seen = await side.read("flood", str(seconds), "1", seconds=seconds)
    spent = [process.cpu_seconds() - cpu for process, cpu in zip(processes, before, strict=True)]
    return Flow(
        seen["data_bytes"] / seconds,
        seen["lines"] / seconds,
        seen["data_bytes"] / seen["frames"],
        *(cpu * 1000 / (seen["all_bytes"] / 1e6) for cpu in spent),
    )


async def _first(side: StreamSide) -> float:
    """The median time from `execute` to first output, in milliseconds."""
    return float((await side.read("first", str(_FIRST_TIMES)))["p50_ms"])


async def _neighbour(side: StreamSide, seconds: float) -> Neighbour:
    idle = await side.ask(seconds)
    async with side.flooded():
        flooded = await side.ask(seconds)
    return Neighbour(idle.p99_ms, flooded.p99_ms)


async def _flood(seconds: float) -> Flood:
    """A hub and an agent that have done next to nothing before, so that their peaks are those of the floods."""
    async with log_server() as logs_url, running_hub() as hub, road(hub, logs_url) as side:
        processes = (side.server, side.source)
        before = [process.rss_bytes() for process in processes]
        async with side.reading("stall"):
            await asyncio.sleep(seconds)
            stalled = [process.peak_rss_bytes() for process in processes]
        crowd = await side.read("flood", str(seconds), str(READERS), seconds=seconds)
        crowded = [process.peak_rss_bytes() for process in processes]
        await asyncio.sleep(_SETTLE_SECONDS)
        after = [process.rss_bytes() for process in processes]
    of_hub, of_agent = (Memory(*figures) for figures in zip(before, stalled, crowded, after, strict=True))
    return Flood(of_hub, of_agent, crowd["data_bytes"] / seconds, crowd["times_lagging"])
