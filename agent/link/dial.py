"""Opens one socket to the hub: address, token, TLS, proxy. What goes wrong comes out as one of two errors."""

import asyncio
import datetime
import email.utils
import ssl
from collections.abc import Callable
from typing import Any, Final

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidProxy, InvalidStatus, WebSocketException
from websockets.http11 import Response
from websockets.proxy import get_proxy
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from agent.errors import EXIT_REJECTED, Rejected, StartError
from agent.settings import Settings
from schemas.frames import CLUSTER_HEADER, CONNECT_PATH, MAX_FRAME_BYTES, SUBPROTOCOL

ReadToken = Callable[[], str]

# The hub's frames wait here while earlier ones are taken, which is at once: two are enough.
_MAX_QUEUED_FRAMES: Final = 2
# The closing handshake of RFC 6455 §7.1.1; a hub that does not answer it is left behind.
_CLOSE_TIMEOUT_SECONDS: Final = 2.0
_MAX_MESSAGE_CHARACTERS: Final = 300


class Unreachable(Exception):
    """No socket this time. `retry_after_seconds` is what the hub asked for, None when it did not."""

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class _Connect(connect):
    """Follows no redirect: the token goes to the hub that was configured and nowhere else."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def dial(settings: Settings, read_token: ReadToken, agent_version: str) -> ClientConnection:
    """Open a socket that speaks our subprotocol; the caller closes it.

    Raises Unreachable, and Rejected when the hub says that it will not have this agent. Cancelling leaves no socket.
    """
    try:
        token = read_token()
    except StartError as error:
        raise Unreachable(str(error)) from None
    url = settings.hub_url.rstrip("/") + CONNECT_PATH
    try:
        socket = await _Connect(
            url,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            additional_headers={"Authorization": f"Bearer {token}", CLUSTER_HEADER: settings.cluster_id},
            user_agent_header=f"kubently-agent/{agent_version}",
            # A deflate window costs more memory than all else of a link, and output is small or already far off.
            compression=None,
            open_timeout=settings.link.open_timeout_seconds,
            # The protocol has heartbeats of its own, which load balancers count as traffic.
            ping_interval=None,
            close_timeout=_CLOSE_TIMEOUT_SECONDS,
            max_size=MAX_FRAME_BYTES,
            max_queue=_MAX_QUEUED_FRAMES,
            **_way(settings, url),
        )
    except InvalidStatus as error:
        raise _refused(error.response) from None
    except InvalidProxy as error:
        # The library's own message shows the proxy's password.
        raise Unreachable(f"the proxy of the environment cannot be used: {error.msg}") from None
    except TimeoutError:
        raise Unreachable(f"no answer within {settings.link.open_timeout_seconds:g} s") from None
    except ImportError:
        raise Unreachable("a SOCKS proxy needs the package python-socks, which is not installed") from None
    except (OSError, WebSocketException, EOFError, ValueError) as error:
        cause = f": {error.__cause__}" if error.__cause__ is not None else ""
        raise Unreachable(f"{error or type(error).__name__}{cause}") from None
    if socket.subprotocol != SUBPROTOCOL:
        await socket.close()
        raise Unreachable(f"what answers does not speak {SUBPROTOCOL}; is this the hub's address?")
    return socket


def _way(settings: Settings, url: str) -> dict[str, Any]:
    """The proxy and TLS arguments of `connect`.

    HTTPS_PROXY and NO_PROXY count for wss://, HTTP_PROXY too for ws://. A hub on this machine is never asked for
    through a proxy, which would mean another machine by that name.
    """
    uri = parse_uri(url)
    proxy = None if settings.is_hub_local else get_proxy(uri)
    is_proxy_secure = proxy is not None and proxy.startswith("https://")
    way: dict[str, Any] = {"proxy": proxy}
    if uri.secure or is_proxy_secure:
        context = _trust(settings)
        way |= ({"ssl": context} if uri.secure else {}) | ({"proxy_ssl": context} if is_proxy_secure else {})
    return way


def _trust(settings: Settings) -> ssl.SSLContext:
    """A verifying TLS context, made anew at every dial so that replaced files count."""
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise Unreachable(f"ca_file {settings.ca_file}: {error.strerror or error}") from None
    if settings.client_cert is not None:
        try:
            context.load_cert_chain(settings.client_cert, settings.client_key)
        except OSError as error:
            files = f"client_cert {settings.client_cert}, client_key {settings.client_key}"
            raise Unreachable(f"{files}: {error.strerror or error}") from None
    return context


def _refused(response: Response) -> Rejected | Unreachable:
    status = response.status_code
    message = _message(response)
    if status in EXIT_REJECTED:
        return Rejected(status, message)
    return Unreachable(f"the hub answered {status}: {message}", _retry_after(response.headers.get("Retry-After")))


def _message(response: Response) -> str:
    """The hub's own words, from `{"error": …, "message": …}`, else the reason phrase."""
    try:
        text = str(msgspec.json.decode(response.body or b"", type=dict[str, object])["message"])
    except (msgspec.DecodeError, KeyError, UnicodeDecodeError):
        text = response.reason_phrase
    return text[:_MAX_MESSAGE_CHARACTERS]


def _retry_after(value: str | None) -> float | None:
    """Read the header of RFC 9110 §10.2.3: seconds or a date. None: absent or not readable."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (moment - datetime.datetime.now(moment.tzinfo)).total_seconds())


async def close(socket: ClientConnection, code: int, reason: str) -> None:
    """Close a socket, waiting for the peer no longer than the close timeout."""
    async with asyncio.timeout(_CLOSE_TIMEOUT_SECONDS + 1):
        await socket.close(code, reason.encode()[:120].decode(errors="ignore"))  # RFC 6455 §5.5: 125 bytes
