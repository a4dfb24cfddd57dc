"""What browsers ask before a page of another site may call the API: the Fetch standard's CORS protocol.

Only for the origins of `server.cors_origins`; by default there are none, and nothing of this is there. The key goes
in a header that the page sets itself, so credentials (cookies) are never allowed.
"""

from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from hub import keys

_METHODS: Final = "GET, HEAD, POST, PATCH, DELETE"
# What a program may set, beside what browsers let every page set, and what it may read of a response.
_REQUEST_HEADERS: Final = (
    "Authorization, Content-Type, Idempotency-Key, Prefer, X-Correlation-ID, X-Request-Timeout, X-Service-Identity"
)
_RESPONSE_HEADERS: Final = (
    "Location, Preference-Applied, Retry-After, WWW-Authenticate, X-Correlation-ID, X-Next-Cursor, X-RateLimit-Limit,"
    " X-RateLimit-Remaining, X-RateLimit-Reset"
)
# Browsers ask again after so many seconds; Chromium heeds two hours at most.
_MAX_AGE: Final = "7200"


@web.middleware
async def cors_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer the question that a browser asks before a request; it has no key, and costs nothing."""
    is_question = request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
    if not is_question or _allowed(request) is None:
        return await handler(request)
    headers = {
        hdrs.ACCESS_CONTROL_ALLOW_METHODS: _METHODS,
        hdrs.ACCESS_CONTROL_ALLOW_HEADERS: _REQUEST_HEADERS,
        hdrs.ACCESS_CONTROL_MAX_AGE: _MAX_AGE,
    }
    return web.Response(status=204, headers=headers)


async def add_cors_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Say on any response, errors too, whose pages may read it; an on_response_prepare signal."""
    response.headers.add(hdrs.VARY, hdrs.ORIGIN)
    allowed = _allowed(request)
    if allowed is not None:
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = allowed
        response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _RESPONSE_HEADERS


def _allowed(request: web.Request) -> str | None:
    """What to say to the page that asks: its own origin, or that all may; None: it may not, or no page asks."""
    origins = request.app[keys.SETTINGS].server.cors_origins
    asking = request.headers.get(hdrs.ORIGIN)
    if asking is None:
        return None
    if "*" in origins:
        return "*"
    return asking if asking in origins else None
