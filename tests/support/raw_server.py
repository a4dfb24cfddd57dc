"""A TCP server for the test's own bytes; when its context closes, its connections are closed and waited for."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def raw_server(handler: Handler) -> AsyncIterator[int]:
    """Listen on a free loopback port; gives the port."""
    tasks: set[asyncio.Task[None]] = set()

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await handler(reader, writer)
        finally:
            await close(writer)

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not server.is_serving():  # it was accepted before the server closed, and is ready only now
            writer.transport.abort()
            return
        task = asyncio.create_task(guarded(reader, writer), name="raw server")
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def close(writer: asyncio.StreamWriter) -> None:
    """Close a connection and wait until it is gone; cancelled meanwhile, without what the other side has not read."""
    writer.close()
    try:
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    finally:
        writer.transport.abort()


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Read to the end and say nothing."""
    while await reader.read(65536):
        pass
