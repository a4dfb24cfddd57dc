"""Commands: checked against the grammar, stored, dispatched, waited for, cancelled; results looked at and followed.

Here the road turns from the REST side to the agents: everything before may refuse with an error, everything after ends
as a result with a status.
"""

import asyncio
import contextlib
import hashlib
import logging
import time
from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec

from hub.bus.base import Bus, ClusterEvent, Ended, Event
from hub.dispatcher import Dispatcher
from hub.errors import (
    ClusterMismatch,
    ClusterOffline,
    InvalidRequest,
    NotFound,
    SessionNotActive,
    Unavailable,
)
from hub.records import Idempotency, OutputText, Result
from hub.services.caller import Caller, refused
from hub.services.clusters import ClusterService, offline
from hub.services.detached import Detached
from hub.services.sessions import SessionService
from hub.settings import Commands, Streams
from hub.store.base import Store
from hub.subscribers import Follower, Subscribers
from schemas import kubectl
from schemas.api.commands import DEFAULT_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS
from schemas.frames import UNBOUNDED, Contract
from schemas.ids import new_id

_log = logging.getLogger(__name__)

T = TypeVar("T")

Scopes = tuple[tuple[kubectl.By, kubectl.Scope | None], ...]

# How long past a command's deadline its caller is kept: the reaper comes by every second, the store needs a moment.
_LAST_WAIT_SECONDS: Final = 5.0


class Request(msgspec.Struct, frozen=True, gc=False):
    """An execute as the caller sent it. `idempotency_key` is the header's value.

    `timeout_seconds` None: the default of its kind. `max_output_bytes` None: the operator's limit. `contract` is
    without `max_full_bytes`: `keep_full_output` sets it. `wait_seconds`: how long to wait for an agent that is not
    connected. `is_live`: nobody waits for the end, so a followed log or a watch may go on to `streams.max_seconds`.
    """

    cluster_id: str
    session_id: str
    command_type: str
    args: Sequence[str]
    timeout_seconds: float | None = None
    idempotency_key: str | None = None
    max_output_bytes: int | None = None
    contract: Contract | None = None
    keep_full_output: bool = False
    wait_seconds: float = 0.0
    is_live: bool = False


class Answer(msgspec.Struct, frozen=True, gc=False):
    """A result with its output: `stdout` may be the part that was asked for, both are empty while it is open."""

    result: Result
    output: OutputText


class Verdict(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Whether a command may run: `command` as it would, or the `refusal`. `nearest`: the words of one that may run in
    its place, None where none is near. `is_policy_known`: whether an agent of the cluster has told its policy.
    """

    command: kubectl.KubectlCommand | None = None
    refusal: kubectl.Refusal | None = None
    nearest: list[str] | None = None
    is_policy_known: bool


class CommandService:
    """Everything about commands and their results."""

    def __init__(
        self,
        store: Store,
        bus: Bus,
        dispatcher: Dispatcher,
        subscribers: Subscribers,
        clusters: ClusterService,
        sessions: SessionService,
        settings: Commands,
        streams: Streams,
    ) -> None:
        self._store = store
        self._bus = bus
        self._dispatcher = dispatcher
        self._subscribers = subscribers
        self._clusters = clusters
        self._sessions = sessions
        self._settings = settings
        self._streams = streams
        self._scope = settings.scope
        self._detached = Detached()

    async def execute(self, caller: Caller, request: Request) -> Answer:
        """Run a command and return when it has ended.

        Cancelling the caller cancels the command too, unless the request has an Idempotency-Key: then somebody will ask
        again. Raises CommandRefused, NotFound, InvalidRequest, SessionNotActive, IdempotencyConflict, ClusterOffline,
        QueueFull, StoreFull, Draining: then nothing was stored and nothing runs.
        """
        result_id = new_id("res")
        with self._bus.watch(result_id) as ended:
            if request.idempotency_key is None:
                try:
                    return await self._finish(await self._accept(caller, request, result_id), ended)
                except asyncio.CancelledError:
                    self._detached.begin(self._abandon(request.cluster_id, result_id), f"abandon {result_id}")
                    raise
            result = await self._detached.finish(self._accept(caller, request, result_id), f"accept {result_id}")
            if result.result_id == result_id:
                return await self._finish(result, ended)
        with self._bus.watch(result.result_id) as ended:  # an earlier request's, by its Idempotency-Key
            return await self._finish(await self._reread(result.result_id), ended)

    async def start(self, caller: Caller, request: Request) -> Result:
        """Run a command and return once it is accepted; it goes on if the caller is cancelled. Raises as `execute`."""
        result_id = new_id("res")
        return await self._detached.finish(self._accept(caller, request, result_id), f"accept {result_id}")

    async def get(
        self,
        caller: Caller,
        result_id: str,
        *,
        wait_seconds: float = 0,
        offset: int = 0,
        limit: int | None = None,
        is_full: bool = False,
    ) -> Answer:
        """A result the caller may see, waiting so long for its end; `is_full`: output before its contract.

        Raises NotFound.
        """
        with self._bus.watch(result_id) as ended:
            result = await self._visible(caller, result_id)
            if result.is_open and wait_seconds > 0:
                await asyncio.wait([ended], timeout=wait_seconds)
                result = ended.result().result if ended.done() else result
        output = await self._store.read_output(result_id, offset=offset, limit=limit, is_full=is_full)
        return Answer(result, output)

    async def validate(self, caller: Caller, cluster_id: str, command_type: str, args: Sequence[str]) -> Verdict:
        """Whether a command may run on a cluster, without running it. Raises NotFound, Forbidden.

        The agent's own rules are those that it last told; it decides by those that it has when a command comes.
        """
        caller.require_hands()
        policy = (await self._clusters.policy(caller, cluster_id)).policy
        scopes = (*self._scopes(caller), ("agent", None if policy is None else policy.scope))

        def check(command_type: str, args: Sequence[str]) -> kubectl.KubectlCommand:
            return kubectl.admit(kubectl.parse(command_type, args), scopes)

        try:
            return Verdict(command=check(command_type, args), is_policy_known=policy is not None)
        except kubectl.Refusal as refusal:
            near = kubectl.nearest(command_type, args, check)
            return Verdict(refusal=refusal, nearest=near, is_policy_known=policy is not None)

    async def cancel(self, caller: Caller, result_id: str, reason: str) -> Result:
        """Cancel a command and wait for its end, a little; one that has ended comes back as it is. Raises NotFound."""
        with self._bus.watch(result_id) as ended:
            result = await self._visible(caller, result_id)
            if not result.is_open:
                return result
            cancelling = self._dispatcher.cancel(result.cluster_id, result_id, reason)
            await self._detached.finish(cancelling, f"cancel {result_id}")
            await asyncio.wait([ended], timeout=self._settings.grace_seconds + _LAST_WAIT_SECONDS)
            return ended.result().result if ended.done() else await self._reread(result_id)

    async def follow(self, caller: Caller, result_id: str, after_seq: int) -> Follower:
        """Read a command's output behind a number as it comes. Close the Follower. Raises NotFound."""
        return self._subscribers.follow(await self._visible(caller, result_id), after_seq)

    async def close(self) -> None:
        """End what was begun for callers that have left."""
        await self._detached.close()

    async def _visible(self, caller: Caller, result_id: str) -> Result:
        caller.require_hands()  # an auditor sees what was run in the audit log, and nothing of what it printed
        result = await self._store.get_result(result_id)
        if result is None or not caller.may_see_result(result):
            raise NotFound(f"Result not found: {result_id}")
        return result

    async def _accept(self, caller: Caller, request: Request, result_id: str) -> Result:
        """Check, store and dispatch; returns the stored result, which is an earlier one for a repeated request."""
        command = self.admit(caller, request.command_type, request.args)
        is_stream = command.is_streaming
        timeout_seconds = self._timeout(request, is_stream=is_stream)
        max_output_bytes, contract = self._contract(caller, request, is_stream=is_stream)
        if not caller.may_see_cluster(request.cluster_id):
            raise NotFound(f"Cluster not found: {request.cluster_id}")
        idempotency = _idempotency(caller, request)
        if idempotency is not None:
            earlier = await self._store.find_accepted(idempotency, time.time())
            if earlier is not None:
                return earlier
        if request.wait_seconds and self._bus.presence(request.cluster_id) is None:
            await self._wait_for_agent(caller, request)
        try:
            status, boot_id = self._dispatcher.reserve(
                request.cluster_id, caller.key.key_id, result_id, is_stream=is_stream
            )
        except Unavailable as error:
            raise await self._why_not(caller, request, error) from None
        verb, *args = command.argv()
        now = time.time()
        result = Result(
            result_id=result_id,
            session_id=request.session_id,
            cluster_id=request.cluster_id,
            key_id=caller.key.key_id,
            command_type=verb,
            args=tuple(args),
            timeout_seconds=timeout_seconds,
            accepted_at=now,
            deadline_at=now + timeout_seconds + self._settings.grace_seconds,
            status=status,
            correlation_id=caller.correlation_id if caller.is_correlation_given else None,
            service_identity=caller.service_identity,
            boot_id=boot_id,
            is_stream=is_stream,
            max_output_bytes=max_output_bytes,
            contract=contract,
        )
        owner = None if caller.is_admin else caller.key.key_id
        try:
            accepted = await self._store.accept_command(
                result,
                owner=owner,
                idempotency=idempotency,
                fallback_correlation_id=caller.correlation_id,
                origin=caller.origin,
            )
        except BaseException:
            self._dispatcher.release(request.cluster_id, result_id, is_stream=is_stream)
            raise
        if not accepted.is_new:
            self._dispatcher.release(request.cluster_id, result_id, is_stream=is_stream)
            return accepted.result
        if caller.origin is not None:
            caller.origin.is_accepted = True
        await self._dispatcher.dispatch(accepted.result)
        return accepted.result

    def _timeout(self, request: Request, *, is_stream: bool) -> float:
        longest = self._streams.max_seconds if request.is_live and is_stream else MAX_TIMEOUT_SECONDS
        if request.timeout_seconds is None:
            return longest if request.is_live and is_stream else DEFAULT_TIMEOUT_SECONDS
        if request.timeout_seconds > longest:
            raise InvalidRequest(f"timeout may be {longest:g} at most here", field="timeout", code="too_large")
        return request.timeout_seconds

    def admit(self, caller: Caller, command_type: str, args: Sequence[str]) -> kubectl.KubectlCommand:
        """The command, if grammar, hub and key let it through. Raises Forbidden, CommandRefused."""
        caller.require_hands()
        try:
            return kubectl.admit(kubectl.parse(command_type, args), self._scopes(caller))
        except kubectl.Refusal as refusal:
            raise refused(refusal) from None

    def _scopes(self, caller: Caller) -> Scopes:
        return ("hub", self._scope), ("key", caller.key.scope)

    def _contract(self, caller: Caller, request: Request, *, is_stream: bool) -> tuple[int, str | None]:
        """The most bytes of stdout that are wanted, and the JSON of the rest of the output contract."""
        limit = caller.bound(UNBOUNDED if is_stream else self._settings.max_output_bytes)
        max_output_bytes = limit if request.max_output_bytes is None else min(limit, request.max_output_bytes)
        contract = request.contract
        if is_stream and contract is not None and contract.tail_lines is not None:
            message = "tail_lines needs an end, and this command goes on; use --tail for logs"
            raise InvalidRequest(message, field="tail_lines", code="invalid_value")
        if request.keep_full_output:
            if is_stream:
                message = "keep_full_output needs an end, and this command goes on; leave it away"
                raise InvalidRequest(message, field="keep_full_output", code="invalid_value")
            full = caller.bound(self._settings.max_output_bytes)
            contract = msgspec.structs.replace(contract or Contract(), max_full_bytes=full)
        return max_output_bytes, None if contract is None else msgspec.json.encode(contract).decode()

    async def _wait_for_agent(self, caller: Caller, request: Request) -> None:
        """Wait for an agent that may be on its way back, so that its rollout is no burst of errors."""
        await self._clusters.get(caller, request.cluster_id)  # nobody waits where there is nothing to wait for
        session = await self._sessions.get(caller, request.session_id)
        if session.status != "active" or session.cluster_id != request.cluster_id:
            return
        came = asyncio.Event()

        def on_event(event: Event) -> None:
            if isinstance(event, ClusterEvent) and event.cluster_id == request.cluster_id:
                came.set()

        with self._bus.listen(on_event), contextlib.suppress(TimeoutError):
            async with asyncio.timeout(request.wait_seconds):
                while self._bus.presence(request.cluster_id) is None and not self._dispatcher.is_draining:
                    came.clear()
                    await came.wait()

    async def _abandon(self, cluster_id: str, result_id: str) -> None:
        """Cancel a command whose caller left while it was stored, sent or waited for."""
        await self._dispatcher.cancel(cluster_id, result_id, "the caller left")

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
                    message = "The command has not ended: its cluster's agent is away; ask for the result again"
                    raise Unavailable(message, details=details) from None
            else:
                result = ending.result
                if ending.chunks is not None:
                    stdout = "".join(chunk.data for chunk in ending.chunks if chunk.stream == "stdout")
                    stderr = "".join(chunk.data for chunk in ending.chunks if chunk.stream == "stderr")
                    return Answer(result, OutputText(stdout, stderr))
            finally:
                timer.cancel()
        # A stream has no bound of its own; the rest of it can be had by offset.
        limit = self._settings.max_output_bytes
        return Answer(result, await self._store.read_output(result.result_id, limit=limit))

    async def _reread(self, result_id: str) -> Result:
        result = await self._store.get_result(result_id)
        if result is None:
            raise NotFound(f"Result not found: {result_id}")
        return result


def _give_up(ended: asyncio.Future[Ended]) -> None:
    if not ended.done():
        ended.set_exception(TimeoutError())


def _idempotency(caller: Caller, request: Request) -> Idempotency | None:
    if request.idempotency_key is None:
        return None
    # How long to wait for an agent, and on which road the request came, is no part of what was asked for.
    asked = msgspec.structs.replace(request, idempotency_key=None, wait_seconds=0.0, is_live=False)
    content = msgspec.structs.astuple(asked)
    fingerprint = hashlib.sha256(msgspec.json.encode(content)).hexdigest()
    return Idempotency(caller.key.key_id, request.idempotency_key, fingerprint)
