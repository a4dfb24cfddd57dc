"""Columns out of tabs: text whose cells end in tabs becomes text whose columns are aligned with spaces.

A column is a run of consecutive lines that all have a tab-terminated cell in that place; its width is that of its
widest cell. What stands behind the last tab of a line is in no column. A form feed ends a line and all columns.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import Final, Self

# About how much text is made at once. One huge cell pads every line of its column: whoever has read enough stops there.
_PIECE_CHARACTERS: Final = 256 * 1024


class TabWriter:
    """An aligner. `TabWriter()` is that of tables: get, custom-columns, events, top, api-resources, can-i --list.
    `TabWriter.of_descriptions()` is that of describe and rollout history.

    A column is as wide as its widest cell and `padding`, and `min_width` at least; where the writer `remembers`, also
    as wide as any column in that place before. Widths are counted in code points. Until the flush the text is kept,
    and one number per column.
    """

    def __init__(self, *, min_width: int = 6, padding: int = 3, remembers: bool = True) -> None:
        self._min_width = min_width
        self._padding = padding
        self._remembers = remembers
        self._remembered: list[int] = []
        self._unfinished = ""  # the last line, as far as it came
        self._lines = _Lines()

    @classmethod
    def of_descriptions(cls) -> Self:
        """The aligner of describe and rollout history."""
        return cls(min_width=0, padding=2, remembers=False)

    def feed(self, text: str) -> None:
        """Take more text; nothing of it is aligned before the flush."""
        # Both kinds of tab end a cell alike.
        text = self._unfinished + text.replace("\v", "\t")
        end = max(text.rfind("\n"), text.rfind("\f")) + 1
        self._unfinished = text[end:]
        if end:
            self._lines.add(text[:end])

    def pieces(self) -> Iterator[str]:
        """Flush: what was fed since the last flush, aligned, piece by piece. To be read to its end."""
        unfinished, lines = self._unfinished, self._lines
        self._unfinished, self._lines = "", _Lines()
        if unfinished:
            # A tab at the very end has nothing behind it to align.
            lines.add(unfinished.removesuffix("\t") + "\n")
        widths = [self._settled(place, widest) for place, widest in enumerate(lines.widest)]
        pieces = lines.aligned(widths)
        if unfinished:
            # Where the text broke off, so does ours.
            pieces = iter(["".join(pieces).removesuffix("\n")])
        yield from pieces

    def flush(self) -> str:
        """The same in one string."""
        return "".join(self.pieces())

    def _settled(self, place: int, widest: list[int]) -> list[int]:
        """The widths of the columns in a place, from the top."""
        widths = [max(self._min_width, width + self._padding) for width in widest]
        if self._remembers:
            if place == len(self._remembered):
                self._remembered.append(0)
            for number, width in enumerate(widths):
                self._remembered[place] = widths[number] = max(width, self._remembered[place])
        return widths


class _Lines:
    """Whole lines, as text, and the columns in them."""

    def __init__(self) -> None:
        self.widest: list[list[int]] = []  # by place in the line, then column by column from the top
        self._texts: list[str] = []
        self._open = 0  # how many columns the last line is in

    def add(self, text: str) -> None:
        """Take lines, each with its end, and measure them."""
        self._texts.append(text)
        for rows in _runs(text):
            widest = [max(map(len, cells)) for cells in zip(*rows, strict=True)][:-1]
            for place, width in enumerate(widest):
                if place == len(self.widest):
                    self.widest.append([])
                columns = self.widest[place]
                if place < self._open:
                    columns[-1] = max(columns[-1], width)
                else:
                    columns.append(width)
            self._open = len(widest)

    def aligned(self, widths: list[list[int]]) -> Iterator[str]:
        """The lines in these widths, which are laid out as `widest` is."""
        upcoming = [iter(columns) for columns in widths]
        current: list[int] = []
        for text in self._texts:
            for rows in _runs(text):
                count = len(rows[0]) - 1 if rows else 0
                del current[count:]
                current += [next(upcoming[place]) for place in range(len(current), count)]
                template = "".join([f"%-{width}s" for width in current]) + "%s\n"
                step = max(1, _PIECE_CHARACTERS // (sum(current) + 1))
                for start in range(0, len(rows), step):
                    yield "".join([template % tuple(row) for row in rows[start : start + step]])


def _runs(text: str) -> Iterator[list[list[str]]]:
    """The cells of whole lines, by runs of lines that have equally many; an empty run for a form feed."""
    pages = text.split("\f")
    for number, page in enumerate(pages, 1):
        lines = page.split("\n")
        if number == len(pages):
            lines.pop()  # behind the last newline
        for _, rows in groupby([line.split("\t") for line in lines], len):
            yield list(rows)
        if number < len(pages):
            yield []
