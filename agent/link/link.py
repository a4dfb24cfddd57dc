"""Keeps a link to the hub: dial, greet, carry, and again, for as long as the agent lives."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import msgspec
from websockets.asyncio.client import ClientConnection

from agent.dispatcher import Dispatcher
from agent.errors import Rejected
from agent.link.backoff import Backoff
from agent.link.connection import Connection, LinkClosed
from agent.link.dial import ReadToken, Unreachable, dial
from agent.outbox import Outbox
from agent.settings import Settings
from schemas.frames import CloseCode, Hello

_log = logging.getLogger(__name__)

# An agent that is stopping has seconds to bring what it holds to the hub.
_LEAVING_CAP_SECONDS: Final = 1.0

MakeHello = Callable[[], Awaitable[Hello]]

_ADVICE: Final = {
    401: "the token is not valid; give the agent one of this cluster's",
    403: "the hub does not let this agent in; is cluster_id the one the token was made for?",
    426: "the hub needs a newer agent; upgrade it",
}


@dataclass(frozen=True, slots=True)
class _Pause:
    """How long not to dial. `is_asked`: it is the hub that wants it, so hurry is no reason to dial earlier."""

    seconds: float
    is_asked: bool = False


class Link:
    """Owns the socket. `make_hello` is asked before every dial and must not take long; what is held is added here.

    `run` until `leave`, which may be called once, from another task, and then until the hub has what is held.
    """

    def __init__(
        self,
        settings: Settings,
        read_token: ReadToken,
        make_hello: MakeHello,
        dispatcher: Dispatcher,
        outbox: Outbox,
        backoff: Backoff,
    ) -> None:
        self._settings = settings
        self._read_token = read_token
        self._make_hello = make_hello
        self._dispatcher = dispatcher
        self._outbox = outbox
        self._backoff = backoff
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._leave_reason: str | None = None
        self._is_leaving = asyncio.Event()
        self._is_done = False

    async def run(self) -> None:
        """Keep a link until it is left. Raises Rejected, only with `exit_on_rejection`. Cancelling breaks the link.

        The commands go on without it; whoever started the dispatcher ends them.
        """
        while True:
            pause = await self._once()
            if self._is_done or (self._is_leaving.is_set() and self._outbox.is_settled):
                return
            await self._wait(pause)

    async def leave(self, reason: str) -> None:
        """Tell the hub, on this link and on later ones, that the agent is going. Commands that run go on.

        Without a link it is dialled soon, for as long as anything is held.
        """
        self._leave_reason = reason
        self._is_leaving.set()
        if self._connection is not None:
            await self._connection.leave(reason)

    async def announce(self, policy: dict[str, msgspec.Raw]) -> None:
        """Tell the hub another policy, if there is a link; the hello of a later one has it."""
        if self._connection is not None:
            await self._connection.announce(policy)

    async def hang_up(self) -> None:
        """Close the link, if there is one, and dial no more."""
        self._is_done = True
        if self._connection is not None:
            await self._connection.hang_up()

    async def _wait(self, pause: _Pause) -> None:
        until = self._loop.time() + pause.seconds
        _log.info("dialling again", extra={"delay_seconds": round(pause.seconds, 2)})
        if not pause.is_asked:
            if self._is_leaving.is_set():
                until = min(until, self._loop.time() + _LEAVING_CAP_SECONDS)
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(until):
                        await self._is_leaving.wait()
                return
        await asyncio.sleep(until - self._loop.time())

    async def _once(self) -> _Pause:
        """One link from dial to end; returns when to dial again."""
        hello = await self._make_hello()
        try:
            socket = await dial(self._settings, self._read_token, hello.agent_version)
        except Unreachable as error:
            _log.warning("the hub is not reached", extra={"hub_url": self._settings.hub_url, "error": str(error)})
            delay = self._backoff.after_failure(self._loop.time(), error.retry_after_seconds)
            return _Pause(delay, is_asked=error.retry_after_seconds is not None)
        except Rejected as rejected:
            return self._rejected(rejected)
        return await self._hold(socket, hello)

    async def _hold(self, socket: ClientConnection, hello: Hello) -> _Pause:
        connection = Connection(socket, self._dispatcher, self._outbox)
        try:
            welcome = await connection.greet(
                msgspec.structs.replace(hello, held=self._outbox.held()), self._settings.link.welcome_timeout_seconds
            )
        except LinkClosed as ended:
            _log.warning("the hub did not welcome the agent", extra={"code": ended.code, "reason": ended.reason})
            if ended.code == CloseCode.VERSION_UNSUPPORTED:
                return self._rejected(Rejected(426, ended.reason))
            return _Pause(self._backoff.after_failure(self._loop.time()))
        began = self._loop.time()
        _log.info(
            "connected to the hub",
            extra={
                "hub_url": self._settings.hub_url,
                "hub_version": welcome.hub_version,
                "cluster_id": self._settings.cluster_id,
            },
        )
        self._connection = connection
        try:
            self._dispatcher.begin(welcome)
            await connection.carry(self._leave_reason)
        except LinkClosed as ended:
            pause = self._lost(connection, ended, self._loop.time() - began)
            await self._dispatcher.end_link(is_final=ended.code == CloseCode.REPLACED)
            return pause
        finally:
            self._connection = None
            self._outbox.pause()
        raise AssertionError("a link ends with LinkClosed")

    def _lost(self, connection: Connection, ended: LinkClosed, lived_seconds: float) -> _Pause:
        now = self._loop.time()
        delay = self._backoff.after_loss(now, lived_seconds, ended.code)
        level = logging.INFO if self._is_leaving.is_set() or connection.redial_at is not None else logging.WARNING
        _log.log(
            level,
            "the link has ended",
            extra={"code": ended.code, "reason": ended.reason, "lived_seconds": round(lived_seconds, 1)},
        )
        if ended.code == CloseCode.REPLACED:
            _log.error(
                "another agent has this cluster's link; if that is not meant to be, stop one of them",
                extra={"cluster_id": self._settings.cluster_id},
            )
            return _Pause(delay, is_asked=True)
        if connection.redial_at is None:
            return _Pause(delay)
        # The hub has spread its agents by giving each a delay; one that it had to cut off is spread anew.
        seconds = max(connection.redial_at - now, 0.0 if ended.code == CloseCode.NORMAL else delay)
        return _Pause(seconds, is_asked=True)

    def _rejected(self, rejected: Rejected) -> _Pause:
        _log.error(
            "the hub rejects this agent",
            extra={"status": rejected.status, "answer": str(rejected), "advice": _ADVICE[rejected.status]},
        )
        if self._settings.exit_on_rejection:
            raise rejected
        return _Pause(self._backoff.after_rejection(), is_asked=True)
