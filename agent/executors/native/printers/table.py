"""Tables that the API server made (`as=Table`), to text: what `kubectl get` prints.

Cells are cleaned and joined with tabs, a table at a time, and a tabwriter per resource type aligns them. It has to have
the last row before it can print the first, as kubectl's does; until then it keeps the cells as one text per table,
which takes about the memory of the output.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from agent.executors.native.printers.objects import has_long_digits, load
from agent.executors.native.printers.tabwriter import TabWriter
from agent.executors.native.printers.values import go_text
from agent.executors.native.resources import Resource

# A text ends where one of these stands; of what a terminal obeys kubectl spells out two characters.
_LINE_END: Final = re.compile(r"[\n\r\f]")
_UNCLEAN: Final = re.compile(r"[\n\r\f\x1b]")
_SPELLED: Final = str.maketrans({"\x1b": "^[", "\r": "\\r"})

# Types of watch events are padded to the longest, MODIFIED.
_EVENT_WIDTH: Final = 8


class Column(msgspec.Struct, frozen=True, gc=False):
    """A column definition."""

    name: str = ""
    type: str = ""
    format: str = ""
    description: str = ""
    priority: int = 0


class RowMetadata(msgspec.Struct, gc=False):
    """What a row's object must tell."""

    name: str = ""
    namespace: str = ""
    labels: dict[str, str] | None = None


class RowObject(msgspec.Struct, gc=False):
    """A row's object, partial metadata or whole: only this of it is kept."""

    kind: str = ""
    api_version: str = msgspec.field(default="", name="apiVersion")
    metadata: RowMetadata | None = None


class Row(msgspec.Struct, gc=False):
    """One row: its cells, any JSON values, in the order of the columns."""

    cells: list[Any] | None = None
    object: RowObject | None = None


class TableMetadata(msgspec.Struct, gc=False):
    """Of the list: where a watch starts, and what gets the next chunk ("" when there is none)."""

    resource_version: str = msgspec.field(default="", name="resourceVersion")
    continue_token: str = msgspec.field(default="", name="continue")


class Table(msgspec.Struct):
    """A Table of meta.k8s.io. No `columns` means those of the table before."""

    kind: str = ""
    metadata: TableMetadata | None = None
    columns: list[Column] | None = msgspec.field(default=None, name="columnDefinitions")
    rows: list[Row] | None = None


_NO_METADATA: Final = RowMetadata()
_DECODER: Final = msgspec.json.Decoder(Table)


def decode(body: bytes) -> Table:
    """A Table out of an answer's body; `kind` tells whether it was one (a server may answer with objects instead).

    Raises ValueError for a body that is no JSON object or has not a Table's shape.
    """
    try:
        if not has_long_digits(body):
            return _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # bad text, which the slower way forgives, or something else, of which it tells
    try:
        return msgspec.convert(load(body), Table)
    except msgspec.ValidationError as error:
        raise ValueError(f"not a Table: {error}") from error


class TablePrinter:
    """Prints the tables of one command. Per resource type `begin`, then `feed` each table; `finish` at the end.

        for table in tables:
            for piece in printer.begin(resource): write(piece)
            printer.feed(table)
        for piece in printer.finish(): write(piece)

    `wide` shows the columns of lower priority; `with_namespace` is --all-namespaces (its column comes with the first
    type that has namespaces, and stays; in a watch every type has it, so begin with one that says so); `show_labels`
    and `label_columns` are --show-labels and -L; `with_kind` puts `pod/` before names (--show-kind, or more than one
    type was asked for); `watch_events` is --output-watch-events.
    """

    def __init__(
        self,
        *,
        wide: bool = False,
        with_namespace: bool = False,
        show_labels: bool = False,
        label_columns: Sequence[str] = (),
        with_kind: bool = False,
        no_headers: bool = False,
        watch_events: bool = False,
    ) -> None:
        self._wide = wide
        self._with_namespace = with_namespace
        self._show_labels = show_labels
        self._label_columns = tuple(label_columns)
        self._with_kind = with_kind
        self._no_headers = no_headers
        self._watch_events = watch_events
        self._has_printed = False
        self._shows_namespace = False
        # Of the resource type at hand:
        self._resource: Resource | None = None
        self._writer = TabWriter()
        self._columns: list[Column] = []
        self._has_header = False
        self._separator = ""  # what is printed before the next row

    @property
    def has_printed(self) -> bool:
        """Whether any row has been fed; else kubectl says `No resources found` on stderr."""
        return self._has_printed

    def begin(self, resource: Resource) -> Iterator[str]:
        """Turn to a resource type: ends the group of the type before, whose text this gives. Does nothing when it is
        the same type as before.
        """
        before = self._resource
        if before and _type_of(before) == _type_of(resource):
            return iter(())
        rest = self.finish()
        self._resource = resource
        # Once shown the column stays, for types without a namespace too.
        self._shows_namespace = self._shows_namespace or (self._with_namespace and resource.is_namespaced)
        self._writer = TabWriter()
        self._columns = []
        self._has_header = False
        self._separator = "\n" if before and self._has_printed and not self._no_headers else ""
        return rest

    def feed(self, table: Table, event: str = "") -> None:
        """Take the next table of this type: a chunk, one object, or in a watch what came with one `event` (`ADDED`)."""
        if table.columns and table.columns != self._columns:
            self._columns = table.columns
            self._has_header = False
        if not table.rows:
            return
        lines = [] if self._has_header or self._no_headers else [self._header()]
        self._has_header = True
        lines += self._lines(table.rows, event)
        self._writer.feed(self._separator + "\n".join(lines) + "\n")
        self._separator = ""
        self._has_printed = True

    def flush(self) -> str:
        """What was fed since the last flush; columns stay at least as wide (for a watch, after each event)."""
        return self._writer.flush()

    def finish(self) -> Iterator[str]:
        """The rest, piece by piece."""
        return self._writer.pieces()

    def _layout(self) -> list[Column]:
        """All columns, those of lower priority too: ours around the server's."""
        return [
            *([Column("Event")] if self._watch_events else ()),
            *([Column("Namespace")] if self._shows_namespace else ()),
            *self._columns,
            *(Column(key.rpartition("/")[2]) for key in self._label_columns),
            *([Column("Labels")] if self._show_labels else ()),
        ]

    def _header(self) -> str:
        return "\t".join([_upper(column.name) for column in self._layout() if self._wide or not column.priority])

    def _lines(self, rows: list[Row], event: str) -> Iterable[str]:
        columns = self._layout()
        shown = [place for place, column in enumerate(columns) if self._wide or not column.priority]
        names = self._names_place()
        is_plain = names is None and len(columns) == len(self._columns)
        cells = [(row.cells or []) if is_plain else self._cells(row, event, names, len(columns)) for row in rows]
        if not shown or any(len(row) < len(columns) for row in cells):
            return ["\t".join([_clean(row[place]) for place in shown if place < len(row)]) for row in cells]
        # By column, because the cells of one mostly need the same done to them, or nothing. zip leaves out what only
        # some rows have beyond the columns.
        by_column = list(zip(*cells, strict=False))
        return map("\t".join, zip(*[_cleaned(by_column[place]) for place in shown], strict=True))

    def _names_place(self) -> int | None:
        """Which of the server's columns has the kind put before its cells."""
        if self._with_kind:
            for place, column in enumerate(self._columns):
                if column.format == "name" and column.type == "string":
                    return place
        return None

    def _cells(self, row: Row, event: str, names: int | None, width: int) -> list[Any]:
        """The cells of a row, ours around the server's: `width` of them, unless the server gave too many or few."""
        cells = list(row.cells or ())
        if names is not None and names < len(cells) and self._resource:
            cells[names] = f"{_prefix(self._resource)}{go_text(cells[names])}"
        metadata = (row.object and row.object.metadata) or _NO_METADATA
        if self._shows_namespace:
            cells.insert(0, metadata.namespace)
        if self._watch_events:
            cells.insert(0, event.ljust(_EVENT_WIDTH))
        if row.object:
            labels = metadata.labels or {}
            cells += [labels.get(key, "") for key in self._label_columns]
            if self._show_labels:
                cells.append(",".join([f"{key}={labels[key]}" for key in sorted(labels)]) or "<none>")
        elif self._shows_namespace or self._label_columns or self._show_labels:
            # kubectl fills up half of what a row without object lacks.
            cells += [""] * ((width - len(cells) + 1) // 2)
        return cells


def _type_of(resource: Resource) -> tuple[str, str, str]:
    return resource.group, resource.version, resource.plural


def _prefix(resource: Resource) -> str:
    return f"{resource.kind}{resource.group and f'.{resource.group}'}/".lower()


def _cleaned(cells: Sequence[Any]) -> Iterable[str]:
    """The cells of one column as they are printed."""
    kinds = set(map(type, cells))
    if kinds == {str} and not _UNCLEAN.search("".join(cells)):
        return cells
    return map(str, cells) if kinds == {int} else map(_clean, cells)


def _clean(cell: Any) -> str:
    """A cell as it is printed: one line, without control of the terminal."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        end = _LINE_END.search(cell)
        return (cell[: end.start()] + "..." if end else cell).translate(_SPELLED)
    return go_text(cell).translate(_SPELLED)


def _upper(name: str) -> str:
    """The name in capitals, letter for letter: Go leaves a letter whose capital is several, as in `ß`."""
    if name.isascii():
        return name.upper()
    # `ᾳ` has a capital of its own, which Python gives as its title case only.
    capitals = [(letter.upper(), letter.title(), letter) for letter in name]
    return "".join([next(form for form in forms if len(form) == 1) for forms in capitals])
