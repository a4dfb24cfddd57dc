"""What a run found, as a Markdown table for people and as JSON for programs."""

from dataclasses import asdict, dataclass
from typing import Any

from bench.bars import Bar, judge
from bench.measure import CALLERS, Rounds
from bench.road import CALLERS as ROAD_CALLERS
from bench.road import Road


@dataclass(frozen=True, slots=True)
class Report:
    """One run. `road` is None where it was not measured; then `road_missing` says why."""

    rounds: Rounds
    idle_agent_bytes: float
    idle_agents: int
    road: Road | None
    road_missing: str

    def bars(self) -> list[Bar]:
        """How the run stands to each bar."""
        p50 = self.rounds.medians(lambda row: row.one.p50_ms)[2]
        throughput = self.rounds.medians(lambda row: row.many.per_second)[2]
        return judge(p50, throughput, self.idle_agent_bytes)

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
        if self.road is None:
            lines.append(f"| the whole road with kubectl | not measured: {self.road_missing} |")
        else:
            road = self.road
            lines.append(f"| kubectl alone, median ms | {road.alone_ms:.0f} |")
            lines.append(f"| the whole road with kubectl, p50 at 1 caller, ms | {road.one.p50_ms:.0f} |")
            lines.append(
                f"| the whole road with kubectl, commands/s at {ROAD_CALLERS} callers | {road.many.per_second:.1f} |"
            )
        lines += ["", "| bar | wanted | measured | |", "|---|---|---|---|"]
        lines += [f"| {bar.name} | {bar.text} | {bar.measured} | {_word(bar)} |" for bar in self.bars()]
        return "\n".join(lines)

    def json(self) -> dict[str, Any]:
        """Return everything measured, round by round."""
        return {**asdict(self), "bars": [asdict(bar) for bar in self.bars()]}


def _word(bar: Bar) -> str:
    return "met" if bar.is_met else "MISSED"
