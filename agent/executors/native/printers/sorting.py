"""`--sort-by`: objects, or rows of a server-side table, in the order of one of their fields. Pure.

kubectl sorts with Go's pdqsort: up to 12 items that is an insertion sort, which we do as well, step by step, so that
the order is kubectl's even where its comparison contradicts itself. For more, kubectl puts items that compare equal in
an order of its own; ours keep the one they came in.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Final, TypeVar

from agent.executors.native.errors import CommandFailed
from agent.executors.native.printers.jsonpath import Allowance, JsonPath, JsonPathError, relaxed
from agent.executors.native.printers.quantity import parse_quantity

T = TypeVar("T")

# Up to here Go sorts by insertion (maxInsertion in its zsortinterface.go).
_FEW: Final = 12
# klog's Fatal, which kubectl calls when a path does not fit an object that is not the first.
_FATAL_EXIT_CODE: Final = 255


class Unsortable(CommandFailed):
    """Values that have no order: booleans, lists, numbers among strings."""


def sort_objects(items: Sequence[T], expression: str) -> list[T]:
    """Decoded objects in ascending order of the field `expression` names (`.metadata.name`, `{.spec.x}`, `spec.x`).
    One without the field comes before all others, and null before all values.

    Raises CommandFailed in kubectl's words: for a path that cannot be read or that no object has; Unsortable.
    """
    allowance = Allowance()
    allowance.grow(len(items))
    try:
        template = relaxed(expression)
        path = JsonPath.parse(template)
        _check_found(items, path, template, allowance)
    except JsonPathError as error:
        raise CommandFailed(error.plain) from None
    if len(items) < 2:
        return list(items)
    try:
        found = [path.find(item, is_listed=True, allowance=allowance) for item in items]
    except JsonPathError as error:
        raise CommandFailed(error.plain, _FATAL_EXIT_CODE) from None
    return _sorted(items, found, f"Field {template} in *unstructured.Unstructured")


def sort_rows(rows: Sequence[T], expression: str) -> list[T]:
    """The same for `rows` of a Table asked for with `includeObject=Object` (`{"cells": […], "object": {…}}`), by their
    objects. As in kubectl, a single row is never looked at, and the expression may be a whole template as well.

    Of the errors kubectl shows only Unsortable: at the others it prints no rows, and does not say why.
    """
    if len(rows) < 2:
        return list(rows)
    try:
        try:
            template = relaxed(expression)
        except JsonPathError:
            template = expression
        path = JsonPath.parse(template)
        allowance = Allowance()
        allowance.grow(len(rows))
        found = [path.find(_object(row), is_listed=True, allowance=allowance) for row in rows]
    except JsonPathError as error:
        raise CommandFailed(error.plain) from None
    if not any(map(_is_found, found)):
        raise _not_found(template)
    return _sorted(rows, found, f"Field {template} in [][][]reflect.Value")


def _object(row: Any) -> Any:
    return row.get("object") if isinstance(row, Mapping) else None


def _check_found(items: Sequence[Any], path: JsonPath, template: str, allowance: Allowance) -> None:
    """Raises what kubectl says when no object has the field, or one before the first that has it does not fit."""
    if items and not any(_is_found(path.find(item, allowance=allowance)) for item in items):
        raise _not_found(template)


def _is_found(found: list[list[Any]]) -> bool:
    return bool(found and found[0])


def _not_found(template: str) -> CommandFailed:
    quoted = template.replace("\\", "\\\\").replace('"', '\\"')
    return CommandFailed(f'error: couldn\'t find any field with path "{quoted}" in the list of objects')


def _sorted(items: Sequence[T], found: Sequence[list[list[Any]]], where: str) -> list[T]:
    try:
        keys = [_Key(values[0][0]) if _is_found(values) else None for values in found]
        places = _insertion_sorted(keys) if len(items) <= _FEW else _merge_sorted(keys)
    except _NoOrder as error:
        raise Unsortable(f"{where} is an unsortable type: interface, err: {error}") from None
    return [items[place] for place in places]


def _insertion_sorted(keys: list["_Key | None"]) -> list[int]:
    """The places of the keys in order. Absent ones come first, the last of them foremost, which is Go's doing: each
    counts as less than any other.
    """
    places = list(range(len(keys)))
    for end in range(1, len(places)):
        at = end
        while at and _is_less(keys[places[at]], keys[places[at - 1]]):
            places[at - 1], places[at] = places[at], places[at - 1]
            at -= 1
    return places


def _merge_sorted(keys: list["_Key | None"]) -> list[int]:
    """The places of the keys in order, absent ones first, equal ones as they stand."""
    absent = [place for place, key in enumerate(keys) if key is None]
    present = [(key, place) for place, key in enumerate(keys) if key is not None]
    present.sort(key=lambda pair: pair[0])
    return [*absent, *(place for _, place in present)]


def _is_less(left: "_Key | None", right: "_Key | None") -> bool:
    return left is None or (right is not None and left < right)


class _NoOrder(Exception):
    """Two values that cannot be compared; the message is kubectl's reason."""


class _Key:
    """A value as kubectl compares it: numbers of one kind by size, strings that are both quantities as such, all other
    strings by their characters (`a10` before `a9`).
    """

    __slots__ = ("_quantity", "_value")

    def __init__(self, value: Any) -> None:
        self._value = value
        self._quantity = _quantity(value)

    def __lt__(self, other: "_Key") -> bool:
        left, right = self._value, other._value
        if left is None or right is None:
            return left is None and right is not None
        if type(left) in _UNORDERED:
            raise _NoOrder(f"unsortable type: {_UNORDERED[type(left)]}")
        if type(left) is not type(right):
            raise _NoOrder("unsortable interface: interface")
        if self._quantity is not None and other._quantity is not None:
            return self._quantity < other._quantity
        return bool(left < right)


# With their names in Go.
_UNORDERED: Final[dict[type, str]] = {bool: "bool", list: "[]interface {}", dict: "map[string]interface {}"}


def _quantity(value: Any) -> Fraction | None:
    try:
        return parse_quantity(value) if isinstance(value, str) else None
    except ValueError:
        return None
