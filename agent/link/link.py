"""Keeps a link to the hub: dial, greet, carry, and again, for as long as the agent lives."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

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

MakeHello = Callable[[], Awaitable[Hello]]

_ADVICE: Final = {
    401: "the token is not valid; give the agent one of this cluster's",
    403: "the hub does not let this agent in; is cluster_id the one the token was made for?",
    426: "the hub needs a newer agent; upgrade it",
}


class Link:
    """Owns the socket. `make_hello` is asked before every dial and must not take long.

    `run` until `leave`, which may be called once, from another task.
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
        self._is_leaving = False

    @property
    def is_connected(self) -> bool:
        """Whether there is a welcomed link."""
        return self._connection is not None

    async def run(self) -> None:
        """Keep a link until `leave` has closed it. Raises Rejected, only with `exit_on_rejection`."""
        while True:
            delay = await self._once()
            if self._is_leaving:
                return
            _log.info("dialling again", extra={"delay_seconds": round(delay, 2)})
            await asyncio.sleep(delay)

    async def leave(self, reason: str) -> None:
        """Tell the hub that the agent is going; commands that run go on until the link is hung up."""
        self._is_leaving = True
        if self._connection is not None:
            await self._connection.leave(reason)

    async def hang_up(self) -> None:
        """Close the link, if there is one."""
        if self._connection is not None:
            await self._connection.hang_up()

    async def _once(self) -> float:
        """One link from dial to end; returns the delay before the next."""
        hello = await self._make_hello()
        try:
            socket = await dial(self._settings, self._read_token, hello.agent_version)
        except Unreachable as error:
            _log.warning("the hub is not reached", extra={"hub_url": self._settings.hub_url, "error": str(error)})
            return self._backoff.after_failure(self._loop.time(), error.retry_after_seconds)
        except Rejected as rejected:
            return self._rejected(rejected)
        return await self._hold(socket, hello)

    async def _hold(self, socket: ClientConnection, hello: Hello) -> float:
        connection = Connection(socket, self._dispatcher, self._outbox)
        try:
            welcome = await connection.greet(hello, self._settings.link.welcome_timeout_seconds)
        except LinkClosed as ended:
            _log.warning("the hub did not welcome the agent", extra={"code": ended.code, "reason": ended.reason})
            if ended.code == CloseCode.VERSION_UNSUPPORTED:
                return self._rejected(Rejected(426, ended.reason))
            return self._backoff.after_failure(self._loop.time())
        began = self._loop.time()
        _log.info(
            "connected to the hub",
            extra={
                "hub_url": self._settings.hub_url,
                "hub_version": welcome.hub_version,
                "cluster_id": self._settings.cluster_id,
            },
        )
        self._dispatcher.begin(welcome.max_concurrent_commands)
        self._connection = connection
        try:
            await connection.carry()
        except LinkClosed as ended:
            return self._lost(connection, ended, self._loop.time() - began)
        finally:
            self._connection = None
            # Without a way to take a command up again on the next link, one that nobody hears of must not go on.
            await self._dispatcher.abandon()
        raise AssertionError("a link ends with LinkClosed")

    def _lost(self, connection: Connection, ended: LinkClosed, lived_seconds: float) -> float:
        now = self._loop.time()
        delay = self._backoff.after_loss(now, lived_seconds, ended.code)
        level = logging.INFO if self._is_leaving or connection.redial_at is not None else logging.WARNING
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
            return delay
        if connection.redial_at is None:
            return delay
        # The hub has spread its agents by giving each a delay; one that it had to cut off is spread anew.
        return max(connection.redial_at - now, 0.0 if ended.code == CloseCode.NORMAL else delay)

    def _rejected(self, rejected: Rejected) -> float:
        _log.error(
            "the hub rejects this agent",
            extra={"status": rejected.status, "answer": str(rejected), "advice": _ADVICE[rejected.status]},
        )
        if self._settings.exit_on_rejection:
            raise rejected
        return self._backoff.after_rejection()
