"""OpenAPI v3 documents as a newer API server gives them, made from the v2 document of an older one."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from tests.support.fake_api_server import Document, FakeApiServer

_KIND: Final = "x-kubernetes-group-version-kind"


def group_versions(v2: Document, names: Iterable[str]) -> dict[str, Document]:
    """The v3 documents of these group versions (`v1`, `apps/v1`) by their name in the index: `apis/apps/v1`."""
    documents: dict[str, Document] = {}
    for name in names:
        root = f"apis/{name}" if "/" in name else f"api/{name}"
        paths = {path: operations for path, operations in v2["paths"].items() if path.startswith(f"/{root}/")}
        kinds = [operation[_KIND] for operations in paths.values() for operation in operations.values()]
        schemas: dict[str, Any] = {}
        for schema, definition in v2["definitions"].items():
            if any(kind in kinds for kind in definition.get(_KIND, ())):
                _add(schema, v2["definitions"], schemas)
        documents[root] = {"openapi": "3.0.0", "info": {}, "paths": paths, "components": {"schemas": schemas}}
    return documents


def serve(server: FakeApiServer, documents: Mapping[str, Document]) -> None:
    """Have the server give the index and these documents."""
    places = {name: {"serverRelativeURL": f"/openapi/v3/{name}?hash=A1B2"} for name in documents}
    server.route("/openapi/v3", {"paths": places})
    for name, document in documents.items():
        server.route(f"/openapi/v3/{name}", json.dumps(document).encode())


def _add(name: str, definitions: Document, schemas: dict[str, Any]) -> None:
    """Add a definition and all it refers to."""
    if name not in schemas:
        schemas[name] = None
        schemas[name] = _v3(definitions[name], lambda reference: _add(reference, definitions, schemas))


def _v3(schema: Any, refer: Callable[[str], None]) -> Any:
    """A schema as v3 has it: there a reference never stands alone, but as the only part of an `allOf`."""
    if isinstance(schema, list):
        return [_v3(part, refer) for part in schema]
    if not isinstance(schema, dict):
        return schema
    rewritten = {key: _v3(value, refer) for key, value in schema.items()}
    if isinstance(schema.get("$ref"), str):  # else it is a property of that name, as in JSONSchemaProps
        name = rewritten.pop("$ref").removeprefix("#/definitions/")
        refer(name)
        rewritten |= {"allOf": [{"$ref": f"#/components/schemas/{name}"}], "default": {}}
    return rewritten
