"""What a run found, as a Markdown table for people and as JSON for programs."""

from dataclasses import asdict, dataclass
from typing import Any

from bench.bars import Bar, judge
from bench.cli import CommandLine
from bench.measure import CALLERS, Rounds
from bench.road import CALLERS as ROAD_CALLERS
from bench.road import Road
from bench.streams import NEIGHBOURS, READERS, SIDES, Memory, Streams


@dataclass(frozen=True, slots=True)
class Report:
    """One run. `road` is None where it was not measured; then `road_missing` says why."""

    rounds: Rounds
    idle_agent_bytes: float
    idle_agents: int
    command_line: CommandLine
    streams: Streams
    road: Road | None
    road_missing: str

    def bars(self) -> list[Bar]:
        """How the run stands to each bar."""
        p50 = self.rounds.medians(lambda row: row.one.p50_ms)[2]
        throughput = self.rounds.medians(lambda row: row.many.per_second)[2]
        return judge(p50, throughput, self.idle_agent_bytes, self.command_line, self.streams, self.road)

    def markdown(self) -> str:
        """Return the table and the bars."""
        figures = (
            ("p50 at 1 caller, ms", lambda row: row.one.p50_ms, ".2f"),
            ("p99 at 1 caller, ms", lambda row: row.one.p99_ms, ".2f"),
            (f"requests/s at {CALLERS} callers", lambda row: row.many.per_second, ",.0f"),
            (f"p99 at {CALLERS} callers, ms", lambda row: row.many.p99_ms, ".1f"),
            ("server's CPU per command, ms", lambda row: row.cpu_ms, ".3f"),
        )
        lines = ["| figure | floor | hub | hub / floor |", "|---|---|---|---|"]
        for name, figure, form in figures:
            floor, hub, ratio = self.rounds.medians(figure)
            lines.append(f"| {name} | {floor:{form}} | {hub:{form}} | {ratio:.2f} |")
        lines += ["", "| figure | measured |", "|---|---|"]
        lines.append(
            f"| hub memory per idle agent, KB ({self.idle_agents} agents) | {self.idle_agent_bytes / 1000:.1f} |"
        )
        lines.append(
            "| hub memory before and after the load, MB |"
            f" {self.rounds.rss_bytes_before / 1e6:.0f} and {self.rounds.rss_bytes_after / 1e6:.0f} |"
        )
        line = self.command_line
        lines.append(
            "| `import aiohttp`, a session with one command, `kubently exec` of it, ms |"
            f" {line.import_ms:.0f}, {line.requests_ms:.1f}, {line.exec_ms:.0f} |"
        )
        if self.road is None:
            lines.append(f"| the whole road | not measured: {self.road_missing} |")
        else:
            lines += _road(self.road)
        lines += _streams(self.streams)
        lines += ["", "| bar | wanted | measured | |", "|---|---|---|---|"]
        lines += [f"| {bar.name} | {bar.text} | {bar.measured} | {_word(bar)} |" for bar in self.bars()]
        return "\n".join(lines)

    def json(self) -> dict[str, Any]:
        """Return everything measured, round by round."""
        return {**asdict(self), "bars": [asdict(bar) for bar in self.bars()]}


def _streams(streams: Streams) -> list[str]:
    flows = (
        ("MB/s", lambda row: row.bytes_per_second / 1e6, ",.1f"),
        ("lines/s", lambda row: row.lines_per_second, ",.0f"),
        ("KB of output in a frame", lambda row: row.frame_bytes / 1e3, ".1f"),
        ("server's CPU per MB, ms", lambda row: row.server_ms_per_megabyte, ".1f"),
        ("source's or agent's CPU per MB, ms", lambda row: row.source_ms_per_megabyte, ".1f"),
    )
    quiets = (
        ("first byte of a line, p50, ms", lambda row: row.p50_ms, ".2f"),
        ("first byte of a line, p99, ms", lambda row: row.p99_ms, ".1f"),
        ("from `execute` to first output, p50, ms", lambda row: row.first_output_ms, ".1f"),
    )
    neighbours = (
        ("a command's p99, ms", lambda row: row.idle_ms, ".1f"),
        ("the same beside a flood, ms", lambda row: row.flooded_ms, ".1f"),
    )
    lines = ["", "| a stream | bare pipe | scripted agent | whole road | road / pipe |", "|---|---|---|---|---|"]
    for name, figure, form in flows:
        cells = [f"{streams.flow(side, figure):{form}}" for side in SIDES]
        lines.append(f"| {name} | {' | '.join(cells)} | {streams.flow_ratio('road', figure):.2f} |")
    for name, figure, form in quiets:
        pipe, scripted, road = (figure(streams.sides[side].quiet) for side in SIDES)
        lines.append(f"| {name} | {pipe:{form}} | {scripted:{form}} | {road:{form}} | {road / pipe:.2f} |")
    for name, figure, form in neighbours:
        pipe, road = (streams.neighbour(side, figure) for side in NEIGHBOURS)
        lines.append(f"| {name} | {pipe:{form}} | | {road:{form}} | {road / pipe:.2f} |")
    flood = streams.flood
    return [
        *lines,
        "",
        f"| memory under a flood, MB | before | reader stalled | {READERS} readers | after |",
        "|---|---|---|---|---|",
        _memory("hub", flood.hub),
        _memory("agent", flood.agent),
        "",
        "| figure | measured |",
        "|---|---|",
        f"| the log server alone, MB/s | {streams.source_bytes_per_second / 1e6:.0f} |",
        f"| each of {READERS} readers of one flood, MB/s | {flood.bytes_per_second_each / 1e6:.1f} |",
        f"| how often one of them fell behind | {flood.times_lagging} |",
    ]


def _memory(name: str, memory: Memory) -> str:
    figures = (memory.before_bytes, memory.stalled_bytes, memory.crowded_bytes, memory.after_bytes)
    return f"| {name} | " + " | ".join(f"{figure / 1e6:.0f}" for figure in figures) + " |"


def _road(road: Road) -> list[str]:
    memory = road.memory
    rows = [
        f"| {row.pods:,} pods | {row.bare_ms:.1f} | {row.alone_ms:.0f} | {row.kubectl_ms:.0f} | {row.native_ms:.1f} |"
        for row in road.listings
    ]
    return [
        f"| commands/s at {ROAD_CALLERS} callers, with kubectl | {road.kubectl_per_second:.0f} |",
        f"| commands/s at {ROAD_CALLERS} callers, native | {road.native_per_second:.0f} |",
        f"| native agent's memory after {memory.commands // 2:,} and {memory.commands:,} commands, MB |"
        f" {memory.half_bytes / 1e6:.0f} and {memory.end_bytes / 1e6:.0f} |",
        f"| its peak while it listed {road.listings[-1].pods:,} pods, as a table and as JSON, MB |"
        f" {memory.peak_bytes / 1e6:.0f} |",
        "",
        "| `get pods`, p50 at 1 caller, ms | bare GET | kubectl alone | hub and kubectl | hub and native |",
        "|---|---|---|---|---|",
        *rows,
    ]


def _word(bar: Bar) -> str:
    return "met" if bar.is_met else "MISSED"
