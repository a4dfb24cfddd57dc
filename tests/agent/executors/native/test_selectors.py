"""Selectors as kubectl reads them. What is expected was measured: `kubectl.1.33 top pod -l …` against a fake server."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.executors.native.errors import CommandFailed
from agent.executors.native.selectors import field_selector, label_selector

REQUIREMENT: Final = "error: unable to parse requirement: "
NAME: Final = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
VALUE: Final = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
NUMBER: Final = "for 'Gt', 'Lt' operators, the value must be an integer"


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        ("", ""),
        ("a", "a"),
        ("a=b", "a=b"),
        (" a == b , c ", "a==b,c"),
        ("b=1,a=2,b!=3", "a=2,b=1,b!=3"),
        ("a in (z,y,z),b notin (q)", "a in (y,z),b notin (q)"),
        ("a in ()", "a in ()"),
        ("a in (,)", "a in ()"),
        ("a in (b,,c)", "a in (,b,c)"),
        ("in in (in)", "in in (in)"),
        ("notin", "notin"),
        ("!a,x.y/z", "!a,x.y/z"),
        ("a=,b=", "a=,b="),
        ("a>1,b<2", "a>1,b<2"),
        (f"a>{'0' * 62}1", f"a>{'0' * 62}1"),
    ],
)
def test_label_selector(text: str, selector: str) -> None:
    assert label_selector(text) == selector
    assert label_selector(selector) == selector


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (",", "error: found ',', expected: !, identifier, or 'end of string'"),
        ("(a)", "error: found '(', expected: !, identifier, or 'end of string'"),
        ("a,", "error: found '', expected: identifier after ','"),
        ("a,,b", "error: found ',', expected: identifier after ','"),
        ("a=b=c", "error: found '=', expected: ',' or 'end of string'"),
        ("!a=b", "error: found '=', expected: ',' or 'end of string'"),
        ("a in (b)c", "error: found 'c', expected: ',' or 'end of string'"),
        ("!", f"{REQUIREMENT}found '', expected: identifier"),
        ("a b", f"{REQUIREMENT}found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a!", f"{REQUIREMENT}found '!', expected: in, notin, =, ==, !=, gt, lt"),
        ("a=(b)", f"{REQUIREMENT}found '(', expected: identifier"),
        ("a in", f"{REQUIREMENT}found '' expected: '('"),
        ("a in x", f"{REQUIREMENT}found 'x' expected: '('"),
        ("a in (", f"{REQUIREMENT}found '', expected: ',', ')' or identifier"),
        ("a in (x", f"{REQUIREMENT}found '', expected: ',' or ')'"),
        ("a in (b c)", f"{REQUIREMENT}found 'c', expected: ',' or ')'"),
        ("-a", f'{REQUIREMENT}<nil>: Invalid value: "-a": name part {NAME}'),
        (
            "a/b/c=d",
            f'{REQUIREMENT}<nil>: Invalid value: "a/b/c": a qualified name {NAME} with an optional DNS subdomain '
            "prefix and '/' (e.g. 'example.com/MyName')",
        ),
        ("/a", f'{REQUIREMENT}<nil>: Invalid value: "/a": prefix part must be non-empty'),
        ("a/", f'{REQUIREMENT}<nil>: Invalid value: "a/": name part must be non-empty; name part {NAME}'),
        (
            "A.b/c",
            f'{REQUIREMENT}<nil>: Invalid value: "A.b/c": prefix part a lowercase RFC 1123 subdomain must consist of '
            "lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character "
            "(e.g. 'example.com', regex used for validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        ),
        (
            f"{'a' * 64}=b",
            f'{REQUIREMENT}<nil>: Invalid value: "{"a" * 64}": name part must be no more than 63 characters',
        ),
        (
            f"a={'b' * 64}",
            f'{REQUIREMENT}values[0][a]: Invalid value: "{"b" * 64}": must be no more than 63 characters',
        ),
        ("a=$", f'{REQUIREMENT}values[0][a]: Invalid value: "$": {VALUE}'),
        ("a>x", f'{REQUIREMENT}values[0]: Invalid value: "x": {NUMBER}'),
        ("a<9223372036854775808", f'{REQUIREMENT}values[0]: Invalid value: "9223372036854775808": {NUMBER}'),
        (
            "a>-x",
            f'{REQUIREMENT}[values[0]: Invalid value: "-x": {NUMBER}, values[0][a]: Invalid value: "-x": {VALUE}]',
        ),
    ],
)
def test_label_selectors_that_are_none(text: str, error: str) -> None:
    with pytest.raises(CommandFailed) as failed:
        label_selector(text)
    assert failed.value.text == error


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        ("", ""),
        (",,", ""),
        ("=", ""),
        ("b!=1,a==2", "a=2,b!=1"),
        (r"a=b\,c", r"a=b\,c"),
        (r"a\x=b", r"a\x=b"),
        ("=b", "=b"),
        (" a = b ", " a = b "),
        (r"a==b,a!=\=c", r"a!=\=c,a=b"),
        ("\\\\\\= ", "\\\\\\= "),
    ],
)
def test_field_selector(text: str, selector: str) -> None:
    assert field_selector(text) == selector


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a", "error: invalid selector: 'a'; can't understand 'a'"),
        ("a=b,c", "error: invalid selector: 'a=b,c'; can't understand 'c'"),
        ("a=b=c", "error: invalid field selector: unescaped character in value: 61"),
        (r"a=b\x", r"error: invalid field selector: invalid escape sequence: \x"),
        ("a=b\\", "error: invalid field selector: invalid escape sequence: \\"),
    ],
)
def test_field_selectors_that_are_none(text: str, error: str) -> None:
    with pytest.raises(CommandFailed) as failed:
        field_selector(text)
    assert failed.value.text == error


@given(st.text(alphabet="ab=!<>(),\\/.-_ \tin1é", max_size=40))
def test_whatever_is_given(text: str) -> None:
    """There is an answer, and what comes out is understood again."""
    for read in (label_selector, field_selector):
        try:
            selector = read(text)
        except CommandFailed:
            continue
        assert read(selector) == selector


@pytest.mark.parametrize(
    "piece", ["a>0", "a>0,", "a,", "!", "a in (", "(", "=", "a=", ",", "\\", "a/", "a.", "-", "a=b,", "(,"]
)
def test_long_texts_take_no_time(piece: str) -> None:
    for read in (label_selector, field_selector):
        for text in (piece * 20_000, piece * 20_000 + "~", piece + piece[-1] * 20_000):
            try:
                read(text)
            except CommandFailed as error:
                assert error.text.startswith("error: ")
