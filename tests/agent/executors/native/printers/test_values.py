"""Go's ways to write JSON values."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.executors.native.printers.values import go_float, go_text, json_float

FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is\t", "as it is\t"),
        (None, "<nil>"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-(2**63), "-9223372036854775808"),
        (3.0, "3"),
        ([], "[]"),
        (["a", 1, None], "[a 1 <nil>]"),
        ({}, "map[]"),
        ({"b": [1.5], "a": {"é": "", "z": False}}, "map[a:map[z:false é:] b:[1.5]]"),
    ],
)
def test_a_value(value: Any, text: str) -> None:
    assert go_text(value) == text


@pytest.mark.parametrize(
    ("number", "in_text", "in_json"),
    [
        (0.0, "0", "0"),
        (-0.0, "-0", "-0"),
        (100000.0, "100000", "100000"),
        (123456.5, "123456.5", "123456.5"),
        (1000000.0, "1e+06", "1000000"),
        (-12345678.5, "-1.23456785e+07", "-12345678.5"),
        (0.0001, "0.0001", "0.0001"),
        (0.00001, "1e-05", "0.00001"),
        (0.000001, "1e-06", "0.000001"),
        (9.9e-7, "9.9e-07", "9.9e-7"),
        (1e20, "1e+20", "100000000000000000000"),
        (1e21, "1e+21", "1e+21"),
        (9.223372036854776e18, "9.223372036854776e+18", "9223372036854776000"),
        (5e-324, "5e-324", "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308", "1.7976931348623157e+308"),
    ],
)
def test_a_float(number: float, in_text: str, in_json: str) -> None:
    assert go_float(number) == in_text
    assert json_float(number) == in_json


@given(FLOATS)
def test_a_float_keeps_its_value(number: float) -> None:
    assert float(go_float(number)) == number
    assert float(json_float(number)) == number
