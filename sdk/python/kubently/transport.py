"""The one place that sends. Requests go out on an aiohttp session that is open while somebody holds the transport.

    async with transport:                     # keeps connections for the next request; may be nested
        reply = await transport.request("GET", "/clusters", is_repeatable=True)

A request outside of any `async with` opens a session for itself and closes it again, so a client need not be closed.
"""

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import aiohttp
from aiohttp import ClientTimeout

from kubently import retries
from kubently.errors import ConnectionFailed, HubError, KubentlyError, NotTrusted, TimedOut, hub_error
from kubently.models import Json
from kubently.settings import Settings

_log = logging.getLogger(__name__)

# The hub says something on a stream every 15 s: three times that of silence, and the connection is dead.
SILENCE_SECONDS: Final = 45.0
# More than any line of the hub's: a piece of output is at most 64 KiB, six times that when all of it is escaped.
_MAX_LINE_BYTES: Final = 8 * 1024 * 1024
_CONNECT_SECONDS: Final = 15.0
# What is to be cancelled or closed when its caller leaves gets so long; the hub's own limits end it after that.
_FINISH_SECONDS: Final = 10.0

Query = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the hub's. `body` is its JSON, its text where it is none; None when it has no body."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def json(self) -> Json:
        """The body, which is a JSON object. Raises HubError when it is not: then that was no hub."""
        if not isinstance(self.body, dict):
            message = "The answer is no JSON object; is the endpoint that of a Kubently hub?"
            raise HubError(message, status=self.status)
        return self.body


class Transport:
    """Requests to one hub."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._http: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._holders = 0
        self._finishing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        if self._loop is not loop and self._holders and self._loop is not None and not self._loop.is_closed():
            raise RuntimeError("This client is in use in another event loop; make one for each")
        if self._loop is not loop:
            self._loop, self._http, self._holders = loop, None, 0  # whoever held it went with their loop
        if self._http is None:
            self._http = self._open()
        self._holders += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._holders -= 1
        if self._holders == 0 and self._http is not None:
            http, self._http = self._http, None
            await http.close()

    async def finish(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Await work that goes on when the caller is cancelled, and is given up after some seconds."""
        task = asyncio.create_task(self._bounded(work), name=name)
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)
        await asyncio.shield(task)

    async def _bounded(self, work: Coroutine[Any, Any, None]) -> None:
        async with self:
            try:
                async with asyncio.timeout(_FINISH_SECONDS):
                    await work
            except TimeoutError:
                _log.warning("gave up after %g s: %s", _FINISH_SECONDS, asyncio.current_task())

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        is_repeatable: bool,
        more_seconds: float = 0.0,
        tries: int | None = None,
    ) -> Reply:
        """Send a request, again where that is safe, and read its answer.

        `is_repeatable`: nothing is done twice if it arrives twice. `more_seconds`: so long the hub may take beyond
        `timeout`. `tries` None: as the client was made. Raises HubError, ConnectionFailed. Cancelling it leaves the
        request as it is: the hub may or may not carry it out.
        """
        attempt = 0
        async with self:
            while True:
                attempt += 1
                try:
                    return await self._once(method, path, query, body, headers, more_seconds)
                except KubentlyError as error:
                    wait = retries.wait_before(attempt, error, is_repeatable=is_repeatable)
                    if wait is None or attempt >= (self.settings.retries + 1 if tries is None else tries):
                        raise
                await asyncio.sleep(wait)

    @asynccontextmanager
    async def lines(
        self, method: str, path: str, *, query: Query | None = None, body: Any = None
    ) -> AsyncIterator[AsyncIterator[Json]]:
        """Send a request once, and read its answer as JSON lines while they come.

        Raises HubError, ConnectionFailed. A connection that ends without a last line just ends the iterator: what the
        last line is, the caller knows.
        """
        timeout = ClientTimeout(sock_connect=_CONNECT_SECONDS, sock_read=SILENCE_SECONDS)
        async with (
            self,
            _failures(self.settings.endpoint),
            self._send(method, path, query, body, None, timeout) as answer,
        ):
            if answer.status >= 300 or answer.content_type != "application/x-ndjson":
                raise await self._refusal(answer)
            async with aclosing(_lines(answer)) as lines:
                yield lines

    async def _once(
        self,
        method: str,
        path: str,
        query: Query | None,
        body: Any,
        headers: Mapping[str, str] | None,
        more_seconds: float,
    ) -> Reply:
        timeout = ClientTimeout(total=self.settings.timeout_seconds + more_seconds, sock_connect=_CONNECT_SECONDS)
        async with _failures(self.settings.endpoint), self._send(method, path, query, body, headers, timeout) as answer:
            if answer.status >= 300:
                raise await self._refusal(answer)
            return Reply(answer.status, answer.headers, await _content(answer))

    @asynccontextmanager
    async def _send(
        self,
        method: str,
        path: str,
        query: Query | None,
        body: Any,
        headers: Mapping[str, str] | None,
        timeout: ClientTimeout,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        assert self._http is not None  # whoever calls holds the transport
        wanted = {name: _query_text(value) for name, value in (query or {}).items() if value is not None}
        async with self._http.request(
            method,
            self.settings.endpoint + path,
            params=wanted,
            json=body,
            headers=headers,
            timeout=timeout,
            proxy=self.settings.proxy,
            allow_redirects=False,  # a redirected POST becomes a GET, and the key would go to another host
        ) as answer:
            yield answer

    async def _refusal(self, answer: aiohttp.ClientResponse) -> HubError:
        """The error that an answer stands for; one that is not of the hub's has no code."""
        body = await _content(answer)
        correlation_id = answer.headers.get("X-Correlation-ID")
        retry_after = answer.headers.get("Retry-After", "")
        seconds = float(retry_after) if retry_after.isdecimal() else None
        if isinstance(body, dict) and isinstance(body.get("error"), str):
            return hub_error(body, status=answer.status, correlation_id=correlation_id, retry_after=seconds)
        if 300 <= answer.status < 400:
            where = answer.headers.get("Location", "elsewhere")
            message = f"{self.settings.endpoint} sends on to {where}; make that the endpoint"
        elif answer.status < 300:
            message = f"{self.settings.endpoint} answers something else than a Kubently hub would; check the endpoint"
        else:
            message = f"HTTP {answer.status} {answer.reason}, not from a Kubently hub but from something before it"
        return HubError(message, status=answer.status, correlation_id=correlation_id, retry_after=seconds)

    def _open(self) -> aiohttp.ClientSession:
        tls: ssl.SSLContext | bool = True if self.settings.tls is None else self.settings.tls
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls, limit=0),
            headers=self.settings.headers,
            trust_env=True,
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=16384,
            max_field_size=16384,
        )


@asynccontextmanager
async def _failures(endpoint: str) -> AsyncIterator[None]:
    """Errors of aiohttp become ours."""
    try:
        yield
    except aiohttp.ClientConnectorCertificateError as error:
        message = f"{endpoint} shows a certificate that is not trusted: {error.certificate_error}; see ca_file"
        raise NotTrusted(message, is_sent=False) from error
    except aiohttp.ClientConnectorError as error:  # its text names the host and the reason
        raise ConnectionFailed(f"{endpoint} cannot be reached: {error.os_error}", is_sent=False) from error
    except aiohttp.ConnectionTimeoutError as error:
        raise TimedOut(f"{endpoint} did not take the connection in {_CONNECT_SECONDS:g} s", is_sent=False) from error
    except TimeoutError as error:
        raise TimedOut(f"{endpoint} did not answer in time") from error
    except aiohttp.ClientError as error:
        raise ConnectionFailed(f"{endpoint} broke off: {str(error) or type(error).__name__}") from error
    except OSError as error:
        raise ConnectionFailed(f"{endpoint} broke off: {error}") from error


async def _content(answer: aiohttp.ClientResponse) -> Any:
    content = await answer.read()
    if not content:
        return None
    text = content.decode("utf-8", "replace")
    if answer.content_type != "application/json":
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


async def _lines(answer: aiohttp.ClientResponse) -> AsyncGenerator[Json]:
    """The JSON objects of an answer, one to a line; ends with it, an unfinished line apart."""
    kept = bytearray()
    async for data in answer.content.iter_any():
        kept += data
        if len(kept) > _MAX_LINE_BYTES and b"\n" not in kept:
            raise ConnectionFailed("The hub sent a line without an end")
        *whole, rest = kept.split(b"\n")
        for line in whole:
            if line:
                yield _object(line)
        kept = rest


def _object(line: bytearray) -> Json:
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ConnectionFailed("The hub sent a line that is no JSON object; is something on the way changing it?")
    return found


def _query_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def path_part(text: str) -> str:
    """An id as a part of a path; whatever is in it, it stays one part. Raises ValueError where it cannot be one."""
    if text in ("", ".", ".."):
        raise ValueError(f"{text!r} is no id")
    return quote(text, safe="")
