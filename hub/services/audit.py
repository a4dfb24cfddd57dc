"""The audit log: what has no transaction of its own to be written in is gathered here, and the rows are shown.

The rows of commands are written by the store, with the commands. Everything else waits here for a moment, then goes
to the store in one write with its neighbours. What waits is bounded; what finds no room is counted, and the count is
a row.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from typing import Final

import msgspec

from hub.errors import StoreFull
from hub.records import AuditDetail, AuditEvent, AuditFilter, AuditKind, AuditPage
from hub.services.audit_repeats import Repeats, source_of
from hub.services.caller import Caller
from hub.store.base import Store

_log = logging.getLogger(__name__)

# How long the row of a plain request waits for company; a killed hub loses as much. The others do not wait.
_GATHER_SECONDS: Final = 0.05
# Rows that wait, while the store is full or slow. Each takes about a kilobyte.
_MAX_WAITING: Final = 5000
# Rows in one write: a few milliseconds, perhaps of the event loop's.
_BATCH: Final = 200
_LOOK_SECONDS: Final = 1.0
# Sources of repeated events that are told apart: addresses without a valid key; keys and tokens, of a whole fleet.
_MAX_STRANGERS: Final = 128
_MAX_KNOWN: Final = 50_000
_HEAD_SECONDS: Final = 60.0
# Who waits for a row to be stored waits so long at the most.
_SETTLE_SECONDS: Final = 3.0
# A row that waited for longer has the time at which it was written, and says in `since` when it happened.
_LATE_SECONDS: Final = 60.0


class AuditService:
    """Everything about the audit log."""

    def __init__(self, store: Store, version: str) -> None:
        self._store = store
        self._version = version
        self._waiting: deque[AuditEvent] = deque()
        self._dropped = 0
        self._strangers = Repeats(_MAX_STRANGERS)
        self._known = Repeats(_MAX_KNOWN)  # apart, so that no flood of the others hides them
        self._is_failing = False
        self._has_come = asyncio.Event()
        self._flushing: asyncio.Task[None] | None = None
        self._head = ""
        self._head_at = time.monotonic()

    def record(self, kind: AuditKind, detail: AuditDetail) -> None:
        """Have a row written soon. Never waits, never fails."""
        event = AuditEvent(time.time(), kind, detail)
        source = source_of(event)
        if source is not None:
            repeats = self._strangers if detail.decision == "unauthenticated" else self._known
            if not repeats.take(source, event):
                return
        self._add(event)

    async def settle(self) -> None:
        """Wait until what was recorded is stored, unless the store is full or takes too long."""
        await asyncio.wait([self._flush()], timeout=_SETTLE_SECONDS)

    async def run(self) -> None:
        """Write what comes, until cancelled; tell the head of the chain when it has moved, once a minute."""
        self.record("hub", AuditDetail(action="start", version=self._version))
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._has_come.wait()
                    await asyncio.sleep(_GATHER_SECONDS)
            self._add_due()
            flush = self._flush()
            await asyncio.wait([flush])
            try:
                flush.result()
                if time.monotonic() - self._head_at >= _HEAD_SECONDS:
                    await self._tell_head()
            except StoreFull:  # said by the store; what waits stays
                await asyncio.sleep(_LOOK_SECONDS)
            except Exception:  # noqa: BLE001 - a border: logged, and life goes on
                _log.exception("the audit log could not be written")
                await asyncio.sleep(_LOOK_SECONDS)

    async def close(self) -> None:
        """Write what waits, and tell the head of the chain; the last thing before the store is closed."""
        self._add_due(is_last=True)
        self.record("hub", AuditDetail(action="stop", version=self._version))
        await self.settle()
        if self._waiting or self._dropped:
            _log.error("rows of the audit log are lost", extra={"count": len(self._waiting) + self._dropped})
        with contextlib.suppress(StoreFull):
            await self._tell_head()

    async def list_rows(self, caller: Caller, wanted: AuditFilter, *, limit: int, cursor: str | None) -> AuditPage:
        """Rows, newest first: of a key that is bound to clusters, those of its clusters and its own; of one that is
        limited in what it may run, its own.

        Raises Forbidden, and InvalidRequest for a foreign cursor.
        """
        caller.require_overview()
        sees_all = caller.key.clusters is None and caller.key.scope is None

        def may_see(key_id: str | None, cluster_id: str | None) -> bool:
            if key_id == caller.key.key_id:
                return True
            return caller.key.scope is None and cluster_id is not None and caller.may_see_cluster(cluster_id)

        return await self._store.list_audit(wanted, limit=limit, cursor=cursor, may_see=None if sees_all else may_see)

    def _add(self, event: AuditEvent) -> None:
        if len(self._waiting) >= _MAX_WAITING:
            self._dropped += 1
            return
        self._waiting.append(event)
        self._has_come.set()
        if event.kind != "request" and not self._is_failing:
            self._flush()

    def _add_due(self, *, is_last: bool = False) -> None:
        now = time.time()
        for repeats in (self._strangers, self._known):
            for event in repeats.due(now, is_last=is_last):
                self._add(event)

    def _flush(self) -> asyncio.Task[None]:
        """The task that stores what waits. It is nobody's to cancel: what became of its write would not be known."""
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._write_all(), name="audit rows")
            self._flushing.add_done_callback(_read_exception)
        return self._flushing

    async def _write_all(self) -> None:
        """Store what waits. Raises StoreFull; what is not stored then waits on."""
        while self._waiting or self._dropped:
            now = time.time()
            batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            dropped, self._dropped = self._dropped, 0
            rows = [_as_of(event, now) for event in batch]
            if dropped:
                rows.append(AuditEvent(now, "dropped", AuditDetail(action="drop", decision="error", count=dropped)))
            try:
                await self._store.append_audit(rows)
                self._is_failing = False
            except StoreFull:
                self._is_failing = True
                self._waiting.extendleft(reversed(batch))
                self._dropped += dropped
                raise
            except BaseException:  # again it would be no better, and hold up the others
                self._dropped += dropped + len(batch)
                raise
        self._has_come.clear()

    async def _tell_head(self) -> None:
        self._head_at = time.monotonic()
        seq, mac = await self._store.audit_head()
        head = f"{seq}:{mac}"
        if head != self._head:
            self._head = head
            _log.info("the head of the audit log", extra={"head": head})


def _read_exception(task: asyncio.Task[None]) -> None:
    """So that a failure nobody waited for is not told as one nobody looked at: the next round meets it again."""
    if not task.cancelled():
        task.exception()


def _as_of(event: AuditEvent, now: float) -> AuditEvent:
    """The event as it is written: one that waited for long has the time of now, so that rows lie by their times."""
    if 0 <= now - event.at <= _LATE_SECONDS:
        return event
    since = event.at if event.detail.since is None else event.detail.since
    return AuditEvent(now, event.kind, msgspec.structs.replace(event.detail, since=since))
