"""One command on many clusters at once: each in a session of its own, which is closed whatever happens."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import msgspec

from hub import logs
from hub.errors import HubError, InvalidRequest, NotFound
from hub.records import Origin
from hub.services.caller import Caller
from hub.services.clusters import ClusterService
from hub.services.commands import Answer, CommandService, Request
from hub.services.detached import Detached
from hub.services.sessions import SessionService
from hub.settings import Fleet
from schemas import globs, labels
from schemas.ids import is_cluster_id

_log = logging.getLogger(__name__)

# A session outlives its command's time by so much at the most, should nobody be left to close it.
_SPARE_SECONDS: Final = 60


class FleetRequest(msgspec.Struct, frozen=True, gc=False):
    """What to run and where. `clusters` are names and globs, `selector` a label selector; what either chooses is taken.

    `command` has neither cluster nor session. `timeout_seconds` is each cluster's own time, from when its turn comes.
    """

    clusters: Sequence[str]
    selector: str | None
    command: Request
    timeout_seconds: int
    concurrency: int
    metadata: dict[str, Any]


class Row(msgspec.Struct, frozen=True, gc=False):
    """What became of one cluster: its command's answer, or why there is none."""

    cluster_id: str
    outcome: Answer | HubError

    @property
    def is_success(self) -> bool:
        """Whether the command ended with exit code 0."""
        return isinstance(self.outcome, Answer) and self.outcome.result.status == "completed"


class FleetService:
    """Commands on many clusters."""

    def __init__(
        self, clusters: ClusterService, sessions: SessionService, commands: CommandService, settings: Fleet
    ) -> None:
        self._clusters = clusters
        self._sessions = sessions
        self._commands = commands
        self._settings = settings
        self._places: dict[str, tuple[asyncio.Semaphore, int]] = {}  # by key, with how many fleets share them
        self._detached = Detached()

    async def choose(self, caller: Caller, request: FleetRequest) -> list[str]:
        """Which clusters are asked, by id: a name that is spelt out is always among them, known or not.

        Raises CommandRefused and InvalidRequest for a command that may not run anywhere, InvalidRequest for more
        clusters than there may be, NotFound for none.
        """
        command = self._commands.admit(caller, request.command.command_type, request.command.args)
        if command.is_streaming:
            message = "a fleet runs commands that end: leave --follow and --watch out, or stream each cluster by itself"
            raise InvalidRequest(f"args: {message}", field="args", code="invalid_value")
        named = {name for name in request.clusters if is_cluster_id(name)}
        patterns = [name for name in request.clusters if name not in named]
        chosen = None if request.selector is None else labels.selector(request.selector)
        for cluster in await self._clusters.visible(caller):
            is_chosen = chosen is not None and chosen.matches(cluster.all_labels)
            if is_chosen or globs.takes_in(patterns, cluster.cluster_id):
                named.add(cluster.cluster_id)
        if not named:
            raise NotFound("No cluster that this key may see is chosen by clusters and selector")
        if len(named) > self._settings.max_clusters:
            message = f"{len(named)} clusters are chosen, {self._settings.max_clusters} may be (fleet.max_clusters)"
            raise InvalidRequest(f"clusters: {message}", field="clusters", code="too_large")
        return sorted(named)

    @asynccontextmanager
    async def run(self, caller: Caller, request: FleetRequest, chosen: Sequence[str]) -> AsyncIterator["Rows"]:
        """Run it on the chosen clusters, `concurrency` at a time. Leaving the context cancels what still runs."""
        rows: asyncio.Queue[Row] = asyncio.Queue(1)  # who is slow to read holds up who would run next
        waiting = iter(chosen)

        async def work(places: asyncio.Semaphore) -> None:
            for cluster_id in waiting:
                async with places:  # until the row is taken: it may be large
                    await rows.put(Row(cluster_id, await self._outcome(caller, request, cluster_id)))

        count = min(request.concurrency, len(chosen))
        with self._places_of(caller.key.key_id) as places:
            workers = [asyncio.create_task(work(places), name=f"fleet {number}") for number in range(count)]
            try:
                yield Rows(rows, len(chosen))
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.wait(workers)

    @contextmanager
    def _places_of(self, key_id: str) -> Iterator[asyncio.Semaphore]:
        """What all fleets of a key share; kept for as long as it has one."""
        places, count = self._places.get(key_id) or (asyncio.Semaphore(self._settings.max_at_once), 0)
        self._places[key_id] = places, count + 1
        try:
            yield places
        finally:
            count = self._places[key_id][1] - 1
            if count:
                self._places[key_id] = places, count
            else:
                del self._places[key_id]

    async def close(self) -> None:
        """Wait a little for sessions that are being closed for callers that have left."""
        await self._detached.close()

    async def _outcome(self, caller: Caller, request: FleetRequest, cluster_id: str) -> Answer | HubError:
        try:
            return await self._run_one(caller, request, cluster_id)
        except HubError as error:
            return error
        except Exception:  # noqa: BLE001 - a border: what goes wrong with one cluster is no fault of the others
            _log.exception("a cluster of a fleet could not be asked", extra={"cluster_id": cluster_id})
            return HubError("An unexpected error occurred", details={"request_id": logs.request_id.get()})

    async def _run_one(self, caller: Caller, request: FleetRequest, cluster_id: str) -> Answer:
        opening = self._detached.begin(self._open(caller, request, cluster_id), f"open a session on {cluster_id}")
        try:
            session_id = await asyncio.shield(opening)
        except asyncio.CancelledError:
            self._detached.begin(self._undo(caller, opening), f"close a session on {cluster_id}")
            raise
        try:
            command = msgspec.structs.replace(request.command, cluster_id=cluster_id, session_id=session_id)
            return await self._commands.execute(_with_origin(caller), command)
        finally:
            await self._detached.finish(self._close(caller, session_id), f"close {session_id}")

    async def _open(self, caller: Caller, request: FleetRequest, cluster_id: str) -> str:
        ttl_seconds = request.timeout_seconds + _SPARE_SECONDS
        session = await self._sessions.open(
            caller, cluster_id=cluster_id, ttl_seconds=ttl_seconds, metadata=request.metadata
        )
        return session.session_id

    async def _undo(self, caller: Caller, opening: asyncio.Task[str]) -> None:
        try:
            session_id = await opening
        except HubError:
            return
        await self._close(caller, session_id)

    async def _close(self, caller: Caller, session_id: str) -> None:
        try:
            await self._sessions.close(caller, session_id)
        except HubError:  # removed with its cluster, or a store that is full: then it expires
            _log.warning("a session of a fleet could not be closed", extra={"session_id": session_id})


class Rows:
    """What comes of a fleet's clusters, as it comes."""

    def __init__(self, rows: asyncio.Queue[Row], total: int) -> None:
        self._rows = rows
        self._left = total

    async def next(self) -> Row | None:
        """The next one; None: that were all. Safe to cancel."""
        if not self._left:
            return None
        row = await self._rows.get()
        self._left -= 1
        return row


def _with_origin(caller: Caller) -> Caller:
    """The caller as of one cluster's command: each has rows of its own in the audit log."""
    origin = caller.origin
    if origin is None:
        return caller
    return msgspec.structs.replace(caller, origin=Origin(origin.address, origin.request_id, origin.action, origin.role))
