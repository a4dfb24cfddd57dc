"""`-o json`."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.executors.native.printers.jsonprinter import ListPrinter, print_json, print_watch_event
from agent.executors.native.printers.objects import as_list, load

TEXT = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    [" 1.5", ": 1e5,\n", '"', "<&>\u2028\u2029\\", "e1\n"]
)
EXACT = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXT
SCALARS = EXACT | st.floats(allow_nan=False, allow_infinity=False)


def values(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=20
    )


@pytest.mark.parametrize(
    ("obj", "text"),
    [
        ({}, "{}\n"),
        ([], "[]\n"),
        (1.0, "1\n"),
        (-1e-7, "-1e-7\n"),
        ({"a": {}, "B": [], "é": None, "": 0}, '{\n    "": 0,\n    "B": [],\n    "a": {},\n    "é": null\n}\n'),
        ({"\U0001f600": 1, "\uffff": 2}, '{\n    "\uffff": 2,\n    "\U0001f600": 1\n}\n'),
        (
            '<>&\u2028\u2029"\\/\b\f\n\r\t\x00\x1f\x7fé',
            '"\\u003c\\u003e\\u0026\\u2028\\u2029\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\x7fé"\n',
        ),
        (
            {"< 1.5": [1.5e30, 1.0, 1.5e-9]},
            '{\n    "\\u003c 1.5": [\n        1.5e+30,\n        1,\n        1.5e-9\n    ]\n}\n',
        ),
    ],
)
def test_an_object(obj: Any, text: str) -> None:
    assert print_json(obj) == text


def test_a_watch_event() -> None:
    line = print_watch_event("ADDED", {"kind": "Pod", "f": [1.0], "a": "<: x>"})
    assert line == '{"type":"ADDED","object":{"a":"\\u003c: x\\u003e","f":[1],"kind":"Pod"}}\n'


def all_floats(value: Any) -> Any:
    """JSON does not tell 1.0 from 1 once it is printed."""
    return json.loads(json.dumps(value), parse_int=float)


@given(values(SCALARS))
def test_what_goes_in_comes_out(value: Any) -> None:
    assert json.loads(print_json(value), parse_int=float) == all_floats(value)


@given(values(EXACT))
def test_integers_come_out_exactly(value: Any) -> None:
    assert load(print_json(value).encode()) == value


@given(values(EXACT))
def test_but_for_floats_and_html_it_is_the_standard_librarys(value: Any) -> None:
    text = json.dumps(value, indent=4, sort_keys=True, ensure_ascii=False) + "\n"
    assert print_json(value) == text.translate({ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"})


@given(st.lists(st.dictionaries(TEXT, values(SCALARS), max_size=3), max_size=4))
def test_a_list_item_by_item(items: list[Any]) -> None:
    printer = ListPrinter()
    text = printer.header() + "".join([printer.item(item) for item in items]) + printer.footer()
    assert text == print_json(as_list(items))
