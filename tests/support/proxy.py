"""An HTTP proxy that tunnels every CONNECT to one place on this machine and keeps what it was asked for."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tests.support.raw_server import close, raw_server


class ConnectProxy:
    """`requests` holds the head of each request as text."""

    def __init__(self, port: int) -> None:
        self.url = ""
        self.requests: list[str] = []
        self._port = port

    async def on_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one CONNECT, then carry bytes both ways."""
        self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
        from_hub, to_hub = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(_carry(reader, to_hub), _carry(from_hub, writer))
        finally:
            await close(to_hub)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def connect_proxy(port: int) -> AsyncIterator[ConnectProxy]:
    """Listen on a free loopback port; every tunnel leads to `port`."""
    proxy = ConnectProxy(port)
    async with raw_server(proxy.on_client) as own_port:
        proxy.url = f"http://127.0.0.1:{own_port}"
        yield proxy
