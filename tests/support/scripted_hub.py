"""A hub whose every answer the test chooses: a real WebSocket server that speaks only when told to."""

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TypeVar

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from schemas import codec
from schemas.frames import (
    PROTOCOL_VERSION,
    RESUMING_VERSION,
    SUBPROTOCOL,
    Ack,
    AgentFrame,
    Chunk,
    Credit,
    Exit,
    Hello,
    HubFrame,
    Output,
    Run,
    Stream,
    Welcome,
)

T = TypeVar("T")

WAIT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A refusal before the upgrade."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Stored:
    """What a hub has of one result. `text` is by stream, `seq` the highest number, `exit` the end, None before."""

    def __init__(self) -> None:
        self.text: dict[Stream, str] = {"stdout": "", "stderr": "", "full": ""}
        self.seq = 0
        self.exit: Exit | None = None
        self.repeated = 0

    def take(self, frame: Output | Exit) -> None:
        """Store a frame, or count it as `repeated`. Raises ValueError for a gap, and for output behind the end."""
        last = last_seq(frame)
        if last <= self.seq:
            self.repeated += 1
            return
        if frame.seq != self.seq + 1 or self.exit is not None:
            raise ValueError(f"number {frame.seq} behind {self.seq}")
        parts: list[Output | Chunk] = [*frame.chunks] if isinstance(frame, Exit) else [frame]
        for part in parts:
            self.text[part.stream] += part.data
        self.seq = last
        if isinstance(frame, Exit):
            self.exit = frame


class Shelf:
    """The results of a hub that outlive its links."""

    def __init__(self) -> None:
        self.results: dict[str, Stored] = {}

    def __getitem__(self, result_id: str) -> Stored:
        return self.results.setdefault(result_id, Stored())

    def resume(self, hello: Hello) -> dict[str, int | None]:
        """What a welcome says of the results the agent holds."""
        return {held.result_id: self[held.result_id].seq for held in hello.held}


class HubLink:
    """The hub's end of one link; `received` holds every frame the agent sent."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.version = PROTOCOL_VERSION
        self.done = asyncio.Event()
        self.received: list[AgentFrame] = []

    async def send(self, frame: HubFrame) -> None:
        """Send a frame."""
        await self.socket.send(codec.encode(frame))

    async def receive(self, timeout_seconds: float = WAIT_SECONDS) -> AgentFrame:
        """The next frame. Raises ConnectionClosed once the agent has closed."""
        async with asyncio.timeout(timeout_seconds):
            frame = codec.decode_agent(str(await self.socket.recv()))
        if frame is None:
            raise ValueError("a frame of an unknown type")
        self.received.append(frame)
        return frame

    async def expect(self, kind: type[T], timeout_seconds: float = WAIT_SECONDS) -> T:
        """The next frame of one kind, passing over others."""
        async with asyncio.timeout(timeout_seconds):
            while True:
                frame = await self.receive(timeout_seconds)
                if isinstance(frame, kind):
                    return frame

    async def welcome(
        self, heartbeat_interval_seconds: float = 20.0, max_concurrent_commands: int = 8, **fields: object
    ) -> Hello:
        """Take the hello and answer it."""
        hello = await self.expect(Hello)
        welcome = Welcome(
            "0.0-test",
            heartbeat_interval_seconds,
            max_concurrent_commands,
            **fields,  # type: ignore[arg-type]
        )
        self.version = welcome.protocol_version
        await self.send(welcome)
        return hello

    async def resume(self, shelf: Shelf, **fields: object) -> Hello:
        """Take the hello and answer it with what the shelf has."""
        hello = await self.expect(Hello)
        await self.send(Welcome("0.0-test", 20.0, 8, resume=shelf.resume(hello), **fields))  # type: ignore[arg-type]
        return hello

    async def acknowledge(self, frame: Output | Exit) -> None:
        """Say that a frame is stored, and has gone on."""
        results = {frame.result_id: last_seq(frame)}
        await self.send(Ack(results))
        if self.version >= RESUMING_VERSION:
            await self.send(Credit(results))

    async def store(self, shelf: Shelf, *result_ids: str) -> None:
        """Store and acknowledge all output until these results have ended. Raises ConnectionClosed."""
        while any(shelf[result_id].exit is None for result_id in result_ids):
            frame = await self.receive()
            if isinstance(frame, Output | Exit):
                shelf[frame.result_id].take(frame)
                await self.acknowledge(frame)

    async def run(self, command_type: str, *args: str, result_id: str = "res_1", **fields: object) -> None:
        """Send a command."""
        values: dict[str, object] = {"timeout_seconds": 30.0, "max_output_bytes": 8 * 1024 * 1024} | fields
        await self.send(Run(result_id, command_type, list(args), **values))  # type: ignore[arg-type]

    async def result(self, result_id: str = "res_1", *, acknowledge: bool = True) -> tuple[list[Output], Exit]:
        """Read one command to its end and acknowledge it; frames of others are passed over."""
        outputs: list[Output] = []
        while True:
            frame = await self.receive()
            if not isinstance(frame, Output | Exit) or frame.result_id != result_id:
                continue
            if acknowledge:
                await self.acknowledge(frame)
            if isinstance(frame, Exit):
                return outputs, frame
            outputs.append(frame)

    async def closed(self) -> int | None:
        """Wait until the agent has closed; the close code."""
        async with asyncio.timeout(WAIT_SECONDS):
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await self.socket.recv()
        return self.socket.close_code

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the link."""
        await self.socket.close(code, reason)
        self.done.set()

    def cut(self) -> None:
        """Break the link without a word."""
        self.socket.transport.abort()
        self.done.set()


def last_seq(frame: Output | Exit) -> int:
    """The last number a frame stands for."""
    return frame.seq + len(frame.chunks) if isinstance(frame, Exit) else frame.seq


class ScriptedHub:
    """A listening hub. `dials` holds the headers of every upgrade request; `answers` refuse the next ones in turn."""

    def __init__(self) -> None:
        self.url = ""
        self.dials: list[Headers] = []
        self.answers: deque[Answer] = deque()
        self._links: asyncio.Queue[HubLink] = asyncio.Queue()
        self._live: set[HubLink] = set()
        self._dialled = asyncio.Condition()
        self._is_answering = asyncio.Event()
        self._is_answering.set()

    async def link(self, timeout_seconds: float = WAIT_SECONDS) -> HubLink:
        """The next link that was upgraded."""
        async with asyncio.timeout(timeout_seconds):
            return await self._links.get()

    async def dialled(self, times: int) -> None:
        """Wait until so many upgrade requests have come."""
        async with asyncio.timeout(WAIT_SECONDS), self._dialled:
            await self._dialled.wait_for(lambda: len(self.dials) >= times)

    def hold(self) -> None:
        """Let upgrade requests wait for their answer, until `let_go`."""
        self._is_answering.clear()

    def let_go(self) -> None:
        """Answer them, and those that come."""
        self._is_answering.set()

    async def on_request(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuse if told to."""
        self.dials.append(request.headers)
        async with self._dialled:
            self._dialled.notify_all()
        await self._is_answering.wait()
        if not self.answers:
            return None
        answer = self.answers.popleft()
        headers = Headers(answer.headers | {"Content-Length": str(len(answer.body)), "Connection": "close"})
        return Response(answer.status, HTTPStatus(answer.status).phrase, headers, answer.body)

    async def on_link(self, socket: ServerConnection) -> None:
        """Hand the link to the test and keep it until the test is done with it."""
        link = HubLink(socket)
        self._live.add(link)
        await self._links.put(link)
        await link.done.wait()

    def end(self) -> None:
        """Let go of everything."""
        self.let_go()
        for link in self._live:
            link.done.set()


@contextlib.asynccontextmanager
async def scripted_hub(
    *, tls: ssl.SSLContext | None = None, port: int = 0, subprotocol: str | None = SUBPROTOCOL
) -> AsyncIterator[ScriptedHub]:
    """Listen on a free loopback port for as long as the context is open."""
    hub = ScriptedHub()
    server: Server
    async with serve(
        hub.on_link,
        "127.0.0.1",
        port,
        subprotocols=None if subprotocol is None else [Subprotocol(subprotocol)],
        process_request=hub.on_request,
        ssl=tls,
        compression=None,
        ping_interval=None,
        close_timeout=1.0,
        max_size=None,
        select_subprotocol=(lambda _connection, _offered: None) if subprotocol is None else None,
    ) as server:
        number = server.sockets[0].getsockname()[1]
        hub.url = f"{'wss' if tls else 'ws'}://127.0.0.1:{number}"
        try:
            yield hub
        finally:
            hub.end()
