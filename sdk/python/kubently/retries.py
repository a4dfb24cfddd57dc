"""When a request is sent once more, and after how long. Pure."""

import random
from typing import Final

from kubently.errors import ClusterOffline, ConnectionFailed, HubError, NotTrusted, StoreFull

# The waits double from the first to the longest, each shortened by up to half at random so that clients spread.
FIRST_WAIT_SECONDS: Final = 0.25
LONGEST_WAIT_SECONDS: Final = 8.0
# A Retry-After is heeded up to here, a minute being the window of the hub's limits; what is longer, the caller decides.
LONGEST_HEEDED_SECONDS: Final = 61.0

# What refused the request before anything came of it, and may let it through later.
_LATER: Final = frozenset({408, 429, 503})
# What proxies say of a hub that they did not reach, or that broke off: something may have come of the request.
_UNSURE: Final = frozenset({502, 504})


def wait_before(attempt: int, error: Exception, *, is_repeatable: bool) -> float | None:
    """How many seconds to wait before a request is sent once more; None: not at all.

    `attempt` counts from 1. `is_repeatable`: sending it twice does no harm.
    """
    if isinstance(error, NotTrusted):
        return None
    if isinstance(error, ConnectionFailed):
        return None if error.is_sent and not is_repeatable else _backoff(attempt)
    if not isinstance(error, HubError) or isinstance(error, ClusterOffline | StoreFull):
        return None  # an agent that is away or a full disk is news, and takes longer than anybody waits
    if error.status in _UNSURE:
        return _backoff(attempt) if is_repeatable else None
    if error.status not in _LATER or (error.code == "" and not is_repeatable):
        return None  # no code: something on the way said it, not the hub
    if error.retry_after is None:
        return _backoff(attempt)
    if error.retry_after > LONGEST_HEEDED_SECONDS:
        return None
    return error.retry_after + random.uniform(0, FIRST_WAIT_SECONDS)  # noqa: S311 - guards nothing


def _backoff(attempt: int) -> float:
    longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(attempt - 1, 16))
    return random.uniform(longest / 2, longest)  # noqa: S311 - guards nothing
