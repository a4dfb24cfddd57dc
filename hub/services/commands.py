"""Commands: checked against the grammar, stored, dispatched, waited for; and results looked at later.

Here the road turns from the REST side to the agents: everything before may refuse with an error, everything after ends
as a result with a status.
"""

import asyncio
import hashlib
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from hub.bus.base import Bus, Ended
from hub.dispatcher import Dispatcher
from hub.errors import ClusterMismatch, ClusterOffline, CommandRefused, NotFound, SessionNotActive, Unavailable
from hub.records import Idempotency, OutputText, Result
from hub.services.caller import Caller
from hub.services.clusters import ClusterService, offline
from hub.services.sessions import SessionService
from hub.settings import Commands
from hub.store.base import Store
from schemas import kubectl
from schemas.ids import new_id

# How long past a command's deadline its caller is kept: the reaper comes by every second, the store needs a moment.
_LAST_WAIT_SECONDS: Final = 5.0


class Request(msgspec.Struct, frozen=True, gc=False):
    """An execute as the caller sent it. `idempotency_key` is the header's value."""

    cluster_id: str
    session_id: str
    command_type: str
    args: Sequence[str]
    timeout_seconds: float
    idempotency_key: str | None = None


class Answer(msgspec.Struct, frozen=True, gc=False):
    """A result with its output: `stdout` may be the part that was asked for, both are empty while it is open."""

    result: Result
    output: OutputText


class CommandService:
    """Everything about commands and their results."""

    def __init__(
        self,
        store: Store,
        bus: Bus,
        dispatcher: Dispatcher,
        clusters: ClusterService,
        sessions: SessionService,
        settings: Commands,
    ) -> None:
        self._store = store
        self._bus = bus
        self._dispatcher = dispatcher
        self._clusters = clusters
        self._sessions = sessions
        self._settings = settings

    async def execute(self, caller: Caller, request: Request) -> Answer:
        """Run a command and return when it has ended. The command goes on when the caller is cancelled.

        Raises CommandRefused, NotFound, InvalidRequest, SessionNotActive, IdempotencyConflict, ClusterOffline,
        QueueFull, StoreFull, Draining: then nothing was stored and nothing runs.
        """
        result_id = new_id("res")
        with self._bus.watch(result_id) as ended:
            result = await self._accept(caller, request, result_id)
            if result.result_id == result_id:
                return await self._finish(result, ended)
        with self._bus.watch(result.result_id) as ended:  # an earlier request's, by its Idempotency-Key
            return await self._finish(await self._reread(result.result_id), ended)

    async def start(self, caller: Caller, request: Request) -> Result:
        """Run a command and return once it is accepted. Raises what `execute` raises."""
        return await self._accept(caller, request, new_id("res"))

    async def get(
        self,
        caller: Caller,
        result_id: str,
        *,
        wait_seconds: float = 0,
        offset: int = 0,
        limit: int | None = None,
    ) -> Answer:
        """A result the caller may see, waiting so long for its end. Raises NotFound."""
        with self._bus.watch(result_id) as ended:
            result = await self._store.get_result(result_id)
            if result is None or not caller.may_see(result):
                raise NotFound(f"Result not found: {result_id}")
            if result.is_open and wait_seconds > 0:
                await asyncio.wait([ended], timeout=wait_seconds)
                result = ended.result().result if ended.done() else result
        output = await self._store.read_output(result_id, offset=offset, limit=limit)
        return Answer(result, output)

    async def _accept(self, caller: Caller, request: Request, result_id: str) -> Result:
        """Check, store and dispatch; returns the stored result, which is an earlier one for a repeated request."""
        command = _parse(request.command_type, request.args)
        if not caller.may_see_cluster(request.cluster_id):
            raise NotFound(f"Cluster not found: {request.cluster_id}")
        now = time.time()
        idempotency = _idempotency(caller, request)
        if idempotency is not None:
            earlier = await self._store.find_accepted(idempotency, now)
            if earlier is not None:
                return earlier
        try:
            status = self._dispatcher.reserve(request.cluster_id, result_id)
        except Unavailable as error:
            raise await self._why_not(caller, request, error) from None
        verb, *args = command.argv()
        result = Result(
            result_id=result_id,
            session_id=request.session_id,
            cluster_id=request.cluster_id,
            key_id=caller.key.key_id,
            command_type=verb,
            args=tuple(args),
            timeout_seconds=request.timeout_seconds,
            accepted_at=now,
            deadline_at=now + request.timeout_seconds + self._settings.grace_seconds,
            status=status,
            correlation_id=caller.correlation_id if caller.is_correlation_given else None,
            service_identity=caller.service_identity,
        )
        owner = None if caller.is_admin else caller.key.key_id
        try:
            accepted = await self._store.accept_command(
                result, owner=owner, idempotency=idempotency, fallback_correlation_id=caller.correlation_id
            )
        except BaseException:
            self._dispatcher.release(request.cluster_id, result_id)
            raise
        if not accepted.is_new:
            self._dispatcher.release(request.cluster_id, result_id)
            return accepted.result
        await self._dispatcher.dispatch(accepted.result)
        return accepted.result

    async def _why_not(self, caller: Caller, request: Request, error: Unavailable) -> Exception:
        """What to tell a caller for whom there is no place: the more basic fault first, else when it was last seen."""
        view = await self._clusters.get(caller, request.cluster_id)
        session = await self._sessions.get(caller, request.session_id)
        if session.cluster_id != request.cluster_id:
            return ClusterMismatch(session.cluster_id, request.cluster_id)
        if session.status != "active":
            return SessionNotActive(session.session_id, session.status)
        return offline(view) if isinstance(error, ClusterOffline) else error

    async def _finish(self, result: Result, ended: asyncio.Future[Ended]) -> Answer:
        """Wait for a command's end, a little longer than it can take; its answer with the whole output."""
        if result.is_open:
            patience = max(0.0, result.deadline_at - time.time()) + _LAST_WAIT_SECONDS
            timer = asyncio.get_running_loop().call_later(patience, _give_up, ended)
            try:
                ending = await ended
            except TimeoutError:
                result = await self._reread(result.result_id)
                if result.is_open:
                    details = {"result_id": result.result_id}
                    message = "The result could not be stored in time; ask for it again"
                    raise Unavailable(message, details=details) from None
            else:
                result = ending.result
                if ending.chunks is not None:
                    stdout = "".join(chunk.data for chunk in ending.chunks if chunk.stream == "stdout")
                    stderr = "".join(chunk.data for chunk in ending.chunks if chunk.stream == "stderr")
                    return Answer(result, OutputText(stdout, stderr))
            finally:
                timer.cancel()
        return Answer(result, await self._store.read_output(result.result_id))

    async def _reread(self, result_id: str) -> Result:
        result = await self._store.get_result(result_id)
        if result is None:
            raise NotFound(f"Result not found: {result_id}")
        return result


def _give_up(ended: asyncio.Future[Ended]) -> None:
    if not ended.done():
        ended.set_exception(TimeoutError())


def _parse(command_type: str, args: Sequence[str]) -> kubectl.KubectlCommand:
    try:
        return kubectl.parse(command_type, args)
    except kubectl.Refusal as refusal:
        details = {"argument": refusal.argument, "rule": refusal.rule, "allowed": list(refusal.allowed)}
        raise CommandRefused(refusal.reason, details=details) from None


def _idempotency(caller: Caller, request: Request) -> Idempotency | None:
    if request.idempotency_key is None:
        return None
    content = (
        request.cluster_id,
        request.session_id,
        request.command_type,
        list(request.args),
        request.timeout_seconds,
    )
    fingerprint = hashlib.sha256(msgspec.json.encode(content)).hexdigest()
    return Idempotency(caller.key.key_id, request.idempotency_key, fingerprint)
