"""Kubernetes quantities as exact numbers: `100m`, `1Ki`, `1e3`, `0.5`. Pure."""

import math
import re
from fractions import Fraction
from typing import Final

_QUANTITY: Final = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[+-]?[0-9]*)")
_EXPONENT: Final = re.compile(r"[eE]([+-]?[0-9]+)")

_DECIMAL_SUFFIXES: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY_SUFFIXES: Final = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}

# A quantity is no finer than this, and a binary one no larger than an int64.
_UNITS: Final = 10**9
_BINARY_MAX: Final = Fraction(2**63 - 1)

# 10**exponent is computed. Nothing real is near this, and kubectl itself hangs on 1e2147483648.
_MAX_EXPONENT: Final = 400


def parse_quantity(text: str) -> Fraction:
    """The exact value as Kubernetes has it: `100m` is Fraction(1, 10), `1Ki` is Fraction(1024).

    Like there, what is finer than a billionth is rounded away from zero to one, a binary suffix gives 2**63 - 1 at
    most, and digits may be missing (`Ki` is 0). Raises ValueError for what is no quantity, among which are exponents
    beyond 400 and numbers of thousands of digits.
    """
    match = _QUANTITY.fullmatch(text) if text else None
    if match is None:
        raise ValueError(f"no quantity: {text[:64]!r}")
    sign, whole, part, suffix = match[1], match[2].lstrip("0"), match[3] or "", match[4]
    number = Fraction(int(whole + part or "0"), 10 ** len(part))
    if suffix in _BINARY_SUFFIXES:
        value = min(number * _BINARY_SUFFIXES[suffix], _BINARY_MAX)
    else:
        value = number * Fraction(10) ** _decimal_exponent(suffix)
    value = Fraction(math.ceil(value * _UNITS), _UNITS)
    return -value if sign == "-" else value


def _decimal_exponent(suffix: str) -> int:
    if suffix in _DECIMAL_SUFFIXES:
        return _DECIMAL_SUFFIXES[suffix]
    match = _EXPONENT.fullmatch(suffix)
    if match is None or abs(exponent := int(match[1])) > _MAX_EXPONENT:
        raise ValueError(f"no suffix of a quantity: {suffix[:64]!r}")
    return exponent
