"""The ledger: what was asked, what came of it, and whether the two agree. Pure."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

Manner = Literal["sync", "async", "plain", "followed", "cancelled", "closed"]
# How much of an output is there: all; its beginning at least; or a part, with the result saying how much is not.
Extent = Literal["whole", "head", "part"]
# What is wrong with an output; None: nothing.
Fault = Callable[[str, Extent], str | None]

STATUSES: Final = ("completed", "failed", "timeout", "cancelled", "refused", "lost")
_BY_ITSELF: Final = frozenset({"completed", "failed"})
# Manners in which the caller ends the command.
_ENDED_BY_CALLER: Final = frozenset({"cancelled", "closed"})


@dataclass(frozen=True, slots=True)
class Kind:
    """One command with what is known of its end.

    `expected` are the statuses it may end with; `cancelled` and `lost` are judged apart.
    """

    name: str
    command_type: str
    args: tuple[str, ...]
    timeout_seconds: int
    expected: frozenset[str]
    fault: Fault


@dataclass(frozen=True, slots=True)
class Ending:
    """How an ended result reads. `digest` is the SHA-256 of its output; None when not all that is kept was read."""

    status: str
    exit_code: int | None
    output_bytes: int
    omitted_bytes: int
    completed_at: str | None
    error: str | None
    digest: str | None

    def contradicts(self, other: "Ending") -> bool:
        """Whether both cannot be how one result has ended."""
        if self.digest is None or other.digest is None:
            return replace(self, digest=None) != replace(other, digest=None)
        return self != other


@dataclass(slots=True)
class Entry:
    """One command. Times are a monotonic clock's seconds.

    `result_ids` has every id the hub named for it. `first` is how it ended as its caller was told, `read_back` as it
    stands in the hub at the end; None: not ended. `is_turned_away`: the last thing the hub said was that it did not
    accept it. `is_unanswered`: a call without an Idempotency-Key got no answer, so it may have been accepted.
    `followed` is what a live stream of it gave to the end, over `visits` connections.
    """

    kind: Kind
    manner: Manner
    cluster_id: str
    session_id: str
    key: str | None
    started_at: float
    result_ids: list[str] = field(default_factory=list)
    first: Ending | None = None
    ended_at: float | None = None
    read_back: Ending | None = None
    is_turned_away: bool = False
    is_unanswered: bool = False
    followed: str | None = None
    visits: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def result_id(self) -> str | None:
        """The id it is known by."""
        return self.result_ids[0] if self.result_ids else None

    @property
    def is_accepted(self) -> bool:
        """A result id was returned, or an Idempotency-Key sent and not turned away."""
        return bool(self.result_ids) or (self.key is not None and not self.is_turned_away)

    def named(self, result_id: str) -> None:
        """The hub has said this id."""
        if result_id not in self.result_ids:
            self.result_ids.append(result_id)

    def told(self, result: Mapping[str, Any], now: float) -> None:
        """The caller has the result, ended or not."""
        self.named(result["result_id"])
        if result["status"] in STATUSES and self.first is None:
            self.first, self.ended_at = ending(result), now

    def __str__(self) -> str:
        what = " ".join((self.kind.command_type, *self.kind.args))
        return f"{self.result_id or self.key or 'no id'}, {self.manner} `{what}`"


@dataclass(frozen=True, slots=True)
class Kill:
    """An agent process was killed at `at` and its successor connected at `back_at`; commands in between may be lost."""

    cluster_id: str
    at: float
    back_at: float


@dataclass(frozen=True, slots=True)
class Balance:
    """What became of the accepted commands. `faults` are sentences; with none, all is well."""

    accepted: int
    statuses: Mapping[str, int]
    unaccounted: int
    turned_away: int
    unanswered: int
    faults: list[str]


def ending(result: Mapping[str, Any]) -> Ending:
    """A result of the REST API."""
    output = result["output"] or ""
    return Ending(
        result["status"],
        result["exit_code"],
        result["output_bytes"],
        result["omitted_bytes"],
        result["completed_at"],
        result["error"],
        digest(output) if len(output.encode()) == kept_bytes(result) else None,
    )


def kept_bytes(result: Mapping[str, Any]) -> int:
    """How much of its output a result still has."""
    return int(result["output_bytes"] - result["omitted_bytes"] - expired_bytes(result))


def expired_bytes(result: Mapping[str, Any]) -> int:
    """How much of a stream's beginning is no longer held; a hub without streams does not say."""
    return int(result.get("expired_bytes", 0))


def digest(output: str) -> str:
    """SHA-256 of the UTF-8, in hex."""
    return hashlib.sha256(output.encode()).hexdigest()


def read_back(entry: Entry, result: Mapping[str, Any], now: float) -> None:
    """Enter what the hub holds of a result at the end, and check its output."""
    if result["status"] not in STATUSES:
        return
    entry.told(result, now)
    entry.read_back = ending(result)
    output = result["output"] or ""
    read, kept = len(output.encode()), kept_bytes(result)
    if read != kept:
        entry.faults.append(f"{read} bytes could be read of the {kept} it should have of {result['output_bytes']}")
    is_part = kept != result["output_bytes"]
    extent: Extent = "part" if is_part else "whole" if result["status"] in _BY_ITSELF else "head"
    wrong = entry.kind.fault(output, extent)
    if wrong is not None:
        entry.faults.append(f"ended as {result['status']}, output: {wrong}")
    if entry.followed is not None:
        wrong = entry.kind.fault(entry.followed, "head")
        if wrong is not None:
            entry.faults.append(f"followed: {wrong}")
        elif not (entry.followed.endswith(output) if extent == "part" else entry.followed == output):
            entry.faults.append(f"followed: {len(entry.followed.encode())} bytes, the result has {read} others")
        entry.followed = ""


def balance(entries: Iterable[Entry], kills: Iterable[Kill]) -> Balance:
    """Hold every entry against what is promised."""
    every, killed = list(entries), list(kills)
    accepted = [entry for entry in every if entry.is_accepted]
    statuses = Counter(entry.read_back.status for entry in accepted if entry.read_back is not None)
    found = [f"{entry}: {fault}" for entry in every for fault in (*entry.faults, *_faults(entry, killed))]
    for result_id, count in Counter(one for entry in every for one in entry.result_ids).items():
        if count > 1:
            found.append(f"{result_id}: {count} commands have this result")
    return Balance(
        accepted=len(accepted),
        statuses={status: statuses[status] for status in STATUSES},
        unaccounted=len(accepted) - sum(statuses.values()),
        turned_away=sum(entry.is_turned_away for entry in every if not entry.is_accepted),
        unanswered=sum(entry.is_unanswered for entry in every),
        faults=found,
    )


def _faults(entry: Entry, kills: list[Kill]) -> Iterable[str]:
    if len(entry.result_ids) > 1:
        yield f"one Idempotency-Key, several results: {', '.join(entry.result_ids)}"
    if not entry.is_accepted:
        return
    if entry.read_back is None:
        yield "accepted, and no end of it is known"
        return
    if entry.first is not None and entry.first.contradicts(entry.read_back):
        yield f"ended twice: first told as {entry.first}, now {entry.read_back}"
    status = entry.read_back.status
    if status == "lost":
        if not entry.read_back.error:
            yield "lost, and nothing says why"
        if not any(_may_lose(kill, entry) for kill in kills):
            yield f"lost, though its agent was not killed while it ran: {entry.read_back.error}"
    elif status not in entry.kind.expected and not (status == "cancelled" and entry.manner in _ENDED_BY_CALLER):
        yield f"ended as {status}, expected was {' or '.join(sorted(entry.kind.expected))}: {entry.read_back.error}"


def _may_lose(kill: Kill, entry: Entry) -> bool:
    return (
        kill.cluster_id == entry.cluster_id
        and entry.started_at <= kill.back_at
        and (entry.ended_at is None or entry.ended_at >= kill.at)
    )
