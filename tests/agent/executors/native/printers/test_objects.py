"""Reading bodies, and lists of objects."""

from typing import Any

import pytest

from agent.executors.native.printers.objects import as_list, items_of, load, without_managed_fields


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": [1, -0, 1.0, 1E3, null, true]}', {"a": [1, 0, 1.0, 1000.0, None, True]}),
        (b"[9223372036854775807, -9223372036854775808]", [2**63 - 1, -(2**63)]),
        (b"[9223372036854775808, -9223372036854775809]", [float(2**63), -float(2**63)]),
        (b'{"1234567890123456789012": "1234567890123456789012"}', {"1234567890123456789012": "1234567890123456789012"}),
        (b"[true, 12345678901234567890]", [True, 12345678901234567890.0]),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'"\xff\xe2\x82x\xed\xa0\x80"', "\ufffd\ufffd\ufffdx\ufffd\ufffd\ufffd"),
        (rb'{"\ud800": "\udc00\ud83d\ude00\ud800"}', {"\ufffd": "\ufffd😀\ufffd"}),
    ],
)
def test_a_body(body: bytes, value: Any) -> None:
    loaded = load(body)
    assert loaded == value
    assert repr(loaded) == repr(value)  # 1 is not 1.0, nor True


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nope",
        b"{",
        b"[1] x",
        b'"\x01"',
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b"9" * 400,
        b"NaN",
        b"1e400",
    ],
)
def test_what_cannot_be_read(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        load(body)


def test_items_get_the_kind_of_their_list() -> None:
    answer = {"kind": "PodList", "apiVersion": "v1", "items": [{"metadata": {"name": "a"}}, {"kind": "X"}]}
    assert items_of(answer) == [
        {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}},
        {"kind": "Pod", "apiVersion": "v1"},
    ]


def test_items_that_know_what_they_are_keep_it() -> None:
    item = {"kind": "Widget", "apiVersion": "example.com/v1"}
    assert items_of({"kind": "List", "apiVersion": "v1", "items": [dict(item)]}) == [item]


@pytest.mark.parametrize(
    ("obj", "items"),
    [({"kind": "Pod"}, [{"kind": "Pod"}]), ({"kind": "PodList", "items": None}, []), ({"items": []}, [])],
)
def test_lists_and_what_is_none(obj: dict[str, Any], items: list[Any]) -> None:
    assert items_of(obj) == items


@pytest.mark.parametrize("items", ["text", {"a": 1}, [None], ["text"]])
def test_items_that_are_no_objects(items: Any) -> None:
    with pytest.raises(ValueError, match="no objects"):
        items_of({"kind": "PodList", "items": items})


def test_a_list() -> None:
    assert as_list([1]) == {"apiVersion": "v1", "items": [1], "kind": "List", "metadata": {"resourceVersion": ""}}


@pytest.mark.parametrize(
    ("obj", "left"),
    [
        ({"metadata": {"name": "a", "managedFields": [{}]}}, {"metadata": {"name": "a"}}),
        ({"metadata": None}, {"metadata": None}),
        ({"managedFields": []}, {"managedFields": []}),
    ],
)
def test_managed_fields_are_taken_out(obj: dict[str, Any], left: dict[str, Any]) -> None:
    assert without_managed_fields(obj) == left
