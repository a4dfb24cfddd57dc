"""One link, from its hello to its end: a reader, a writer, and what both sides have said about silence.

The hub is heard at least every heartbeat interval, and so are we: any frame counts, a heartbeat is sent when there is
nothing else. The writer sends one frame at a time and takes heartbeats first, so output never delays one for long.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from agent.dispatcher import Dispatcher, TooManyCommands
from agent.link.dial import close
from agent.outbox import Outbox
from schemas import codec
from schemas.frames import (
    CLOSE_REASONS,
    HEARTBEATS_MISSED,
    OLDEST_PROTOCOL_VERSION,
    PROTOCOL_VERSION,
    Ack,
    AgentFrame,
    Cancel,
    CloseCode,
    Credit,
    Drain,
    Heartbeat,
    Hello,
    HubFrame,
    Leaving,
    PolicyChanged,
    Run,
    Welcome,
)

_log = logging.getLogger(__name__)

T = TypeVar("T")

# What RFC 6455 §7.4.1 calls a link that broke without a word.
BROKEN_CODE: Final = 1006
# A stopping agent has better things to do than to wait for a hub that does not read.
_LEAVE_SECONDS: Final = 2.0


class LinkClosed(Exception):
    """The link has ended, by either side, with this close code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}".strip())
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Drained:
    """The hub's wish to be left; `until` is when to come back, on the event loop's clock."""

    until: float


class Connection:
    """The agent's end of one socket. `greet`, then `carry` until LinkClosed; `leave` and `hang_up` from any task."""

    def __init__(self, socket: ClientConnection, dispatcher: Dispatcher, outbox: Outbox) -> None:
        self._socket = socket
        self._dispatcher = dispatcher
        self._outbox = outbox
        self._loop = asyncio.get_running_loop()
        self._interval_seconds = 0.0
        self._drain: asyncio.Task[None] | None = None
        self.redial_at: float | None = None  # after a drain: when the hub wants to be dialled again

    async def greet(self, hello: Hello, timeout_seconds: float) -> Welcome:
        """Say hello and wait for the welcome. Raises LinkClosed."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._send(hello)
                welcome = await self._welcome()
        except TimeoutError:
            raise await self._closed(CloseCode.HELLO_TIMEOUT, f"no welcome within {timeout_seconds:g} s") from None
        except BaseException:
            self._socket.transport.abort()
            raise
        if not OLDEST_PROTOCOL_VERSION <= welcome.protocol_version <= PROTOCOL_VERSION:
            raise await self._closed(
                CloseCode.VERSION_UNSUPPORTED, f"the hub speaks version {welcome.protocol_version}"
            )
        self._interval_seconds = welcome.heartbeat_interval_seconds
        return welcome

    async def carry(self, leave_reason: str | None) -> None:
        """Read and write until the link ends; always raises, LinkClosed unless it is cancelled.

        `leave_reason`: the agent was stopping before there was this link, and the hub is to know it; None: it was not.
        """
        reader = asyncio.create_task(self._read(), name="link reader")
        writer = asyncio.create_task(self._write(leave_reason), name="link writer")
        try:
            done, _ = await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            tasks = {reader, writer} | ({self._drain} if self._drain is not None else set())
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for task in tasks:
                if not task.cancelled():
                    task.exception()  # read, so that a second LinkClosed is not reported as lost
            if self._socket.close_code is None:
                self._socket.transport.abort()

    async def leave(self, reason: str) -> None:
        """Tell the hub that the agent is stopping. Does nothing on a link that has ended, or is stuck."""
        with contextlib.suppress(LinkClosed, TimeoutError):
            async with asyncio.timeout(_LEAVE_SECONDS):
                await self._send(Leaving(reason))

    async def announce(self, policy: dict[str, msgspec.Raw]) -> None:
        """Tell the hub another policy. Does nothing on a link that has ended, or is stuck: the next hello says it."""
        with contextlib.suppress(LinkClosed, TimeoutError):
            async with asyncio.timeout(_LEAVE_SECONDS):
                await self._send(PolicyChanged(policy))

    async def hang_up(self) -> None:
        """Close the link as one that is done; `carry` then raises."""
        with contextlib.suppress(TimeoutError):
            await close(self._socket, CloseCode.NORMAL, CLOSE_REASONS[CloseCode.NORMAL])

    async def _welcome(self) -> Welcome:
        while True:
            frame = await self._receive()
            match frame:
                case Welcome():
                    return frame
                case None | Heartbeat():
                    continue
                case _:
                    raise await self._closed(CloseCode.PROTOCOL_VIOLATION, "welcome expected")

    async def _read(self) -> None:
        while True:
            frame = await self._timed(
                self._receive(), HEARTBEATS_MISSED * self._interval_seconds, CloseCode.SILENT_PEER
            )
            match frame:
                case Run() | Cancel() | Ack() | Credit():
                    try:
                        self._dispatcher.take(frame)
                    except TooManyCommands as error:
                        raise await self._closed(CloseCode.PROTOCOL_VIOLATION, str(error)) from None
                case Drain(reconnect_after_seconds=delay, reason=reason):
                    _log.info("the hub is stopping", extra={"reason": reason, "reconnect_after_seconds": delay})
                    self.redial_at = self._loop.time() + delay
                    if self._drain is None:
                        self._drain = asyncio.create_task(self._go(), name="link drain")
                case Welcome():
                    raise await self._closed(CloseCode.PROTOCOL_VIOLATION, "a second welcome")
                case Heartbeat() | None:
                    pass

    async def _write(self, leave_reason: str | None) -> None:
        if leave_reason is not None:
            await self.leave(leave_reason)
        while True:
            frame: AgentFrame
            try:
                async with asyncio.timeout(self._interval_seconds):
                    frame = await self._outbox.next()
            except TimeoutError:
                frame = Heartbeat()
            await self._timed(self._send(frame), HEARTBEATS_MISSED * self._interval_seconds, CloseCode.SLOW_PEER)

    async def _go(self) -> None:
        """After a drain: let what runs end and be stored, then close. The hub closes first if it cannot wait."""
        await self._dispatcher.idle()
        await self._outbox.settled()
        await self.hang_up()

    async def _receive(self) -> HubFrame | None:
        """The next frame, None for a type we do not know. Raises LinkClosed; cancelling loses nothing."""
        try:
            text = await self._socket.recv()
        except ConnectionClosed:
            raise self._ended() from None
        if isinstance(text, bytes):
            raise await self._closed(CloseCode.MALFORMED_FRAME, "a binary message; frames are JSON text")
        try:
            return codec.decode_hub(text)
        except codec.FrameError as error:
            raise await self._closed(CloseCode.MALFORMED_FRAME, str(error)) from None

    async def _send(self, frame: AgentFrame) -> None:
        try:
            await self._socket.send(codec.encode(frame))
        except ConnectionClosed:
            raise self._ended() from None

    async def _timed(self, work: Awaitable[T], seconds: float, code: int) -> T:
        try:
            async with asyncio.timeout(seconds):
                return await work
        except TimeoutError:
            raise await self._closed(code, "") from None

    async def _closed(self, code: int, detail: str) -> LinkClosed:
        """Close the link for a fault of the hub's; returns what to raise."""
        reason = CLOSE_REASONS[code]
        _log.warning("closing the link", extra={"code": code, "reason": reason, "detail": detail})
        try:
            await close(self._socket, code, f"{reason}: {detail}" if detail else reason)
        except TimeoutError:
            self._socket.transport.abort()
        return LinkClosed(code, detail or reason)

    def _ended(self) -> LinkClosed:
        code = self._socket.close_code
        reason = self._socket.close_reason or CLOSE_REASONS.get(code or 0, "")
        return LinkClosed(BROKEN_CODE if code is None else code, reason)
