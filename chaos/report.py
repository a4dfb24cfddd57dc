"""What a run found, as a person reads it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from chaos.fleet import Return
from chaos.ledger import STATUSES
from chaos.levels import Levels
from chaos.phase import Phase

# Shown of each phase.
_MAX_FAULTS: Final = 5


@dataclass(slots=True)
class Report:
    """One run. `faults` are those that belong to no phase; `again` is the command that repeats the run."""

    again: str
    phases: list[Phase] = field(default_factory=list)
    before: Levels | None = None
    fleets: list[Return] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def every_fault(self) -> list[tuple[str, str]]:
        """All there is to complain of: where it was, and a sentence."""
        found = [(phase.name, fault) for phase in self.phases for fault in phase.balance.faults]
        found += [(f"fleet, {fleet.name}", fault) for fleet in self.fleets for fault in fleet.faults()]
        return found + [("the run", fault) for fault in self.faults]

    def text(self) -> str:
        """Return the tables, then what is wrong."""
        parts = []
        if self.phases:
            parts += [_balances(self.phases), "\n".join(self._sums())]
        if self.before is not None:
            parts.append(_levels(self.before, self.phases))
        if self.fleets:
            parts.append(_fleets(self.fleets))
        parts += [f"not tried: {what}" for what in self.missing]
        faults = self.every_fault()
        parts.append(_complaints(faults) if faults else "nothing wrong")
        return "\n\n".join([*parts, f"again with: {self.again}"])

    def _sums(self) -> list[str]:
        balances = [phase.balance for phase in self.phases]
        entries = [entry for phase in self.phases for entry in phase.entries]
        accepted = sum(balance.accepted for balance in balances)
        sums = " + ".join(f"{sum(balance.statuses[status] for balance in balances):,} {status}" for status in STATUSES)
        unaccounted = sum(balance.unaccounted for balance in balances)
        output_bytes = sum(entry.read_back.output_bytes for entry in entries if entry.read_back is not None)
        followed = [entry for entry in entries if entry.visits]
        visits = sum(entry.visits for entry in followed)
        return [
            f"{accepted:,} accepted = {sums}; unaccounted {unaccounted:,}",
            f"{output_bytes:,} bytes of output held against their checksums; {len(followed):,} live streams followed"
            f" over {visits:,} connections",
        ]


def _complaints(faults: Sequence[tuple[str, str]]) -> str:
    """Some of every place, so that each shows."""
    places: dict[str, list[str]] = {}
    for place, fault in faults:
        places.setdefault(place, []).append(fault)
    lines = [f"WRONG: {len(faults)}"]
    for place, found in places.items():
        lines += [f"  {place}: {fault}" for fault in found[:_MAX_FAULTS]]
        if len(found) > _MAX_FAULTS:
            lines.append(f"  {place}: and {len(found) - _MAX_FAULTS} more")
    return "\n".join(lines)


def _balances(phases: Sequence[Phase]) -> str:
    head = ["", "accepted", *STATUSES, "unaccounted", "turned away", "links cut", "kills", "back in s", "seconds"]
    rows = [
        [
            phase.name,
            f"{phase.balance.accepted:,}",
            *(f"{phase.balance.statuses[status]:,}" for status in STATUSES),
            f"{phase.balance.unaccounted:,}",
            f"{phase.balance.turned_away:,}",
            f"{phase.links_cut:,}",
            f"{phase.killed.hubs + len(phase.killed.agents):,}",
            f"{phase.killed.longest_seconds:.1f}" if phase.killed.longest_seconds else "-",
            f"{phase.seconds:.0f}",
        ]
        for phase in phases
    ]
    return _table([head, *rows])


def _levels(before: Levels, phases: Sequence[Phase]) -> str:
    head = ["at rest", *(f"{name}: files" for name in before), *(f"{name}: MB" for name in before)]
    measured = [("before", before)] + [(phase.name, phase.levels) for phase in phases if phase.levels is not None]
    rows = [
        [
            f"after {name}" if name != "before" else name,
            *(str(level.open_files) for level in levels.values()),
            *(f"{level.rss_bytes / 1e6:.0f}" for level in levels.values()),
        ]
        for name, levels in measured
    ]
    return _table([head, *rows])


def _fleets(fleets: Sequence[Return]) -> str:
    head = ["fleet", "agents", "back", "back in s", "most per s", "REST calls", "p50 ms", "p99 ms", "no answer"]
    rows = [
        [
            fleet.name,
            f"{fleet.agents:,}",
            f"{fleet.back:,}",
            f"{fleet.back_seconds:.1f}",
            f"{fleet.most_per_second}",
            f"{len(fleet.latencies_ms):,}",
            f"{fleet.percentile_ms(50):.1f}",
            f"{fleet.percentile_ms(99):.1f}",
            f"{fleet.unanswered}",
        ]
        for fleet in fleets
    ]
    return _table([head, *rows])


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned: the first to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        first, *rest = (
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join([first, *rest]).rstrip())
    return "\n".join(lines)
