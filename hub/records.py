"""The rows of the store as values. Times are UTC, in seconds since the epoch; None means "not yet" or "not given".

What every command makes is a Struct: a frozen dataclass takes up to ten times as long to make.
"""

from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

from schemas.frames import Stream
from schemas.kubectl.scope import Scope

SessionStatus = Literal["active", "closed", "expired"]
ResultStatus = Literal["queued", "running", "completed", "failed", "timeout", "cancelled", "refused", "lost"]
Role = Literal["admin", "auditor", "user"]
AuditKind = Literal["request", "admin", "accepted", "ended", "stream", "agent", "unauthenticated", "dropped", "hub"]
Decision = Literal["allowed", "refused", "unauthenticated", "error"]

# By which rule of the audit log something has no outcome that is known: nobody was there any more to hear of it.
CLIENT_LEFT: Final = "client_left"

OPEN_STATUSES: Final = ("queued", "running")


class Limits(msgspec.Struct, frozen=True, gc=False):
    """How much a key may ask for, in place of the hub's own limits; None: as those have it. Requests per minute by
    bucket; bytes of stdout that a command of it may have, never more than the hub's.
    """

    standard_per_minute: int | None = None
    execute_per_minute: int | None = None
    session_per_minute: int | None = None
    max_output_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """An API key, known by its hash alone. `clusters` are globs; None: every cluster. `scope`: what it may run there;
    None: whatever there is. `limits` None: the hub's.

    A key that was rotated has its former secret too, `retired_hash`, which works until `retired_until`.
    """

    key_id: str
    name: str
    role: Role
    secret_hash: str
    created_at: float
    clusters: tuple[str, ...] | None = None
    expires_at: float | None = None
    scope: Scope | None = None
    limits: Limits | None = None
    retired_hash: str | None = None
    retired_until: float | None = None


@dataclass(frozen=True, slots=True)
class Cluster:
    """A registered cluster. What its agent last told stays when the agent is gone, `labels` are set by admins."""

    cluster_id: str
    name: str
    created_at: float
    agent_version: str | None = None
    kubernetes_version: str | None = None
    last_seen: float | None = None
    labels: dict[str, str] = field(default_factory=dict)
    announced_labels: dict[str, str] = field(default_factory=dict)

    @property
    def all_labels(self) -> dict[str, str]:
        """What its agent announced, and over that what admins have set."""
        return {**self.announced_labels, **self.labels}


@dataclass(frozen=True, slots=True)
class Token:
    """An agent token of one cluster, known by its hash alone."""

    token_id: str
    cluster_id: str
    secret_hash: str
    created_at: float
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A client's piece of debugging work on one cluster."""

    session_id: str
    cluster_id: str
    key_id: str
    created_at: float
    expires_at: float
    last_activity: float
    status: SessionStatus = "active"
    closed_at: float | None = None
    commands_executed: int = 0
    metadata: dict[str, Any] = field(default_factory=dict)
    correlation_id: str | None = None
    service_identity: str | None = None


class Result(msgspec.Struct, frozen=True, gc=False):
    """The record of one execution. Its output is read apart (`Store.read_output`): it may be large.

    `deadline_at` is when the hub ends what the agent has not. `reason` says in a sentence why a command ended that
    did not end by itself. `output_bytes` counts stdout before any cut; `stored_bytes` what of stdout came
    into the store, of which the first `expired_bytes` are let go of again. `redactions` is JSON, `{"secret": 2}`: how
    often each of the agent's rules hid something; None: never.
    """

    result_id: str
    session_id: str
    cluster_id: str
    key_id: str
    command_type: str
    args: tuple[str, ...]
    timeout_seconds: float
    accepted_at: float
    deadline_at: float
    status: ResultStatus
    correlation_id: str | None = None
    service_identity: str | None = None
    ended_at: float | None = None
    exit_code: int | None = None
    executor: str | None = None
    reason: str | None = None
    execution_time_ms: int | None = None
    output_bytes: int = 0
    omitted_bytes: int = 0
    stored_bytes: int = 0
    omitted_lines: int = 0
    is_truncated: bool = False
    expired_bytes: int = 0
    boot_id: str | None = None
    is_stream: bool = False
    max_output_bytes: int = 0
    contract: str | None = None
    redactions: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether the command has not ended yet."""
        return self.status in OPEN_STATUSES


class OutputChunk(msgspec.Struct, frozen=True, gc=False):
    """One numbered piece of a result's output."""

    seq: int
    stream: Stream
    data: str


class Ending(msgspec.Struct, frozen=True, gc=False):
    """How a command ended; with it an open result becomes a terminal one, once."""

    status: Literal["completed", "failed", "timeout", "cancelled", "refused", "lost"]
    ended_at: float
    exit_code: int | None = None
    executor: str | None = None
    reason: str | None = None
    execution_time_ms: int | None = None
    output_bytes: int | None = None  # None: as many as are stored
    omitted_bytes: int = 0
    omitted_lines: int = 0
    is_truncated: bool = False
    redactions: str | None = None


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A client's Idempotency-Key. `fingerprint` is a hash of the request it stands for."""

    key_id: str
    value: str
    fingerprint: str


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """What `Store.accept_command` did: the stored result, and whether this call stored it (else an earlier one)."""

    result: Result
    is_new: bool


@dataclass(frozen=True, slots=True)
class EndedSession:
    """A session that was just closed or expired, with the ids of its commands that had not ended."""

    session: Session
    open_results: tuple[str, ...]


class OutputText(msgspec.Struct, frozen=True, gc=False):
    """Stored output: `stdout` is the part asked for, `stderr` always whole (of a stream: what is still held of it).

    `start` is where the part begins, in bytes from the command's first.
    """

    stdout: str
    stderr: str
    start: int = 0


class StoredChunks(msgspec.Struct, frozen=True, gc=False):
    """Output behind a number, in order. `first_held` is the lowest number the store still has, 0 when it has none.

    An empty `chunks` means that nothing is stored behind the number yet.
    """

    chunks: tuple[OutputChunk, ...]
    first_held: int


@dataclass(frozen=True, slots=True)
class SessionPage:
    """One page of sessions, newest first. `next_cursor` is None on the last page; `total` counts all that match."""

    sessions: tuple[Session, ...]
    total: int
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Reaped:
    """How many rows a reaping removed."""

    sessions: int = 0
    results: int = 0


class Origin(msgspec.Struct, gc=False):
    """Where a request comes from, for the audit log. `action` is what it does: `POST /debug/execute`, `stream execute`.

    `role` is the key's, once it is known. `is_accepted`: it was a command that is stored, and with it its row;
    `is_recorded`: its row as a request was seen to.
    """

    address: str
    request_id: str | None
    action: str
    role: str | None = None
    is_accepted: bool = False
    is_recorded: bool = False


class AuditDetail(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """What a row of the audit log says beside its time and kind; what does not apply is left out of its JSON.

    `rule` is the error code, or the name of the rule, by which something was refused. `target` is the key that an admin
    made or removed. `argv` is the canonical command, `argv_omitted` how many arguments at its end were left out.
    `status` to `redactions` are how a command ended; `count` is how many events a row stands for, from `since` on.
    """

    action: str | None = None
    decision: Decision = "allowed"
    rule: str | None = None
    http_status: int | None = None
    key_id: str | None = None
    role: str | None = None
    service_identity: str | None = None
    address: str | None = None
    cluster_id: str | None = None
    session_id: str | None = None
    result_id: str | None = None
    token_id: str | None = None
    target: str | None = None
    version: str | None = None
    argv: tuple[str, ...] | None = None
    argv_omitted: int = 0
    correlation_id: str | None = None
    request_id: str | None = None
    status: str | None = None
    exit_code: int | None = None
    stdout_bytes: int | None = None
    duration_ms: int | None = None
    redactions: msgspec.Raw | None = None
    count: int | None = None
    since: float | None = None


class AuditEvent(msgspec.Struct, frozen=True, gc=False):
    """Something for the audit log that has no row yet."""

    at: float
    kind: AuditKind
    detail: AuditDetail


class AuditRow(msgspec.Struct, frozen=True, gc=False):
    """A row of the audit log; `mac` chains it to the one before, in hexadecimal."""

    seq: int
    at: float
    kind: str
    detail: dict[str, Any]
    mac: str


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which rows are wanted: of a time (`since <= at < until`), and with these values. None filters nothing."""

    since: float | None = None
    until: float | None = None
    kind: str | None = None
    decision: str | None = None
    key_id: str | None = None
    cluster_id: str | None = None
    session_id: str | None = None
    result_id: str | None = None


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Rows of the audit log, newest first. `next_cursor` is None when there are no older ones; a page may be short, or
    empty, before that.
    """

    rows: tuple[AuditRow, ...]
    next_cursor: str | None
