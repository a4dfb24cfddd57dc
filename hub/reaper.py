"""What happens because time passes: sessions expire, overdue commands end, old rows go. One loop, once a second."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from hub.bus.base import Bus
from hub.errors import StoreFull
from hub.records import Ending, Result
from hub.settings import Audit, Database
from hub.store.base import Store
from schemas.frames import Cancel

_log = logging.getLogger(__name__)

_TICK_SECONDS: Final = 1.0
_REAP_SECONDS: Final = 60.0

End = Callable[[str, Ending], Awaitable[bool]]
WaitsForAgent = Callable[[Result, float], bool]
Expire = Callable[[float], Awaitable[None]]


class Reaper:
    """Ends what is overdue."""

    def __init__(
        self,
        store: Store,
        bus: Bus,
        end: End,
        waits_for_agent: WaitsForAgent,
        expire_sessions: Expire,
        settings: Database,
        audit: Audit,
    ) -> None:
        self._store = store
        self._bus = bus
        self._end = end
        self._waits_for_agent = waits_for_agent
        self._expire_sessions = expire_sessions
        self._settings = settings
        self._audit = audit

    async def run(self) -> None:
        """Go round until cancelled. A round that fails is logged, and the next one comes."""
        reaped_at = 0.0
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            try:
                now = time.time()
                await self._expire_sessions(now)
                await self._end_overdue(now)
                if time.monotonic() - reaped_at >= _REAP_SECONDS:
                    reaped_at = time.monotonic()
                    await self._reap(now)
            except StoreFull:
                _log.error("store full, housekeeping waits")
                reaped_at = 0.0
            except Exception:  # noqa: BLE001 - a border: logged, and life goes on
                _log.exception("housekeeping failed")

    async def _end_overdue(self, now: float) -> None:
        for result in await self._store.list_overdue(now):
            if self._waits_for_agent(result, now):
                continue
            if self._bus.presence(result.cluster_id) is None and result.status == "running":
                reason = "The cluster's agent had the command and did not come back"
                await self._end(result.result_id, Ending("lost", now, reason=reason))
                continue
            # Posted: an agent that does not read must not hold up the endings of others.
            self._bus.post(result.cluster_id, Cancel(result.result_id, "the deadline passed"))
            reason = f"Not ended within its timeout of {result.timeout_seconds:g} s"
            await self._end(result.result_id, Ending("timeout", now, reason=reason))

    async def _reap(self, now: float) -> None:
        reaped = await self._store.reap(
            now,
            keep_results_seconds=self._settings.keep_results_seconds,
            keep_sessions_seconds=self._settings.keep_sessions_seconds,
            max_store_bytes=self._settings.max_store_bytes,
        )
        if reaped.sessions or reaped.results:
            _log.info("old rows removed", extra={"sessions": reaped.sessions, "results": reaped.results})
        count = await self._store.reap_audit(now - self._audit.keep_seconds, now)
        if count:
            _log.info("old rows of the audit log removed", extra={"count": count})
