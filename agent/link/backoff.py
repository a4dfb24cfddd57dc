"""When to dial the hub again. Pure: it is told the time and what happened, and answers with a delay in seconds.

Full jitter throughout, so that agents which lost the same hub do not come back together:
https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
"""

from random import Random
from typing import Final

from schemas.frames import CloseCode

BASE_SECONDS: Final = 0.5
# Someone may be waiting for a cluster that was there a moment ago; later, an idle fleet should cost little.
RECENT_CAP_SECONDS: Final = 5.0
RECENT_SECONDS: Final = 60.0
CAP_SECONDS: Final = 30.0
# A hub that accepts and soon closes again is as bad as one that does not accept.
GOOD_LINK_SECONDS: Final = 10.0
# A hub that comes back has all its agents to greet at once; still within the 10 s it is to have them back.
RESTART_SPREAD_SECONDS: Final = 3.0
REJECTION_SECONDS: Final = 300.0
# Two agents of one cluster would otherwise take the link from each other for ever.
REPLACED_SECONDS: Final = 120.0
MAX_RETRY_AFTER_SECONDS: Final = 300.0

# How a hub's end looks: going away, a broken socket (RFC 6455 §7.4.1), restart (IANA registry, 1012).
_RESTART_CODES: Final = frozenset({CloseCode.GOING_AWAY, 1006, 1012})


class Backoff:
    """Counts failures in a row. `now` is a monotonic clock's seconds; every method returns the delay to keep."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._failures = 0
        self._recent_until = float("-inf")

    def after_failure(self, now: float, retry_after_seconds: float | None = None) -> float:
        """The dial did not lead to a welcome. `retry_after_seconds` is what the hub asked for, if it did."""
        cap = RECENT_CAP_SECONDS if now < self._recent_until else CAP_SECONDS
        delay = self._random.uniform(0, min(cap, BASE_SECONDS * 2 ** min(self._failures, 16)))
        self._failures += 1
        if retry_after_seconds is not None:
            delay += min(max(retry_after_seconds, 0.0), MAX_RETRY_AFTER_SECONDS)
        return delay

    def after_loss(self, now: float, lived_seconds: float, code: int) -> float:
        """A welcomed link ended with close code `code` after `lived_seconds`."""
        self._recent_until = now + RECENT_SECONDS
        if lived_seconds >= GOOD_LINK_SECONDS:
            self._failures = 0
        if code == CloseCode.REPLACED:
            return REPLACED_SECONDS * self._random.uniform(0.5, 1.5)
        if self._failures == 0 and code in _RESTART_CODES:
            self._failures = 1
            return self._random.uniform(0, RESTART_SPREAD_SECONDS)
        return self.after_failure(now)

    def after_rejection(self) -> float:
        """The hub said no to this agent (401, 403, 426)."""
        return REJECTION_SECONDS * self._random.uniform(0.9, 1.1)
