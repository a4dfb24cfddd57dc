"""What must be reached, each beside its floor of the same run."""

from dataclasses import dataclass
from typing import Final

from bench.cli import CommandLine
from bench.road import CALLERS, Road
from bench.streams import READERS, Streams

MAX_P50_RATIO: Final = 2.5
MIN_THROUGHPUT_RATIO: Final = 0.30
MAX_IDLE_AGENT_BYTES: Final = 30_000
# `get pods` through hub and native agent: so many times faster than spawning kubectl, by the number of pods.
MIN_SPEEDUPS: Final = {50: 10.0, 500: 4.0}
MAX_OVER_BARE_MS: Final = 3.0
MIN_NATIVE_THROUGHPUT: Final = 8.0
MAX_AGENT_BYTES: Final = 120_000_000
# The second half of the commands may leave this much behind: what an allocator keeps, no leak of 10,000 commands.
MAX_AGENT_GROWTH_BYTES: Final = 3_000_000
# The whole road of a stream, with a real agent: its log server alone is several times as fast.
MIN_STREAM_THROUGHPUT: Final = 0.50
# What window, tail, queues and ten readers may hold is some 10 MB; the rest is room for what an allocator keeps. A
# flood of 100 MB/s that something holds without a bound is beyond it in a third of a second.
MAX_FLOOD_GROWTH_BYTES: Final = 32_000_000
MAX_NEIGHBOUR_RATIO: Final = 3.0
# What `kubently exec` may take beside importing aiohttp and the requests themselves: nobody waits for it to start.
MAX_COMMAND_LINE_MS: Final = 150.0


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar and how the run stands to it. `text` says the bar, `measured` the figure, both for people."""

    name: str
    text: str
    measured: str
    is_met: bool


def judge(
    p50_ratio: float,
    throughput_ratio: float,
    idle_agent_bytes: float,
    command_line: CommandLine,
    streams: Streams,
    road: Road | None,
) -> list[Bar]:
    """Hold the figures against their bars; without a road those of streams and the hub's own."""
    bars = [
        Bar(
            "p50 at 1 caller",
            f"at most {MAX_P50_RATIO} times the floor's",
            f"{p50_ratio:.2f} times",
            p50_ratio <= MAX_P50_RATIO,
        ),
        Bar(
            "requests/s at 32 callers",
            f"at least {MIN_THROUGHPUT_RATIO:.0%} of the floor's",
            f"{throughput_ratio:.0%}",
            throughput_ratio >= MIN_THROUGHPUT_RATIO,
        ),
        Bar(
            "hub memory per idle agent",
            f"at most {MAX_IDLE_AGENT_BYTES / 1000:.0f} KB",
            f"{idle_agent_bytes / 1000:.1f} KB",
            idle_agent_bytes <= MAX_IDLE_AGENT_BYTES,
        ),
        Bar(
            "`kubently exec` beside `import aiohttp` and its requests",
            f"at most {MAX_COMMAND_LINE_MS:.0f} ms more",
            f"{command_line.over_ms:.0f} ms more",
            command_line.over_ms <= MAX_COMMAND_LINE_MS,
        ),
        *_judge_streams(streams),
    ]
    return bars if road is None else bars + _judge_road(road)


def _judge_streams(streams: Streams) -> list[Bar]:
    throughput = streams.flow_ratio("road", lambda flow: flow.bytes_per_second)
    growths = {"hub": streams.flood.hub.growth_bytes, "agent": streams.flood.agent.growth_bytes}
    neighbour = streams.neighbour("road", lambda row: row.flooded_ms / row.idle_ms)
    return [
        Bar(
            "MB/s of a stream, whole road",
            f"at least {MIN_STREAM_THROUGHPUT:.0%} of the bare pipe's",
            f"{throughput:.0%}",
            throughput >= MIN_STREAM_THROUGHPUT,
        ),
        *(
            Bar(
                f"{name}'s growth under a flood, its reader stalled, then {READERS} readers",
                f"at most {MAX_FLOOD_GROWTH_BYTES / 1e6:.0f} MB",
                f"{growth / 1e6:.1f} MB",
                growth <= MAX_FLOOD_GROWTH_BYTES,
            )
            for name, growth in growths.items()
        ),
        Bar(
            "p99 of a command beside a flood of its cluster",
            f"at most {MAX_NEIGHBOUR_RATIO:g} times its idle p99",
            f"{neighbour:.1f} times",
            neighbour <= MAX_NEIGHBOUR_RATIO,
        ),
    ]


def _judge_road(road: Road) -> list[Bar]:
    bars = []
    for listing in road.listings:
        if listing.pods in MIN_SPEEDUPS:
            wanted, speedup = MIN_SPEEDUPS[listing.pods], listing.alone_ms / listing.native_ms
            bars.append(
                Bar(
                    f"`get pods` of {listing.pods}, native",
                    f"at least {wanted:g} times faster than kubectl",
                    f"{speedup:.1f} times",
                    speedup >= wanted,
                )
            )
    over = road.smallest.native_ms - road.smallest.bare_ms
    ratio = road.native_per_second / road.kubectl_per_second
    memory = road.memory
    growth = memory.end_bytes - memory.half_bytes
    return [
        *bars,
        Bar(
            f"`get pods` of {road.smallest.pods}, native",
            f"at most {MAX_OVER_BARE_MS:g} ms over the bare GET",
            f"{over:.2f} ms",
            over <= MAX_OVER_BARE_MS,
        ),
        Bar(
            f"commands/s at {CALLERS} callers of one cluster, native",
            f"at least {MIN_NATIVE_THROUGHPUT:g} times those with kubectl",
            f"{ratio:.1f} times",
            ratio >= MIN_NATIVE_THROUGHPUT,
        ),
        Bar(
            f"native agent's memory after {memory.commands:,} commands",
            f"at most {MAX_AGENT_BYTES / 1e6:.0f} MB, and no growth",
            f"{memory.end_bytes / 1e6:.0f} MB, {growth / 1e6:+.1f} MB in the second half",
            memory.end_bytes <= MAX_AGENT_BYTES and growth <= MAX_AGENT_GROWTH_BYTES,
        ),
    ]
