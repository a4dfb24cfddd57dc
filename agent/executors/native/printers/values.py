"""Numbers and other JSON values as Go writes them: `%v` in cells and templates, and the float forms of JSON."""

from decimal import Decimal
from typing import Any, Final

# Outside these decimal exponents a number is written with an `e`: strconv's 'g' with the shortest digits, which is %v,
# and encoding/json's own rule.
_TEXT_EXPONENTS: Final = range(-4, 6)
_JSON_EXPONENTS: Final = range(-6, 21)


def go_text(value: Any) -> str:
    """A decoded JSON value as Go's fmt.Sprint writes it: `true`, `3`, `1e+06`, `[a b]`, `map[k:v]`, `<nil>`.

    As deep as Python recurses; deeper values raise RecursionError.
    """
    match value:
        case str():
            return value
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case float():
            return go_float(value)
        case list():
            return f"[{' '.join(map(go_text, value))}]"
        case dict():
            return f"map[{' '.join([f'{key}:{go_text(value[key])}' for key in sorted(value)])}]"
        case _:
            return str(value)


def go_float(number: float) -> str:
    """A float as `%v` writes it: `0.5`, `3`, `1e+06`."""
    return _written(number, _TEXT_EXPONENTS, exponent_digits=2)


def json_float(number: float) -> str:
    """A float as Go's encoding/json writes it: `0.5`, `3`, `1000000`, `1e-7`, `1e+21`."""
    return _written(number, _JSON_EXPONENTS, exponent_digits=1)


def _written(number: float, positional: range, exponent_digits: int) -> str:
    """The shortest digits that give the number back; as such when the decimal exponent is in `positional`."""
    # Python's repr is shortest too; only its layout differs.
    shortest = Decimal(repr(number))
    exponent = shortest.adjusted()
    if exponent in positional or not number:
        return f"{shortest.normalize():f}"
    sign, digits, _ = shortest.normalize().as_tuple()
    fraction = "".join(map(str, digits[1:]))
    return f"{'-' * sign}{digits[0]}{'.' * bool(fraction)}{fraction}e{exponent:+0{exponent_digits + 1}d}"
