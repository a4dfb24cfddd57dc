"""The grammar of kubectl's JSONPath: from a template's text to the steps that jsonpath.py takes. Pure.

It is a dialect of its own, and forgiving in odd places; each rule here was seen in kubectl 1.33. A template is text
with actions in braces. An action is a path: its steps are taken in turn, each from what the one before found.
Every part of a template is read a fixed number of times, so that the work is linear in its length.
"""

import math
import re
from dataclasses import dataclass
from typing import Final

_INT64: Final = range(-(2**63), 2**63)
_INT64_DIGITS: Final = 19


@dataclass(frozen=True, slots=True)
class Literal:
    """A value of the template itself: text, `"quoted"`, `5`, `1.5`, `true`. It takes the place of all found before."""

    value: str | int | float


@dataclass(frozen=True, slots=True)
class Word:
    """A bare word. `range` and `end` mean something, all others are errors once the template is used."""

    name: str


@dataclass(frozen=True, slots=True)
class Field:
    """`.name`, `['name']`: the value of a key."""

    name: str


@dataclass(frozen=True, slots=True)
class Wildcard:
    """`.*`: all values of a map, all elements of a list."""


@dataclass(frozen=True, slots=True)
class Descent:
    """`..`: the value and all in it, but for numbers, booleans, null and what is empty."""


@dataclass(frozen=True, slots=True)
class Slice:
    """`[start:stop:step]` of a list, negative numbers from its end; `stop` None is the end. `[i]` is `[i:i+1]` with
    `is_index` True, so that `[-1]` does not stop at 0.
    """

    start: int
    stop: int | None
    step: int
    is_index: bool


@dataclass(frozen=True, slots=True)
class Union:
    """`[0,2]`, `['a','b']`: what the first path finds, then what the next does."""

    paths: "tuple[Path, ...]"


@dataclass(frozen=True, slots=True)
class Filter:
    """`[?(left operator right)]`: the elements for which it holds. `operator` None: those where `left` finds something.
    It can be any run of `!<>=`: which of them are known is seen when the template is used.
    """

    left: "Path"
    operator: str | None = None
    right: "Path" = ()


Step = Literal | Word | Field | Wildcard | Descent | Slice | Union | Filter
Path = tuple[Step, ...]

# What ends a name, beside the end of the text.
_END: Final = r" \t\r\n.,\[\]$@{}"
_WORD: Final = re.compile(rf"[^{_END}]+")
_FIELD: Final = re.compile(rf"(?s:\\.?|[^\\{_END}])*")
_NUMBER: Final = re.compile(r"[+-]?[\d.]*")
# A quote ends at its like, unless that has a backslash before it, even where the backslash is itself escaped.
_QUOTED: Final = re.compile(r"""(["']).*?(?<!\\)\1""")
_BRACKETS: Final = re.compile(r"\[([^\]\n]*)\]")
# A filter ends at the first `)` that is not in its first pair of quotes.
_FILTER: Final = re.compile(r"""\[\?\(((?>[^"')\n]*)(?>(?:(["']).*?(?<!\\)\2[^)\n]*)?))\)""")
_COMPARISON: Final = re.compile(r"([^!<>=]+)([!<>=]+)(.+)")
_KEY: Final = re.compile(r"'([^']*)'")
_SLICE: Final = re.compile(r"(-?[0-9]*)(:-?[0-9]*)?(:-?[0-9]*)?")

# The escapes of Go's strings. \ooo and \xhh are bytes, the others characters.
_ESCAPE: Final = re.compile(
    r"""\\(?:([abfnrtv\\'"])|([0-3][0-7]{2})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))|([^\\]+)"""
)
_NAMED_ESCAPES: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}


class BadTemplate(Exception):
    """A template that cannot be read; the message is kubectl's reason: `unterminated array`."""


def parse(template: str) -> tuple[Path, ...]:
    """The actions of a template, in order; the text between them is an action of one Literal. Raises BadTemplate."""
    return _Reader(template).template()


def _path(action: str) -> Path:
    """The path of an action that stands inside of another. If it closes early, the rest is checked and ignored."""
    return parse(f"{{{action}}}")[0]


class _Reader:
    """A place in a template."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def template(self) -> tuple[Path, ...]:
        actions: list[Path] = []
        while (opening := self._text.find("{", self._at)) >= 0:
            if opening > self._at:
                actions.append((Literal(self._text[self._at : opening]),))
            self._at = opening + 1
            actions.append(self._action())
        if rest := self._text[self._at :]:
            actions.append((Literal(rest),))
        return tuple(actions)

    def _action(self) -> Path:
        """What is in the braces, and past them."""
        steps: list[Step] = []
        while not self._text.startswith("}", self._at):
            if self._text.startswith("..", self._at) and steps and isinstance(steps[-1], Descent):
                raise BadTemplate("invalid multiple recursive descent")
            steps += self._steps()
        self._at += 1
        return tuple(steps)

    def _steps(self) -> Path:
        """What stands next: one step, several (`['a.b']`), none (`@`)."""
        text, at = self._text, self._at
        if text.startswith("[?(", at):
            return (self._filter(),)
        if text.startswith("..", at):
            self._at += 2
            return (Descent(), self._field()) if _begins_word(text[self._at : self._at + 1]) else (Descent(),)
        match text[at : at + 1]:
            case "" | "\r" | "\n":
                raise BadTemplate("unclosed action")
            case " " | "@" | "$":
                self._at += 1
                return ()
            case ".":
                self._at += 1
                return (self._field(),)
            case "[":
                return self._brackets()
            case '"' | "'":
                return (Literal(_unquoted(self._taken(_QUOTED, "unterminated quoted string")[0])),)
            case sign if sign in "+-" or sign.isdecimal():
                return (Literal(_number(self._taken(_NUMBER)[0])),)
            case letter if _begins_word(letter):
                word = self._taken(_WORD)[0]
                return (Literal(word == "true") if word in {"true", "false"} else Word(word),)
            case other:
                shown = f" '{other}'" if other.isprintable() else ""
                raise BadTemplate(f"unrecognized character in action: U+{ord(other):04X}{shown}")

    def _field(self) -> Field | Wildcard:
        name = self._taken(_FIELD)[0]
        return Wildcard() if name == "*" else Field(name.replace("\\", ""))

    def _filter(self) -> Filter:
        condition = self._taken(_FILTER, "unterminated filter")[1]
        if not self._text.startswith("]", self._at):
            raise BadTemplate("unclosed array expect ]")
        self._at += 1
        match = _COMPARISON.fullmatch(condition)
        return Filter(_path(match[1]), match[2], _path(match[3])) if match else Filter(_path(condition))

    def _brackets(self) -> Path:
        inside = self._taken(_BRACKETS, "unterminated array")[1]
        if "," in inside:
            return (Union(tuple(_path(f"[{part.strip(' ')}]") for part in inside.split(","))),)
        if match := _KEY.fullmatch(inside):
            return _path(f".{match[1]}")
        return (_slice(":" if inside == "*" else inside),)

    def _taken(self, pattern: re.Pattern[str], otherwise: str = "") -> re.Match[str]:
        """What the pattern matches here, and past it. Raises BadTemplate with the text `otherwise`."""
        match = pattern.match(self._text, self._at)
        if match is None:
            raise BadTemplate(otherwise)
        self._at = match.end()
        return match


def _begins_word(letter: str) -> bool:
    return letter == "_" or letter.isalpha() or letter.isdecimal()


def _slice(text: str) -> Slice:
    match = _SLICE.fullmatch(text)
    if match is None:
        raise BadTemplate(f"invalid array index {text}")
    start, stop, step = (_index(part.removeprefix(":")) if part else None for part in match.groups())
    first = start or 0
    is_index = match[2] is None
    return Slice(first, first + 1 if is_index else stop, 1 if step is None else step, is_index)


def _index(digits: str) -> int | None:
    """The number, None for no digits."""
    if not digits:
        return None
    if digits == "-" or len(digits.lstrip("-0")) > _INT64_DIGITS or (index := int(digits)) not in _INT64:
        raise BadTemplate(f"array index {digits} is not a number")
    return index


def _number(text: str) -> int | float:
    """An integer within int64, else a float."""
    try:
        if not text.isascii():
            raise ValueError(text)
        number = float(text)
        if "." not in text and len(text.lstrip("+-0")) <= _INT64_DIGITS and int(text) in _INT64:
            return int(text)
        if math.isinf(number):
            raise ValueError(text)
    except ValueError:
        raise BadTemplate(f"cannot parse number {text}") from None
    return number


def _unquoted(quoted: str) -> str:
    """The text of a quoted string. Bytes that are no UTF-8 become U+FFFD, which kubectl would print as they are."""
    quote, text = quoted[0], quoted[1:-1]
    if "\\" not in text:
        return text
    pieces: list[bytes] = []
    at = 0
    while at < len(text):
        match = _ESCAPE.match(text, at)
        piece = _unescaped(match, quote) if match else None
        if match is None or piece is None:
            raise BadTemplate(f"unquote string {quoted} error invalid syntax")
        pieces.append(piece)
        at = match.end()
    return b"".join(pieces).decode(errors="replace")


def _unescaped(match: re.Match[str], quote: str) -> bytes | None:
    """What an escape, or text without any, stands for; None when it is wrong."""
    named, octal, byte, short, long, plain = match.groups()
    if plain is not None:
        return None if quote in plain else plain.encode()
    if named is not None:
        # Only the quote around the text may be escaped in it.
        character = named if named == quote else _NAMED_ESCAPES.get(named)
        return None if character is None else character.encode()
    if octal is not None or byte is not None:
        return bytes([int(octal, 8) if octal else int(byte, 16)])
    code = int(short or long, 16)
    return None if code > 0x10FFFF or 0xD800 <= code < 0xE000 else chr(code).encode()
