"""The floor of a stream: a bare pipe of two WebSocket hops. A frame comes from the source, is parsed, appended to an
SQLite file in a transaction of its own, and sent on to the reader.

No authentication, no credit, no acknowledgements, no limits, one reader; what it may not do is gather frames, so every
send is awaited. Frames and messages have the hub's shape and size. The server is aiohttp on uvloop with msgspec for the
JSON and SQLite with a WAL, as the hub's; source and reader are aiohttp on uvloop too, so that they take the pipe as
little as may be. `python -m bench.stream_floor serve` is the pipe, `... produce URL` its source.
"""

import asyncio
import itertools
import sqlite3
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import uvloop
from aiohttp import web

from bench.flooding_agent import Source
from schemas import codec
from schemas.frames import CONNECT_PATH, UNBOUNDED, AgentFrame, Cancel, HubFrame, Run

# So many are a flood, and no quiet stream.
_LARGE_FRAMES: Final = 1000


class _Rows:
    """The frames that came, in a database that is thrown away between two floods.

    Its log is not copied into it: that would stop the pipe for the disk time and again. The hub does it beside work.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "pipe.db"
        self._database = self._open()
        self._count = 0

    def append(self, frame: dict[str, Any]) -> None:
        row = (frame["result_id"], frame["seq"], frame["stream"], frame["data"])
        self._database.execute("INSERT INTO output VALUES (?, ?, ?, ?)", row)
        self._count += 1

    def clear(self) -> None:
        """Begin anew, if it has become large."""
        if self._count < _LARGE_FRAMES:
            return
        # Closing copies the log after all. Without syncs that waits for no disk, and a file that has lost its name is
        # never written to one.
        self._database.execute("PRAGMA synchronous = OFF")
        for path in self._path.parent.iterdir():
            path.unlink()
        self._database.close()
        self._database = self._open()
        self._count = 0

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, isolation_level=None)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA wal_autocheckpoint = 0")
        database.execute("CREATE TABLE output (result_id TEXT, seq INTEGER, stream TEXT, data TEXT)")
        return database


@dataclass(slots=True)
class _Stream:
    reader: web.WebSocketResponse
    is_read: bool = True


class _Pipe:
    """The server: one source, the streams it sends, and a future for each plain command."""

    def __init__(self, folder: Path) -> None:
        self._rows = _Rows(folder)
        self._source: web.WebSocketResponse | None = None
        self._streams: dict[str, _Stream] = {}
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._numbers = itertools.count(1)

    async def hold(self, request: web.Request) -> web.WebSocketResponse:
        """The source's socket."""
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        self._source = socket
        print("source connected", file=sys.stderr, flush=True)
        async for message in socket:
            frame = msgspec.json.decode(message.data)
            if frame["type"] == "exit":
                await self._end(frame)
            else:
                await self._pass_on(frame)
        return socket

    async def read(self, request: web.Request) -> web.WebSocketResponse:
        """A reader's socket: it may `execute` and `cancel`."""
        socket = web.WebSocketResponse(protocols=["kubently.stream.v1"], compress=False)
        await socket.prepare(request)
        async for message in socket:
            asked = msgspec.json.decode(message.data)
            if asked["type"] == "cancel":
                await self._tell(Cancel(asked["result_id"], "cancelled"))
                continue
            result_id = f"res_{next(self._numbers)}"
            self._streams[result_id] = _Stream(socket)
            started = {"type": "started", "request_id": asked["request_id"], "result_id": result_id}
            await socket.send_str(msgspec.json.encode(started).decode())
            await self._tell(_run(result_id, asked, is_stream=True))
        for result_id, stream in self._streams.items():
            if stream.reader is socket:
                stream.is_read = False
                await self._tell(Cancel(result_id, "the reader left"))
        return socket

    async def execute(self, request: web.Request) -> web.Response:
        """A plain command on the source's socket: a neighbour of the streams."""
        asked = await request.json()
        result_id = f"res_{next(self._numbers)}"
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[result_id] = answer
        await self._tell(_run(result_id, asked, is_stream=False))
        return web.json_response(await answer)

    async def _tell(self, frame: HubFrame) -> None:
        assert self._source is not None
        await self._source.send_str(codec.encode(frame))

    async def _pass_on(self, frame: dict[str, Any]) -> None:
        stream = self._streams[frame["result_id"]]
        if not stream.is_read:
            return
        self._rows.append(frame)
        try:
            await stream.reader.send_str(msgspec.json.encode(frame).decode())
        except ConnectionError:
            stream.is_read = False  # its own task cancels what it asked for

    async def _end(self, frame: dict[str, Any]) -> None:
        result_id = frame["result_id"]
        if result_id in self._waiting:
            self._waiting.pop(result_id).set_result(frame)
            return
        stream = self._streams.pop(result_id)
        if stream.is_read:
            await stream.reader.send_str(msgspec.json.encode({"type": "completed", "result": frame}).decode())
        if not self._streams:
            self._rows.clear()


def _run(result_id: str, asked: dict[str, Any], *, is_stream: bool) -> Run:
    return Run(result_id, asked["command_type"], asked["args"], 600.0, UNBOUNDED, is_stream=is_stream)


async def _serve() -> None:
    with tempfile.TemporaryDirectory(prefix="kubently-bench-") as folder:
        pipe = _Pipe(Path(folder))
        app = web.Application()
        app.router.add_get(CONNECT_PATH, pipe.hold)
        app.router.add_get("/debug/session/{session_id}/stream", pipe.read)
        app.router.add_post("/debug/execute", pipe.execute)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print("listening url=http://{}:{}".format(*runner.addresses[0][:2]), file=sys.stderr, flush=True)
        await asyncio.Event().wait()


async def _produce(url: str) -> None:
    async with aiohttp.ClientSession() as http, http.ws_connect(url + CONNECT_PATH) as socket:

        async def send(frame: AgentFrame) -> None:
            await socket.send_str(codec.encode(frame))

        source = Source(send, window_bytes=None)
        try:
            async for message in socket:
                source.take(codec.decode_hub(message.data))
        finally:
            source.end()


if __name__ == "__main__":
    uvloop.run(_serve() if sys.argv[1] == "serve" else _produce(sys.argv[2]))
