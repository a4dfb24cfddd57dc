"""agent/link/backoff.py: when to dial again."""

from random import Random

import pytest

from agent.link.backoff import Backoff
from schemas.frames import CloseCode


class Highest(Random):
    """Always the upper end."""

    def uniform(self, a: float, b: float) -> float:
        return b


def test_failures_double_the_delay_up_to_half_a_minute() -> None:
    backoff = Backoff(Highest())
    delays = [backoff.after_failure(now=0.0) for _ in range(9)]
    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_after_a_lost_link_the_cap_is_low_for_a_minute() -> None:
    backoff = Backoff(Highest())
    backoff.after_loss(now=100.0, lived_seconds=3600.0, code=1006)
    delays = [backoff.after_failure(now=100.0 + second) for second in range(0, 60, 6)]
    assert delays == [1.0, 2.0, 4.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0]
    assert backoff.after_failure(now=160.0) == 30.0


def test_delays_are_spread_over_their_whole_range() -> None:
    random = Random(20260120)
    delays = sorted(Backoff(random).after_failure(now=0.0) for _ in range(500))
    assert delays[0] < 0.02
    assert delays[-1] > 0.48
    assert 0.2 < sum(delays) / 500 < 0.3


def test_a_link_that_lived_is_a_new_start() -> None:
    backoff = Backoff(Highest())
    for _ in range(5):
        backoff.after_failure(now=0.0)
    assert backoff.after_loss(now=50.0, lived_seconds=10.0, code=1000) == 0.5


def test_a_link_that_did_not_live_is_one_more_failure() -> None:
    backoff = Backoff(Highest())
    delays = [backoff.after_loss(now=float(second), lived_seconds=9.9, code=1000) for second in range(6)]
    assert delays == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


@pytest.mark.parametrize("code", [1001, 1006, 1012])
def test_the_first_dial_after_a_hub_restart_is_spread(code: int) -> None:
    assert Backoff(Highest()).after_loss(now=0.0, lived_seconds=60.0, code=code) == 3.0
    delays = [Backoff(Random(seed)).after_loss(0.0, 60.0, code) for seed in range(200)]
    assert max(delays) - min(delays) > 2.5


def test_a_restart_is_spread_once_then_backed_off() -> None:
    backoff = Backoff(Highest())
    assert backoff.after_loss(now=0.0, lived_seconds=60.0, code=1006) == 3.0
    assert [backoff.after_failure(now=3.0) for _ in range(3)] == [1.0, 2.0, 4.0]


def test_retry_after_is_a_least_and_bounded() -> None:
    backoff = Backoff(Highest())
    assert backoff.after_failure(now=0.0, retry_after_seconds=7.0) == 7.5
    assert backoff.after_failure(now=0.0, retry_after_seconds=1e9) == 301.0
    assert backoff.after_failure(now=0.0, retry_after_seconds=-5.0) == 2.0


def test_a_rejection_waits_five_minutes() -> None:
    delays = [Backoff(Random(seed)).after_rejection() for seed in range(50)]
    assert 270.0 <= min(delays) < max(delays) <= 330.0


def test_a_replaced_agent_stays_away_long() -> None:
    delays = [Backoff(Random(seed)).after_loss(0.0, 3600.0, CloseCode.REPLACED) for seed in range(50)]
    assert 60.0 <= min(delays) < max(delays) <= 180.0


def test_a_thousand_failures_overflow_nothing() -> None:
    backoff = Backoff(Highest())
    assert [backoff.after_failure(0.0) for _ in range(5000)][-1] == 30.0
