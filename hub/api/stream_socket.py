"""One client's socket on a session, from the upgrade to its end.

Tasks: one reads, one sends events, one keeps watch, and what is under way has its own (stream_commands.py). Whichever
finds a reason to end the socket puts it in `_over`; then all are stopped, and `serve` alone closes.
"""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import WSMsgType, web

from hub import keys
from hub.api import stream_messages as messages
from hub.api.stream_commands import Underway
from hub.api.stream_inbox import Inbox
from hub.api.stream_outlet import CLOSE_SECONDS, Outlet
from hub.api.stream_watch import Watch
from hub.bus.base import ClusterEvent, Event
from hub.errors import InvalidRequest
from hub.records import Session
from hub.services.caller import Caller
from schemas import stream as wire
from schemas.stream import CLOSE_REASONS, CloseCode

_log = logging.getLogger(__name__)

# What runs in a session that ends, ends a little later; commands of other sessions that are followed may not.
_FAREWELL_SECONDS: Final = 30.0
# A client of a stopping hub has so long to read where it is to go on, and as long to answer the closing.
_DRAIN_SECONDS: Final = 2.0
# So many messages are taken in a row before others have their turn at the event loop.
_TURN_MESSAGES: Final = 32


@dataclass(frozen=True, slots=True)
class _End:
    """Why a socket ends. `code` None: the client closed it, or is gone."""

    code: int | None
    detail: str = ""


class SessionSocket:
    """`serve` it; see OpenStream for `drain`."""

    def __init__(self, app: web.Application, caller: Caller, session: Session, inbox: Inbox) -> None:
        self._app = app
        self._caller = caller
        self._session = session
        self._inbox = inbox
        self._settings = app[keys.SETTINGS].streams
        self._socket = web.WebSocketResponse(
            timeout=CLOSE_SECONDS,  # for the client's half of the closing
            protocols=[wire.SUBPROTOCOL],
            compress=False,  # a deflate window per socket would cost more memory than everything else of it
            max_msg_size=wire.MAX_MESSAGE_BYTES,
            autoping=False,  # pings and pongs are read here: they say that the client lives
        )
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[_End] = self._loop.create_future()
        self._has_ended = asyncio.Event()
        self._heard_at = self._loop.time()
        self._is_reading = True
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Upgrade, and hold the socket until it ends; cancelling it means that the client has gone."""
        try:
            await self._socket.prepare(request)
            assert request.transport is not None  # else prepare raises
            watch = Watch(request.transport, self._app[keys.API_KEYS], self._caller.key, self._settings.stall_seconds)
            outlet = Outlet(self._socket, request.transport, watch)
            underway = Underway(
                self._app[keys.COMMANDS],
                self._app[keys.RATE_LIMITS],
                self._app[keys.AUDIT],
                self._caller,
                self._session,
                outlet,
                self._own,
                self._settings.max_commands_per_socket,
            )
            try:
                self._own(self._read(outlet, underway))
                self._own(self._tell(outlet, underway))
                self._own(self._keep(outlet, watch))
                end = await self._over
            finally:
                await self._stop()
                if not self._is_hub_stopping():
                    self._app[keys.STREAMS].own(underway.abandon(), f"abandon {self._session.session_id}")
            if end.code is None:
                outlet.part()
            else:
                await self._close(outlet, underway, end.code, end.detail)
        finally:
            self._has_ended.set()
        return self._socket

    async def drain(self) -> None:
        """See OpenStream. What runs goes on: the client will follow it on another socket."""
        self._finish(CloseCode.GOING_AWAY)
        await self._has_ended.wait()

    async def _read(self, outlet: Outlet, underway: Underway) -> None:
        """Take messages until the client closes, or has sent too many that are none."""
        malformed = taken = 0
        while True:
            self._is_reading = True
            received = await self._socket.receive()
            self._is_reading = False
            self._heard_at = self._loop.time()
            match received.type:
                case WSMsgType.TEXT:
                    try:
                        message = wire.decode(received.data)
                    except wire.MessageError as error:
                        malformed += 1
                        refusal = InvalidRequest(str(error), field=error.field, code=error.code)
                        await outlet.send(
                            messages.refusal(refusal, request_id=error.request_id, result_id=error.result_id)
                        )
                        if malformed >= wire.MAX_MALFORMED_IN_A_ROW:
                            self._finish(CloseCode.MALFORMED_MESSAGE, f"{malformed} in a row")
                            return
                    else:
                        malformed = 0
                        if isinstance(message, wire.Ping):
                            await outlet.send(wire.Pong())
                        else:
                            await underway.take(message)
                case WSMsgType.PING:
                    await outlet.pong(received.data)
                case WSMsgType.PONG:
                    pass
                case WSMsgType.BINARY:
                    self._finish(CloseCode.MALFORMED_MESSAGE, "a binary message; messages are JSON text")
                    return
                case _:
                    self._finish(None)
                    return
            taken += 1
            if taken % _TURN_MESSAGES == 0:
                await asyncio.sleep(0)

    async def _tell(self, outlet: Outlet, underway: Underway) -> None:
        """Send what happens to sessions and clusters. The end of its own session is, a little later, the socket's."""
        while True:
            event = await self._inbox.next()
            if event is None:
                self._finish(CloseCode.SLOW_CLIENT, "too many events wait")
                return
            await outlet.send(messages.changed(event))
            if self._is_my_end(event):
                self._own(self._say_farewell(underway))

    def _is_my_end(self, event: Event) -> bool:
        return (
            not isinstance(event, ClusterEvent)
            and event.session.session_id == self._session.session_id
            and event.kind != "created"
        )

    async def _say_farewell(self, underway: Underway) -> None:
        await underway.settle(_FAREWELL_SECONDS)
        self._finish(CloseCode.NORMAL)

    async def _keep(self, outlet: Outlet, watch: Watch) -> None:
        """Watch over the socket: a client that does not read or is dead, a key that is no longer valid."""
        pinged_at = self._loop.time()
        while True:
            code = await watch.look()
            now = self._loop.time()
            silent_seconds = now - self._heard_at if self._is_reading else 0.0
            if code is not None:
                self._finish(code)
            elif silent_seconds >= wire.PING_INTERVAL_SECONDS * wire.PINGS_MISSED:
                self._finish(CloseCode.SILENT_CLIENT)
            elif min(silent_seconds, now - pinged_at) >= wire.PING_INTERVAL_SECONDS:
                pinged_at = now
                self._own(outlet.ping())

    def _finish(self, code: int | None, detail: str = "") -> None:
        """End the socket; the first reason counts."""
        if not self._over.done():
            self._over.set_result(_End(code, detail))

    def _is_hub_stopping(self) -> bool:
        return self._over.done() and not self._over.cancelled() and self._over.result().code == CloseCode.GOING_AWAY

    async def _stop(self) -> None:
        """Stop all tasks: from here on nobody reads, and nobody sends but `_close`."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _close(self, outlet: Outlet, underway: Underway, code: int, detail: str) -> None:
        _log.log(
            logging.DEBUG if code in (CloseCode.NORMAL, CloseCode.GOING_AWAY) else logging.WARNING,
            "closing a client's stream",
            extra={
                "key_id": self._caller.key.key_id,
                "code": code,
                "reason": CLOSE_REASONS[code],
                "detail": detail,
            },
        )
        if code != CloseCode.GOING_AWAY:
            await outlet.close(code, detail)
            return
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                await outlet.send(messages.draining(underway.last_seqs()))
        await outlet.close(code, detail, within_seconds=_DRAIN_SECONDS)

    def _own(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._guarded(work), name=f"stream {self._session.session_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guarded(self, work: Coroutine[Any, Any, object]) -> None:
        try:
            await work
        except ConnectionError:
            self._finish(None)
        except Exception:  # noqa: BLE001 - a border: logged, and life goes on
            _log.exception("a client's stream failed", extra={"session_id": self._session.session_id})
            self._finish(CloseCode.FAULT)
