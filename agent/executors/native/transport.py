"""The one place that talks to the API server. It can GET, and POST the three self-reviews; nothing else can be sent."""

import asyncio
import contextlib
import errno
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final, Literal
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from agent.executors.native import statuses
from agent.executors.native.access import Access, Pool
from agent.executors.native.errors import CommandFailed, StatusError, Unreachable
from agent.executors.native.printers.objects import load

JSON: Final = "application/json"
TABLE: Final = (
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
)

Query = Sequence[tuple[str, str]]
Review = Literal["selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"]

# All that can be POSTed, newest version first.
_REVIEWS: Final[Mapping[Review, tuple[str, ...]]] = {
    "selfsubjectaccessreviews": ("authorization.k8s.io/v1",),
    "selfsubjectrulesreviews": ("authorization.k8s.io/v1",),
    "selfsubjectreviews": tuple(f"authentication.k8s.io/{version}" for version in ("v1", "v1beta1", "v1alpha1")),
}

_CHUNK_BYTES: Final = 64 * 1024
# client-go dials for 30 s; the API server ends a request that is no watch after 60 s (its --request-timeout).
_CONNECT_SECONDS: Final = 30.0
_READ_SECONDS: Final = 65.0
# client-go asks again ten times where the server says when. We do not wait for one that says so for long.
_MAX_RETRIES: Final = 10
_MAX_RETRY_AFTER_SECONDS: Final = 30
_MAX_ERROR_BYTES: Final = 1024 * 1024
# What may be asked for: RFC 3986 §3.3 segments, none that leads up, none that is two once it is decoded. Names are
# checked before; the names of groups and resources are the server's own, and it is not to choose where we go.
_PATH: Final = re.compile(r"(?:/(?!(?:\.|%2E){1,2}(?:/|$))(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%(?!2F)[0-9A-F]{2})+)+")
# An API server gives 4,096 characters of warnings with an answer, and hardly more than one. All that were shown are
# remembered, so that each is shown once: some 400,000 characters at worst.
_MAX_WARNINGS: Final = 100
_MAX_WARNING_CHARACTERS: Final = 4096
# RFC 7234 §5.5: `299 - "text"`, several of them in one header, quotes within escaped.
_WARNING: Final = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')
_USER_AGENT: Final = f"kubently-agent/{version('kubently-hub')}"


@dataclass(frozen=True, slots=True)
class _Request:
    """What is to be sent. `review`: POST it there, else GET."""

    path: str
    query: Query = ()
    accept: str = JSON
    review: Mapping[str, Any] | None = None
    etag: str | None = None
    is_endless: bool = False


class Response:
    """An answer whose body is read piece by piece."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    @property
    def headers(self) -> Mapping[str, str]:
        """The answer's headers, names in any case."""
        return self._response.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives, in pieces of at most 64 KiB; no bound on the whole. Raises Unreachable."""
        try:
            async for chunk in self._response.content.iter_chunked(_CHUNK_BYTES):
                yield chunk
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"error: {_cause_in_body(error)}") from None


class Transport:
    """One API server, as one command sees it: its warnings and its time limit are its own, the connections are all's.

    `request_timeout_seconds` bounds each request from first to last byte, None: only silence is bounded. Bodies of
    `get` have at most `max_response_bytes`.
    """

    def __init__(
        self, access: Access, max_response_bytes: int, *, request_timeout_seconds: float | None = None
    ) -> None:
        self._access = access
        self._max_response_bytes = max_response_bytes
        self._request_timeout_seconds = request_timeout_seconds
        self._warnings: dict[str, bool] = {}  # text -> whether it was taken
        self._has_answer = False

    def for_command(self, request_timeout_seconds: float | None = None) -> "Transport":
        """The same server for one command."""
        return Transport(self._access, self._max_response_bytes, request_timeout_seconds=request_timeout_seconds)

    @property
    def request_timeout_seconds(self) -> float | None:
        """How long one request may take from first to last byte; None: any time, as long as something arrives."""
        return self._request_timeout_seconds

    @property
    def has_answer(self) -> bool:
        """Whether the server has answered anything to this command."""
        return self._has_answer

    @property
    def host(self) -> str:
        """The server's URL without a trailing slash: `https://10.0.0.1:443`."""
        return self._access.host

    @property
    def namespace(self) -> str:
        """The namespace of commands that name none."""
        return self._access.namespace

    async def get(self, path: str, query: Query = (), *, accept: str = JSON) -> bytes:
        """The whole body of a GET, at most `max_response_bytes`. `path` is already percent-encoded (`Resource.path`).

        Raises StatusError for a status of 400 and above, Unreachable, CommandFailed when the body is too large.
        """
        async with self._opened(_Request(path, query, accept)) as response:
            return await self._body(response)

    async def get_changed(self, path: str, *, accept: str, etag: str | None) -> tuple[bytes | None, str | None]:
        """The body and its ETag; None for a body that is what the server gave with this `etag`. Raises as `get`."""
        async with self._opened(_Request(path, accept=accept, etag=etag)) as response:
            if response.status == 304:
                return None, etag
            return await self._body(response), response.headers.get("ETag")

    @contextlib.asynccontextmanager
    async def stream(self, path: str, query: Query = (), *, accept: str = JSON) -> AsyncIterator[Response]:
        """The same for a body that is long or has no end (logs, watches); leaving the context closes it."""
        async with self._opened(_Request(path, query, accept, is_endless=True)) as response:
            yield Response(response)

    async def review(self, review: Review, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST one self-review (authorization.k8s.io/v1, authentication.k8s.io/v1 for selfsubjectreviews, with their
        fallbacks where the server has older versions only) and return the answer. Nothing is created by it.

        Raises as `get`, and CommandFailed for an answer that is no JSON object.
        """
        *newer, oldest = _REVIEWS[review]
        for group_version in newer:
            try:
                return await self._review(group_version, review, body)
            except StatusError as error:
                if error.code != 404:
                    raise
        return await self._review(oldest, review, body)

    def warn(self, text: str) -> None:
        """Add a warning of our own to those of the server. The first 100 are kept, and of each 4,096 characters."""
        if len(self._warnings) < _MAX_WARNINGS:
            self._warnings.setdefault(text[:_MAX_WARNING_CHARACTERS], False)

    def take_warnings(self) -> list[str]:
        """The texts of `Warning: 299` headers seen by this command since the last call, without repeats."""
        taken = [text for text, is_taken in self._warnings.items() if not is_taken]
        self._warnings.update(dict.fromkeys(taken, True))
        return taken

    def broken(self, error: Exception) -> Unreachable:
        """What a failure of the connection is to the command."""
        return Unreachable(_explained(error, self._access.address))

    async def _review(self, group_version: str, review: Review, body: Mapping[str, Any]) -> dict[str, Any]:
        path = f"/apis/{group_version}/{review}"
        async with self._opened(_Request(path, review={**body, "apiVersion": group_version})) as response:
            answered = await self._body(response)
        try:
            answer = load(answered)
        except ValueError as error:
            raise CommandFailed(f"error: the API server's answer is no JSON: {error}") from None
        if not isinstance(answer, dict):
            raise CommandFailed("error: the API server's answer is no object")
        return answer

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        too_large = CommandFailed(
            f"error: the API server's answer is larger than the {self._max_response_bytes} bytes this agent takes: "
            "ask for less (--namespace, --selector, a name), or raise execution.max_response_bytes"
        )
        if (response.content_length or 0) > self._max_response_bytes:
            raise too_large
        body = bytearray()
        try:
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > self._max_response_bytes:
                    raise too_large
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(
                "error: unexpected error when reading response body. Please retry. Original error: "
                + _cause_in_body(error)
            ) from None
        return bytes(body)

    @contextlib.asynccontextmanager
    async def _opened(self, request: _Request) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to a request, its body still to be read. Raises StatusError and Unreachable."""
        async with contextlib.AsyncExitStack() as stack:
            response = await self._answered(request, stack)
            self._has_answer = True
            for header in response.headers.getall("Warning", ()):
                for text in _WARNING.findall(header):
                    self.warn(re.sub(r"\\(.)", r"\1", text))
            if response.status >= 400:
                body = await self._beginning(response)
                status = statuses.of_response(
                    response.status,
                    body,
                    content_type=response.headers.get("Content-Type", ""),
                    method="get" if request.review is None else "post",
                    path=request.path,
                )
                raise StatusError(response.status, status)
            if response.status >= 300 and response.status != 304:
                raise Unreachable(
                    f"Unable to connect to the server: it answered with a redirect (HTTP {response.status}), and the "
                    "agent follows none: its kubeconfig must name the API server itself"
                )
            yield response

    async def _answered(self, request: _Request, stack: contextlib.AsyncExitStack) -> aiohttp.ClientResponse:
        """Ask until there is an answer that counts: once more with what credentials and authorities there are by then
        when those used are not accepted, and for as long as the server says when to come back.
        """
        is_renewed = False
        retries_left = _MAX_RETRIES
        while True:
            pool = await self._access.pool()
            authorization = self._access.authorization
            await stack.enter_async_context(pool.held())
            is_distrusted = False
            seconds = None
            try:
                response = await stack.enter_async_context(await self._send(request, pool, authorization))
                is_distrusted = response.status == 401
                seconds = _retry_after(response)
            except aiohttp.ClientSSLError as error:
                if is_renewed:
                    raise self.broken(error) from None
                is_distrusted = True
            except (aiohttp.ClientError, TimeoutError) as error:
                raise self.broken(error) from None
            if is_distrusted and not is_renewed:
                is_renewed = True
                await stack.aclose()
                await self._access.renew(pool, authorization)
            elif seconds is not None and retries_left:
                retries_left -= 1
                await stack.aclose()
                await asyncio.sleep(seconds)
            else:
                return response

    async def _send(self, request: _Request, pool: Pool, authorization: str | None) -> aiohttp.ClientResponse:
        """Send one request. Nothing else in the agent sends to the API server, and all this can do is read.

        Raises CommandFailed for a path that could lead elsewhere than it says.
        """
        if _PATH.fullmatch(request.path) is None:
            raise CommandFailed(f"error: the API server has a path that the agent does not take: {request.path!r}")
        headers = {
            "Accept": request.accept,
            # The API server is near: packing costs both sides more time than it saves, and unpacks to any size.
            "Accept-Encoding": "identity",
            "User-Agent": _USER_AGENT,
        }
        if authorization is not None:
            headers["Authorization"] = authorization
        if request.etag is not None:
            headers["If-None-Match"] = request.etag
        url = self._access.host + request.path
        if request.query:
            url += "?" + urlencode(request.query)
        session: aiohttp.ClientSession = pool.session
        return await session.request(
            "GET" if request.review is None else "POST",
            # Encoded already: aiohttp would decode what need not be, and take dots for a way up.
            URL(url, encoded=True),
            headers=headers,
            json=request.review,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(
                total=self._request_timeout_seconds,
                connect=_CONNECT_SECONDS,
                sock_read=None if request.is_endless else _READ_SECONDS,
            ),
            **pool.options,
        )

    async def _beginning(self, response: aiohttp.ClientResponse) -> bytes:
        """As much of an error's body as can be a Status."""
        body = bytearray()
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > _MAX_ERROR_BYTES:
                    break
        return bytes(body)


def _retry_after(response: aiohttp.ClientResponse) -> int | None:
    """In how many seconds the server wants to be asked again; None: it does not say, or not soon."""
    text = response.headers.get("Retry-After", "")
    if (response.status != 429 and response.status < 500) or not text.isdecimal() or len(text) > 9:
        return None
    seconds = int(text)
    return seconds if seconds <= _MAX_RETRY_AFTER_SECONDS else None


def _explained(error: Exception, address: str) -> str:
    """A failure in kubectl's words, which are those of Go's libraries."""
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno == errno.ECONNREFUSED:
        return f"The connection to the server {address} was refused - did you specify the right host or port?"
    return f"Unable to connect to the server: {_cause(error)}"


def _cause(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return f"tls: failed to verify certificate: {error.certificate_error}"
        case aiohttp.ClientConnectorDNSError():
            return f"dial tcp: lookup {error.host}: no such host"
        case aiohttp.ConnectionTimeoutError():
            return "dial tcp: i/o timeout"
        case TimeoutError():
            return "net/http: request canceled (Client.Timeout exceeded while awaiting headers)"
        case aiohttp.ServerDisconnectedError():
            return "EOF"
        case _:
            return str(error) or type(error).__name__


def _cause_in_body(error: Exception) -> str:
    """The same for a body that does not come to its end."""
    if isinstance(error, TimeoutError):
        return "net/http: request canceled (Client.Timeout or context cancellation while reading body)"
    return "unexpected EOF"
