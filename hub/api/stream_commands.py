"""What is under way on a client's socket: commands that are accepted, followed and cancelled, each in its own task."""

import asyncio
import re
from collections.abc import Callable, Coroutine
from typing import Any, Final

import msgspec

from hub.api import stream_messages as messages
from hub.api.commands import CANCELLED, contract
from hub.api.stream_outlet import Following, Outlet
from hub.errors import HubError, InvalidRequest, RateLimited, TooManyStreams, Unavailable
from hub.ratelimits import Kind, RateLimits
from hub.records import CLIENT_LEFT, AuditDetail, Decision, Origin, Result, Session
from hub.services.audit import AuditService
from hub.services.caller import Caller
from hub.services.commands import CommandService, Request
from schemas import stream as wire

# Why a command ended whose client is gone.
_LEFT: Final = "the client left"
# One that was being accepted when its client left is waited for so long, to be cancelled then.
_ACCEPT_SECONDS: Final = 30.0

# What a client says stands in the audit log if it looks like what it should be.
_VERB: Final = re.compile(r"[a-z][a-z-]{0,31}")
_MAX_ID: Final = 128

Own = Callable[[Coroutine[Any, Any, object]], asyncio.Task[None]]


class Underway:
    """`take` every execute, follow and cancel; when the socket's tasks are stopped, `abandon` what was to run for its
    client only.

    `own` makes a task that belongs to the socket, and ends the socket when it fails.
    """

    def __init__(
        self,
        commands: CommandService,
        limits: RateLimits,
        audit: AuditService,
        caller: Caller,
        session: Session,
        outlet: Outlet,
        own: Own,
        most: int,
    ) -> None:
        self._commands = commands
        self._limits = limits
        self._audit = audit
        self._caller = caller
        self._session = session
        self._outlet = outlet
        self._own_task = own
        self._most = most
        self._followed: dict[str, Following] = {}
        self._followers: set[asyncio.Task[None]] = set()
        self._cancels: set[asyncio.Task[None]] = set()
        # Commands that end with their client, and those that are being accepted, with whether they do.
        self._bound: set[str] = set()
        self._accepting: dict[asyncio.Task[Result], bool] = {}

    async def take(self, message: wire.Execute | wire.Follow | wire.Cancel) -> None:
        """Begin what a client asks for, or say why not."""
        match message:
            case wire.Execute():
                refusal = self._refusal("execute")
                if refusal is None:
                    self._own(self._execute(message), self._followers)
                else:
                    await self._refuse("execute", refusal, request_id=message.request_id, verb=message.command_type)
            case wire.Follow(result_id=result_id):
                refusal = self._refusal("standard")
                if refusal is None and result_id in self._followed:
                    text = "This result is followed on this socket already"
                    refusal = InvalidRequest(text, field="result_id", code="already_followed")
                if refusal is None:
                    following = self._followed[result_id] = Following(result_id, message.after_seq)
                    self._own(self._follow(following, is_asked=True), self._followers)
                else:
                    await self._refuse("follow", refusal, result_id=result_id)
            case wire.Cancel(result_id=result_id):
                refusal = self._draw("standard")
                if refusal is None:
                    await self._cancel_soon(result_id)
                else:
                    await self._refuse("cancel", refusal, result_id=result_id)

    def last_seqs(self) -> dict[str, int]:
        """Of each followed command the number of the last output that was sent."""
        return {following.result_id: following.last_seq for following in self._followed.values()}

    async def settle(self, timeout_seconds: float) -> None:
        """Wait until nothing is followed any more, so long at most."""
        if self._followers:
            await asyncio.wait(self._followers, timeout=timeout_seconds)

    async def abandon(self) -> None:
        """Cancel what was to run for this client only; its tasks have been stopped."""
        cancels = [self._abandon(result_id) for result_id in self._bound]
        accepted = [self._abandon_accepted(task, is_bound=is_bound) for task, is_bound in self._accepting.items()]
        await asyncio.gather(*cancels, *accepted)

    # execute and follow

    async def _execute(self, message: wire.Execute) -> None:
        request = Request(
            cluster_id=self._session.cluster_id,
            session_id=self._session.session_id,
            command_type=message.command_type,
            args=message.args,
            timeout_seconds=message.timeout,
            idempotency_key=message.idempotency_key,
            max_output_bytes=message.max_output_bytes,
            contract=contract(message.grep, message.tail_lines, message.max_lines),
            keep_full_output=message.keep_full_output,
            is_live=True,
        )
        is_bound = not message.keep and message.idempotency_key is None
        caller = self._with_origin("execute")
        accepting = asyncio.create_task(self._commands.start(caller, request), name="accept")
        self._accepting[accepting] = is_bound
        try:
            result = await asyncio.shield(accepting)  # to be cancelled it must be known
        except HubError as error:
            del self._accepting[accepting]
            await self._refuse("execute", error, request_id=message.request_id, verb=message.command_type)
            return
        del self._accepting[accepting]
        result_id = result.result_id
        if caller.origin is not None and not caller.origin.is_accepted:  # an Idempotency-Key that was sent before
            self._record("execute", result_id=result_id, cluster_id=result.cluster_id)
        if is_bound:
            self._bound.add(result_id)
        is_followed = result_id in self._followed  # an Idempotency-Key that was sent twice
        following = self._followed.setdefault(result_id, Following(result_id, 0))
        await self._outlet.send(wire.Started(message.request_id, result_id, result.status))
        if not is_followed:
            await self._follow(following)

    async def _follow(self, following: Following, *, is_asked: bool = False) -> None:
        """Send a command's output as it comes, then its end; it counts as followed until that has been sent.

        `is_asked`: the client asked for this, not for a command of its own.
        """
        result_id = following.result_id
        try:
            with await self._commands.follow(self._caller, result_id, following.last_seq) as follower:
                if is_asked:
                    self._record("follow", result_id=result_id, cluster_id=follower.cluster_id)
                while not isinstance(more := await follower.next(), Result):
                    for chunk in more:
                        await self._outlet.send_output(following, chunk)
        except HubError as error:
            if is_asked:
                self._record("follow", error, result_id=result_id)
            await self._outlet.send(messages.refusal(error, result_id=result_id))
        else:
            self._bound.discard(result_id)
            await self._outlet.send(messages.completed(more))
        del self._followed[result_id]

    # cancel

    async def _cancel_soon(self, result_id: str) -> None:
        """Cancel beside the reading, since it waits for the command's end; no more at once than commands may be."""
        if len(self._cancels) >= self._most:
            await asyncio.wait(self._cancels, return_when=asyncio.FIRST_COMPLETED)
        # Asked now: the follower may have sent the ending, and forgotten it, when the cancel returns.
        is_followed = result_id in self._followed
        self._own(self._cancel(result_id, is_followed=is_followed), self._cancels)

    async def _cancel(self, result_id: str, *, is_followed: bool) -> None:
        try:
            result = await self._commands.cancel(self._caller, result_id, CANCELLED)
        except HubError as error:
            await self._refuse("cancel", error, result_id=result_id)
            return
        except asyncio.CancelledError:  # the client left; it may be cancelled all the same
            self._record("cancel", rule=CLIENT_LEFT, result_id=result_id)
            raise
        self._record("cancel", result_id=result_id, cluster_id=result.cluster_id)
        if is_followed:
            return
        if result.is_open:
            not_yet = Unavailable("It has not ended yet; follow it to hear when")
            await self._outlet.send(messages.refusal(not_yet, result_id=result_id))
        else:
            await self._outlet.send(messages.completed(result))

    async def _abandon_accepted(self, accepting: asyncio.Task[Result], *, is_bound: bool) -> None:
        try:
            async with asyncio.timeout(_ACCEPT_SECONDS):
                result = await accepting
        except HubError as error:
            self._record("execute", error)
            return
        except TimeoutError:
            return
        if is_bound:
            await self._abandon(result.result_id)

    async def _abandon(self, result_id: str) -> None:
        try:
            await self._commands.cancel(self._caller, result_id, _LEFT)
        except HubError:  # removed, or a store that cannot be written: its deadline ends it
            return

    # the audit log

    async def _refuse(
        self,
        what: str,
        error: HubError,
        *,
        request_id: str | None = None,
        result_id: str | None = None,
        verb: str | None = None,
    ) -> None:
        """Tell the client no, and the audit log."""
        self._record(what, error, result_id=result_id, verb=verb)
        await self._outlet.send(messages.refusal(error, request_id=request_id, result_id=result_id))

    def _record(
        self,
        what: str,
        error: HubError | None = None,
        *,
        rule: str | None = None,
        result_id: str | None = None,
        cluster_id: str | None = None,
        verb: str | None = None,
    ) -> None:
        """A row for a message; not for a command that was accepted, which has its own. `rule`: why nothing is known."""
        origin = self._caller.origin
        decision: Decision = "allowed" if rule is None else "error"
        if error is not None:
            decision = "refused" if error.row.status < 500 else "error"
            rule = error.details.get("rule", error.row.code)
        detail = AuditDetail(
            action=f"stream {what}",
            decision=decision,
            rule=rule,
            key_id=self._caller.key.key_id,
            role=self._caller.key.role,
            service_identity=self._caller.service_identity,
            address=None if origin is None else origin.address,
            cluster_id=self._session.cluster_id if cluster_id is None else cluster_id,
            session_id=self._session.session_id,
            result_id=result_id if result_id is None else result_id[:_MAX_ID],
            argv=None if verb is None or not _VERB.fullmatch(verb) else (verb,),
            correlation_id=self._caller.correlation_id,
            request_id=None if origin is None else origin.request_id,
        )
        self._audit.record("stream", detail)

    def _with_origin(self, what: str) -> Caller:
        """The caller, as one message of it: what is noted of that is of no other."""
        origin = self._caller.origin
        if origin is None:
            return self._caller
        own = Origin(origin.address, origin.request_id, f"stream {what}", origin.role)
        return msgspec.structs.replace(self._caller, origin=own)

    # limits

    def _refusal(self, bucket: Kind) -> HubError | None:
        """Why no more may be under way on this socket, or be asked for by this key."""
        refusal = self._draw(bucket)
        if refusal is not None:
            return refusal
        if len(self._followers) >= self._most:
            text = (
                f"{self._most} commands are under way on this socket, no more may be; wait for the end of one, or open"
                " another socket"
            )
            return TooManyStreams(text, details={"limit": self._most})
        return None

    def _draw(self, bucket: Kind) -> HubError | None:
        draw = self._limits.draw(bucket, self._caller.key)
        if draw is None or draw.is_allowed:
            return None
        return RateLimited(limit=draw.limit, retry_after=draw.retry_after)

    def _own(self, work: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]]) -> None:
        task = self._own_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
