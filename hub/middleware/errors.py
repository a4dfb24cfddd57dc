"""The one place where something that went wrong becomes a response. Its body has one shape, docs/errors.md."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from hub import keys, logs
from hub.errors import HubError
from hub.responses import details_of, json_response
from schemas import errors as catalogue
from schemas.errors import ErrorCode

_log = logging.getLogger(__name__)

# What aiohttp itself says no with, in our words.
_HTTP: Final[Mapping[int, tuple[ErrorCode, str]]] = {
    404: (catalogue.NOT_FOUND, "There is nothing at this path; see /docs"),
    405: (catalogue.METHOD_NOT_ALLOWED, "This path does not have this method; see the Allow header"),
    413: (catalogue.PAYLOAD_TOO_LARGE, "The body is over 1 MiB"),
    415: (catalogue.UNSUPPORTED_MEDIA_TYPE, "The body must be JSON: send Content-Type: application/json"),
    426: (catalogue.UPGRADE_REQUIRED, "This path is a WebSocket"),
}


@web.middleware
async def errors_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn HubErrors, aiohttp's own errors and bugs into the error body."""
    try:
        return await handler(request)
    except HubError as error:
        request[keys.RULE] = error.details.get("rule", error.row.code)
        return body(error.row, error.message, details_of(error), error.headers)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        row, message = _HTTP.get(error.status, (catalogue.INVALID_REQUEST, error.reason))
        request[keys.RULE] = row.code
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        details: dict[str, Any] = {} if error.status in _HTTP else {"field": "request", "code": "malformed"}
        return body(row, message, details, headers)
    except asyncio.CancelledError:
        raise
    except Exception:  # noqa: BLE001 - a border: logged, and life goes on
        _log.exception("a fault of the hub", extra={"method": request.method, "path": request.path})
        request[keys.RULE] = catalogue.INTERNAL_ERROR.code
        details = {"request_id": logs.request_id.get()}
        return body(catalogue.INTERNAL_ERROR, "An unexpected error occurred", details)


def body(
    row: ErrorCode, message: str, details: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> web.Response:
    """Build the error response; empty details are left out."""
    content: dict[str, Any] = {"error": row.code, "message": message}
    if details:
        content["details"] = dict(details)
    return json_response(content, status=row.status, headers=headers)
