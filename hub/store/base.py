"""What every store can do: whole operations, each one transaction. `tests/contract/test_store.py` holds them all to it.

Every method may raise StoreFull (the store cannot be written) and is safe to cancel: the write then happens or not,
never by half. Nothing here knows SQL.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from hub.records import (
    Accepted,
    AuditEvent,
    AuditFilter,
    AuditPage,
    Cluster,
    EndedSession,
    Ending,
    Idempotency,
    Key,
    Origin,
    OutputChunk,
    OutputText,
    Reaped,
    Result,
    Session,
    SessionPage,
    SessionStatus,
    StoredChunks,
    Token,
)


class Store(Protocol):
    """The hub's memory."""

    async def open(self) -> None:
        """Open and migrate. Raises StoreUnusable with one clear sentence; the file is then untouched."""

    async def close(self) -> None:
        """Finish the writes that wait, then close. Later calls raise StoreFull."""

    async def check(self) -> None:
        """Write and read something small; for /ready. Raises StoreFull."""

    # keys

    async def add_key(self, key: Key) -> None:
        """Keep a new key."""

    async def find_key(self, secret_hash: str) -> Key | None:
        """The key with this hash, expired or not; also by the hash of its former secret, whatever its time."""

    async def list_keys(self) -> list[Key]:
        """All keys, oldest first."""

    async def rotate_key(self, key_id: str, secret_hash: str, retired_until: float) -> Key | None:
        """Give a key another secret; the one it had becomes its former one. None: there is no such key."""

    async def remove_key(self, key_id: str) -> Key | None:
        """Remove a key and return it; None: there was none."""

    # clusters and their tokens

    async def add_cluster(self, cluster: Cluster, token: Token) -> None:
        """Register a cluster with its first token. Raises AlreadyExists."""

    async def get_cluster(self, cluster_id: str) -> Cluster | None:
        """One cluster."""

    async def list_clusters(self) -> list[Cluster]:
        """All clusters by id."""

    async def remove_cluster(self, cluster_id: str, now: float) -> list[EndedSession] | None:
        """Remove a cluster and its tokens and close its sessions; None: there was none. Results stay."""

    async def change_cluster(
        self, cluster_id: str, *, name: str | None, labels: dict[str, str] | None
    ) -> Cluster | None:
        """Change a cluster's name, and its labels as a whole; None leaves each as it is. None: there is no cluster."""

    async def record_agent(
        self,
        cluster_id: str,
        *,
        agent_version: str,
        kubernetes_version: str | None,
        policy: str | None,
        labels: dict[str, str],
        now: float,
    ) -> None:
        """Keep what an agent said at hello; `policy` as record_policy has it, None leaves the one there is."""

    async def record_policy(self, cluster_id: str, policy: str, now: float) -> None:
        """Keep what an agent told of its cluster's policy, as JSON."""

    async def get_policy(self, cluster_id: str) -> tuple[str, float] | None:
        """What an agent last told of a cluster's policy, as JSON, and when; None: nothing yet."""

    async def record_seen(self, seen: Mapping[str, float]) -> None:
        """Set `last_seen` of many clusters at once: `{cluster_id: time}`; unknown ones are passed over."""

    async def add_token(self, token: Token) -> None:
        """Add a token to a cluster. Raises NotFound when the cluster is gone."""

    async def find_token(self, secret_hash: str) -> Token | None:
        """The token with this hash."""

    async def list_tokens(self, cluster_id: str) -> list[Token]:
        """A cluster's tokens, oldest first."""

    async def remove_token(self, cluster_id: str, token_id: str) -> bool:
        """Remove a token; False: there was none."""

    # sessions

    async def add_session(self, session: Session) -> None:
        """Keep a new session. Raises NotFound when its cluster is gone."""

    async def get_session(self, session_id: str) -> Session | None:
        """One session."""

    async def list_sessions(
        self,
        *,
        cluster_id: str | None,
        status: SessionStatus | None,
        limit: int,
        cursor: str | None,
        among: Sequence[str] | None = None,
    ) -> SessionPage:
        """Sessions, newest first; `among`: of these clusters only. None filters nothing.

        Raises InvalidRequest (field `cursor`) for a foreign cursor.
        """

    async def count_active_sessions(self, cluster_id: str) -> int:
        """How many sessions of a cluster are active."""

    async def close_session(self, session_id: str, now: float) -> EndedSession | None:
        """Close an active session; one that already ended comes back as it is, with no open results. None: unknown."""

    async def expire_sessions(self, now: float) -> list[EndedSession]:
        """Mark expired every active session whose time is up."""

    # commands and results

    async def accept_command(
        self,
        result: Result,
        *,
        owner: str | None,
        idempotency: Idempotency | None,
        fallback_correlation_id: str | None = None,
        origin: Origin | None = None,
    ) -> Accepted:
        """Store a command before it is dispatched, and count it in its session.

        In the same transaction: the session exists and was made by key `owner` (None: by any key; else NotFound with
        the message `Session not found: <id>`), is of this cluster (else InvalidRequest, field `cluster_id`, code
        `cluster_mismatch`), is active and not past its time at `result.accepted_at` (else SessionNotActive). With an
        idempotency seen before for the same fingerprint the earlier result comes back and nothing is counted; for
        another fingerprint IdempotencyConflict is raised. An idempotency holds for 24 hours. A result without a
        correlation id takes the session's, else the fallback, in the returned value too. A command that is new leaves a
        row `accepted` in the audit log, in the same transaction; `origin` is for that.
        """

    async def find_accepted(self, idempotency: Idempotency, now: float) -> Result | None:
        """The result an idempotency stands for, None when it is new. Raises IdempotencyConflict as accept_command."""

    async def mark_running(self, result_id: str, boot_id: str) -> None:
        """A queued or running command goes to this agent process; one that has ended stays as it is."""

    async def append_output(self, result_id: str, chunks: Sequence[OutputChunk]) -> bool:
        """Store chunks of an open result, in the order of their numbers; False: nothing was stored.

        Each must be above those stored before: what is not is taken for a repetition and passed over, like all that
        comes for a result that ended.

        Of a result with `is_stream` the oldest chunks, whole ones, are let go as soon as it holds more than
        `keep_stream_bytes` (what the store was made with) of all its streams together, in bytes of UTF-8; a chunk
        counts as 16 at least. The newest stays whatever its size. When this returns, no more than that is held, and
        no less than that but for one chunk. Cancelling it may leave some of the letting go to the next append.
        """

    async def end_command(self, result_id: str, ending: Ending, chunks: Sequence[OutputChunk] = ()) -> Result | None:
        """End an open command with its last chunks and a row `ended` in the audit log, in one transaction. None: it had
        ended (or is unknown).

        The chunks are stored as by append_output. But where they are all the output of a stream, they all stay; and
        what is let go for them is so much as one transaction can without holding up others.
        """

    async def get_result(self, result_id: str) -> Result | None:
        """One result, without its output."""

    async def read_chunks(self, result_id: str, *, after_seq: int, max_bytes: int) -> StoredChunks:
        """Stored chunks behind a number, oldest first, for a follower: until `max_bytes` of UTF-8 are reached (so one
        chunk may go beyond), a bounded number of chunks, and one at least if any is stored.

        Chunks of stream "full" are among them with empty `data`: they are no output to follow, but a follower must get
        past their numbers. An empty `chunks` means that all that is stored was read: of an ended result, all there is.
        `first_held` above `after_seq + 1` means that what lay between was let go. Both are of the same moment.
        """

    async def last_seqs(self, result_ids: Sequence[str]) -> dict[str, int]:
        """The highest stored number of each open result, 0 where nothing is stored; for a resuming agent.

        Results that ended or are unknown are not in it.
        """

    async def read_output(
        self, result_id: str, *, offset: int = 0, limit: int | None = None, is_full: bool = False
    ) -> OutputText:
        """Stored output in the order of sequence numbers; of an unknown result, none.

        `is_full` reads stream "full" in place of stdout, where the result has one. `offset` and `limit` are bytes of
        UTF-8 of the stream that is read, counted from the command's first. What lies before `Result.expired_bytes` is
        no longer there: reading from before it starts at the first byte held (`OutputText.start` says where), and
        `limit` counts from there. The part starts at the first character that begins at or after `offset` and holds
        whole characters only (at most `limit` bytes, yet at least one character when there is any left and
        `limit` > 0). stderr always comes whole, as far as it is held.
        """

    async def list_open_results(self) -> list[Result]:
        """Every command that has not ended, oldest first: what a started hub finds."""

    async def list_overdue(self, now: float) -> list[Result]:
        """Open commands whose `deadline_at` is past."""

    # the audit log

    async def append_audit(self, events: Sequence[AuditEvent]) -> None:
        """Add rows, all or none, in this order; no more than some hundred at once."""

    async def list_audit(
        self,
        wanted: AuditFilter,
        *,
        limit: int,
        cursor: str | None,
        may_see: Callable[[str | None, str | None], bool] | None,
    ) -> AuditPage:
        """Rows that are wanted, newest first. `may_see` is asked with the key id and the cluster id of each of them, in
        another thread; None: all.

        Looks at a bounded number of rows: a page may have less than `limit` of them, or none, and a `next_cursor`.
        Raises InvalidRequest (field `cursor`) for a foreign cursor.
        """

    async def audit_head(self) -> tuple[int, str]:
        """The number and the MAC of the last row, in hexadecimal; of the chain's beginning, where there is no row."""

    async def reap_audit(self, before: float, now: float) -> int:
        """Remove rows of times before `before`, oldest first, in small portions; how many. None that are younger go."""

    # housekeeping

    async def reap(
        self, now: float, *, keep_results_seconds: float, keep_sessions_seconds: float, max_store_bytes: int
    ) -> Reaped:
        """Remove ended results and ended sessions older than they are kept, then the oldest ended results until the
        store without its audit log is under `max_store_bytes` (0: no bound), and idempotencies past their day.

        Works in batches small enough that other writes are not held up for long. Open results and active sessions are
        never removed; a session goes only when none of its results is left.
        """
