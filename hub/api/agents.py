"""Where agents knock: GET /agent/connect, a WebSocket. docs/protocol.md describes what follows."""

from aiohttp import web

from hub import keys


async def connect(request: web.Request) -> web.StreamResponse:
    """Hold the agent's link until it ends."""
    return await request.app[keys.ENDPOINT].connect(request, request[keys.TOKEN], request[keys.ORIGIN])
