"""agent/executors/native/label_selectors.py."""

from typing import Any

import pytest

from agent.executors.native.label_selectors import as_query, labels_as_query

_EXPRESSIONS = [
    {"key": "tier", "operator": "In", "values": ["z", "a"]},
    {"key": "app", "operator": "NotIn", "values": ["b"]},
    {"key": "q", "operator": "Exists"},
    {"key": "p", "operator": "DoesNotExist", "values": None},
]


@pytest.mark.parametrize(
    ("selector", "query"),
    [
        ({}, ""),
        ({"matchLabels": None, "matchExpressions": None}, ""),
        ({"matchLabels": {"b": "2", "a": ""}}, "a=,b=2"),
        ({"matchExpressions": _EXPRESSIONS}, "tier in (a,z),app notin (b),q,!p"),
        ({"matchLabels": {"a": "1"}, "matchExpressions": _EXPRESSIONS[2:]}, "a=1,q,!p"),
    ],
)
def test_as_query(selector: dict[str, Any], query: str) -> None:
    assert as_query(selector) == query


def test_labels_as_query() -> None:
    assert labels_as_query({"b": "2", "a": "1"}) == "a=1,b=2"
    assert labels_as_query({}) == ""


def test_an_operator_there_is_not() -> None:
    with pytest.raises(ValueError, match=r'^"Near" is not a valid label selector operator$'):
        as_query({"matchExpressions": [{"key": "a", "operator": "Near"}]})
