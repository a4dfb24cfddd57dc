"""Objects of the API as JSON values: read from a body, taken out of lists, put into a List, made ready to print."""

import codecs
import json
import math
import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

_INT64: Final = range(-(2**63), 2**63)
# The shortest integer outside int64 has as many digits as this.
_WIDE: Final = b"0" * 19
_DIGITS_TO_ZERO: Final = bytes.maketrans(b"123456789", b"000000000")
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")

# Go puts one U+FFFD for every byte that is no UTF-8; Python's "replace" one for several.
_BYTE_BY_BYTE: Final = "kubently-byte-by-byte"
codecs.register_error(_BYTE_BY_BYTE, lambda error: ("\ufffd", error.start + 1))  # type: ignore[attr-defined]


def load(body: bytes) -> Any:
    """A body as JSON values the way kubectl reads them: integers within int64 are int, all other numbers float; of a
    key that comes twice the last holds; what is no UTF-8, or half a surrogate pair, becomes U+FFFD.

    Raises ValueError for what is no JSON, or is nested deeper than Python recurses (some 900 levels).
    """
    try:
        try:
            value = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # Bad text, which this parser forgives, or no JSON, for which it raises as well.
            return _as_go(json.loads(body.decode("utf-8", _BYTE_BY_BYTE)))
        return _as_go(value) if has_long_digits(body) else value
    except RecursionError as error:
        raise ValueError("JSON is nested too deep") from error
    except OverflowError as error:
        raise ValueError("JSON has a number out of range") from error


def has_long_digits(body: bytes) -> bool:
    """Whether a body could have an integer outside int64 in it."""
    return _WIDE in body.translate(_DIGITS_TO_ZERO)


def items_of(obj: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects of a list as it was answered (`PodList`), each with its kind and apiVersion; `[obj]` for no list.

    Raises ValueError when `items` are no objects.
    """
    if "items" not in obj:
        return [obj]
    items = obj["items"] or []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ValueError("the items of a list are no objects")
    kind = str(obj.get("kind") or "").removesuffix("List")
    for item in items:
        if not item.get("kind") or not item.get("apiVersion"):
            item["kind"] = kind
            item["apiVersion"] = obj.get("apiVersion", "")
    return items


def as_list(items: Sequence[Any]) -> dict[str, Any]:
    """The `List` around several objects that json, yaml and jsonpath print."""
    return {"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}}


def without_managed_fields(obj: dict[str, Any]) -> dict[str, Any]:
    """Take metadata.managedFields out of an object, in place, and give the object."""
    metadata = obj.get("metadata")
    if isinstance(metadata, dict):
        metadata.pop("managedFields", None)
    return obj


def _as_go(value: Any) -> Any:
    """The value with what Go reads otherwise: wide integers, halves of surrogate pairs."""
    match value:
        case str():
            return _LONE_SURROGATE.sub("\ufffd", value)
        case bool():
            return value
        case int():
            return value if value in _INT64 else float(value)
        case float() if not math.isfinite(value):
            raise OverflowError
        case list():
            return [_as_go(item) for item in value]
        case dict():
            return {_as_go(key): _as_go(item) for key, item in value.items()}
        case _:
            return value
