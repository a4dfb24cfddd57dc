"""Quantities."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.executors.native.printers.quantity import parse_quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("100m", Fraction(1, 10)),
        ("-1.5", Fraction(-3, 2)),
        ("+2", 2),
        ("1Ki", 1024),
        (".5Mi", 512 * 1024),
        ("5.", 5),
        ("1e3", 1000),
        ("1E-3", Fraction(1, 1000)),
        ("1E", 10**18),
        ("12345678901234567890123m", Fraction(12345678901234567890123, 1000)),
        ("0.1n", Fraction(1, 10**9)),
        ("-1e-20", Fraction(-1, 10**9)),
        ("99Ei", 2**63 - 1),
        ("99E", 99 * 10**18),
        *((text, 0) for text in ("+", "-", ".", "m", "Ki", "E")),
    ],
)
def test_is_exact(text: str, value: Fraction) -> None:
    assert parse_quantity(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "x",
        "e",
        "e1x",
        "1e",
        "1e+",
        "--1",
        "1..5",
        "1.5.",
        "1mi",
        "1K",
        "1ee5",
        "1e5m",
        "1_0",
        "٣",
        "0x10",
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="quantity"):
        parse_quantity(text)


@pytest.mark.parametrize("text", ["1e2147483648", "1e99999999999999999999", "9" * 100_000, "0." + "0" * 100_000])
def test_what_would_take_long_is_none(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- Python's own for the long ones
        parse_quantity(text)


@given(st.text("0123456789.+-eEinumkKMGTP") | st.text())
def test_any_text_is_a_quantity_or_a_value_error(text: str) -> None:
    try:
        assert isinstance(parse_quantity(text), Fraction)
    except ValueError:
        return
