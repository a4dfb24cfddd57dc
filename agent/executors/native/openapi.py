"""The server's OpenAPI v3 documents, one per group version: what `explain` knows of kinds and their fields.

A document is known by a hash of what is in it, so what was read once stays true; the last ones used are kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import msgspec
from cachetools import LRUCache

from agent.executors.native.errors import CommandFailed, NotNative, StatusError
from agent.executors.native.listing import beside_others
from agent.executors.native.transport import Transport

_INDEX: Final = "/openapi/v3"
_REFERENCE: Final = "#/components/schemas/"
# All of Kubernetes' own documents take some 4 MiB as they are kept here; a command mostly asks for one of three.
_KEPT_BYTES: Final = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Document:
    """The schemas of one group version. What is no schema is not kept, and a schema only as text."""

    kinds: Mapping[str, Mapping[str, Any]]  # by plural: {"group": "apps", "kind": "Deployment", "version": "v1"}
    _schemas: Mapping[str, bytes]
    _described: tuple[tuple[Mapping[str, Any], str], ...]  # a kind and the name of its schema

    @property
    def size(self) -> int:
        """How much it is, in bytes."""
        return sum(map(len, self._schemas.values()))

    def schema_of(self, kind: Mapping[str, Any]) -> dict[str, Any] | None:
        """The schema of a kind; None when there is none."""
        return next(
            (self.schema(f"{_REFERENCE}{name}") for described, name in self._described if described == kind), None
        )

    def schema(self, reference: str) -> dict[str, Any] | None:
        """What a `$ref` means; None: nothing of this document."""
        text = self._schemas.get(reference.removeprefix(_REFERENCE)) if reference.startswith(_REFERENCE) else None
        if text is None:
            return None
        schema = msgspec.json.decode(text)
        return schema if isinstance(schema, dict) else None


_kept: Final[LRUCache[tuple[str, str], Document]] = LRUCache(_KEPT_BYTES, getsizeof=lambda document: document.size)


async def document(transport: Transport, group_version: str) -> Document | None:
    """The document of `v1` or `apps/v1`; None: the server has none for it.

    Raises NotNative for a server that has no such documents at all, or writes them in a way of its own, and
    CommandFailed and Unreachable.
    """
    name = f"apis/{group_version}" if "/" in group_version else f"api/{group_version}"
    try:
        index = msgspec.json.decode(await transport.get(_INDEX), type=_Index)
    except (StatusError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotNative("explain without /openapi/v3") from None
    place = (index.paths or {}).get(name)
    if place is None:
        return None
    kept = _kept.get((transport.host, place.url))
    if kept is not None:
        return kept
    url = urlsplit(place.url)
    if not url.path.startswith(f"{_INDEX}/"):  # what else could it be, on the server that gets our credentials
        raise NotNative("an OpenAPI document in another place")
    try:
        body = await transport.get(url.path, parse_qsl(url.query))
    except StatusError as error:
        raise CommandFailed(f"error: failed to fetch openapi schema for {name}: {error.message}") from None
    try:
        read = await beside_others(partial(_read, body, f"/{name}/"), len(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotNative("an OpenAPI document of another shape") from None
    if "hash=" in url.query and read.size <= _KEPT_BYTES:
        _kept[transport.host, place.url] = read
    return read


def _read(body: bytes, root: str) -> Document:
    written = msgspec.json.decode(body, type=_Document)
    kinds: dict[str, tuple[int, Mapping[str, Any]]] = {}
    for path, operations in written.paths.items():
        plural, rank = _resource(path.removeprefix(root).split("/")) if path.startswith(root) else ("", 0)
        kind = operations.kind
        if plural and kind is not None and rank >= kinds.get(plural, (0,))[0]:
            kinds[plural] = (rank, kind)
    schemas = {name: bytes(raw) for name, raw in written.components.schemas.items()}
    described = [
        (kind, name)
        for name in sorted(schemas)
        for kind in msgspec.json.decode(schemas[name], type=_Described).kinds or ()
    ]
    return Document({plural: kind for plural, (_, kind) in kinds.items()}, schemas, tuple(described))


def _resource(segments: list[str]) -> tuple[str, int]:
    """The plural that a path is of, and how much it counts where paths disagree; ("", 0): it is of no resource.

    These are the paths kubectl 1.33 looks at, the last of them first.
    """
    match segments:
        case ["namespaces", "{namespace}", plural, "{name}"]:
            return plural, 3
        case ["namespaces", "{namespace}", plural]:
            return plural, 2
        case [plural, "{name}"]:
            return plural, 1
        case [plural]:
            return plural, 0
    return "", 0


# The documents, as far as they are read.


class _Place(msgspec.Struct):
    url: str = msgspec.field(name="serverRelativeURL")


class _Index(msgspec.Struct):
    paths: dict[str, _Place] | None = None


class _Operation(msgspec.Struct):
    kind: dict[str, Any] | None = msgspec.field(name="x-kubernetes-group-version-kind", default=None)


class _Operations(msgspec.Struct):
    get: _Operation | None = None
    post: _Operation | None = None
    put: _Operation | None = None
    patch: _Operation | None = None
    delete: _Operation | None = None

    @property
    def kind(self) -> Mapping[str, Any] | None:
        """The kind the path is about, as the first operation that has one says."""
        operations = (self.get, self.post, self.put, self.patch, self.delete)
        return next((operation.kind for operation in operations if operation is not None and operation.kind), None)


class _Components(msgspec.Struct):
    schemas: dict[str, msgspec.Raw]


class _Document(msgspec.Struct):
    paths: dict[str, _Operations]
    components: _Components


class _Described(msgspec.Struct):
    kinds: list[dict[str, Any]] | None = msgspec.field(name="x-kubernetes-group-version-kind", default=None)
