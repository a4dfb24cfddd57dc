"""`-o json`: objects as Go's encoding/json writes them, with kubectl's indent.

msgspec writes the JSON and lays it out, several times as fast as json.dumps does; what Go writes otherwise is put
right in its text. Objects are as `objects.load` gives them.
"""

import re
from typing import Any, Final

import msgspec

from agent.executors.native.printers.values import json_float

_INDENT: Final = 4
_ENCODER: Final = msgspec.json.Encoder(order="sorted")
_ENCODER_AS_IS: Final = msgspec.json.Encoder()

# What Go escapes and msgspec does not. All of these stand in strings only.
_ESCAPES: Final = (
    (b"&", b"\\u0026"),
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)

# Where a float may be in JSON of one line. It may be in a string as well, and be none.
_MAYBE_FLOAT: Final = re.compile(rb"[:,\[]-?[0-9]+[.e][-+.e0-9]*[,\]}]")

# The end of a float, which is the end of its line: a string's line ends in a quote, and no string has a newline.
_END_OF_FLOAT: Final = re.compile(r"[.e][-0-9]+(?=,?\n)")

# An item of a List is two levels in; so is the one in `[[item]]`, which is cheaper than to indent its lines again.
_BEFORE_ITEM: Final = "[\n    [\n        "
_BEHIND_ITEM: Final = "\n    ]\n]\n"


def print_json(obj: Any, *, sort_keys: bool = True) -> str:
    """The object as `-o json` prints it, with its newline. `sort_keys` False: keys stand as they are (typed.py)."""
    return _laid_out(_encoded(obj, _ENCODER if sort_keys else _ENCODER_AS_IS))


def compact_json(obj: Any) -> str:
    """A map or a list in one line, as it stands in the text of `-o jsonpath`."""
    text = _encoded(obj)
    return (_encoded(_with_written_floats(obj)) if _MAYBE_FLOAT.search(text) else text).decode()


def print_watch_event(event: str, obj: Any) -> str:
    """The line of `-w --output-watch-events -o json`, with its newline. kubectl leaves managedFields in here."""
    return f'{{"type":"{event}","object":{msgspec.json.format(print_json(obj), indent=-1)}}}\n'


class ListPrinter:
    """A `List` printed item by item: the same text as `print_json(as_list(items))`, with one item in memory at a time.

    `write(printer.header())`, for each item `write(printer.item(obj))`, `write(printer.footer())`.
    """

    def __init__(self) -> None:
        self._is_empty = True

    def header(self) -> str:
        """What stands before the items."""
        return '{\n    "apiVersion": "v1",\n    "items": ['

    def item(self, obj: Any) -> str:
        """The next item."""
        text = _laid_out(b"[[%b]]" % _encoded(obj))
        comma = "" if self._is_empty else ","
        self._is_empty = False
        return f"{comma}\n        {text[len(_BEFORE_ITEM) : -len(_BEHIND_ITEM)]}"

    def footer(self) -> str:
        """What stands behind the items."""
        end = "" if self._is_empty else "\n    "
        return f'{end}],\n    "kind": "List",\n    "metadata": {{\n        "resourceVersion": ""\n    }}\n}}\n'


def _encoded(obj: Any, encoder: msgspec.json.Encoder = _ENCODER) -> bytes:
    """The object in one line, keys in order, strings as Go has them."""
    text = encoder.encode(obj)
    for character, escape in _ESCAPES:
        text = text.replace(character, escape)
    return text


def _with_written_floats(value: Any) -> Any:
    """The value with its floats as Go writes them."""
    match value:
        case float():
            return msgspec.Raw(json_float(value).encode())
        case list():
            return list(map(_with_written_floats, value))
        case dict():
            return {key: _with_written_floats(item) for key, item in value.items()}
        case _:
            return value


def _laid_out(compact: bytes) -> str:
    """JSON with line breaks and indents, and floats as Go has them."""
    text = msgspec.json.format(compact, indent=_INDENT).decode() + "\n"
    pieces: list[str] = []
    done = 0
    for match in _END_OF_FLOAT.finditer(text):
        start = text.rfind(" ", 0, match.start()) + 1
        pieces += text[done:start], json_float(float(text[start : match.end()]))
        done = match.end()
    return "".join([*pieces, text[done:]])
