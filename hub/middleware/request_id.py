"""The outermost layer: gives the request its ids, puts them in the log context and on the response."""

import re
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from hub import keys, logs
from schemas.ids import new_trace_id

CORRELATION_HEADER: Final = "X-Correlation-ID"
# In place of aiohttp's own, which tells strangers the versions of Python and of aiohttp.
SERVER: Final = "kubently-hub"
# Header values come from strangers and go into logs and a database: one line of printable ASCII.
PRINTABLE: Final = re.compile(r"[\x20-\x7e]{1,128}")


@web.middleware
async def request_id_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Accept or make the correlation id, make the request id, echo both."""
    given = request.headers.get(CORRELATION_HEADER, "")
    correlation_id = given if PRINTABLE.fullmatch(given) else new_trace_id("corr")
    request[keys.CORRELATION_ID] = correlation_id
    logs.correlation_id.set(correlation_id)
    logs.request_id.set(new_trace_id("req"))
    return await handler(request)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Put the ids and the rate headers on any response, a WebSocket's too; an on_response_prepare signal."""
    response.headers["Server"] = SERVER
    response.headers[CORRELATION_HEADER] = request.get(keys.CORRELATION_ID) or new_trace_id("corr")
    rate_headers = request.get(keys.RATE_HEADERS)
    if rate_headers is not None:
        response.headers.update(rate_headers)
