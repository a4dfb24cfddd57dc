"""Buckets: how often a key or an address may ask. The counting is the `limits` library's, the memory is ours.

The library's own in-process storages start a thread or walk all keys at every hit; this one is a dict with a bound.
"""

import functools
import math
import time
from collections import deque
from typing import Final, Literal

import msgspec
from limits import RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.storage import MovingWindowSupport, Storage
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter

from hub.records import Key
from hub.settings import RateLimit

# Buckets remembered at once; beyond it those that ran out are dropped, then the oldest. About 20 MB when full.
_MAX_BUCKETS: Final = 100_000

Kind = Literal["standard", "execute", "session"]


class Draw(msgspec.Struct, frozen=True, gc=False):
    """What one request found in its bucket. `reset_at` is in seconds since the epoch, `retry_after` in seconds."""

    is_allowed: bool
    limit: int
    remaining: int
    reset_at: int
    retry_after: int

    def headers(self) -> dict[str, str]:
        """The three headers of the API reference."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset_at),
        }


class Bucket:
    """One kind of limit with a window per owner: at most `limit` draws in a minute that starts with the first."""

    def __init__(self, limit: int) -> None:
        self._item = _per_minute(limit) if limit else None
        self._windows = _Windows()
        self._limiter = FixedWindowRateLimiter(self._windows)

    def draw(self, owner: str, *, cost: int = 1, limit: int | None = None) -> Draw | None:
        """Take one token of the owner's (0: only look), of its own limit if it has one. None: nothing limits it."""
        item = self._item if limit is None else _per_minute(limit)
        if item is None:
            return None
        is_allowed = cost == 0 or self._limiter.hit(item, owner, cost=cost)
        count, reset_at = self._windows.look(item.key_for(owner))
        wait = max(1, math.ceil(reset_at - time.time()))
        return Draw(is_allowed, item.amount, max(0, item.amount - count), math.ceil(reset_at), wait)


class Pace:
    """At most `limit` of each owner's in any second, wherever that begins: no burst at the edge of a window."""

    def __init__(self, limit: int) -> None:
        self._item = RateLimitItemPerSecond(limit)
        self._limiter = MovingWindowRateLimiter(_Moments())

    def admit(self, owner: str) -> bool:
        """Count one more of the owner's, if it may be."""
        return self._limiter.hit(self._item, owner)


@functools.lru_cache(maxsize=1024)
def _per_minute(limit: int) -> RateLimitItemPerMinute:
    return RateLimitItemPerMinute(limit)


class RateLimits:
    """All buckets of the REST API: three per key, one per client address for whoever has no valid key."""

    def __init__(self, settings: RateLimit) -> None:
        self._buckets: dict[Kind, Bucket] = {
            "standard": Bucket(settings.standard_per_minute),
            "execute": Bucket(settings.execute_per_minute),
            "session": Bucket(settings.session_per_minute),
        }
        self.address = Bucket(settings.address_per_minute)

    def draw(self, kind: Kind, key: Key) -> Draw | None:
        """Take one of a key's tokens. None: nothing limits it."""
        limit = None if key.limits is None else getattr(key.limits, f"{kind}_per_minute")
        return self._buckets[kind].draw(key.key_id, limit=limit)


class _Windows(Storage):
    """Counters with an end, in a dict that keeps insertion order."""

    def __init__(self) -> None:
        self._counts: dict[str, tuple[int, float]] = {}

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        now = time.time()
        count, end = self._counts.get(key, (0, 0.0))
        if end <= now:
            self._counts.pop(key, None)
            count, end = 0, now + expiry
            if len(self._counts) >= _MAX_BUCKETS:
                self._shrink(now)
        self._counts[key] = (count + amount, end)
        return count + amount

    def look(self, key: str) -> tuple[int, float]:
        """Both at once: what was drawn in the window, and when it ends; now, where there is no window."""
        now = time.time()
        count, end = self._counts.get(key, (0, now))
        return (count, end) if end > now else (0, now)

    def get(self, key: str) -> int:
        return self.look(key)[0]

    def get_expiry(self, key: str) -> float:
        return self.look(key)[1]

    def check(self) -> bool:
        return True

    def reset(self) -> int:
        count = len(self._counts)
        self._counts.clear()
        return count

    def clear(self, key: str) -> None:
        self._counts.pop(key, None)

    def _shrink(self, now: float) -> None:
        self._counts = {key: value for key, value in self._counts.items() if value[1] > now}
        for key in list(self._counts)[: len(self._counts) - _MAX_BUCKETS * 9 // 10]:
            del self._counts[key]


class _Moments(_Windows, MovingWindowSupport):
    """When each of the last entries of an owner was made, on the monotonic clock."""

    def __init__(self) -> None:
        super().__init__()
        self._moments: dict[str, deque[float]] = {}

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        now = time.monotonic()
        moments = self._moments.get(key)
        if moments is None:
            if len(self._moments) >= _MAX_BUCKETS:
                self._moments = {key: kept for key, kept in self._moments.items() if kept[-1] > now - expiry}
            moments = self._moments[key] = deque()
        while moments and moments[0] <= now - expiry:
            moments.popleft()
        if len(moments) + amount > limit:
            return False
        moments.extend([now] * amount)
        return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:  # noqa: ARG002
        moments = self._moments.get(key, ())
        recent = [moment for moment in moments if moment > time.monotonic() - expiry]
        return (recent[0] if recent else time.monotonic()), len(recent)
