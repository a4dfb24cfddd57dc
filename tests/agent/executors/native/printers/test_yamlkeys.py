"""agent/executors/native/printers/yamlkeys.py: order and text of keys; what stands here kubectl 1.33 printed."""

import json
import random

import pytest

from agent.executors.native.errors import CommandFailed
from agent.executors.native.printers.yamlkeys import layout

ORDERED = (
    ("",),
    ("apiVersion", "items", "kind", "metadata"),
    ("Z", "a"),
    ("a", "ab", "b"),
    ("a-b", "a.b", "a/b", "ab"),
    ("a_b", "aB"),  # what is no letter comes before letters; by code points it would not
    ("a9", "a10", "a010", "a100"),
    ("a1", "a01", "a2"),
    ("1.2", "1.10"),
    ("100", "1000"),
    ("x10", "x1y"),
    ("9999999999999999999", "1"),  # int64 overflows
    ("_", "9"),
    ("b", "é", "你"),
)


@pytest.mark.parametrize("names", ORDERED)
def test_natural_order(names: tuple[str, ...]) -> None:
    shuffled = random.Random(1).sample(names, len(names))
    assert tuple(name for name, _ in layout(tuple(shuffled))) == names
    assert tuple(name for name, _ in layout(names[::-1])) == names


def test_order_of_many_keys() -> None:
    names = tuple(f"key-{index}" for index in range(200))
    assert layout(names[::-1]) == tuple((name, f"{name}:") for name in names)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a", "a:"),
        ("", '"":'),
        ("y", '"y":'),
        ("10", '"10":'),
        ("a: b", "'a: b':"),
        ("tab\t", r'"tab\t":'),
        ("<<", "<<:"),
        ("k" * 128, "k" * 128 + ":"),
        ("k" * 129, None),
        ("a\nb", None),
        ("a\rb", None),
        ("a\u2028b", None),
    ],
)
def test_text(name: str, text: str | None) -> None:
    assert layout((name,)) == ((name, text),)


@pytest.mark.parametrize("name", ["k" * 1022, "é" * 1022, "<" * 170 + "aa", "\x00" * 170 + "aa", '"' * 511])
def test_the_longest_key(name: str) -> None:
    assert layout((name,)) == ((name, None),)
    with pytest.raises(CommandFailed) as raised:
        layout(("short", name + "a"))
    assert raised.value.text == "error: yaml: did not find expected ',' or '}'"


def test_keys_that_cannot_be_read() -> None:
    with pytest.raises(CommandFailed, match="control characters"):
        layout(("a\x7f",))
    with pytest.raises(CommandFailed, match="line 1: did not find expected"):
        layout(("a\x85b",))


@pytest.mark.timeout(20)
def test_hostile_keys_take_no_time() -> None:
    names = tuple(f"{'1' * 1000}{index}" for index in range(1000))
    assert len(json.dumps(layout(names))) > 1_000_000
