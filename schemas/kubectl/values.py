"""What a flag's value may be: one function per kind, from the text as given to its canonical text.

Each raises BadValue with a clause that goes on after the flag's name: "wants an integer from 1 to 20". Numbers,
booleans and durations are read as Go reads them (strconv and time packages), since that is what kubectl does.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from schemas.kubectl.refusal import Rule

Kind = Callable[[str], str]

MAX_TIMEOUT_SECONDS: Final = 300  # the longest a command may run, see schemas/api/commands.py

# https://pkg.go.dev/strconv#ParseBool
_BOOLEANS: Final = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), "true"),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), "false"),
}
# https://pkg.go.dev/strconv#ParseInt with base 0
_INTEGER: Final = re.compile(
    r"(?P<sign>[-+]?)(?:0x(?P<hex>(?:_?[0-9a-f])+)|0b(?P<bin>(?:_?[01])+)|0o?(?P<oct>(?:_?[0-7])+)"
    r"|(?P<dec>0|[1-9](?:_?[0-9])*))",
    re.IGNORECASE | re.ASCII,
)
_BASES: Final = {"hex": 16, "bin": 2, "oct": 8, "dec": 10}
# https://pkg.go.dev/time#ParseDuration; both the micro sign and the Greek letter are microseconds
_DURATION: Final = re.compile(r"[-+]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|\u00b5s|\u03bcs|ms|s|m|h))+)", re.ASCII)
_DURATION_PART: Final = re.compile(r"(\d+\.?\d*|\.\d+)([a-z\u00b5\u03bc]+)", re.ASCII)
_SECONDS: Final = {
    **dict.fromkeys(("us", "\u00b5s", "\u03bcs"), 1e-6),
    "ns": 1e-9,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_RFC3339: Final = re.compile(
    r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:[.,]\d+)?(Z|[-+]\d{2}:\d{2})", re.ASCII
)  # RFC 3339 §5.6, upper-case letters only, as Go reads it
_CASELESS: Final = frozenset({"json", "yaml", "name"})  # formats that cli-runtime's printers take in any case
_LONGEST_NUMBER: Final = 64  # characters; a value in range needs fewer
_MAX_INT64: Final = 2**63 - 1


class BadValue(Exception):
    """A value its flag does not take. `clause` goes on after the flag's name, `allowed` lists what it takes."""

    def __init__(self, clause: str, *, rule: Rule = "bad_value", allowed: Sequence[str] = ()) -> None:
        super().__init__(clause)
        self.clause = clause
        self.rule: Rule = rule
        self.allowed = tuple(allowed)


def unsafe_segment(text: str) -> str | None:
    """Why `text` cannot be one segment of an API path, as a clause ("may not be empty"); None when it can.

    The rule is the API machinery's own for names (https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
    "Path Segment Names"), and no leading dash: no object has one, and it is how a flag would pass for a name.
    """
    if not text:
        return "may not be empty"
    if text in {".", ".."}:
        return "may not be `.` or `..`"
    if "/" in text or "%" in text:
        return "may not contain `/` or `%`"
    if text.startswith("-"):
        return "may not start with `-`"
    return None


def boolean(text: str) -> str:
    """`true` or `false`, from any of Go's spellings."""
    if text not in _BOOLEANS:
        raise BadValue("wants true or false", allowed=("true", "false"))
    return _BOOLEANS[text]


def free_text(text: str) -> str:
    """Any text: selectors, JSONPath, templates. What every argument is checked for holds for it too."""
    return text


def segment(text: str) -> str:
    """A name that may stand in an API path, or nothing."""
    problem = unsafe_segment(text) if text else None
    if problem is not None:
        raise BadValue(f"wants a plain name, which {problem}", rule="unsafe_name")
    return text


def timestamp(text: str) -> str:
    """A time as RFC 3339 writes it: `2024-01-20T10:30:45Z`."""
    match = _RFC3339.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        datetime.fromisoformat("".join(match.groups()))
    except ValueError:
        raise BadValue("wants an RFC 3339 time such as 2024-01-20T10:30:45Z") from None
    return text


def seconds(text: str) -> float:
    """A length of time as Go writes it, in seconds: `seconds("1m30s")` is 90.0. Raises BadValue."""
    if len(text) > _LONGEST_NUMBER or _DURATION.fullmatch(text) is None:
        raise BadValue("wants a length of time such as 90s, 5m or 1h30m")
    total = sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(text))
    if total * 1e9 >= _MAX_INT64:
        raise BadValue("wants a length of time of less than 292 years")
    return -total if text.startswith("-") else total


def duration(text: str) -> str:
    """A length of time as Go writes it: `90s`, `1h30m`."""
    seconds(text)
    return text


def timeout(text: str) -> str:
    """A length of time within which something ends: above 0, which for kubectl means for ever, up to 300 s."""
    if not 0 < seconds(text) <= MAX_TIMEOUT_SECONDS:
        raise BadValue(f"wants more than 0s and at most {MAX_TIMEOUT_SECONDS}s (0 would mean no end)")
    return text


def request_timeout(text: str) -> str:
    """The same, where kubectl also takes a bare number of seconds."""
    if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER:
        timeout(f"{text}s")
        return f"{int(text)}s"
    return timeout(text)


def integer(low: int, high: int = _MAX_INT64) -> Kind:
    """A whole number from `low` to `high`, in any of Go's notations; canonical is decimal."""
    wanted = f"wants an integer of at least {low}" if high == _MAX_INT64 else f"wants an integer from {low} to {high}"

    def check(text: str) -> str:
        match = _INTEGER.fullmatch(text) if len(text) <= _LONGEST_NUMBER else None
        if match is None or match.lastgroup is None:
            raise BadValue(wanted)
        value = int(match[match.lastgroup].replace("_", ""), _BASES[match.lastgroup])
        value = -value if match["sign"] == "-" else value
        if not low <= value <= high:
            raise BadValue(wanted)
        return str(value)

    return check


def one_of(*choices: str, denied: Mapping[str, str] | None = None) -> Kind:
    """One of a few words, or nothing. `denied` has words that kubectl takes and we do not, with the reason."""

    def check(text: str) -> str:
        if text and text not in choices:
            _raise_denied(text, denied or {}, choices)
            raise BadValue(f"wants one of {', '.join(choices)}", allowed=choices)
        return text

    return check


def output(*plain: str, with_argument: Sequence[str] = (), denied: Mapping[str, str] | None = None) -> Kind:
    """An output format: a plain one (`json`), or one with its argument behind `=` (`jsonpath={.kind}`), or nothing."""
    choices = (*plain, *(f"{name}=" for name in with_argument))

    def check(text: str) -> str:
        name, equals, _ = text.partition("=")
        if not equals and text.lower() in _CASELESS.intersection(plain):
            return text.lower()
        if text and not (name in with_argument or (name in plain and not equals)):
            _raise_denied(name, denied or {}, choices)
            raise BadValue(f"wants one of {', '.join(choices)}", allowed=choices)
        return text

    return check


def pattern(regex: str, wanted: str) -> Kind:
    """Text of one shape; `wanted` says which, as in "wants a resource group"."""
    compiled = re.compile(regex, re.ASCII)

    def check(text: str) -> str:
        if compiled.fullmatch(text) is None:
            raise BadValue(f"wants {wanted}")
        return text

    return check


def _raise_denied(name: str, denied: Mapping[str, str], allowed: Sequence[str]) -> None:
    if name in denied:
        raise BadValue(f"may not be {name}, which {denied[name]}", rule="denied_value", allowed=allowed)
