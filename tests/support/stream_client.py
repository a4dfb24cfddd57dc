"""A client of the live streams: a socket on a session, and a result's lines."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import aiohttp

from schemas.stream import BEARER_SUBPROTOCOL_PREFIX, SUBPROTOCOL
from tests.support.hub import ADMIN_KEY

Message = dict[str, Any]


def bearer_subprotocol(key: str) -> str:
    """The subprotocol that carries a key."""
    return BEARER_SUBPROTOCOL_PREFIX + base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


class StreamClient:
    """One socket. `received` holds every message the hub sent."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.received: list[Message] = []

    async def send(self, kind: str, **fields: Any) -> None:
        """Send a message."""
        await self.socket.send_str(json.dumps({"type": kind} | fields))

    async def execute(self, request_id: str, command_type: str, *args: str, **fields: Any) -> None:
        """Send an `execute`."""
        await self.send("execute", request_id=request_id, command_type=command_type, args=list(args), **fields)

    async def receive(self, timeout_seconds: float = 10.0) -> Message | None:
        """The next message; None once the hub has closed the socket, see `socket.close_code`."""
        async with asyncio.timeout(timeout_seconds):
            received = await self.socket.receive()
        if received.type is not aiohttp.WSMsgType.TEXT:
            return None
        message: Message = json.loads(received.data)
        self.received.append(message)
        return message

    async def expect(self, kind: str, timeout_seconds: float = 10.0, **fields: Any) -> Message:
        """The next message of one kind with these fields, passing over others."""

        def is_wanted(message: Message) -> bool:
            return message["type"] == kind and all(message.get(name) == value for name, value in fields.items())

        return await self.until(is_wanted, timeout_seconds)

    async def until(self, is_wanted: Callable[[Message], bool], timeout_seconds: float = 10.0) -> Message:
        """The next message that is wanted, passing over others."""
        async with asyncio.timeout(timeout_seconds):
            while (message := await self.receive(timeout_seconds)) is not None:
                if is_wanted(message):
                    return message
        raise ConnectionError(f"the socket was closed with {self.socket.close_code}")

    async def closed(self, timeout_seconds: float = 10.0) -> int | None:
        """Read to the end; the close code."""
        async with asyncio.timeout(timeout_seconds):
            while await self.receive(timeout_seconds) is not None:
                pass
        return self.socket.close_code

    def output(self, result_id: str, stream: str = "stdout") -> str:
        """What came of one command so far."""
        return "".join(
            message["data"]
            for message in self.received
            if message["type"] == "output" and message["result_id"] == result_id and message["stream"] == stream
        )


@contextlib.asynccontextmanager
async def streaming(
    url: str,
    session_id: str,
    *,
    key: str | None = ADMIN_KEY,
    query: str = "",
    protocols: tuple[str, ...] = (SUBPROTOCOL,),
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[StreamClient]:
    """An open socket; `key` None sends no Authorization. Raises aiohttp.WSServerHandshakeError when it is refused."""
    sent = {} if key is None else {"Authorization": f"Bearer {key}"}
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(
            f"{url}/debug/session/{session_id}/stream{query}",
            headers=sent | dict(headers or {}),
            protocols=protocols,
            max_msg_size=0,
        ) as socket,
    ):
        yield StreamClient(socket)


class Lines:
    """A result's lines. `received` holds every one so far."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.received: list[Message] = []

    async def receive(self, timeout_seconds: float = 10.0) -> Message | None:
        """The next line; None at the end."""
        async with asyncio.timeout(timeout_seconds):
            line = await self.response.content.readline()
        if not line:
            return None
        message: Message = json.loads(line)
        self.received.append(message)
        return message

    async def rest(self, timeout_seconds: float = 10.0) -> list[Message]:
        """All lines to the end."""
        while await self.receive(timeout_seconds) is not None:
            pass
        return self.received


@contextlib.asynccontextmanager
async def following(url: str, result_id: str, *, after_seq: int = 0, key: str = ADMIN_KEY) -> AsyncIterator[Lines]:
    """The lines of a result."""
    headers = {"Authorization": f"Bearer {key}"}
    path = f"{url}/debug/result/{result_id}/stream?after_seq={after_seq}"
    async with aiohttp.ClientSession(read_bufsize=2**20) as http, http.get(path, headers=headers) as response:
        yield Lines(response)
