"""What the hub must reach, beside the floor of the same run."""

from dataclasses import dataclass
from typing import Final

MAX_P50_RATIO: Final = 2.5
MIN_THROUGHPUT_RATIO: Final = 0.30
MAX_IDLE_AGENT_BYTES: Final = 30_000


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar and how the run stands to it. `text` says the bar, `measured` the figure, both for people."""

    name: str
    text: str
    measured: str
    is_met: bool


def judge(p50_ratio: float, throughput_ratio: float, idle_agent_bytes: float) -> list[Bar]:
    """Hold the three figures against their bars."""
    return [
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
    ]
