"""The way out of a client's socket: one message at a time, in turn, and no faster than the client reads.

Whoever sends waits for the lock in the order of asking, so no command crowds out another, and a socket holds one
message in memory beside its transport's buffer, whatever runs on it. A client that does not read makes the sender at
the lock wait; nothing but the closing has a timeout here, for the socket's keeper watches (stream_watch.py) and ends it
all.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Final

from aiohttp import WSMsgType, web

from hub.api.stream_watch import Watch
from hub.records import OutputChunk
from schemas.stream import CLOSE_REASONS, HubMessage, Output, encode

# How long a client may take to read what is still in its buffer and to answer the closing.
CLOSE_SECONDS: Final = 10.0


@dataclass(slots=True)
class Following:
    """A command that is followed on a socket, and the number of its last output that was sent."""

    result_id: str
    last_seq: int


class Outlet:
    """Sends for all tasks of one socket. Sending raises ConnectionError once the socket is closing."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport, watch: Watch) -> None:
        self._socket = socket
        self._transport = transport
        self._watch = watch
        self._lock = asyncio.Lock()

    async def send(self, message: HubMessage) -> None:
        """Send one message."""
        async with self._lock:
            await self._write(encode(message), WSMsgType.TEXT)

    async def send_output(self, following: Following, chunk: OutputChunk) -> None:
        """Send one piece of output. `following.last_seq` is right even when this is cancelled."""
        async with self._lock:
            data = encode(Output(following.result_id, chunk.seq, chunk.stream, chunk.data))
            following.last_seq = chunk.seq  # the writing itself awaits nothing
            await self._write(data, WSMsgType.TEXT)

    async def ping(self) -> None:
        """Ask the client whether it is there."""
        async with self._lock:
            await self._write(b"", WSMsgType.PING)

    async def pong(self, data: bytes) -> None:
        """Answer the client's own ping."""
        async with self._lock:
            await self._write(data, WSMsgType.PONG)

    async def close(self, code: int, detail: str = "", *, within_seconds: float = CLOSE_SECONDS) -> None:
        """Close the socket; one whose client does not take even that is cut. Nobody may be reading it meanwhile."""
        reason = f"{CLOSE_REASONS[code]}: {detail}" if detail else CLOSE_REASONS[code]
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(within_seconds):
                await self._socket.close(code=code, message=reason.encode()[:120])  # RFC 6455 §5.5: 125 with the code
        self._transport.abort()

    def part(self) -> None:
        """Leave a socket that its client has closed: aiohttp sends what is still in the buffer, but not for ever."""
        if self._transport.get_write_buffer_size():
            asyncio.get_running_loop().call_later(CLOSE_SECONDS, self._transport.abort)

    async def _write(self, data: bytes, kind: WSMsgType) -> None:
        self._watch.wrote(len(data))
        await self._socket.send_frame(data, kind)
