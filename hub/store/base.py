"""What every store can do: whole operations, each one transaction. `tests/contract/test_store.py` holds them all to it.

Every method may raise StoreFull (the store cannot be written) and is safe to cancel: the write then happens or not,
never by half. Nothing here knows SQL.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from hub.records import (
    Accepted,
    Cluster,
    EndedSession,
    Ending,
    Idempotency,
    Key,
    OutputChunk,
    OutputText,
    Reaped,
    Result,
    Session,
    SessionPage,
    SessionStatus,
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
        """The key with this hash, expired or not."""

    async def list_keys(self) -> list[Key]:
        """All keys, oldest first."""

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

    async def record_agent(
        self, cluster_id: str, *, agent_version: str, kubernetes_version: str | None, now: float
    ) -> None:
        """Keep what an agent said at hello."""

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
    ) -> SessionPage:
        """Sessions, newest first. None filters nothing. Raises InvalidRequest (field `cursor`) for a foreign cursor."""

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
    ) -> Accepted:
        """Store a command before it is dispatched, and count it in its session.

        In the same transaction: the session exists and was made by key `owner` (None: by any key; else NotFound with
        the message `Session not found: <id>`), is of this cluster (else InvalidRequest, field `cluster_id`, code
        `cluster_mismatch`), is active and not past its time at `result.accepted_at` (else SessionNotActive). With an
        idempotency seen before for the same fingerprint the earlier result comes back and nothing is counted; for
        another fingerprint IdempotencyConflict is raised. An idempotency holds for 24 hours. A result without a
        correlation id takes the session's, else the fallback, in the returned value too.
        """

    async def find_accepted(self, idempotency: Idempotency, now: float) -> Result | None:
        """The result an idempotency stands for, None when it is new. Raises IdempotencyConflict as accept_command."""

    async def mark_running(self, result_id: str) -> None:
        """A queued command was sent to its agent; any other status stays as it is."""

    async def append_output(self, result_id: str, chunks: Sequence[OutputChunk]) -> None:
        """Store chunks of an open result. A sequence number already stored, or a result that ended, is passed over."""

    async def end_command(self, result_id: str, ending: Ending, chunks: Sequence[OutputChunk] = ()) -> Result | None:
        """End an open command with its last chunks, in one transaction. None: it had ended (or is unknown)."""

    async def get_result(self, result_id: str) -> Result | None:
        """One result, without its output."""

    async def read_output(self, result_id: str, *, offset: int = 0, limit: int | None = None) -> OutputText:
        """Stored output in the order of sequence numbers.

        `offset` and `limit` are bytes of UTF-8 stdout. The part starts at the first character that begins at or after
        `offset` and holds whole characters only (at most `limit` bytes, yet at least one character when there is any
        left and `limit` > 0). stderr always comes whole.
        """

    async def list_open_results(self) -> list[Result]:
        """Every command that has not ended, oldest first: what a started hub finds."""

    async def list_overdue(self, now: float) -> list[Result]:
        """Open commands whose `deadline_at` is past."""

    # housekeeping

    async def reap(
        self, now: float, *, keep_results_seconds: float, keep_sessions_seconds: float, max_store_bytes: int
    ) -> Reaped:
        """Remove ended results and ended sessions older than they are kept, then the oldest ended results until the
        store is under `max_store_bytes` (0: no bound), and idempotencies past their day.

        Works in batches small enough that other writes are not held up for long. Open results and active sessions are
        never removed; a session goes only when none of its results is left.
        """
