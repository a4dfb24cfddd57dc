"""One agent's socket, from its hello to its end.

Frames that must be stored are handed to the collector in tasks, one chain per command: a command's frames are stored in
their order, and no command waits for another's.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from aiohttp import WSMsgType, web

from hub.records import Token
from hub.settings import Agents
from schemas import codec
from schemas.frames import (
    CLOSE_REASONS,
    UNBOUNDED,
    Ack,
    Cancel,
    CloseCode,
    Exit,
    Heartbeat,
    Hello,
    HubFrame,
    Leaving,
    Output,
    PolicyChanged,
    Run,
)

_log = logging.getLogger(__name__)

Collect = Callable[[str, Output | Exit], Awaitable[None]]
# Ends a command whose frames have a gap, or are too many.
Drop = Callable[[str, str], Coroutine[Any, Any, None]]
# Keeps another policy of an agent's.
OnPolicy = Callable[["Connection", dict[str, msgspec.Raw]], Awaitable[None]]

# Unstored bytes of one agent the hub holds; beyond, it stops reading that socket until the store has caught up.
_MAX_UNSTORED_BYTES: Final = 1024 * 1024
# Acknowledgements wait this long for company, unless as many or as much have gathered: a short command then costs one
# frame down and one frame up, and the agent's outbox stays small.
_ACK_DELAY_SECONDS: Final = 0.2
_ACK_MAX_RESULTS: Final = 64
_ACK_MAX_BYTES: Final = 256 * 1024
# What an agent may send of one command beyond `max_output_bytes`: stderr and the rounding of frames.
OUTPUT_SLACK_BYTES: Final = 2 * 1024 * 1024
_CLOSE_SECONDS: Final = 3.0
# What may wait to be sent to one agent: many times what an honest one is ever sent at once.
_MAX_UNSENT_BYTES: Final = 8 * 1024 * 1024
# A frame of so many bytes never fills a transport's buffer (64 KiB) alone; asyncio's timeout costs 4 µs a time.
_UNHINDERED_BYTES: Final = 16 * 1024
# When a link breaks, frames that arrived before it did have this long to be stored.
_SETTLE_SECONDS: Final = 10.0


@dataclass(slots=True)
class _Running:
    """A command this connection carries. `next_seq` is the number its next frame has, `stored` the last task of its
    chain.
    """

    bytes_left: int
    next_seq: int = 1
    has_exit: bool = False
    stored: asyncio.Task[None] | None = None


class Connection:
    """The hub's end of one link. `send` and `close` may be called from any task; `read` belongs to the endpoint's."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport,
        hello: Hello,
        token: Token,
        collect: Collect,
        drop: Drop,
        settings: Agents,
    ) -> None:
        self.cluster_id = hello.cluster_id
        self.hello = hello
        self.policy = hello.policy  # until it is stored, and so are these
        self.labels = hello.labels
        self.token = token
        self.is_leaving = False
        self._is_closing = False
        self._socket = socket
        self._transport = transport
        self._collect = collect
        self._drop = drop
        self._settings = settings
        self._running: dict[str, _Running] = {}
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._has_ended = asyncio.Event()
        self._unstored_bytes = 0
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._acks: dict[str, int] = {}
        self._ack_bytes = 0
        self._ack_timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        self._sent_at = self._loop.time()

    @property
    def last_seen(self) -> float:
        """When the agent was last heard, in seconds since the epoch."""
        return time.time() - (self._loop.time() - self._heard_at)

    @property
    def silent_seconds(self) -> float:
        """For how long nothing was heard; 0 while it is the hub that does not listen, its store being behind."""
        return self._loop.time() - self._heard_at if self._has_room.is_set() else 0.0

    @property
    def unsaid_seconds(self) -> float:
        """For how long nothing was sent."""
        return self._loop.time() - self._sent_at

    @property
    def boot_id(self) -> str:
        """The agent process at the other end."""
        return self.hello.boot_id

    def carries(self, result_id: str) -> bool:
        """Whether a command was sent over this link, or resumed on it, and has not ended."""
        return result_id in self._running

    def forget_held(self) -> None:
        """Let go of what of the hello is for its moment only; it may be half a megabyte."""
        self.hello = msgspec.structs.replace(self.hello, held=[], policy={}, executors={}, labels={})

    def take_up(self, resumed: Mapping[str, int], bytes_left: Mapping[str, int]) -> None:
        """Carry commands of an earlier link: `{result_id: highest stored number}`, and what that link left of the bytes
        they may send; what an earlier hub process knew of that is gone.
        """
        for result_id, seq in resumed.items():
            self._carry(result_id, _Running(bytes_left.get(result_id, UNBOUNDED), next_seq=seq + 1))

    def bytes_left(self) -> dict[str, int]:
        """How much output each command that it carries may still send."""
        return {result_id: running.bytes_left for result_id, running in self._running.items()}

    async def send(self, frame: HubFrame) -> bool:
        """Send one frame. False: the link is broken, or the agent did not take it in time and is cut off."""
        if isinstance(frame, Run):
            if self.is_leaving:
                return False
            full_bytes = 0 if frame.contract is None else frame.contract.max_full_bytes
            self._carry(frame.result_id, _Running(frame.max_output_bytes + full_bytes + OUTPUT_SLACK_BYTES))
        self._sent_at = self._loop.time()
        unsent_bytes = self._transport.get_write_buffer_size()
        if unsent_bytes > _MAX_UNSENT_BYTES:
            self.close_soon(CloseCode.SLOW_PEER)
            return False
        text = codec.encode(frame)
        try:
            if len(text) < _UNHINDERED_BYTES and not unsent_bytes:
                await self._socket.send_str(text)  # goes into an empty buffer: there is nothing to wait for
            else:
                async with asyncio.timeout(self._settings.send_timeout_seconds):
                    await self._socket.send_str(text)
        except TimeoutError:
            self.close_soon(CloseCode.SLOW_PEER)
            return False
        except (ConnectionError, RuntimeError):  # aiohttp: RuntimeError once the socket is closing
            return False
        return True

    def send_soon(self, frame: HubFrame) -> None:
        """Send one frame from a task of this connection's own."""
        self._own(self._send_quietly(frame), f"send {self.cluster_id}")

    async def read(self, on_leaving: Callable[["Connection"], None], on_policy: OnPolicy) -> None:
        """Take frames until the socket closes, by either side. Returns after the close, never raises for the peer."""
        async for message in self._socket:
            self._heard_at = self._loop.time()
            if message.type is not WSMsgType.TEXT:
                await self.close(CloseCode.MALFORMED_FRAME, "a binary message; frames are JSON text")
                break
            try:
                frame = codec.decode_agent(message.data)
            except codec.FrameError as error:
                await self.close(CloseCode.MALFORMED_FRAME, str(error))
                break
            match frame:
                case Output() | Exit():
                    await self._take(frame, len(message.data))
                case Leaving(reason=reason):
                    _log.info("agent leaving", extra={"cluster_id": self.cluster_id, "reason": reason})
                    self.is_leaving = True
                    on_leaving(self)
                case PolicyChanged(policy=policy):
                    await on_policy(self, policy)
                case Hello():
                    await self.close(CloseCode.PROTOCOL_VIOLATION, "a second hello")
                    break
                case Heartbeat() | None:
                    pass

    async def settle(self) -> None:
        """After `read`: finish storing what arrived."""
        if self._ack_timer is not None:
            self._ack_timer.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_SETTLE_SECONDS)
        for task in self._tasks:
            task.cancel()

    def end(self) -> None:
        """After `settle`: whoever waits in `ended` or `idle` goes on."""
        self._has_ended.set()
        self._is_idle.set()

    async def ended(self) -> None:
        """Wait until the link is over and all that came of it is dealt with."""
        await self._has_ended.wait()

    async def idle(self, timeout_seconds: float) -> bool:
        """Wait until no command runs on this link, or it is over; False: the time was not enough."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._is_idle.wait()
        except TimeoutError:
            return False
        return True

    def cancel_all(self, reason: str) -> None:
        """Have the agent end whatever runs on this link."""
        for result_id in self._running:
            self.send_soon(Cancel(result_id, reason))

    def cut(self) -> None:
        """Break the link at once: nobody is at its other end any more."""
        self._transport.abort()
        self._has_room.set()  # a reader that waits for the store ends now; what is not stored will come again

    async def close(self, code: int, detail: str = "") -> None:
        """Close the link, saying why on both sides; a peer that does not take it within some seconds is cut off."""
        reason = CLOSE_REASONS[code]
        _log.log(
            logging.INFO if code in (CloseCode.NORMAL, CloseCode.GOING_AWAY) else logging.WARNING,
            "closing an agent's link",
            extra={"cluster_id": self.cluster_id, "code": code, "reason": reason, "detail": detail},
        )
        message = f"{reason}: {detail}" if detail else reason
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._socket.close(code=code, message=message.encode()[:120])  # RFC 6455 §5.5: 125 with the code
        except (TimeoutError, ConnectionError, RuntimeError):  # a peer that takes nothing, or is gone already
            self._transport.abort()

    def close_soon(self, code: int, detail: str = "") -> None:
        """Close the link from a task of its own, for callers that must not wait for the peer."""
        if not self._is_closing:
            self._is_closing = True
            self._own(self.close(code, detail), f"close {self.cluster_id}")

    def _carry(self, result_id: str, running: _Running) -> None:
        self._running[result_id] = running
        self._is_idle.clear()

    def _uncarry(self, result_id: str) -> None:
        self._running.pop(result_id, None)
        if not self._running:
            self._is_idle.set()

    async def _take(self, frame: Output | Exit, size: int) -> None:
        running = self._running.get(frame.result_id)
        if running is None:
            # Ended by the hub meanwhile, or never of this link: nobody wants it, and the agent need not keep it.
            self._acknowledge(frame.result_id, _last_seq(frame), size)
            return
        last_seq = _last_seq(frame)
        if last_seq < running.next_seq or running.has_exit:
            return  # a second time; the first one is acknowledged once it is stored
        if frame.seq > running.next_seq:
            self._uncarry(frame.result_id)
            detail = f"number {running.next_seq} of its output was due and {frame.seq} came"
            self._own(self._drop_quietly(frame.result_id, detail), f"drop {frame.result_id}")
            self._acknowledge(frame.result_id, last_seq, size)
            return
        chunks = frame.chunks if isinstance(frame, Exit) else [frame]
        running.bytes_left -= sum(len(chunk.data) for chunk in chunks)
        if running.bytes_left < 0:
            self._uncarry(frame.result_id)  # else it would be resumed, and the next link closed as well
            self._own(self._drop(frame.result_id, "It sent more output than it was allowed"), f"drop {frame.result_id}")
            await self.close(CloseCode.PROTOCOL_VIOLATION, "more output than the command was allowed")
            return
        running.next_seq = last_seq + 1
        running.has_exit = isinstance(frame, Exit)
        self._unstored_bytes += size
        if self._unstored_bytes >= _MAX_UNSTORED_BYTES:
            self._has_room.clear()
        running.stored = self._own(self._store(frame, size, running.stored), f"collect {frame.result_id}")
        if not self._has_room.is_set():
            await self._has_room.wait()
            self._heard_at = self._loop.time()  # what the agent said meanwhile is still to be read

    async def _store(self, frame: Output | Exit, size: int, before: asyncio.Task[None] | None) -> None:
        try:
            if before is not None and not before.done():
                await asyncio.wait([before])
            await self._collect(self.cluster_id, frame)
        except asyncio.CancelledError:
            raise
        except Exception:  # noqa: BLE001 - a border: logged, and life goes on
            # The command ends at its deadline instead; the agent need not keep what will not be asked for again.
            _log.exception("an agent's frame could not be stored", extra={"result_id": frame.result_id})
        finally:
            self._unstored_bytes -= size
            if self._unstored_bytes < _MAX_UNSTORED_BYTES:
                self._has_room.set()
        if isinstance(frame, Exit):
            self._uncarry(frame.result_id)
        self._acknowledge(frame.result_id, _last_seq(frame), size)

    async def _drop_quietly(self, result_id: str, detail: str) -> None:
        _log.error("output of a command is missing", extra={"result_id": result_id, "detail": detail})
        await self.send(Cancel(result_id, "output is missing"))
        await self._drop(result_id, f"Part of its output did not arrive: {detail}")

    def _acknowledge(self, result_id: str, seq: int, size: int) -> None:
        self._acks[result_id] = seq
        self._ack_bytes += size
        if len(self._acks) >= _ACK_MAX_RESULTS or self._ack_bytes >= _ACK_MAX_BYTES:
            self._flush_acks()
        elif self._ack_timer is None:
            self._ack_timer = self._loop.call_later(_ACK_DELAY_SECONDS, self._flush_acks)

    def _flush_acks(self) -> None:
        if self._ack_timer is not None:
            self._ack_timer.cancel()
            self._ack_timer = None
        acks, self._acks, self._ack_bytes = self._acks, {}, 0
        if acks and not self._socket.closed:
            self.send_soon(Ack(acks))

    async def _send_quietly(self, frame: HubFrame) -> None:
        await self.send(frame)

    def _own(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _last_seq(frame: Output | Exit) -> int:
    """The last number a frame stands for: an exit's own comes behind those of its chunks."""
    return frame.seq if isinstance(frame, Output) else frame.seq + len(frame.chunks)
