"""The parts of `explain` that kubectl cannot be asked about; verbs/test_explain_integration.py has the rest."""

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.executors.native.errors import CommandFailed, NotNative
from agent.executors.native.printers.explain import Explainer

SCHEMAS: Final[dict[str, Any]] = {
    "#/list-of-itself": {"type": "array", "items": {"$ref": "#/list-of-itself"}, "description": "Again."},
    "#/one-of-itself": {"allOf": [{"$ref": "#/one-of-itself"}]},
    **{
        f"#/doubled-{depth}": {"properties": {side: {"$ref": f"#/doubled-{depth + 1}"} for side in ("left", "right")}}
        for depth in range(40)
    },
    **{f"#/chain-{depth}": {"properties": {"next": {"$ref": f"#/chain-{depth + 1}"}}} for depth in range(2000)},
}


def explain(schema: Any, *path: str, is_recursive: bool = False) -> str | None:
    return Explainer(SCHEMAS.get, is_recursive=is_recursive).explain(schema, path)


@pytest.mark.parametrize("name", ["list-of-itself", "one-of-itself", "doubled-0", "chain-0"])
def test_a_schema_without_an_end_has_one_here(name: str) -> None:
    with pytest.raises(CommandFailed, match="the schema"):
        explain({"$ref": f"#/{name}"}, is_recursive=True)


@pytest.mark.parametrize("name", ["list-of-itself", "one-of-itself"])
def test_a_field_below_itself_is_not_there(name: str) -> None:
    assert explain({"$ref": f"#/{name}"}, "x") is None


def test_what_refers_to_itself_through_fields_can_be_followed() -> None:
    person = {"properties": {"parent": {"$ref": "#/person"}, "name": {"type": "string"}}}
    explainer = Explainer({"#/person": person}.get, is_recursive=False)
    text = explainer.explain(person, (*("parent",) * 100, "name"))
    assert text is not None
    assert text.startswith("FIELD: name <string>\n")
    with pytest.raises(NotNative):
        explainer.explain(person, ("parent",) * 5000)


@pytest.mark.parametrize("schema", [{}, {"allOf": [{}]}, {"type": ["string", "null"]}, {"type": "array", "items": 7}])
def test_a_field_that_kubectl_fails_on_is_left_to_kubectl(schema: Any) -> None:
    with pytest.raises(NotNative):
        explain({"properties": {"odd": schema}})


@pytest.mark.parametrize("schema", [{"properties": {"a": None}}, {"required": 7, "allOf": 7}, "x"])
def test_a_schema_that_is_none_is_left_to_kubectl(schema: Any) -> None:
    with pytest.raises(NotNative):
        explain(schema)


@given(st.text(alphabet=st.sampled_from("ab \n\t\u00a0\u2003é漢\x1c\r"), max_size=400))
def test_wrapping_loses_no_word_and_joins_none(description: str) -> None:
    text = explain({"description": description, "type": "object"})
    assert text is not None
    body = text.removeprefix("DESCRIPTION:\n")
    expected = description.split() or (["<empty>"] if not description else [])
    assert body.split() == expected
    assert all(len(line) <= 4 + 76 or len(max(line.split(), key=len)) > 70 for line in body.split("\n") if line.strip())
