"""What `kubectl explain` prints of one schema of an OpenAPI v3 document. Pure: verbs/explain.py finds the schema.

A schema speaks for itself and for its parts, in this order: `allOf`, `items`, `additionalProperties`, each behind its
`$ref`. Of `oneOf`, `anyOf` and `not` kubectl takes no notice.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from agent.executors.native.errors import CommandFailed, NotNative
from agent.executors.native.printers.values import go_text

Schema = Mapping[str, Any]
_Refs = frozenset[str]

_WIDTH: Final = 76  # characters of a line of a description, its margin aside; measured with kubectl 1.33
_MARGIN: Final = "    "
_SHORT_ENUM: Final = 4  # values of an enum that a list of fields has room for; measured with kubectl 1.33
# Ours. No schema of a real API comes near; one that fans out at each level, or refers to itself, would have no end.
_MAX_LINES: Final = 50_000
_MAX_DEPTH: Final = 100

# A line may break where Go's unicode.IsSpace holds, but for the no-break space; Python knows four separators more.
_PIECE: Final = re.compile(r"(?P<newline>\n)|(?P<space>[^\S\n\xa0\x1c-\x1f]+)|(?P<word>(?:\S|[\xa0\x1c-\x1f])+)")


class Explainer:
    """Explains a schema for one command. `lookup` gives the schema a `$ref` means, None when there is none.

    Raises NotNative where kubectl's own template fails on a schema, CommandFailed for a schema without an end.
    """

    def __init__(self, lookup: Callable[[str], Schema | None], *, is_recursive: bool) -> None:
        self._lookup = lookup
        self._is_recursive = is_recursive
        self._lines = 0

    def explain(self, schema: Schema, path: Sequence[str]) -> str | None:
        """The text below the header, for the field at `path`: `("spec", "replicas")`; empty means the schema itself.

        None: there is no such field.
        """
        try:
            return self._at(schema, path, frozenset())
        except (AttributeError, TypeError, KeyError, RecursionError):  # of a document nobody has checked
            raise NotNative("a schema of another shape") from None

    def _at(self, schema: Schema, path: Sequence[str], seen: _Refs) -> str | None:
        if len(path) == 0:
            return self._page(schema)
        reference = schema.get("$ref")
        if reference in seen:
            return None
        seen = self._enter(reference, seen)
        resolved = self._resolve(schema)
        field = (resolved.get("properties") or {}).get(path[0])
        if field is not None:
            below = self._at(field, path[1:], frozenset())
            heading = f"FIELD: {path[0]} <{self._type(field)}>\n{_long_enum(field)}\n" if len(path) == 1 else ""
            return None if below is None else heading + below
        inner = resolved.get("items") or _values(resolved)
        candidates = [inner] if inner else resolved.get("allOf") or ()
        return next((text for part in candidates if (text := self._at(part, path, seen)) is not None), None)

    def _page(self, schema: Schema) -> str:
        meant = self._resolve(schema)
        description = "".join(self._descriptions(meant, 0)) or "<empty>"
        fields = "".join(self._fields(meant, 1, frozenset()))
        return f"DESCRIPTION:\n{_paragraph(description)}\n" + (f"FIELDS:\n{fields}" if fields else "")

    def _descriptions(self, schema: Schema, depth: int) -> Iterator[str]:
        if depth > _MAX_DEPTH:
            raise CommandFailed("error: the schema refers to itself without an end")
        resolved = self._resolve(schema)
        if resolved.get("description"):
            yield f"{resolved['description']}\n"
        for part in _parts(resolved):
            yield from self._descriptions(part, depth + 1)

    def _fields(self, schema: Schema, level: int, seen: _Refs) -> Iterator[str]:
        reference = schema.get("$ref")
        if reference in seen:
            return
        seen = self._enter(reference, seen)
        resolved = self._resolve(schema)
        indent = "  " * level
        required = resolved.get("required") or ()
        for name, field in sorted((resolved.get("properties") or {}).items()):
            self._count_line(level)
            mark = " -required-" if name in required else ""
            yield f"{indent}{name}\t<{self._type(field)}>{mark}\n{_short_enum(field, indent)}"
            if self._is_recursive:
                yield from self._fields(field, level + 1, seen)
            else:
                yield f"{_paragraph(field.get('description') or '<no description>')}\n\n"
        for part in _parts(resolved):
            yield from self._fields(part, level, seen)

    def _type(self, schema: Schema) -> str:
        if not schema:
            raise NotNative("a field with an empty schema")
        if items := schema.get("items"):
            return f"[]{self._type(items)}"
        if values := _values(schema):
            return f"map[string]{self._type(values)}"
        if reference := schema.get("$ref"):
            # A named scalar (a time, a quantity) goes by its type, anything else by its name without its package.
            named = str(self._resolve(schema).get("type", "object"))
            return named if named != "object" else str(reference).rpartition("/")[2].rpartition(".")[2]
        parts: Sequence[Schema] = schema.get("allOf") or ()
        if len(parts) == 1:
            return self._type(parts[0])
        declared = schema.get("type", "object")
        if not isinstance(declared, str):
            raise NotNative("a field of several types")
        return "Object" if declared == "object" else declared

    def _resolve(self, schema: Schema) -> Schema:
        reference = schema.get("$ref")
        return (self._lookup(reference) if reference else None) or schema

    def _enter(self, reference: str | None, seen: _Refs) -> _Refs:
        if len(seen) > _MAX_DEPTH:
            raise CommandFailed("error: the schema is nested too deeply to be explained")
        return seen if reference is None else seen | {reference}

    def _count_line(self, level: int) -> None:
        self._lines += 1
        if self._lines > _MAX_LINES or level > _MAX_DEPTH:
            raise CommandFailed("error: the schema has too many fields to be listed")


def _parts(schema: Schema) -> Iterator[Schema]:
    yield from schema.get("allOf") or ()
    if items := schema.get("items"):
        yield items
    if values := _values(schema):
        yield values


def _values(schema: Schema) -> Schema | None:
    """The schema of a map's values; None when they are anything at all, or there may be none."""
    values = schema.get("additionalProperties")
    return values if isinstance(values, Mapping) else None


def _short_enum(schema: Schema, indent: str) -> str:
    values = schema.get("enum") or ()
    if not values:
        return ""
    shown = [_enum_value(value) for value in values[:_SHORT_ENUM]]
    return f"{indent}enum: {', '.join(shown + ['....'] * (len(values) > _SHORT_ENUM))}\n"


def _long_enum(schema: Schema) -> str:
    values = schema.get("enum") or ()
    return "".join(["ENUM:\n", *(f"{_MARGIN}{_enum_value(value)}\n" for value in values)]) if values else "\n"


def _enum_value(value: Any) -> str:
    match value:
        case None:
            return "<no value>"
        case "":
            return '""'
        case int() if not isinstance(value, bool):
            return go_text(float(value))  # kubectl reads every number of a document as a float: `1e+06`
    return go_text(value)


def _paragraph(text: str) -> str:
    """Text broken into lines and set off from the margin; a last line that is empty becomes the margin alone."""
    return _MARGIN + "".join(_broken(text)).replace("\n", "\n" + _MARGIN)


def _broken(text: str) -> Iterator[str]:
    """The pieces of `text` with line breaks where a word would pass the width.

    A word longer than a line stays whole; it begins a line of its own unless less than two characters stand before it.
    """
    column, space = 0, ""
    for piece in _PIECE.finditer(text):
        if piece.lastgroup == "newline":
            if column + len(space) <= _WIDTH:
                yield space
            yield "\n"
            column, space = 0, ""
        elif piece.lastgroup == "space":
            space = piece[0]
        else:
            word, before = piece[0], column + len(space)
            if before + len(word) > _WIDTH and before > 1:
                yield "\n"
                column, space = 0, ""
            yield space + word
            column, space = column + len(space) + len(word), ""
    if column + len(space) <= _WIDTH:
        yield space
