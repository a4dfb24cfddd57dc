"""Tables to text: the odd cases one by one, and what holds for every table."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.executors.native.printers.table import Column, Row, RowMetadata, RowObject, Table, TablePrinter, decode
from agent.executors.native.resources import Resource

PODS = Resource("", "v1", "Pod", "pods", "pod", is_namespaced=True)
NODES = Resource("", "v1", "Node", "nodes", "node", is_namespaced=False)
DEPLOYMENTS = Resource("apps", "v1", "Deployment", "deployments", "deployment", is_namespaced=True)

NAME = Column("Name", "string", "name")
WIDE = Column("Node", "string", priority=1)


def row(*cells: Any, namespace: str = "", **labels: str) -> Row:
    return Row(list(cells), RowObject("Pod", "v1", RowMetadata(str(cells[0]), namespace, labels)))


def table(columns: Sequence[Column | str], *rows: Row | str) -> Table:
    return Table(
        "Table",
        columns=[column if isinstance(column, Column) else Column(column) for column in columns],
        rows=[line if isinstance(line, Row) else row(*line.split("|")) for line in rows],
    )


def printed(*groups: tuple[Resource, Table], **options: Any) -> str:
    printer = TablePrinter(**options)
    pieces: list[str] = []
    for resource, piece in groups:
        pieces += printer.begin(resource)
        printer.feed(piece)
    pieces += printer.finish()
    return "".join(pieces)


def test_columns_of_lower_priority_are_for_wide() -> None:
    pods = table([NAME, WIDE, "Age"], "web|node-1|5d")
    assert printed((PODS, pods)) == "NAME   AGE\nweb    5d\n"
    assert printed((PODS, pods), wide=True) == "NAME   NODE     AGE\nweb    node-1   5d\n"


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, ""),
        ("two\nlines", "two..."),
        ("\x0c", "..."),
        ("a\r\nb", "a..."),
        ("\x1b[31mred", "^[[31mred"),
        (0, "0"),
        (True, "true"),
        (1e6, "1e+06"),
        (["a", {"b": "\x1b\r"}], "[a map[b:^[\\r]]"),
        ("", ""),
    ],
)
@pytest.mark.parametrize("neighbour", ["plain", 7, None])
def test_a_cell(cell: Any, text: str, neighbour: Any) -> None:
    lines = printed((PODS, table([NAME, "X"], row("a", cell), row("b", neighbour)))).splitlines()
    assert lines[1] == f"a      {text}"


def test_a_tab_in_a_cell_makes_two_of_it() -> None:
    assert printed((PODS, table([NAME, "B"], "a\tb|c", "d|e"))) == "NAME   B\na      b     c\nd      e\n"


def test_rows_that_do_not_fit_the_columns() -> None:
    uneven = table([NAME, "B"], row("a"), row("b", "1", "beyond"), Row())
    assert printed((PODS, uneven)) == "NAME   B\na\nb      1\n\n"


def test_letters_without_one_capital_stay() -> None:
    assert printed((PODS, table(["straße ᾳ ŉé"], "a"))).splitlines()[0] == "STRAßE ᾼ ŉÉ"


def test_namespaces_and_labels() -> None:
    pods = table([NAME], row("a", namespace="ns", b="2", a="1"), row("b"))
    options = {"with_namespace": True, "show_labels": True, "label_columns": ["b", "x.io/tier/z"]}
    assert printed((PODS, pods), **options) == (
        "NAMESPACE   NAME   B     Z     LABELS\n"
        "ns          a      2           a=1,b=2\n"
        "            b                  <none>\n"
    )


def test_a_row_without_object_has_fewer_cells() -> None:
    pods = table([NAME], Row(["c"]))
    assert printed((PODS, pods), label_columns=["b"]) == "NAME   B\nc      \n"
    assert (
        printed((PODS, pods), label_columns=["b", "c"], show_labels=True)
        == "NAME   B     C     LABELS\nc            \n"
    )


def test_the_column_of_namespaces_comes_with_the_first_type_that_has_them() -> None:
    nodes, pods = table([NAME], row("a")), table([NAME], row("b", namespace="ns"))
    assert printed((NODES, nodes), (PODS, pods), (NODES, nodes), with_namespace=True, no_headers=True) == (
        "a\nns    b\n      a\n"
    )


def test_types_have_heads_and_widths_of_their_own() -> None:
    groups = [
        (NODES, table([NAME, "Age"])),
        (PODS, table([NAME, "Age"], "a-long-name|1d")),
        (PODS, table([NAME, "Age"], "b|2d")),
        (NODES, table([NAME, "Age"])),
        (DEPLOYMENTS, table([NAME, "Age"], "web|3d")),
    ]
    assert printed(*groups, with_kind=True) == (
        "NAME              AGE\n"
        "pod/a-long-name   1d\n"
        "pod/b             2d\n"
        "\n"
        "NAME                  AGE\n"
        "deployment.apps/web   3d\n"
    )
    assert printed(*groups, no_headers=True) == "a-long-name   1d\nb             2d\nweb   3d\n"


def test_other_columns_get_another_head() -> None:
    assert printed((PODS, table([NAME], "a")), (PODS, table([NAME, "B"], "a|b"))) == "NAME\na\nNAME   B\na      b\n"


def test_nothing_is_printed_for_nothing() -> None:
    printer = TablePrinter()
    assert [*printer.begin(PODS)] == []
    printer.feed(table([NAME]))
    assert not printer.has_printed
    assert [*printer.finish()] == []


def test_a_watch() -> None:
    printer = TablePrinter(watch_events=True)
    printer.begin(PODS)
    printer.feed(table([NAME, "B"], "a|1"), "ADDED")
    texts = [printer.flush()]
    for event, change in [
        ("MODIFIED", Table(rows=[row("longer-name", "2")])),
        ("DELETED", Table(rows=[row("a", "3")])),
        ("ADDED", table([NAME, "C"], "a|4")),
    ]:
        printer.feed(change, event)
        texts.append(printer.flush())
    assert texts == [
        "EVENT      NAME   B\nADDED      a      1\n",
        "MODIFIED   longer-name   2\n",
        "DELETED    a             3\n",
        "EVENT      NAME          C\nADDED      a             4\n",
    ]


def test_decoding() -> None:
    body = rb"""{"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": "5", "continue": "x"},
        "columnDefinitions": [{"name": "Name", "type": "string", "format": "name", "description": "d", "priority": 0}],
        "rows": [{"cells": ["a", 1, 1.5, null], "conditions": [], "object": {"kind": "PartialObjectMetadata",
            "metadata": {"name": "a", "namespace": "ns", "uid": "1", "labels": {"a": "b"}}}}, {"cells": null}]}"""
    decoded = decode(body)
    assert decoded.kind == "Table"
    assert decoded.metadata
    assert (decoded.metadata.resource_version, decoded.metadata.continue_token) == ("5", "x")
    assert decoded.columns == [Column("Name", "string", "name", "d")]
    assert decoded.rows
    assert decoded.rows[0].cells == ["a", 1, 1.5, None]
    assert decoded.rows[0].object
    assert decoded.rows[0].object.metadata == RowMetadata("a", "ns", {"a": "b"})
    assert decoded.rows[1] == Row()


@pytest.mark.parametrize(
    ("cell", "decoded"),
    [(b"18446744073709551615", 1.8446744073709552e19), (b'"\xff"', "\ufffd"), (rb'"\ud800"', "\ufffd")],
)
def test_odd_bodies_are_decoded_as_kubectl_does(cell: bytes, decoded: Any) -> None:
    rows = decode(b'{"kind": "Table", "rows": [{"cells": [%b]}]}' % cell).rows
    assert rows
    assert rows[0].cells == [decoded]


@pytest.mark.parametrize("body", [b"", b"[]", b"x", b'{"rows": 1}', b'{"rows": [{"cells": {}}]}', b"[" * 100_000])
def test_what_is_no_table(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        decode(body)


def test_objects_may_be_answered_instead() -> None:
    assert decode(msgspec.json.encode({"kind": "PodList", "items": [{"a": 1}]})).kind == "PodList"


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12).map(str.strip)
CELLS = TEXTS | st.integers(-(2**63), 2**63 - 1) | st.none() | st.booleans()


@given(st.data(), st.integers(1, 5))
def test_what_goes_in_comes_out_aligned(data: st.DataObject, width: int) -> None:
    rows = data.draw(st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=6))
    chunks = data.draw(st.integers(1, 3))
    columns = [Column(f"c{place}") for place in range(width)]
    tables = [Table("Table", columns=columns, rows=[Row(cells) for cells in rows[at::chunks]]) for at in range(chunks)]
    head, *lines = printed(*[(PODS, part) for part in tables]).removesuffix("\n").split("\n")
    starts = [head.index(f"C{place}") for place in range(width)]
    assert starts == sorted(starts)
    cells = [
        [line[start:end].rstrip(" ") for start, end in zip(starts, [*starts[1:], None], strict=True)] for line in lines
    ]
    plain = {None: "", True: "true", False: "false"}
    expected = [
        [plain[cell] if cell is None or isinstance(cell, bool) else str(cell) for cell in cells]
        for at in range(chunks)
        for cells in rows[at::chunks]
    ]
    assert cells == expected
    # Three spaces at least between columns, and the next one begins at once.
    assert all(line[start - 3 : start] == "   " for line in lines for start in starts[1:])
