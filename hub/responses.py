"""How a JSON response is made; msgspec writes it, five times as fast as the standard library."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

from hub.errors import HubError
from schemas.api.fields import rfc3339

_encode: Final = msgspec.json.Encoder().encode


def json_response(content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return `content` as JSON."""
    return web.Response(body=_encode(content), status=status, headers=headers, content_type="application/json")


def details_of(error: HubError) -> dict[str, Any]:
    """The `details` of an error body, times as the API writes them."""
    details = dict(error.details)
    if "last_seen" in details:
        details["last_seen"] = rfc3339(details["last_seen"])
    return details
