"""The order of --sort-by. What kubectl makes of such values is in test_templates_integration.py."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.executors.native.errors import CommandFailed
from agent.executors.native.printers import jsonpath
from agent.executors.native.printers.sorting import Unsortable, sort_objects, sort_rows

ABSENT: Any = ...


def objects(values: list[Any]) -> list[dict[str, Any]]:
    return [{"n": place, **({} if value is ABSENT else {"v": value})} for place, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "order"),
    [
        ([3, 1, 2], [1, 2, 0]),
        ([1.5, 0.25], [1, 0]),
        (["a10", "a9", "a1", "a01", "a"], [4, 3, 2, 0, 1]),
        (["1Ki", "100", "1M", "500m"], [3, 1, 0, 2]),
        (["2024-01-02T00:00:00Z", "2023-12-31T00:00:00Z"], [1, 0]),
        ([None, 1, None], [0, 2, 1]),
        ([1, ABSENT, 0, ABSENT], [3, 1, 2, 0]),
        ([5] * 12, list(range(12))),
        ([ABSENT, 1, *[0] * 12, ABSENT], [0, 14, *range(2, 14), 1]),
    ],
)
def test_orders(values: list[Any], order: list[int]) -> None:
    assert [item["n"] for item in sort_objects(objects(values), ".v")] == order
    rows = [{"object": item} for item in objects(values)]
    assert [row["object"]["n"] for row in sort_rows(rows, "{.v}")] == order


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([True, False], "unsortable type: bool"),
        ([[1], [0]], "unsortable type: []interface {}"),
        ([{}, {}], "unsortable type: map[string]interface {}"),
        ([1, 0.5], "unsortable interface: interface"),
        ([1, "1"], "unsortable interface: interface"),
    ],
)
@pytest.mark.parametrize("count", [1, 20])
def test_values_without_an_order(values: list[Any], reason: str, count: int) -> None:
    with pytest.raises(Unsortable) as error:
        sort_objects(objects(values * count), ".v")

    assert error.value.text == (
        f"Field {{.v}} in *unstructured.Unstructured is an unsortable type: interface, err: {reason}"
    )


@pytest.mark.parametrize(
    ("expression", "text", "exit_code"),
    [
        (".v[", "error: unterminated array", 1),
        ('.x"', 'error: couldn\'t find any field with path "{.x\\"}" in the list of objects', 1),
        (".n[0]", "error: int64 is not array or slice", 1),
        (".v[0]", "error: array index out of bounds: index 0, length 0", 255),
    ],
)
def test_a_path_that_does_not_fit(expression: str, text: str, exit_code: int) -> None:
    with pytest.raises(CommandFailed) as error:
        sort_objects(objects([[1], []]), expression)

    assert (error.value.text, error.value.exit_code) == (text, exit_code)


def test_nothing_and_single_rows_are_not_looked_at() -> None:
    assert sort_objects([], ".v") == []
    assert sort_rows([{}], ".v[") == [{}]
    with pytest.raises(CommandFailed):
        sort_objects([{}], ".v")
    with pytest.raises(CommandFailed):
        sort_rows([{}, {}], ".v")


def test_rows_may_be_sorted_by_a_whole_template() -> None:
    rows = [{"object": {"v": 2}}, {"object": {"v": 1}}]

    assert sort_rows(rows, "{.v}{.x}") == rows[::-1]


SCALARS = st.integers(-5, 5) | st.none() | st.booleans() | st.sampled_from(["a", "10", "9", "1Ki", "x9", "x10", ""])


@given(st.lists(SCALARS | st.just(ABSENT), max_size=30))
def test_any_values_are_permuted_or_fail_as_a_command(values: list[Any]) -> None:
    items = objects(values)
    try:
        assert sorted(item["n"] for item in sort_objects(items, ".v")) == list(range(len(items)))
    except CommandFailed:
        return


def test_long_paths_over_many_objects_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each object takes little, all of them together would take a minute."""
    monkeypatch.setattr(jsonpath, "_MAX_STEPS", 10_000)
    items = objects(list(range(1000)))
    assert sort_objects(items, ".v") == items
    for sort, some in ((sort_objects, items), (sort_rows, [{"object": item} for item in items])):
        with pytest.raises(CommandFailed, match="it takes too many steps"):
            sort(some, ".v" + ".x" * 4000)
