"""The socket clients and agents come in by, and what is said to those who do not speak HTTP."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from hub.certificates import Certificates
from hub.middleware.errors import body
from hub.middleware.request_id import SERVER
from hub.settings import Server
from schemas import errors as catalogue
from schemas.ids import new_trace_id

_log = logging.getLogger(__name__)

# Connections the kernel keeps for us while we are busy: a fleet that comes back at once must not be refused.
_BACKLOG: Final = 1024


class _Protocol(web.RequestHandler):
    """aiohttp's own, but for requests that cannot be read, whose error has the API's shape, and for those whose head
    does not come to its end, which are not waited for.
    """

    __slots__ = ("_head_timeout_seconds", "_head_timer")

    def __init__(self, manager: web.Server, settings: Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            manager,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]
            keepalive_timeout=settings.keep_alive_seconds,
        )
        self._head_timeout_seconds = settings.head_timeout_seconds
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come; it has some seconds for its first request."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        """It has gone."""
        self._forget_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some of what it sends; its next request has some seconds from the first byte to the end of its head."""
        super().data_received(data)
        if self._messages or self._current_request is not None or self._upgraded:
            self._forget_head()
        elif self._head_timer is None:
            self._await_head()

    def _await_head(self) -> None:
        self._head_timer = self._loop.call_later(self._head_timeout_seconds, self._give_up)

    def _forget_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        _log.debug("a client did not finish its request's head")
        self.force_close()

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
        response.headers["Server"] = SERVER
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
    certificates = Certificates(settings) if settings.tls_cert is not None else None
    server = await loop.create_server(
        lambda: _Protocol(web_server, settings, loop),
        settings.host,
        settings.port,
        backlog=_BACKLOG,
        ssl=None if certificates is None else certificates.context,
        ssl_handshake_timeout=None if certificates is None else settings.head_timeout_seconds,
    )
    watching = None if certificates is None else asyncio.create_task(certificates.watch(), name="certificates")
    host, port = server.sockets[0].getsockname()[:2]
    try:
        yield f"{'http' if certificates is None else 'https'}://{f'[{host}]' if ':' in host else host}:{port}"
    finally:
        server.close()
        if watching is not None:
            watching.cancel()
            await asyncio.wait([watching])
