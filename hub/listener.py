"""The socket clients and agents come in by, and what is said to those who do not speak HTTP."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from hub.middleware.errors import body
from hub.settings import Server
from schemas import errors as catalogue
from schemas.ids import new_trace_id

_log = logging.getLogger(__name__)

# Connections the kernel keeps for us while we are busy: a fleet that comes back at once must not be refused.
_BACKLOG: Final = 1024


class _Protocol(web.RequestHandler):
    """aiohttp's own, but for its words to a request that cannot be read: they have the API's error shape."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a request that never became one, and close the connection."""
        if request.writer.output_size > 0:
            raise ConnectionError("the response has begun and cannot be replaced")
        if status < 500:
            _log.debug("a request that is not HTTP", extra={"remote": request.remote, "detail": message})
            details = {"field": "request", "code": "malformed"}
            response = body(catalogue.INVALID_REQUEST, "The request is not valid HTTP", details)
        else:
            request_id = new_trace_id("req")
            _log.error("a fault of the hub", exc_info=exc, extra={"request_id": request_id})
            details = {"request_id": request_id}
            response = body(catalogue.INTERNAL_ERROR, "An unexpected error occurred", details)
        response.force_close()
        return response


@contextlib.asynccontextmanager
async def listening(runner: web.AppRunner, settings: Server) -> AsyncIterator[str]:
    """Listen for as long as the context is open; yields the URL. Raises OSError and ssl.SSLError.

    Leaving stops new connections only: those that are open are the runner's to close.
    """
    web_server = runner.server
    assert web_server is not None  # the runner is set up
    loop = asyncio.get_running_loop()
    tls = _tls(settings)
    server = await loop.create_server(
        lambda: _Protocol(web_server, loop=loop, access_log=None),  # type: ignore[arg-type]
        settings.host,
        settings.port,
        ssl=tls,
        backlog=_BACKLOG,
    )
    host, port = server.sockets[0].getsockname()[:2]
    try:
        yield f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
    finally:
        server.close()


def _tls(settings: Server) -> ssl.SSLContext | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.tls_cert, settings.tls_key)
    return context
