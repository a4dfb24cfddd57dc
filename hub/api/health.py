"""How the hub is: GET /health says the process answers, GET /ready that it takes work."""

import time
from importlib.metadata import version
from typing import Final

from aiohttp import web

from hub import keys
from hub.api.documentation import endpoint
from hub.responses import json_response
from schemas.api.health import Health, Ready

VERSION: Final = version("kubently-hub")


@endpoint("Is the process alive", Health, tag="health")
async def get_health(request: web.Request) -> web.Response:
    """Always 200 while the process answers at all."""
    content = {
        "status": "healthy",
        "version": VERSION,
        "timestamp": time.time(),
        "uptime_seconds": request.app[keys.HEALTH].uptime_seconds,
    }
    return json_response(Health().dump(content))


@endpoint("Does the hub take work", Ready, tag="health", errors=(503,))
async def get_ready(request: web.Request) -> web.Response:
    """200 when it does; 503 while starting or draining, or when the store fails."""
    await request.app[keys.HEALTH].require_ready()
    return json_response({"status": "ready"})
