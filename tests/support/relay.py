"""A TCP relay to one port on this machine, which breaks a connection after as many bytes as the test says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tests.support.raw_server import raw_server


class Relay:
    """`up_bytes` counts what clients have sent. Once it reaches `cut_at`, the connection is broken there, both ways."""

    def __init__(self, port: int) -> None:
        self.port = 0
        self.up_bytes = 0
        self.cut_at: int | None = None
        self.cuts = 0
        self._port = port

    def cut_after(self, count: int) -> None:
        """Let so many more bytes through to the server, then break the connection."""
        self.cut_at = self.up_bytes + count

    async def on_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry bytes both ways until either side closes, or the cut."""
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._port)
        up = asyncio.create_task(self._carry_up(reader, to_server), name="relay up")
        down = asyncio.create_task(_carry(from_server, writer), name="relay down")
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.wait({up, down})
            for one in (writer, to_server):
                await _delivered(one)
                one.transport.abort()

    async def _carry_up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                allowed = data if self.cut_at is None else data[: max(0, self.cut_at - self.up_bytes)]
                self.up_bytes += len(allowed)
                writer.write(allowed)
                await writer.drain()
                if self.cut_at is not None and self.up_bytes >= self.cut_at:
                    self.cut_at = None
                    self.cuts += 1
                    return


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


async def _delivered(writer: asyncio.StreamWriter) -> None:
    """What was let through is not lost in the relay itself."""
    with contextlib.suppress(ConnectionError):
        writer.transport.set_write_buffer_limits(0)
        async with asyncio.timeout(5):
            await writer.drain()


@contextlib.asynccontextmanager
async def relay(port: int) -> AsyncIterator[Relay]:
    """Listen on a free loopback port, `Relay.port`; every connection leads to `port`."""
    made = Relay(port)
    async with raw_server(made.on_client) as own_port:
        made.port = own_port
        yield made
