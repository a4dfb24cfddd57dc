"""The keys of a mapping as kubectl prints them in YAML: their order and their text. Pure."""

import json
import re
from functools import cmp_to_key, lru_cache
from itertools import takewhile
from typing import Final

from agent.executors.native.errors import CommandFailed
from agent.executors.native.printers.yamlscalars import reread, simple_key

# Objects of a kind have the same keys, so most mappings were seen before. All that is kept is some MB at most.
_REMEMBERED: Final = 1024
_SMALL: Final = 16  # keys
_SHORT: Final = 64  # characters of each

_LONGEST: Final = 1024  # characters of JSON within which the YAML library must find the colon behind a key
_SIX_LONG: Final = re.compile("[<>&\u2028\u2029]")  # Go's JSON has these as \u003c, Python's does not

# Keys of only these are in natural order when sorted by code points: no digits, and other characters before letters.
_ORDINARY: Final = re.compile("[ -/:-@A-Za-z]*")


def layout(names: tuple[str, ...]) -> tuple[tuple[str, str | None], ...]:
    """The keys in the order to print, each with its text and colon; None when it does not stand on one line: then it
    is to be written as a scalar, behind `? `.

    Raises CommandFailed when kubectl cannot print such a key: control characters, or about 1,000 characters and more.
    """
    is_small = len(names) <= _SMALL and max(map(len, names)) <= _SHORT
    return _remembered(names) if is_small else _layout(names)


def _layout(names: tuple[str, ...]) -> tuple[tuple[str, str | None], ...]:
    by_text = {_checked(name): name for name in names}
    is_ordinary = all(map(_ORDINARY.fullmatch, by_text))
    ordered = sorted(by_text) if is_ordinary else sorted(by_text, key=cmp_to_key(_natural_order))
    return tuple((by_text[text], _with_colon(simple_key(text))) for text in ordered)


_remembered = lru_cache(_REMEMBERED)(_layout)


def _with_colon(key: str | None) -> str | None:
    return None if key is None else key + ":"


def _checked(name: str) -> str:
    """The key as kubectl reads it."""
    if "\x85" in name:  # a line break to YAML, and such a key must be on one line
        raise CommandFailed("error: yaml: line 1: did not find expected ',' or '}'")
    text = reread(name)
    if 6 * len(text) > _LONGEST - 2:
        quoted = json.dumps(text, ensure_ascii=False)
        if len(quoted) + 5 * len(_SIX_LONG.findall(quoted)) > _LONGEST:
            raise CommandFailed("error: yaml: did not find expected ',' or '}'")
    return text


def _natural_order(one: str, other: str) -> int:
    """Below, at or above zero as `one` is before, the same as, or behind `other`: a9 before a10, a-b before ab."""
    at = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    if at is None:
        return len(one) - len(other)
    a, b = one[at], other[at]
    if a.isalpha() != b.isalpha():
        return 1 if a.isalpha() else -1
    if a.isalpha():
        return ord(a) - ord(b)
    # Behind other digits a zero counts: 10 and 1 differ by more than nothing.
    lead = int("0" in (a, b) and _ends_in_number(one[:at]))
    ours, theirs = _digits(one[at:]), _digits(other[at:])
    return _int64(lead, ours) - _int64(lead, theirs) or len(ours) - len(theirs) or ord(a) - ord(b)


def _ends_in_number(text: str) -> bool:
    """Whether the digits at its end are not all zero."""
    return any(digit != "0" for digit in takewhile(str.isdecimal, reversed(text)))


def _digits(text: str) -> str:
    return "".join(takewhile(str.isdecimal, text))


def _int64(lead: int, digits: str) -> int:
    """The number with these digits behind the leading one, overflowing as Go's does."""
    for digit in digits:
        lead = lead * 10 + ord(digit) - ord("0")
    return (lead + 2**63) % 2**64 - 2**63
