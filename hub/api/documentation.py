"""The API describing itself: `endpoint` declares a handler, /openapi.json is OpenAPI 3.0.3, /docs is Swagger UI.

aiohttp-apispec collects the declared schemas and its middleware checks requests by them; it writes Swagger 2.0 only, so
`OpenApi` here turns what it collected into OpenAPI 3.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler
from aiohttp_apispec import docs, headers_schema, json_schema, querystring_schema, response_schema
from aiohttp_apispec.aiohttp_apispec import AiohttpApiSpec, resolver
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema
from swagger_ui_bundle import swagger_ui_path

from hub import keys
from hub.api.validation import BodyParser, Quick, may_be_absent
from hub.errors import NotFound
from hub.keys import Access, Policy
from hub.responses import json_response
from schemas.api.errors import ErrorBody
from schemas.errors import CATALOGUE

T = TypeVar("T", bound=Handler)

_TITLE: Final = "Kubently hub"
_DESCRIPTION: Final = (
    "Debug Kubernetes clusters that dial into this hub: open a session on a cluster, run read-only kubectl commands in"
    " it, read their output. Every error has the same shape; every response says how its rate limit stands."
)
_PATH_PARAMETERS: Final = {
    "session_id": ("The session's id.", "sess_1f0c9a4be27d53086a91"),
    "result_id": ("The result's id.", "res_7be0c1d2f3a495867b10"),
    "cluster_id": ("The cluster's id, a DNS label.", "production-cluster"),
    "token_id": ("The agent token's id.", "tok_09f7a1be22c4d6e8f013"),
    "key_id": ("The API key's id.", "key_5d1e8bb0936fa7c24410"),
}
_INTEGER: Final = {"type": "integer"}
_HEADERS: Final[Mapping[str, Any]] = {
    "X-Correlation-ID": {"description": "Yours, or made by the hub.", "schema": {"type": "string"}},
    "X-RateLimit-Limit": {"description": "Size of the bucket this request drew on.", "schema": _INTEGER},
    "X-RateLimit-Remaining": {"description": "What is left in it.", "schema": _INTEGER},
    "X-RateLimit-Reset": {
        "description": "When it is full again, in seconds since the epoch.",
        "schema": _INTEGER,
    },
}
_RETRY_AFTER: Final = {"description": "Seconds to wait before asking again.", "schema": _INTEGER}
_A2A_HEADERS: Final = (
    ("X-Correlation-ID", "Your trace id, echoed and kept with what the request makes."),
    ("X-Service-Identity", "The calling service's name, kept with sessions and results."),
)
# What Swagger UI's page may load: itself only, so that a docs page reaches nobody else.
_CONTENT_SECURITY_POLICY: Final = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
)
_ASSETS: Final = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}
_START_SCRIPT: Final = 'SwaggerUIBundle({url: "../openapi.json", dom_id: "#docs", validatorUrl: null});\n'
_PAGE: Final = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{_TITLE}</title>
<link rel="icon" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""


def endpoint(
    summary: str,
    response: type[Schema] | None,
    *,
    tag: str,
    status: int = 200,
    body: type[Schema] | None = None,
    query: type[Schema] | None = None,
    headers: type[Schema] | None = None,
    quick: Quick | None = None,
    also: Mapping[int, type[Schema]] | None = None,
    media_type: str = "application/json",
    media_types: Sequence[str] = (),
    errors: Sequence[int] = (),
    links: Mapping[str, str] | None = None,
) -> Callable[[T], T]:
    """Declare a handler: what it takes is checked before it runs, what it answers is documented.

    The handler's docstring is the operation's description. `errors` are the statuses beyond those every route has;
    `also` are successes beside `status`. `response` is the schema of one line where the `media_type` is one of lines;
    `media_types` are other forms in which the answer can be asked for, as text. `quick` reads a plain request without
    the schemas. `links` map the operations that go on from here to the field of the answer that they take in their
    path: `{"get_session": "session_id"}`.
    """

    def declare(handler: T) -> T:
        docs(tags=[tag], summary=summary, description=handler.__doc__, operationId=handler.__name__)(handler)
        if body is not None:
            json_schema(body, put_into=keys.BODY)(handler)
        if query is not None:
            querystring_schema(query, put_into=keys.QUERY)(handler)
        if headers is not None:
            headers_schema(headers, put_into=keys.HEADERS)(handler)
        if quick is not None:
            handler.__quick__ = quick  # type: ignore[attr-defined]
        declared: dict[str, Any] = handler.__apispec__  # type: ignore[attr-defined]
        declared["errors"] = (*errors, *((413, 415) if body is not None else ()))
        declared["links"] = links or {}
        declared["media_type"] = media_type
        declared["media_types"] = media_types
        for code, schema in {status: response, **(also or {})}.items():
            if schema is not None:
                response_schema(schema, code)(handler)
            else:
                declared["responses"][str(code)] = {}
        return handler

    return declare


class OpenApi(AiohttpApiSpec):  # type: ignore[misc]
    """aiohttp-apispec's collection of an application's routes, written as OpenAPI 3.0.3."""

    def __init__(self, app: web.Application) -> None:
        super().__init__(url=None, title=_TITLE, version=version("kubently-hub"))
        self.plugin = MarshmallowPlugin(schema_name_resolver=resolver)
        self.spec = APISpec(
            title=_TITLE,
            version=version("kubently-hub"),
            openapi_version="3.0.3",
            plugins=(self.plugin,),
            info={"description": _DESCRIPTION, "license": {"name": "Apache-2.0"}},
            servers=[{"url": "/"}],
            security=[{"api_key": []}],
        )
        self.spec.components.security_scheme(
            "api_key", {"type": "http", "scheme": "bearer", "description": "An API key of the hub."}
        )
        self.spec.components.schema("ErrorBody", schema=ErrorBody)
        self._policy = Policy()
        self._operation_ids: set[str] = set()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", web.NotAppKeyWarning)  # aiohttp-apispec keeps its own keys as text
            self.register(app, in_place=True)
            app["_apispec_parser"] = BodyParser()
            app["_apispec_request_data_name"] = keys.VALIDATED
        app[keys.OPENAPI] = self.swagger_dict()

    def _register_route(self, route: web.AbstractRoute, method: str, view: Handler) -> None:
        self._policy = route_policy(route)
        super()._register_route(route, method, view)

    def _update_paths(self, data: dict[str, Any], method: str, url_path: str) -> None:
        if method == "head":
            return
        operation = {name: data[name] for name in ("tags", "summary", "description", "operationId")}
        if url_path.startswith("/admin/") and operation["operationId"] in self._operation_ids:
            operation["operationId"] = f"admin_{operation['operationId']}"  # one handler at two paths
        self._operation_ids.add(operation["operationId"])
        operation["parameters"] = [
            {
                "in": "path",
                "name": name,
                "required": True,
                "description": description,
                "schema": {"type": "string"},
                "example": example,
            }
            for name, (description, example) in _PATH_PARAMETERS.items()
            if f"{{{name}}}" in url_path
        ]
        assert self.plugin.converter is not None  # APISpec made it
        is_public = self._policy.access is Access.PUBLIC
        if not is_public:
            operation["parameters"] += [
                {
                    "in": "header",
                    "name": name,
                    "description": description,
                    "schema": {
                        "type": "string",
                        "minLength": 1,
                        "maxLength": 128,
                        "pattern": r"^[\x20-\x7e]+$",
                    },
                }
                for name, description in _A2A_HEADERS
            ]
        for declared in data["schemas"]:
            if declared["location"] == "json":
                content = {"application/json": {"schema": declared["schema"]}}
                is_required = not may_be_absent(declared["schema"])
                operation["requestBody"] = {"required": is_required, "content": content}
            else:
                location = {"querystring": "query", "headers": "header"}[declared["location"]]
                operation["parameters"] += self.plugin.converter.schema2parameters(
                    declared["schema"], location=location
                )
        if is_public:
            operation["security"] = []
        everywhere = () if is_public else (400, 401, 429)
        operation["responses"] = {
            code: _success(int(code), declared.get("schema"), data["links"], data["media_type"], data["media_types"])
            for code, declared in data["responses"].items()
        } | {str(code): _error(code) for code in sorted({*everywhere, *data["errors"], 500})}
        self.spec.path(path=url_path, operations={method: operation})


def route_policy(route: web.AbstractRoute) -> Policy:
    """The policy `routes.py` gave this route's handler."""
    from hub.api.routes import ROUTES

    return next((row[3] for row in ROUTES if row[2] is route.handler), Policy())


async def get_openapi(request: web.Request) -> web.Response:
    """The OpenAPI document."""
    return json_response(request.app[keys.OPENAPI])


async def get_docs(request: web.Request) -> web.Response:  # noqa: ARG001
    """Swagger UI."""
    headers = {
        "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    return web.Response(text=_PAGE, content_type="text/html", headers=headers)


async def get_asset(request: web.Request) -> web.StreamResponse:
    """A file of Swagger UI, from the hub's own installation."""
    name = request.match_info["name"]
    headers = {"Cache-Control": "public, max-age=86400", "X-Content-Type-Options": "nosniff"}
    if name == "start.js":
        return web.Response(text=_START_SCRIPT, content_type="text/javascript", headers=headers)
    if name not in _ASSETS:
        raise NotFound("There is nothing at this path; see /docs")
    return web.FileResponse(Path(swagger_ui_path) / name, headers=headers | {"Content-Type": _ASSETS[name]})


def _success(
    code: int, schema: Schema | None, links: Mapping[str, str], media_type: str, media_types: Sequence[str]
) -> dict[str, Any]:
    response: dict[str, Any] = {"description": web.Response(status=code).reason, "headers": dict(_HEADERS)}
    if code in (201, 202):
        response["headers"]["Location"] = {"description": "Where it is.", "schema": {"type": "string"}}
    if links:
        response["links"] = {
            operation: {"operationId": operation, "parameters": {field: f"$response.body#/{field}"}}
            for operation, field in links.items()
        }
    if schema is not None:
        response["content"] = {media_type: {"schema": schema}}
        response["content"] |= {other: {"schema": {"type": "string"}} for other in media_types}
    return response


def _error(status: int) -> dict[str, Any]:
    rows = [row for row in CATALOGUE.values() if row.status == status]
    examples = {row.code: {"value": {"error": row.code, "message": row.meaning}} for row in rows}
    headers = dict(_HEADERS) | ({"Retry-After": _RETRY_AFTER} if status in (429, 503) else {})
    return {
        "description": " ".join(f"`{row.code}`: {row.meaning}" for row in rows),
        "headers": headers,
        "content": {"application/json": {"schema": "ErrorBody", "examples": examples}},
    }
