"""The aligner: columns are runs of lines, whatever the text and however it comes."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.executors.native.printers.tabwriter import TabWriter

TEXT = st.lists(
    st.sampled_from(["a", "word", "é", "漢字", " ", "\t", "\t", "\v", "\n", "\n", "\f", "x\ty\tz\n", "\x1b"]),
    max_size=40,
).map("".join)


def aligned(text: str, writer: TabWriter | None = None) -> str:
    writer = writer or TabWriter()
    writer.feed(text)
    return writer.flush()


def by_definition(text: str, min_width: int, padding: int) -> str:
    """The same, looked up cell by cell: a column is the lines above and below that have a tab in that place too."""
    lines = [re.split("[\t\v]", line) for line in re.split("[\n\f]", text)]
    ends = re.findall("[\n\f]", text)

    def column(number: int, place: int) -> list[int]:
        first = last = number
        while first and ends[first - 1] == "\n" and len(lines[first - 1]) > place + 1:
            first -= 1
        while last + 1 < len(lines) and ends[last] == "\n" and len(lines[last + 1]) > place + 1:
            last += 1
        return [len(lines[at][place]) for at in range(first, last + 1)]

    return "\n".join(
        "".join(
            cell.ljust(max(min_width, max(column(number, place)) + padding)) if place + 1 < len(line) else cell
            for place, cell in enumerate(line)
        )
        for number, line in enumerate(lines)
    )


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("", ""),
        ("NAME\n", "NAME\n"),
        ("a\tb\n", "a     b\n"),
        ("abcd\tb\n", "abcd   b\n"),
        ("漢字漢字\tb\na\tc\n", "漢字漢字   b\na      c\n"),
        ("a\t\n", "a     \n"),
        ("a\t\tb\n", "a           b\n"),
        ("a\vb\n", "a     b\n"),
        ("long name\tb\nalone\nc\td\n", "long name   b\nalone\nc           d\n"),
        ("a\tb", "a     b"),
        ("a\t", "a"),
    ],
)
def test_a_text(text: str, table: str) -> None:
    assert aligned(text) == table


def test_descriptions_are_tighter_and_remember_nothing() -> None:
    assert aligned("long name\tb\n\nc\td\n\t\te\n", TabWriter.of_descriptions()) == "long name  b\n\nc  d\n     e\n"


def test_a_form_feed_ends_the_columns() -> None:
    assert aligned("long name\tb\fc\td\n", TabWriter.of_descriptions()) == "long name  b\nc  d\n"


def test_widths_only_grow_from_flush_to_flush() -> None:
    writer = TabWriter()
    texts = ["NAME\tB\n", "a long name\tb\n", "c\td\n", "c\tlonger\te\n"]
    assert [aligned(text, writer) for text in texts] == [
        "NAME   B\n",
        "a long name   b\n",
        "c             d\n",
        "c             longer   e\n",
    ]


def test_one_huge_cell_does_not_make_one_huge_piece() -> None:
    writer = TabWriter()
    writer.feed("x" * 100_000 + "\tb\n" + "a\tb\n" * 100)
    pieces = list(writer.pieces())
    assert max(map(len, pieces)) < 300_000
    assert sum(map(len, pieces)) == 101 * 100_005


@given(TEXT, st.sampled_from([(6, 3), (0, 2)]))
def test_columns_are_as_defined(text: str, sizes: tuple[int, int]) -> None:
    text += "\n"
    min_width, padding = sizes
    writer = TabWriter(min_width=min_width, padding=padding, remembers=False)
    assert aligned(text, writer) == by_definition(text, min_width, padding)


@given(TEXT, st.lists(st.integers(0, 60)))
def test_it_does_not_matter_in_which_pieces_text_comes(text: str, cuts: list[int]) -> None:
    writer = TabWriter()
    places = [0, *sorted(cut for cut in cuts if cut <= len(text)), len(text)]
    for start, end in itertools.pairwise(places):
        writer.feed(text[start:end])
    assert writer.flush() == aligned(text)
