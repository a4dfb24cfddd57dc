"""Who asks: the API key of a client, or the token of an agent. A route says which with `access`."""

import base64
import binascii
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from hub import keys
from hub.errors import Forbidden, InvalidRequest, Unauthorized
from hub.keys import Access
from hub.middleware.ratelimit import draw_address, policy_of
from hub.middleware.request_id import CORRELATION_HEADER, PRINTABLE
from hub.services.caller import Caller
from schemas.stream import BEARER_SUBPROTOCOL_PREFIX

SERVICE_HEADER: Final = "X-Service-Identity"
PROTOCOL_HEADER: Final = "Sec-WebSocket-Protocol"


@web.middleware
async def auth_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Put the Caller or the agent's Token on the request.

    Raises Unauthorized, or RateLimited where too many failures came from the address.
    """
    try:
        await _identify(request)
    except Unauthorized:
        draw_address(request)
        raise
    return await handler(request)


async def _identify(request: web.Request) -> None:
    policy = policy_of(request)
    match policy.access:
        case Access.KEY:
            secret = _socket_secret(request) if policy.is_socket else bearer(request)
            key = await request.app[keys.API_KEYS].authenticate(secret)
            origin = request[keys.ORIGIN]
            origin.role = key.role
            request[keys.CALLER] = Caller(
                key=key,
                correlation_id=request[keys.CORRELATION_ID],
                is_correlation_given=_header(request, CORRELATION_HEADER) is not None,
                service_identity=_header(request, SERVICE_HEADER),
                origin=origin,
            )
        case Access.AGENT:
            if request.app[keys.SETTINGS].server.tls_client_ca is not None and not _has_certificate(request):
                raise Forbidden("This hub takes agents with a client certificate only: set client_cert and client_key")
            request[keys.TOKEN] = await request.app[keys.CLUSTERS].authenticate_agent(bearer(request))
        case Access.PUBLIC:
            pass


def _has_certificate(request: web.Request) -> bool:
    """Whether the other side has shown a certificate; TLS has then checked it."""
    return request.transport is not None and bool(request.transport.get_extra_info("peercert"))


def bearer(request: web.Request) -> str:
    """The secret of the Authorization header (RFC 6750 §2.1). Raises Unauthorized when there is none."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip().isascii():
        raise Unauthorized
    return secret.strip()


def _socket_secret(request: web.Request) -> str:
    """The key of a client that asks for a socket: of the Authorization header, else among its subprotocols.

    Raises Unauthorized, and InvalidRequest where the subprotocols do not come in one line: aiohttp reads the first one
    only, and would log the key that stands in it when our own subprotocol stands in the second.
    """
    lines = request.headers.getall(PROTOCOL_HEADER, [])
    if len(lines) > 1:
        message = f"{PROTOCOL_HEADER} must be sent once, with all subprotocols in one line"
        raise InvalidRequest(message, field=PROTOCOL_HEADER, code="invalid_value")
    if "Authorization" in request.headers:
        return bearer(request)
    offered = [name.strip() for name in "".join(lines).split(",")]
    found = [name for name in offered if name.startswith(BEARER_SUBPROTOCOL_PREFIX)]
    if len(found) != 1:
        raise Unauthorized
    return _decoded(found[0].removeprefix(BEARER_SUBPROTOCOL_PREFIX))


def _decoded(text: str) -> str:
    """base64url without padding (RFC 4648 §5) of an ASCII text. Raises Unauthorized."""
    try:
        secret = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        raise Unauthorized from None
    if not secret or "=" in text:
        raise Unauthorized
    return secret


def _header(request: web.Request, name: str) -> str | None:
    value = request.headers.get(name)
    if value is not None and not PRINTABLE.fullmatch(value):
        message = f"{name} must be 1 to 128 printable ASCII characters"
        raise InvalidRequest(message, field=name, code="invalid_value")
    return value
