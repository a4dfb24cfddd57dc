"""Who asks: the API key of a client, or the token of an agent. A route says which with `access`."""

from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from hub import keys
from hub.errors import InvalidRequest, Unauthorized
from hub.keys import Access
from hub.middleware.ratelimit import draw_address, policy_of
from hub.middleware.request_id import CORRELATION_HEADER, PRINTABLE
from hub.services.caller import Caller

SERVICE_HEADER: Final = "X-Service-Identity"


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
    match policy_of(request).access:
        case Access.KEY:
            key = await request.app[keys.API_KEYS].authenticate(bearer(request))
            request[keys.CALLER] = Caller(
                key=key,
                correlation_id=request[keys.CORRELATION_ID],
                is_correlation_given=_header(request, CORRELATION_HEADER) is not None,
                service_identity=_header(request, SERVICE_HEADER),
            )
        case Access.AGENT:
            request[keys.TOKEN] = await request.app[keys.CLUSTERS].authenticate_agent(bearer(request))
        case Access.PUBLIC:
            pass


def bearer(request: web.Request) -> str:
    """The secret of the Authorization header (RFC 6750 §2.1). Raises Unauthorized when there is none."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip().isascii():
        raise Unauthorized
    return secret.strip()


def _header(request: web.Request, name: str) -> str | None:
    value = request.headers.get(name)
    if value is not None and not PRINTABLE.fullmatch(value):
        message = f"{name} must be 1 to 128 printable ASCII characters"
        raise InvalidRequest(message, field=name, code="invalid_value")
    return value
