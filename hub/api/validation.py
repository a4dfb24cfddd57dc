"""Bodies, queries and headers against their declared schemas: aiohttp-apispec's middleware with a strict JSON parser.

What is wrong becomes one InvalidRequest that names the field; docs/errors.md lists the codes.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, NoReturn

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler
from aiohttp_apispec import validation_middleware as apispec_middleware
from marshmallow import Schema, ValidationError
from webargs.aiohttpparser import AIOHTTPParser

from hub import keys
from hub.errors import InvalidRequest, RequestTimeout

# Marshmallow's messages, by their beginning, and the code each one stands for.
_CODES: Final = (
    ("Missing data for required field", "missing_required_field"),
    ("Unknown field", "unknown_field"),
    ("Not a valid", "invalid_type"),
    ("Invalid input type", "invalid_type"),
    ("Field may not be null", "invalid_type"),
    ("Must be one of", "invalid_value"),
)


@web.middleware
async def validation_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """aiohttp-apispec's middleware, and a way around it for the plain requests of a handler declared with `quick`."""
    quick: Quick | None = getattr(request.match_info.handler, "__quick__", None)
    if quick is not None and await quick.take(request):
        return await handler(request)
    response: web.StreamResponse = await apispec_middleware(request, handler)
    return response


class Quick:
    """Reads the bodies of one route in the way most of them come: right, and without any of the declared headers.

    aiohttp-apispec, webargs and marshmallow take a fifth of a command's time on the hub for it (docs/performance.md).
    """

    def __init__(self, body: type[msgspec.Struct], headers: type[Schema]) -> None:
        self._decode = msgspec.json.Decoder(body).decode
        self._headers = [field.data_key or name for name, field in headers().fields.items()]

    async def take(self, request: web.Request) -> bool:
        """Put body and headers on the request. False: leave it to the schemas, which also say what is wrong with it.

        Raises HTTPRequestEntityTooLarge.
        """
        if request.content_type != "application/json" or any(name in request.headers for name in self._headers):
            return False
        try:
            content = self._decode(await _read(request))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        values = msgspec.structs.asdict(content)
        request[keys.BODY] = {name: value for name, value in values.items() if value is not msgspec.UNSET}
        request[keys.HEADERS] = {}
        return True


def may_be_absent(schema: Schema) -> bool:
    """Whether a request need not have the body that a schema describes."""
    return getattr(schema, "may_be_absent", False)


async def _read(request: web.Request) -> bytes:
    """The body. Raises RequestTimeout and HTTPRequestEntityTooLarge."""
    if request.content.is_eof():  # as it is as a rule
        return await request.read()
    limit = request.app[keys.SETTINGS].server.body_timeout_seconds
    try:
        async with asyncio.timeout(limit):
            return await request.read()
    except TimeoutError:
        raise RequestTimeout(f"The body was not here within {limit:g} s (server.body_timeout_seconds)") from None


class BodyParser(AIOHTTPParser):
    """Reads JSON as RFC 8259 says (UTF-8, no NaN, no lone surrogates) and says no in the hub's words."""

    async def load_json(self, req: web.Request, schema: Schema) -> Any:
        """The parsed body. Raises HTTPUnsupportedMediaType, HTTPRequestEntityTooLarge, InvalidRequest."""
        body = await _read(req)
        if not body and may_be_absent(schema):
            return {}
        if not body:
            raise InvalidRequest("The request has no body; send a JSON object", field="body", code="missing_body")
        if req.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType
        try:
            content = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            message = f"The body is not valid JSON in UTF-8: {error}"
            raise InvalidRequest(message, field="body", code="malformed_json") from None
        if not isinstance(content, dict):
            raise InvalidRequest("The body must be a JSON object", field="body", code="invalid_type")
        return content

    def handle_error(
        self,
        error: ValidationError,
        req: Any,  # noqa: ARG002
        schema: Schema,  # noqa: ARG002
        *,
        error_status_code: int | None,  # noqa: ARG002
        error_headers: Mapping[str, str] | None,  # noqa: ARG002
    ) -> NoReturn:
        """Raise InvalidRequest for the first fault marshmallow found."""
        messages: Any = error.messages  # {"json": {"args": {0: ["…"]}}}
        faults = next(iter(messages.values()))
        path, message = _first(faults)
        code = next((code for start, code in _CODES if message.startswith(start)), "invalid_value")
        text = f"Missing required field: {path}" if code == "missing_required_field" else f"{path}: {message}"
        raise InvalidRequest(text, field=path, code=code)


def _first(faults: Any) -> tuple[str, str]:
    """The first fault's dotted path and message: `{"args": {0: ["Not a valid string."]}}` -> ("args.0", "Not …")."""
    path: list[str] = []
    while isinstance(faults, Mapping):
        name, faults = next(iter(faults.items()))
        if name != "_schema":
            path.append(str(name))
    message = faults[0] if isinstance(faults, list) else faults
    return ".".join(path) or "body", str(message)
