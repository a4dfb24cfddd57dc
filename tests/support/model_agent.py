"""An honest agent of protocol version 2 or 1, as small as it can be: what it wrote, what it holds, one link at a time.

Its `written` is the truth that a hub's store is compared with.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from schemas import codec
from schemas.frames import (
    CONNECT_PATH,
    RESUMING_VERSION,
    SUBPROTOCOL,
    Ack,
    Cancel,
    Chunk,
    Exit,
    Held,
    Hello,
    HubFrame,
    Leaving,
    Output,
    Run,
    Stream,
    Welcome,
)

# SO_LINGER on, for 0 s: closing sends RST instead of FIN (socket(7)).
_RESET: Final = struct.pack("ii", 1, 0)
_WELCOME_SECONDS: Final = 10.0

Written = tuple[int, Stream, str]


@dataclass(slots=True)
class Command:
    """One command on the agent. `frames` are those that are not acknowledged, `sent` how many of them went out."""

    run: Run
    frames: list[Output | Exit] = field(default_factory=list)
    sent: int = 0
    next_seq: int = 1
    has_exit: bool = False


def last_seq(frame: Output | Exit) -> int:
    """The last number a frame stands for."""
    return frame.seq if isinstance(frame, Output) else frame.seq + len(frame.chunks)


class ModelAgent:
    """One agent process after another, of one cluster; `restart` makes it the next one."""

    def __init__(self, http: aiohttp.ClientSession, url: str, token: str, cluster_id: str, *, version: int) -> None:
        self.cluster_id = cluster_id
        self.version = version
        self.commands: dict[str, Command] = {}  # those it holds, oldest first
        self.written: dict[str, list[Written]] = {}  # whatever any process of it wrote for a command
        self.exited: dict[str, Exit] = {}
        self.runs: dict[str, int] = {}  # how often a process began a command
        self.is_leaving = False
        self._http = http
        self._url = url
        self._token = token
        self._process = 1
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._reader: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()

    @property
    def is_connected(self) -> bool:
        """Whether it has a link, for all it knows."""
        return self._socket is not None

    @property
    def running(self) -> list[Command]:
        """What it has not ended."""
        return [command for command in self.commands.values() if not command.has_exit]

    async def connect(self) -> None:
        """Dial, greet with what it holds, go on behind what the hub has."""
        await self._join_reader()
        headers = {"Authorization": f"Bearer {self._token}"}
        link = await self._http.ws_connect(self._url + CONNECT_PATH, headers=headers, protocols=[SUBPROTOCOL])
        held = [
            Held(result_id, command.next_seq - 1, is_running=not command.has_exit)
            for result_id, command in self.commands.items()
        ]
        boot_id = f"{self.cluster_id}-{self._process}"
        hello = Hello(self.cluster_id, "0.0-model", boot_id, protocol_version=self.version, held=held)
        await link.send_str(codec.encode(hello))
        async with asyncio.timeout(_WELCOME_SECONDS):
            welcome = codec.decode_hub(await link.receive_str())
        if not isinstance(welcome, Welcome):
            raise TypeError(f"{welcome} came before the welcome")
        self.is_leaving = False
        self._socket = link
        self._go_on(welcome.resume)
        self._reader = asyncio.create_task(self._read(link), name=f"model agent {self.cluster_id}")
        await self.flush()

    def _go_on(self, resume: Mapping[str, int | None]) -> None:
        for result_id, command in list(self.commands.items()):
            seq = resume.get(result_id)
            if seq is None:
                del self.commands[result_id]
                continue
            command.frames = [frame for frame in command.frames if last_seq(frame) > seq]
            command.sent = 0

    async def write(self, command: Command, stream: Stream, data: str) -> None:
        """Write one chunk."""
        frame = Output(command.run.result_id, command.next_seq, stream, data)
        self.written.setdefault(command.run.result_id, []).append((command.next_seq, stream, data))
        command.next_seq += 1
        command.frames.append(frame)
        await self.flush()

    async def exit(self, command: Command, texts: list[str], status: str = "completed") -> None:
        """End a command, with some last chunks."""
        first = command.next_seq
        result_id = command.run.result_id
        chunks = [Chunk("stdout", text) for text in texts]
        code = 0 if status == "completed" else None
        frame = Exit(result_id, first, status, exit_code=code, chunks=chunks)  # type: ignore[arg-type]
        written = self.written.setdefault(result_id, [])
        written += [(first + place, "stdout", text) for place, text in enumerate(texts)]
        command.next_seq += len(chunks) + 1
        command.frames.append(frame)
        command.has_exit = True
        self.exited[result_id] = frame
        await self.flush()

    async def flush(self) -> None:
        """Send what has not been sent over this link."""
        async with self._sending:
            for command in list(self.commands.values()):
                while self._socket is not None and command.sent < len(command.frames):
                    command.sent += 1
                    await self._send(codec.encode(command.frames[command.sent - 1]))

    async def repeat(self, command: Command) -> None:
        """Send once more what is not acknowledged, as nobody needs to."""
        for frame in command.frames[: command.sent]:
            await self._send(codec.encode(frame))

    async def leave(self) -> None:
        """Say that it stops."""
        self.is_leaving = True
        await self._send(codec.encode(Leaving("the model leaves")))

    async def _send(self, text: str) -> None:
        if self._socket is not None:
            try:
                await self._socket.send_str(text)
            except ConnectionError:
                self._socket = None

    async def cut(self, how: str) -> None:
        """Lose the link: `close` says goodbye, `end` ends the stream, `reset` resets it, `amid` ends it in a frame."""
        link, self._socket = self._socket, None
        if link is None:
            return
        transport = link.get_extra_info("socket") and link._response.connection.transport  # type: ignore[union-attr]
        if how == "close" or transport is None:
            await link.close()
        else:
            if how == "reset":
                transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            elif how == "amid":
                transport.write(b"\x81\xfe\x10\x00mask{")  # a text frame of 4 KiB, of which one byte comes
            if how == "reset":
                transport.abort()
            else:
                transport.close()
        await self._join_reader()
        if self.version < RESUMING_VERSION:
            self.commands.clear()

    async def restart(self, how: str) -> None:
        """Die with all it held, and be another process."""
        await self.cut(how)
        self._process += 1
        self.commands.clear()

    async def _join_reader(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])
            self._reader = None

    async def _read(self, link: aiohttp.ClientWebSocketResponse) -> None:
        async for message in link:
            if message.type is aiohttp.WSMsgType.TEXT:
                frame = codec.decode_hub(message.data)
                if frame is not None:
                    await self._take(frame)
        if self._socket is link:
            self._socket = None

    async def _take(self, frame: HubFrame) -> None:
        match frame:
            case Run(result_id=result_id):
                if result_id not in self.commands:
                    self.commands[result_id] = Command(frame)
                    self.runs[result_id] = self.runs.get(result_id, 0) + 1
            case Cancel(result_id=result_id):
                command = self.commands.get(result_id)
                if command is not None and not command.has_exit:
                    with contextlib.suppress(ConnectionError):
                        await self.exit(command, ["it was told to end\n"], "cancelled")
            case Ack(results=results):
                for result_id, seq in results.items():
                    command = self.commands.get(result_id)
                    if command is None:
                        continue
                    while command.frames and last_seq(command.frames[0]) <= seq:
                        command.frames.pop(0)
                        command.sent = max(0, command.sent - 1)
                    if command.has_exit and not command.frames:
                        del self.commands[result_id]
            case _:
                pass
