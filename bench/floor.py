"""The floor: the same journey without a hub. HTTP in, a JSON frame down a WebSocket, a frame back, HTTP out.

No authentication, no store, no limits, no validation; the libraries, the event loop and the size of the bodies are
the hub's. `python -m bench.floor serve` is the server, `python -m bench.floor agent URL` its agent.
"""

import asyncio
import itertools
import sys
from typing import Any, Final

import aiohttp
import uvloop
from aiohttp import WSMsgType, web

from bench.scripted_agent import OUTPUT

# What the hub says of a result besides its output, so that both answers are about as large.
_RESULT: Final[dict[str, Any]] = {
    "session_id": "sess_1f0c9a4be27d53086a91",
    "status": "completed",
    "error": None,
    "exit_code": 0,
    "truncated": False,
    "output_bytes": len(OUTPUT),
    "omitted_bytes": 0,
    "executor": "scripted",
    "execution_time_ms": 0,
    "executed_at": "2026-01-20T10:30:45Z",
    "completed_at": "2026-01-20T10:30:45Z",
    "correlation_id": "corr_1f0c9a4be27d53086a91",
    "service_identity": None,
}


class _Hop:
    """The server: one agent, and a future for each request that is on its way."""

    def __init__(self) -> None:
        self._agent: web.WebSocketResponse | None = None
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self._numbers = itertools.count()

    async def hold(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        self._agent = socket
        print("agent connected", file=sys.stderr, flush=True)
        async for message in socket:
            frame = message.json()
            self._waiting.pop(frame["id"]).set_result(frame)
        return socket

    async def execute(self, request: web.Request) -> web.Response:
        body = await request.json()
        assert self._agent is not None
        number = str(next(self._numbers))
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        await self._agent.send_json({"id": number, **body})
        frame = await answer
        return web.json_response({**frame, **_RESULT})


async def _serve() -> None:
    hop = _Hop()
    app = web.Application()
    app.router.add_get("/agent/connect", hop.hold)
    app.router.add_post("/debug/execute", hop.execute)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print("listening url=http://{}:{}".format(*runner.addresses[0][:2]), file=sys.stderr, flush=True)
    await asyncio.Event().wait()


async def _answer(url: str) -> None:
    """Send every frame back, with a command's output in it."""
    async with aiohttp.ClientSession() as http, http.ws_connect(url + "/agent/connect") as socket:
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            await socket.send_json({**message.json(), "output": OUTPUT})


if __name__ == "__main__":
    uvloop.run(_serve() if sys.argv[1] == "serve" else _answer(sys.argv[2]))
