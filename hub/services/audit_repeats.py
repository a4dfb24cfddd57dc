"""What may come in masses, as few rows: of each source the first in a minute, then how many more there were.

So a flood of bad keys, or an agent that connects over and over, is a trickle in the audit log, and neither drives out
nor hides what matters.
"""

import ipaddress
from dataclasses import dataclass
from typing import Final

import msgspec

from hub.records import AuditDetail, AuditEvent, AuditKind

WINDOW_SECONDS: Final = 60.0
# Of these nothing was done, and the bucket that says so may be drawn on as often as one likes.
_UNCOUNTED: Final = frozenset({"rate_limited", "too_many_streams"})
_IPV6_PREFIX: Final = 64  # what one customer of a provider has at the least


@dataclass(slots=True)
class _Source:
    """One who asks: since when, how many after the first, and the latest of them."""

    since: float
    kind: AuditKind
    latest: AuditDetail
    more: int = 0


class Repeats:
    """`take` each event; `due` what has been counted.

    `most` sources are told apart at once; all others share one count. Each has two rows a minute at the most.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._sources: dict[str, _Source] = {}
        self._others: _Source | None = None

    def take(self, who: str, event: AuditEvent) -> bool:
        """Whether the event is to have a row of its own."""
        source = self._sources.get(who)
        if source is not None:
            source.more += 1
            source.latest = event.detail
        elif len(self._sources) < self._most:
            self._sources[who] = _Source(event.at, event.kind, event.detail)
            return True
        elif self._others is None:
            others = AuditDetail(action="many sources", decision=event.detail.decision)
            self._others = _Source(event.at, event.kind, others, more=1)
        else:
            self._others.more += 1
        return False

    def due(self, now: float, *, is_last: bool = False) -> list[AuditEvent]:
        """A row for each whose minute is over (`is_last`: for everybody) and who had more than the first."""
        over = [who for who, source in self._sources.items() if is_last or not 0 <= now - source.since < WINDOW_SECONDS]
        found = [self._sources.pop(who) for who in over]
        others = self._others
        if others is not None and (is_last or not 0 <= now - others.since < WINDOW_SECONDS):
            found.append(others)
            self._others = None
        return [_summary(source, now) for source in found if source.more]


def source_of(event: AuditEvent) -> str | None:
    """With which others an event is counted; None: it always has a row of its own."""
    detail = event.detail
    if detail.decision == "unauthenticated":
        return _network(detail.address)
    if event.kind == "agent":
        return f"token {detail.token_id} {detail.action} {detail.decision}"
    if detail.rule in _UNCOUNTED:
        return f"key {detail.key_id}"
    return None


def _network(address: str | None) -> str:
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return f"address {address}"
    if parsed.version == 4:
        return f"address {parsed}"
    return f"address {ipaddress.ip_network((parsed, _IPV6_PREFIX), strict=False)}"


def _summary(source: _Source, now: float) -> AuditEvent:
    detail = msgspec.structs.replace(
        source.latest, count=source.more, since=source.since, request_id=None, correlation_id=None
    )
    return AuditEvent(now, source.kind, detail)
