"""Objects as client-go's types print them: only known fields, in the type's order, zero values left out.

`get` prints what the server sent. `events` and `auth whoami` decode into Go structs first and print those. Pure.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, ClassVar, Final, TypeVar

import msgspec

from agent.executors.native.errors import CommandFailed
from agent.executors.native.printers.jsonpath import JsonPath
from agent.executors.native.printers.jsonprinter import print_json
from agent.executors.native.printers.names import print_name
from agent.executors.native.printers.objects import load, without_managed_fields
from agent.executors.native.printers.yamlprinter import print_yaml

Time = Annotated[datetime, msgspec.Meta(tz=True)]

NO_TIME: Final = datetime(1, 1, 1, tzinfo=UTC)  # Go counts from the year 1, and so takes that for no time
_ESCAPED: Final = str.maketrans({"\x1b": "^[", "\r": "\\r"})
_PATHS: Final = ("jsonpath", "jsonpath-as-json")


class Typed(msgspec.Struct, rename="camel", kw_only=True):
    """A Go struct. A field's default is Go's zero value, None is a nil pointer; both are left out when printing, except
    in the fields of `always`. Times in `micros` are printed with their microseconds, others in whole seconds; what is
    in `untyped` is JSON that Go never looks into.
    """

    always: ClassVar[frozenset[str]] = frozenset()
    micros: ClassVar[frozenset[str]] = frozenset()
    untyped: ClassVar[frozenset[str]] = frozenset()


class ManagedFields(Typed):
    """meta/v1 ManagedFieldsEntry."""

    untyped: ClassVar = frozenset({"fields_v1"})

    manager: str = ""
    operation: str = ""
    api_version: str = ""
    time: Time | None = None
    fields_type: str = ""
    fields_v1: Any = None
    subresource: str = ""


class OwnerReference(Typed):
    """meta/v1 OwnerReference."""

    always: ClassVar = frozenset({"api_version", "kind", "name", "uid"})

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class ObjectMeta(Typed):
    """meta/v1 ObjectMeta."""

    always: ClassVar = frozenset({"creation_timestamp"})

    name: str = ""
    generate_name: str = ""
    namespace: str = ""
    self_link: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    deletion_grace_period_seconds: int | None = None
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
    owner_references: list[OwnerReference] = msgspec.field(default_factory=list)
    finalizers: list[str] = msgspec.field(default_factory=list)
    managed_fields: list[ManagedFields] = msgspec.field(default_factory=list)


class ListMeta(Typed):
    """meta/v1 ListMeta, as far as reading on needs it."""

    continue_token: str = msgspec.field(name="continue", default="")


class TypedList(Typed):
    """A list of objects; each kind has its own `items`."""

    kind: str = ""
    metadata: ListMeta = msgspec.field(default_factory=ListMeta)


T = TypeVar("T", bound=Typed)


def decode(body: bytes, kind: type[T]) -> T:
    """An answer's body as a type. Null counts as not given, as it does for Go; what is no UTF-8 becomes U+FFFD.

    Raises CommandFailed for what is not of that shape, or says it is of another kind.
    """
    try:
        obj = msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            obj = convert(load(body), kind)
        except ValueError as error:
            raise CommandFailed(f"error: the API server's answer is no JSON: {error}") from None
    said = getattr(obj, "kind", "")
    if said not in {"", kind.__name__}:
        raise CommandFailed(f"error: the API server answered with {said!r} where {kind.__name__} was asked for")
    return obj


def convert(obj: Any, kind: type[T]) -> T:
    """The same for an object that is decoded already."""
    try:
        return msgspec.convert(_without_nulls(obj), kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise CommandFailed(f"error: the API server's answer is no {kind.__name__}: {error}") from None


def printable(obj: Typed) -> dict[str, Any]:
    """The object as JSON values, fields in the type's order. Raises CommandFailed for a time that cannot be written."""
    printed: dict[str, Any] = {}
    for name, key, default in _fields(type(obj)):
        value = getattr(obj, name)
        if name in obj.untyped:
            if value is not None:
                printed[key] = value
        elif value != default or isinstance(value, Typed) or name in obj.always:
            printed[key] = _value(value, has_micros=name in obj.micros)
    return printed


def has_time(time: datetime | None) -> bool:
    """Whether a time is one to Go."""
    return time is not None and time != NO_TIME


def escaped(text: str) -> str:
    """Text that cannot steer a terminal, as kubectl prints what comes from objects: `^[` for ESC."""
    return text.translate(_ESCAPED)


class TypedPrinter:
    """The `-o` of one command that prints typed objects; `output` is the flag's value: `yaml`, `jsonpath={.kind}`.

    Raises CommandFailed, here and in `text`, in kubectl's words.
    """

    def __init__(self, output: str, *, allow_missing: bool, show_managed_fields: bool) -> None:
        self._format, _, template = output.partition("=")
        self._shows_managed_fields = show_managed_fields
        self._path: JsonPath | None = None
        self._has_printed = False
        if self._format in _PATHS:
            if not template:
                raise CommandFailed("error: template format specified but no template given")
            self._path = JsonPath.parse(template, allow_missing=allow_missing)

    def text(self, obj: dict[str, Any]) -> str:
        """The text for an object that `printable` gave, whose items may be cut by it; YAML is parted by `---`."""
        if self._path is not None:
            # kubectl puts the struct through JSON and back, which makes floats of all its numbers.
            numbers_as_floats = _floats(obj)
            if self._format == "jsonpath":
                return self._path.render(numbers_as_floats)
            return self._path.render_json(numbers_as_floats)
        if self._format == "name":
            if "items" in obj:
                raise CommandFailed("error: list types are not supported by name printing")
            return print_name(obj)
        if not self._shows_managed_fields:
            for item in obj.get("items", (obj,)):
                without_managed_fields(item)
        if self._format == "json":
            return print_json(obj, sort_keys=False)
        start = "---\n" if self._has_printed else ""
        self._has_printed = True
        return start + print_yaml(obj)


@cache
def _fields(kind: type[Typed]) -> tuple[tuple[str, str, Any], ...]:
    """A type's fields: name, key in JSON, zero value."""
    return tuple(
        (
            field.name,
            field.encode_name,
            field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory(),
        )
        for field in msgspec.structs.fields(kind)
    )


def _value(value: Any, *, has_micros: bool) -> Any:
    match value:
        case Typed():
            return printable(value)
        case datetime():
            return _written(value, has_micros=has_micros) if has_time(value) else None
        case list():
            return [_value(item, has_micros=False) for item in value]
        case dict():
            return {key: _value(value[key], has_micros=False) for key in sorted(value, key=str.encode)}
        case _:
            return value


def _written(time: datetime, *, has_micros: bool) -> str:
    try:
        text = time.astimezone(UTC).isoformat(timespec="microseconds" if has_micros else "seconds")
    except OverflowError:
        raise CommandFailed("error: Time.MarshalJSON: year outside of range [0,9999]") from None
    return re.sub(r"\+00:00$", "Z", text)


def _without_nulls(value: Any) -> Any:
    match value:
        case dict():
            return {key: _without_nulls(item) for key, item in value.items() if item is not None}
        case list():
            return [{} if item is None else _without_nulls(item) for item in value]
        case _:
            return value


def _floats(value: Any) -> Any:
    match value:
        case bool():
            return value
        case int():
            return float(value)
        case Mapping():
            return {key: _floats(item) for key, item in value.items()}
        case list():
            return [_floats(item) for item in value]
        case _:
            return value
