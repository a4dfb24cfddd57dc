"""`get` as a table: how to ask the API server for one, and what stands in for it where there are only objects.

With --server-print=false, and from servers that make no tables, objects become a table of their names and ages.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec

from agent.executors.native.call import Call
from agent.executors.native.listing import Request
from agent.executors.native.printers.durations import human_duration
from agent.executors.native.printers.table import Column, Row, RowMetadata, RowObject, Table, TablePrinter, decode
from agent.executors.native.selection import Selection
from agent.executors.native.transport import TABLE, Query
from agent.executors.native.verbs.outputs import Object, ObjectsPage, accept_for, chunk_size, metadata_accept
from schemas.kubectl import KubectlCommand

_NAME_AND_AGE: Final = [Column("Name", "string", "name"), Column("Age", "string")]
_STATUS: Final = [Column("Status", "string", "name"), Column("Reason", "string"), Column("Message", "string")]


@dataclass(frozen=True, slots=True)
class TablePage:
    """A Table as the API server made it. `raw` is the same with the objects in its rows, where it is to be sorted."""

    table: Table
    raw: Object | None = None

    @property
    def continue_token(self) -> str:
        """What gets the next page, "" for the last one."""
        return self.table.metadata.continue_token if self.table.metadata else ""

    @property
    def resource_version(self) -> str:
        """Where a watch starts."""
        return self.table.metadata.resource_version if self.table.metadata else ""

    def __len__(self) -> int:
        return len(self.table.rows or ())


def is_table(command: KubectlCommand) -> bool:
    """Whether the command prints a table."""
    return command.output in {"", "wide"}


def printer_of(command: KubectlCommand, *, with_kind: bool) -> TablePrinter:
    """The printer of a command's tables."""
    return TablePrinter(
        wide=command.output == "wide",
        with_namespace=command.is_set("all-namespaces"),
        show_labels=command.is_set("show-labels"),
        label_columns=[key for key in (command.flag("label-columns") or "").split(",") if key],
        with_kind=with_kind,
        no_headers=command.is_set("no-headers"),
        watch_events=command.is_set("output-watch-events"),
    )


def table_request(call: Call, selection: Selection) -> Request[TablePage | ObjectsPage]:
    """How to ask for the tables of a command; what comes as objects are tables by `table_of`."""
    command = call.command
    is_sorted = bool(command.flag("sort-by"))
    query: Query = ()
    if command.flag("server-print") == "false":
        accept = metadata_accept(command, selection)
    else:
        accept, query = accept_for(selection, TABLE), (("includeObject", _objects_in_rows(command)),)
    return Request(
        partial(_read, call, keeps_raw=is_sorted),
        accept=accept,
        query=query,
        chunk_size=chunk_size(command),
        limit=None if is_sorted else command.limit,
        subresource=command.flag("subresource") or None,
    )


def as_table(raw: Object) -> Table:
    """A Table out of JSON values. Raises ValueError."""
    try:
        return msgspec.convert(raw, Table)
    except msgspec.ValidationError as error:
        raise ValueError(f"not a Table: {error}") from error


def table_of(objects: list[Object], now: float) -> Table:
    """The table of names and ages; `now`: seconds since the epoch."""
    return Table(columns=_NAME_AND_AGE, rows=[_row(obj, now) for obj in objects])


def status_table(status: Object) -> Table:
    """What a watch prints for a Status in its stream."""
    return Table(columns=_STATUS, rows=[Row([status.get(key) for key in ("status", "reason", "message")])])


def _read(call: Call, body: bytes, *, keeps_raw: bool) -> TablePage | ObjectsPage:
    if keeps_raw:
        raw = call.load(body)
        if isinstance(raw, dict) and raw.get("kind") == "Table":
            return TablePage(as_table(raw), raw)
        return ObjectsPage.of(raw)
    table = screened(call, decode(body))
    return TablePage(table) if table.kind == "Table" else ObjectsPage.of(call.load(body))


def screened(call: Call, table: Table) -> Table:
    """The table itself, without labels that are credentials; its cells are text, which is screened later."""
    for row in table.rows or ():
        metadata = row.object.metadata if row.object is not None else None
        if metadata is not None and metadata.labels:
            call.screen.objects(metadata.labels)
    return table


def _objects_in_rows(command: KubectlCommand) -> str:
    """What the server is to put into a row beside its cells: as little as will do.

    kubectl always has it put the metadata there, which then is most of the answer.
    """
    if command.flag("sort-by"):
        return "Object"
    if command.is_set("all-namespaces") or command.is_set("show-labels") or command.flag("label-columns"):
        return "Metadata"
    return "None"


def _row(obj: Object, now: float) -> Row:
    metadata = obj.get("metadata") or {}
    known = RowMetadata(
        str(metadata.get("name") or ""), str(metadata.get("namespace") or ""), metadata.get("labels") or {}
    )
    return Row([known.name, _age(metadata.get("creationTimestamp"), now)], RowObject(metadata=known))


def _age(created: Any, now: float) -> str:
    try:
        return human_duration(now - datetime.fromisoformat(str(created)).timestamp())
    except ValueError:
        return "<unknown>"
