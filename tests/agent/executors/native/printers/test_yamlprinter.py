"""agent/executors/native/printers/yamlprinter.py: how the parts of an object are put together."""

import re
from textwrap import dedent
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.executors.native.errors import CommandFailed
from agent.executors.native.printers.objects import as_list
from agent.executors.native.printers.yamlprinter import YamlList, print_yaml

LONG = "k" * 129

# Characters that kubectl can print and that come back: U+0085 is folded away by kubectl itself.
CHARACTERS = st.one_of(
    st.sampled_from("ab01 -:#'\"\\\n\t\r\u2028\u2029,[]{}&*!|>%@`?~=.\xa0é你😀\ufeff\0"),
    st.characters(exclude_categories=["Cs"], exclude_characters=[*map(chr, range(0x7F, 0xA0)), "\ufffe", "\uffff"]),
)
TEXTS = st.text(CHARACTERS, max_size=30)
WORDS = st.lists(st.sampled_from(["word", "longer-word", "x:", "'", '"', "é", "\t", ""]), max_size=60).map(" ".join)
KEYS = st.one_of(TEXTS, st.text("k ", min_size=120, max_size=140))
# In between, the shortest digits of a float are those of another integer.
FLOATS = st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not 2**53 < abs(number) < 2**64)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), FLOATS, TEXTS, WORDS)
VALUES = st.recursive(
    LEAVES, lambda parts: st.lists(parts, max_size=5) | st.dictionaries(KEYS, parts, max_size=5), max_leaves=30
)


class Reader(yaml.SafeLoader):
    """PyYAML without merge and value keys, which kubectl's library does not quote, and with floats without a point."""


Reader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":merge", ":value", ":float"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Reader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"-?[0-9]+(\.[0-9]+)?(e[-+][0-9]+)?\Z"), list("-0123456789")
)


def read(text: str) -> Any:
    """The value that YAML text is."""
    return yaml.load(text, Reader)


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_reading_gives_the_object_back(value: Any) -> None:
    assert read(print_yaml({"v": value})) == {"v": value}


@settings(max_examples=50, deadline=None)
@given(st.lists(VALUES, max_size=4))
def test_a_list_in_pieces_is_the_list(values: list[Any]) -> None:
    printer = YamlList()
    assert "".join([*map(printer.item, values), printer.end()]) == print_yaml(as_list(values))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({}, "{}\n"),
        ([], "[]\n"),
        ("a b", "a b\n"),
        ("a\nb", "|-\n  a\n  b\n"),
        (None, "null\n"),
        ([1, [2, [3]]], "- 1\n- - 2\n  - - 3\n"),
        ({"a": {}, "b": [], "c": [{}, []]}, "a: {}\nb: []\nc:\n- {}\n- []\n"),
        ({"t": True, "f": False, "n": None, "i": 1, "x": 0.5}, 'f: false\ni: 1\n"n": null\nt: true\nx: 0.5\n'),
        ({"a": "b\u2028c\n", "d": 1}, "a: |\n  b\u2028  c\nd: 1\n"),
        ({"a": "b\nc\u2028", "d": 1}, "a: |\n  b\n  c\u2028d: 1\n"),
        ({LONG: 1}, f"? {LONG}\n: 1\n"),
        ({LONG: {"a": 1, "b": 2}}, f"? {LONG}\n: a: 1\n  b: 2\n"),
        ({"x": {LONG: [1, {"a": 2, "b": 3}]}}, f"x:\n  ? {LONG}\n  : - 1\n    - a: 2\n      b: 3\n"),
        ([{LONG: {}, "z": 1}], f"- ? {LONG}\n  : {{}}\n  z: 1\n"),
        ({"x": {"a\nb": {"c": ["d"]}}}, "x:\n  ? |-\n    a\n    b\n  : c:\n    - d\n"),
        ({"x": {"k " * 65: ["d"]}}, f"x:\n  ? '{'k ' * 38}k\n    {'k ' * 26}'\n  : - d\n"),
    ],
)
def test_layout(value: Any, text: str) -> None:
    assert print_yaml(value) == text


def test_an_object() -> None:
    pod = {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": "web", "labels": {"app.kubernetes.io/name": "web", "on": "off"}, "uid": "1234"},
        "spec": {"containers": [{"name": "c", "args": ["-v", "--port=80"], "ports": [{"containerPort": 80}]}]},
        "status": {"startTime": "2024-01-02T03:04:05Z", "conditions": None},
    }
    assert print_yaml(pod) == dedent("""\
        apiVersion: v1
        kind: Pod
        metadata:
          labels:
            app.kubernetes.io/name: web
            "on": "off"
          name: web
          uid: "1234"
        spec:
          containers:
          - args:
            - -v
            - --port=80
            name: c
            ports:
            - containerPort: 80
        status:
          conditions: null
          startTime: "2024-01-02T03:04:05Z"
    """)


def test_texts_are_folded_where_they_stand() -> None:
    text = "word " * 15 + "word word word"
    assert print_yaml({"a": text}) == f"a: {'word ' * 15}word\n  word word\n"
    assert print_yaml({"a": {"b": [text]}}) == f"a:\n  b:\n  - {'word ' * 15}word\n    word word\n"
    # A text that is remembered from where it fits is folded where it does not.
    short = "word " * 10
    assert print_yaml([{"a": short.strip()}, {"k" * 40: short.strip()}]).endswith(f"{'word ' * 7}word\n    word word\n")


def test_nothing_is_printed_of_an_object_with_control_characters() -> None:
    printer = YamlList()
    printer.item({"a": 1})
    for write in (print_yaml, printer.item):
        with pytest.raises(CommandFailed, match="error: yaml: control characters are not allowed"):
            write({"a": [{"b": "\x7f"}]})


def test_depth_is_no_matter() -> None:
    value: Any = "x"
    for _ in range(3000):
        value = {"a": [value]}
    assert print_yaml(value).endswith("- a:\n" + "  " * 2999 + "- x\n")
