"""`-o jsonpath=TEMPLATE`: kubectl's dialect of JSONPath, from template and object to text. Pure.

jsonpath_syntax.py reads templates; here they are used on objects. A template comes from a stranger and an object can be
large, so a run takes a bounded number of steps and gives a bounded amount of text.

Where kubectl takes the values of a map in random order (`.*`, `..`), we take them in the order of their keys.
"""

import operator
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Self

from agent.executors.native.errors import CommandFailed
from agent.executors.native.printers.jsonpath_syntax import (
    BadTemplate,
    Descent,
    Field,
    Filter,
    Literal,
    Path,
    Slice,
    Step,
    Union,
    Wildcard,
    Word,
    parse,
)
from agent.executors.native.printers.jsonprinter import compact_json, print_json
from agent.executors.native.printers.values import go_text, json_float

# A value looked at or found is one step of work, and so are a few for each step of a path. Templates that repeat
# themselves could take any number: for an object there are so many for free, more for each value in it, and a limit.
# A step takes Python 0.1 to 0.5 µs.
FREE_STEPS: Final = 1_000_000
_STEPS_PER_VALUE: Final = 32
_STEPS_PER_PATH_STEP: Final = 4
_MAX_STEPS: Final = 20_000_000
# What all objects of a list may take, beside that limit: twenty columns of a few steps each.
_STEPS_PER_OBJECT: Final = 500
# As much as one answer of the API server: `..` prints each value once for every value it is in.
MAX_TEXT: Final = 64 * 1024 * 1024
# Ranges inside of each other, each some frames of Python's stack.
MAX_DEPTH: Final = 50

# A reason may quote a value; kubectl prints all of it.
_MAX_QUOTED: Final = 1024

_INT64: Final = range(-(2**63), 2**63)
_TOO_DEEP: Final = "the object is nested too deep"
_TOO_MANY_STEPS: Final = "it takes too many steps"

_RELAXED: Final = re.compile(r"\{\.?([^{}]+)\}|\.?([^{}]+)")


class JsonPathError(CommandFailed):
    """A template that cannot be read or does not fit an object.

    `text` is the message of `-o jsonpath`; `plain` that of sorting and custom-columns, where the same reason stands
    alone: `error: unterminated array`.
    """

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text)
        self.plain = f"error: {reason}"


class JsonPath:
    """A parsed template. It has no state of its own: one can render any number of objects, in any thread."""

    def __init__(self, template: str, actions: Sequence[Path], *, allow_missing: bool) -> None:
        """Use `parse`."""
        self._template = template
        self._actions = actions
        self._allow_missing = allow_missing

    @classmethod
    def parse(cls, template: str, *, allow_missing: bool = True) -> Self:
        """Read a template: `{.metadata.name}: {.kind}`, `{range .items[*]}{.kind}{end}`.

        `allow_missing` False: a key that is not there is an error when rendering (`--allow-missing-template-keys`).
        Raises JsonPathError in kubectl's words: `error: error parsing jsonpath {.foo[}, unterminated array`.
        """
        try:
            return cls(template, parse(template), allow_missing=allow_missing)
        except BadTemplate as error:
            raise JsonPathError(f"error: error parsing jsonpath {template}, {error}", str(error)) from None

    def render(self, obj: Any) -> str:
        """The text `-o jsonpath=` prints for a decoded object; kubectl adds no newline. Raises JsonPathError."""
        return self._bounded(
            f"{' ' * bool(place)}{_text(value)}"
            for found in self._found(obj, is_listed=_is_list(obj))
            for place, value in enumerate(found)
        )

    def render_json(self, obj: Any) -> str:
        """The text `-o jsonpath-as-json=` prints: per action an indented JSON array and a newline. Raises
        JsonPathError.
        """
        return self._bounded(
            piece for found in self._found(obj, is_listed=_is_list(obj)) for piece in _json_pieces(found)
        )

    def find(self, obj: Any, *, is_listed: bool = False, allowance: "Allowance | None" = None) -> list[list[Any]]:
        """What is found: a list of values for each action and each text between actions, those in a range once per
        turn; `is_listed` says that kubectl has had the object in a `List`, see `relisted`. Raises JsonPathError, also
        when the `allowance` is used up.
        """
        found = self._found(obj, is_listed=is_listed, allowance=allowance)
        return [list(map(relisted, values)) for values in found] if is_listed else found

    def _found(self, obj: Any, *, is_listed: bool, allowance: "Allowance | None" = None) -> list[list[Any]]:
        try:
            run = _Run(self._actions, obj, allow_missing=self._allow_missing, is_listed=is_listed, allowance=allowance)
            return run.found(obj)
        except _Mismatch as error:
            raise self._error(str(error)) from None
        except RecursionError:
            raise self._error(_TOO_DEEP) from None

    def _bounded(self, pieces: Iterator[str]) -> str:
        """The pieces as one text. Raises JsonPathError when it is too long."""
        texts: list[str] = []
        length = 0
        try:
            for piece in pieces:
                length += len(piece)
                if length > MAX_TEXT:
                    raise self._error(f"its output is larger than {MAX_TEXT} characters")
                texts.append(piece)
        except RecursionError:
            raise self._error(_TOO_DEEP) from None
        return "".join(texts)

    def _error(self, reason: str) -> JsonPathError:
        """The first line of what kubectl says. Behind it kubectl prints the template and all of the object: we do not,
        for it is long, and what is in an object is for stdout.
        """
        return JsonPathError(
            f"error: error executing jsonpath {_quoted(self._template)}: Error executing template: {reason}."
            " Printing more information for debugging the template:",
            reason,
        )


def relaxed(expression: str) -> str:
    """The template a path of `--sort-by` or custom-columns stands for: `metadata.name`, `.metadata.name` and
    `{.metadata.name}` all become `{.metadata.name}`; "" stays "".

    Raises JsonPathError for what is none of these.
    """
    if not expression:
        return ""
    match = _RELAXED.fullmatch(expression)
    if match is None:
        reason = (
            "unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}' or '{.name1.name2}'"
        )
        raise JsonPathError(f"error: {reason}", reason)
    return f"{{.{match[1] or match[2]}}}"


def _is_list(obj: Any) -> bool:
    """Whether the object is the List that kubectl makes of several."""
    return isinstance(obj, dict) and obj.get("kind") == "List"


def relisted(value: Any) -> Any:
    """A value as it is once kubectl has put its object into a `List`: that is written as JSON and read again, and what
    was 1000000.0 is 1000000 then. So prints kubectl `1e+06` for one object, `1000000` for several.
    """
    match value:
        case float():
            digits = json_float(value)
            is_whole = digits.removeprefix("-").isdigit() and int(digits) in _INT64
            return int(digits) if is_whole else value
        case list():
            return list(map(relisted, value))
        case dict():
            return {key: relisted(item) for key, item in value.items()}
        case _:
            return value


class _Mismatch(Exception):
    """A template that does not fit the object; the message is kubectl's reason."""

    before: list[Any]  # what had been found when the step of the path failed


class _Missing(_Mismatch):
    """A key that is not there."""


class _TooMuch(_Mismatch):
    """A bound of ours."""


class Allowance:
    """The steps that templates may take over many objects; without it each object is looked at by itself."""

    def __init__(self) -> None:
        self._left = _MAX_STEPS

    def grow(self, objects: int = 1) -> None:
        """Allow for some more objects."""
        self._left += objects * _STEPS_PER_OBJECT

    def spend(self, steps: int) -> None:
        """Use up some steps. Raises _TooMuch."""
        self._left -= steps
        if self._left < 0:
            raise _TooMuch(_TOO_MANY_STEPS)


class _Absent:
    """In a range: the element that is null, or stands for those there are none of. Nothing is found in it."""

    def __str__(self) -> str:
        return "<no value>"


_ABSENT: Final = _Absent()


class _Run:
    """One use of a template on one object."""

    def __init__(
        self,
        actions: Sequence[Path],
        obj: Any,
        *,
        allow_missing: bool,
        is_listed: bool,
        allowance: Allowance | None,
    ) -> None:
        self._actions = actions
        self._allowance = allowance
        self._obj = obj
        self._allow_missing = allow_missing
        self._is_listed = is_listed
        self._steps_left = FREE_STEPS
        self._is_large = False  # the object has been found to deserve more
        self._depth = 0  # ranges we are in
        self._begun = 0  # `range` words met that have not yet become a range
        self._ended = 0  # `end` words met that have not yet ended one
        self._last_end = -1  # the action at which a range ended last

    def found(self, value: Any, start: int = 0) -> list[list[Any]]:
        """What the actions find from `start` on: to the end of the range we are in, or all."""
        found: list[list[Any]] = []
        place = start
        while place < len(self._actions):
            values = self._results(value, self._actions[place])
            if 0 < self._ended <= self._depth:
                self._ended -= 1
                self._last_end = place
                break
            if self._begun:
                self._begun -= 1
                found += self._range(values, place + 1)
                # A range that was not ended has gone through all that follows, which is now done once more.
                place = max(place, self._last_end)
            else:
                found.append(values)
            place += 1
        return found

    def _range(self, values: list[Any], start: int) -> list[list[Any]]:
        """What the actions from `start` on find in each of the values."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _TooMuch(f"more than {MAX_DEPTH} ranges inside of each other")
        found: list[list[Any]] = []
        for value in values:
            found += self.found(_ABSENT if value is None else value, start)
        if not values:
            self.found(_ABSENT, start)  # finds nothing, but finds the end
        self._depth -= 1
        return found

    def _results(self, value: Any, path: Path) -> list[Any]:
        """What a path finds in a value, numbers as they are in a List; those of the template stay as they are."""
        values = self._walk([value], path)
        if not self._is_listed or (path and isinstance(path[-1], Literal)):
            return values
        return [relisted(found) if isinstance(found, float) else found for found in values]

    def _walk(self, values: list[Any], path: Path) -> list[Any]:
        """What a path finds, beginning at these values."""
        self._spend(_STEPS_PER_PATH_STEP)
        for step in path:
            self._spend(len(values) + _STEPS_PER_PATH_STEP)
            try:
                values = self._take(step, values)
            except _Mismatch as error:
                error.before = values
                raise
        return values

    def _take(self, step: Step, values: list[Any]) -> list[Any]:
        match step:
            case Field(name):
                found = [value[name] for value in values if isinstance(value, dict) and name in value]
                if values and not found and not self._allow_missing:
                    raise _Missing(f"{name} is not found")
                return found
            case Slice():
                return self._slice(step, values)
            case Wildcard():
                return self._children(values)
            case Descent():
                return self._descend(values)
            case Filter():
                return self._filter(step, values)
            case Union(paths):
                return [found for path in paths for found in self._walk(values, path)]
            case Literal(value):
                return [value]
            case Word("range"):
                self._begun += 1
                return values
            case Word("end") if self._depth:
                self._ended += 1
                return []
            case Word("end"):
                raise _Mismatch("not in range, nothing to end")
            case Word(name):
                raise _Mismatch(f"unrecognized identifier {name}")

    def _slice(self, step: Slice, values: list[Any]) -> list[Any]:
        found: list[Any] = []
        for value in values:
            if value is None or value is _ABSENT:
                continue
            if not isinstance(value, list):
                raise _Mismatch(f"{_type(value)} is not array or slice")
            length = len(value)
            start = step.start + length if step.start < 0 else step.start
            stop = length if step.stop is None else step.stop
            if stop < 0 or (stop == 0 and step.is_index):
                stop += length
            if start == stop:
                return found  # kubectl does not look at the values behind an empty one
            for index, is_inside in ((start, 0 <= start < length), (stop - 1, 0 <= stop <= length)):
                if not is_inside:
                    raise _Mismatch(f"array index out of bounds: index {index}, length {length}")
            if start > stop:
                raise _Mismatch(f"starting index {start} is greater than ending index {stop}")
            if step.step <= 0:
                raise _Mismatch("step must be > 0")
            self._spend(stop - start)
            found += value[start : stop : step.step]
        return found

    def _children(self, values: list[Any]) -> list[Any]:
        found: list[Any] = []
        for value in values:
            children = _children(value)
            self._spend(len(children))
            found += children
        return found

    def _descend(self, values: list[Any]) -> list[Any]:
        found: list[Any] = []
        waiting = values[::-1]
        while waiting:
            value = waiting.pop()
            if not value or not isinstance(value, (dict, list, str)):
                continue
            found.append(value)
            if not isinstance(value, str):
                children = _children(value)
                self._spend(len(children))
                children.reverse()
                waiting += children
        return found

    def _filter(self, step: Filter, values: list[Any]) -> list[Any]:
        found: list[Any] = []
        for value in values:
            if not isinstance(value, list):
                shown = "<invalid reflect.Value>" if value is _ABSENT else go_text(value)
                shown = shown if len(shown) <= _MAX_QUOTED else f"{shown[:_MAX_QUOTED]}..."
                raise _Mismatch(f"{shown} is not array or slice and cannot be filtered")
            self._spend(len(value))
            found += [element for element in value if self._holds(step, element)]
        return found

    def _holds(self, step: Filter, element: Any) -> bool:
        """Whether an element passes a filter."""
        if step.operator is None:
            try:
                return bool(self._walk([element], step.left))
            except _TooMuch:
                raise
            except _Missing:
                return False
            except _Mismatch as error:
                return bool(error.before)  # as kubectl has it: `[?(@.list[9])]` holds for a shorter list as well
        sides: list[Any] = []
        for path in (step.left, step.right):
            match self._results(element, path):
                case []:
                    return False
                case [one]:
                    sides.append(one)
                case _:
                    raise _Mismatch("can only compare one element at a time")
        return _compare(step.operator, *sides)

    def _spend(self, steps: int) -> None:
        if self._allowance is not None:
            self._allowance.spend(steps)
        self._steps_left -= steps
        if self._steps_left < 0 and not self._is_large:
            self._is_large = True
            self._steps_left += min(_STEPS_PER_VALUE * _size(self._obj), _MAX_STEPS)
        if self._steps_left < 0:
            raise _TooMuch(_TOO_MANY_STEPS)


def _size(obj: Any) -> int:
    """How many values there are in an object."""
    waiting = [obj]
    size = 0
    while waiting:
        match waiting.pop():
            case dict() as value:
                size += len(value)
                waiting += value.values()
            case list() as value:
                size += len(value)
                waiting += value
            case _:
                continue
    return size


def _children(value: Any) -> list[Any]:
    """What is directly inside of a value; in a string its bytes, as kubectl has it."""
    match value:
        case dict():
            return [value[key] for key in sorted(value)]
        case list():
            return value.copy()
        case str():
            return list(value.encode())
        case _:
            return []


_OPERATORS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _compare(name: str, left: Any, right: Any) -> bool:
    """Whether a comparison holds. Go has no order between types, not even between whole numbers and others."""
    if name not in _OPERATORS:
        raise _Mismatch(f"unrecognized filter operator {name}")
    if not all(isinstance(side, (bool, int, float, str)) for side in (left, right)):
        raise _Mismatch("invalid type for comparison")
    if type(left) is not type(right):
        raise _Mismatch("incompatible types for comparison")
    if isinstance(left, bool) and name not in {"==", "!="}:
        raise _Mismatch("invalid type for comparison")
    return _OPERATORS[name](left, right)


def _type(value: Any) -> str:
    """The name of a value's type in Go."""
    names = {bool: "bool", int: "int64", float: "float64", str: "string", list: "[]interface {}"}
    return names.get(type(value), "map[string]interface {}")


def _text(value: Any) -> str:
    """A value as a template prints it: maps and lists as JSON, strings bare."""
    if value is None:
        return "null"
    return compact_json(value) if isinstance(value, (dict, list)) else go_text(value)


def _json_pieces(values: list[Any]) -> Iterator[str]:
    """An array of the values as `print_json` writes it, one value at a time."""
    before = "[\n"
    for value in values:
        # What is between the brackets of an array of one.
        yield before + print_json([None if value is _ABSENT else value])[len("[\n") : -len("\n]\n")]
        before = ",\n"
    yield "\n]\n" if values else "[]\n"


def _quoted(text: str) -> str:
    """The text as Go's `%q` writes it."""
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    code = ord(character)
    named = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r"}.get(code)
    if named:
        return f"\\{named}"
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
