"""`-o yaml`: decoded JSON to the bytes kubectl prints for it. Pure. What a scalar looks like is in yamlscalars.py, the
order of keys in yamlkeys.py; here is how they are put together.

Each mapping and each list is written by a generator. It yields another for a value that has parts, and goes on when
that one is done: so an object may be nested deeper than Python can recurse. `lead` is what the first line starts with
(`  - ` for a mapping in a list), `indent` what the others do.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

from agent.executors.native.printers.yamlkeys import layout
from agent.executors.native.printers.yamlscalars import SHORT, WIDTH, number, scalar, short

_DEEPER: Final = "  "

_Write = Callable[[str], None]
_Writer = Iterator["_Writer"]


def print_yaml(obj: Any) -> str:
    """What kubectl prints for `obj` (dict, list, str, int, float, bool, None, nested, as `objects.load` gives them), to
    its last line's end.

    Raises CommandFailed, in kubectl's words, for what it cannot print: `error: yaml: control characters are …`.
    """
    lines: list[str] = []
    if isinstance(obj, dict) and obj:
        _run(_mapping(lines.append, obj, "", ""))
    elif isinstance(obj, list) and obj:
        _run(_sequence(lines.append, obj, "", ""))
    else:
        lines.append(_atom(obj, "", "")[1:])
    return "".join(lines)


class YamlList:
    """A List of any length, item by item, so that memory holds one item. The pieces put together are what
    `print_yaml` makes of `{"apiVersion": "v1", "items": […], "kind": "List", "metadata": {"resourceVersion": ""}}`.
    """

    def __init__(self) -> None:
        self._is_empty = True

    def item(self, obj: Any) -> str:
        """The text to print for the next item. Raises as print_yaml does; kubectl would then have printed nothing."""
        lines: list[str] = []
        _run(_sequence(lines.append, [obj], "", ""))
        text = "".join(lines)
        if self._is_empty:
            self._is_empty = False
            return "apiVersion: v1\nitems:\n" + text
        return text

    def end(self) -> str:
        """The text to print behind the last item, or for a List without any."""
        head = "apiVersion: v1\nitems: []\n" if self._is_empty else ""
        return head + 'kind: List\nmetadata:\n  resourceVersion: ""\n'


def _run(writer: _Writer) -> None:
    """Write all of it, each part where it stands."""
    writers = [writer]
    while writers:
        part = next(writers[-1], None)
        if part is None:
            writers.pop()
        else:
            writers.append(part)


def _mapping(write: _Write, mapping: dict[str, Any], lead: str, indent: str) -> _Writer:
    for name, key in layout(tuple(mapping)):
        value = mapping[name]
        if key is None:
            write(f"{lead}? {scalar(name, len(lead) + 2, indent + _DEEPER)}")
            if part := _compact(write, value, indent + ":", indent):
                yield part
        else:
            head = lead + key
            kind = type(value)
            if kind is dict and value:
                write(head + "\n")
                yield _mapping(write, value, indent + _DEEPER, indent + _DEEPER)
            elif kind is list and value:
                write(head + "\n")
                yield _sequence(write, value, indent, indent)
            else:
                write(head + _atom(value, head, indent))
        lead = indent


def _sequence(write: _Write, values: list[Any], lead: str, indent: str) -> _Writer:
    for value in values:
        if part := _compact(write, value, lead + "-", indent):
            yield part
        lead = indent


def _compact(write: _Write, value: Any, head: str, indent: str) -> _Writer | None:
    """A value that starts on the line of its `-`, or of the `:` behind a key that has lines of its own. One that has
    parts is left to the writer this returns.
    """
    kind = type(value)
    if kind is dict and value:
        return _mapping(write, value, head + " ", indent + _DEEPER)
    if kind is list and value:
        return _sequence(write, value, head + " ", indent + _DEEPER)
    write(head + _atom(value, head, indent))
    return None


def _atom(value: Any, head: str, indent: str) -> str:
    """What follows `head` for a value without parts, to its line's end."""
    kind = type(value)
    if kind is str:
        if len(value) <= SHORT:
            text = short(value)
            if text and len(head) + len(text) <= WIDTH:
                return text
        return " " + scalar(value, len(head) + 1, indent + _DEEPER)
    if kind is bool:
        return " true\n" if value else " false\n"
    if value is None:
        return " null\n"
    if kind is dict:
        return " {}\n"
    return " []\n" if kind is list else f" {number(value)}\n"
