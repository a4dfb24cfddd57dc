"""agent/executors/rows.py: the first N items."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.executors.rows import RowLimit

TWO_TABLES = b"""\
NAMESPACE   NAME    READY
web         pod/a   1/1
web         pod/b   1/1

NAMESPACE   NAME        TYPE
web         service/x   ClusterIP
web         service/y   ClusterIP
"""
LINES = TWO_TABLES.splitlines(keepends=True)


@pytest.mark.parametrize(
    ("limit", "kept"),
    [
        (1, [0, 1]),
        (2, [0, 1, 2]),
        (3, [0, 1, 2, 3, 4, 5]),
        (4, [0, 1, 2, 3, 4, 5, 6]),
        (9, [0, 1, 2, 3, 4, 5, 6]),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_rows_are_counted_over_all_tables(limit: int, kept: list[int], size: int) -> None:
    rows = RowLimit(limit, has_heads=True)
    pieces = [TWO_TABLES[start : start + size] for start in range(0, len(TWO_TABLES), size)]
    assert b"".join(rows.feed(piece) for piece in pieces) == b"".join(LINES[line] for line in kept)


def test_names_have_no_heads() -> None:
    assert RowLimit(2, has_heads=False).feed(b"pod/a\npod/b\npod/c\n") == b"pod/a\npod/b\n"


def test_a_last_line_without_end_passes() -> None:
    assert RowLimit(2, has_heads=False).feed(b"pod/a\npod/b") == b"pod/a\npod/b"


@given(
    rows=st.lists(st.text("ab c", min_size=1).map(str.encode), max_size=20),
    limit=st.integers(1, 25),
    cuts=st.lists(st.integers(0, 200)),
)
def test_it_does_not_matter_how_the_bytes_come(rows: list[bytes], limit: int, cuts: list[int]) -> None:
    data = b"".join(row + b"\n" for row in rows)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    passing = RowLimit(limit, has_heads=False)
    passed = b"".join(passing.feed(data[a:b]) for a, b in itertools.pairwise(edges))
    assert passed == b"".join(row + b"\n" for row in rows[:limit])
