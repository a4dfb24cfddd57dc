"""`get --watch`: what there is, then every change as it comes, until the API server ends the watch or the caller does.

kubectl watches once and does not begin again: a watch that is closed, or that breaks off, ends the command well.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final, Protocol

import msgspec

from agent.executors.native.call import Call
from agent.executors.native.errors import CommandFailed, Unreachable
from agent.executors.native.listing import Request, beside_others, everything
from agent.executors.native.printers.sorting import sort_rows
from agent.executors.native.printers.table import Table, decode
from agent.executors.native.selection import Selection, Target
from agent.executors.native.verbs.outputs import (
    Object,
    ObjectsPage,
    named,
    object_request,
    output_of,
)
from agent.executors.native.verbs.tables import (
    TablePage,
    as_table,
    is_table,
    printer_of,
    screened,
    status_table,
    table_of,
    table_request,
)

_TYPES: Final = frozenset({"ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"})
# An object in etcd has 1.5 MB at most by default; as JSON, and twice in a row of a Table, it stays below this.
_MAX_EVENT_BYTES: Final = 16 * 1024 * 1024

Page = TablePage | ObjectsPage


class _Event(msgspec.Struct):
    """A line of a watch."""

    type: str
    object: msgspec.Raw


_EVENTS: Final = msgspec.json.Decoder(_Event)


class _Printer(Protocol):
    """Prints what a watch gives, in the form asked for. Not `is_shown`: takes note of it only.

    `is_costly`: it may take long at any size.
    """

    is_costly: bool

    def beginning(self, pages: Sequence[Page], *, is_shown: bool) -> str:
        """What there is at first."""

    def event(self, event: _Event, *, is_shown: bool) -> str:
        """What came."""


async def run(call: Call, selection: Selection) -> int:
    """Print the selection, then its changes. Raises what ends it early; a watch that just ends returns 0."""
    command = call.command
    target = selection.targets[0]
    is_list = target.name is None
    if command.flag("sort-by"):
        await call.err("warning: --watch requested, --sort-by will be ignored for watch events received\n")
    request: Request[Any]
    printer: _Printer
    if is_table(command):
        request, printer = table_request(call, selection), _Tables(call, target)
    else:
        request, printer = object_request(call, selection), _Objects(call, target)
    plain: Request[Any] = replace(request, subresource=None)  # kubectl watches the object itself
    # kubectl prints nothing of what there is when there is an error, nor do we before we have all of it.
    pages: list[Page] = await everything(call, selection, plain)
    is_shown = command.flag("watch-only") != "true"
    try:
        text = await beside_others(partial(printer.beginning, pages, is_shown=is_shown), 0, is_costly=True)
    except CommandFailed as error:
        raise CommandFailed(
            f"error: unable to output the provided object: {error.text.removeprefix('error: ')}"
        ) from None
    if text:
        await call.out(text)
    if len(selection.targets) > 1:
        raise CommandFailed("error: you may only watch a single resource or type of resource at a time")

    # What a watch of one object tells first is that object.
    is_shown = is_list
    async with call.transport.stream(
        Target(target.resource, target.namespace).path(),
        [*plain.query, *(_since(pages) if is_list else _of_one(target)), *selection.query, ("watch", "true")],
        accept=plain.accept.replace("PartialObjectMetadataList", "PartialObjectMetadata"),  # one in each event
    ) as response:
        await call.err("")  # the server's warnings, now: what is to come may be long in coming
        # Whatever cannot be read or printed ends the watch, and kubectl does not say so.
        with suppress(Unreachable, CommandFailed, ValueError):
            async for event in _events(response.chunks()):
                print_it = partial(printer.event, event, is_shown=is_shown)
                text = await beside_others(print_it, len(event.object), is_costly=printer.is_costly)
                is_shown = True
                if text:
                    await call.out(text)
    return 0


def _since(pages: Sequence[Page]) -> list[tuple[str, str]]:
    """From where on to watch a list: the version that all its pages are of."""
    versions = {page.resource_version for page in pages}
    return [("resourceVersion", version) for version in versions if version and len(versions) == 1]


def _of_one(target: Target) -> list[tuple[str, str]]:
    return [("fieldSelector", f"metadata.name={target.name}"), ("resourceVersion", "0")]


async def _events(chunks: AsyncIterator[bytes]) -> AsyncIterator[_Event]:
    """What comes. For a line that cannot be read there is an error as of the server's, and nothing more after it."""
    async for line in _lines(chunks):
        try:
            event = _EVENTS.decode(line)
            problem = "" if event.type in _TYPES else f"got invalid watch event type: {event.type}"
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            problem = str(error)
        if problem:
            yield _Event("ERROR", msgspec.Raw(msgspec.json.encode(_undecodable(problem))))
            return
        yield event


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The lines, without those that are empty, or lack their end. Raises ValueError for one that is too long."""
    begun = bytearray()
    async for chunk in chunks:
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            line = bytes(begun) + end
            begun.clear()
            if line.strip():
                yield line
        begun += rest
        if len(begun) > _MAX_EVENT_BYTES:
            raise ValueError(f"an event of a watch is larger than {_MAX_EVENT_BYTES} bytes")


def _undecodable(problem: str) -> Object:
    """The Status client-go makes of a line it cannot read."""
    message = f"unable to decode an event from the watch stream: {problem}"
    reasons = ("UnexpectedServerResponse", "ClientWatchDecoding")
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f'an error on the server ("{message}") has prevented the request from succeeding',
        "reason": "InternalError",
        "details": {"causes": [{"reason": reason, "message": message} for reason in reasons]},
        "code": 500,
    }


class _Tables:
    """Rows under one header. The columns of a Status are others, and have their own."""

    is_costly = False

    def __init__(self, call: Call, target: Target) -> None:
        command = call.command
        self._clock = call.clock
        self._order = command.flag("sort-by")
        self._call = call
        self._shows_events = command.is_set("output-watch-events")
        self._printer = printer_of(command, with_kind=command.is_set("show-kind"))
        # A watch has the column of namespaces with -A, whether or not the resource has them.
        for _ in self._printer.begin(replace(target.resource, is_namespaced=True)):
            pass

    def beginning(self, pages: Sequence[Page], *, is_shown: bool) -> str:
        for page in pages:
            self._feed(self._table(page), "ADDED", is_shown=is_shown)
        return self._printer.flush()

    def event(self, event: _Event, *, is_shown: bool) -> str:
        body = bytes(event.object)
        table = screened(self._call, decode(body))
        if table.kind == "Status":
            table = status_table(self._call.load(body))
        elif table.kind != "Table":
            table = table_of([self._call.load(body)], self._clock())
        self._feed(table, event.type, is_shown=is_shown)
        return self._printer.flush()

    def _table(self, page: Page) -> Table:
        if isinstance(page, ObjectsPage):
            return table_of(page.items, self._clock())
        if page.raw is not None and self._order and len(page) > 1:
            return as_table({**page.raw, "rows": sort_rows(page.raw["rows"], self._order)})
        return page.table

    def _feed(self, table: Table, event: str, *, is_shown: bool) -> None:
        if not is_shown:
            table.rows = None  # its columns hold for what comes: the server sends them once
        self._printer.feed(table, event if self._shows_events else "")


class _Objects:
    """Objects one after another."""

    def __init__(self, call: Call, target: Target) -> None:
        self._output = output_of(call.command)
        self._load = call.load
        self.is_costly = self._output.runs_template
        self._resource = target.resource
        self._shows_events = call.command.is_set("output-watch-events")

    def beginning(self, pages: Sequence[Page], *, is_shown: bool) -> str:
        if not is_shown:
            return ""
        lists = [page for page in pages if isinstance(page, ObjectsPage)]
        # kubectl takes a list apart, but not several.
        objects = lists[0].items if len(lists) == 1 else [page.raw for page in lists]
        return self._print(objects, "ADDED")

    def event(self, event: _Event, *, is_shown: bool) -> str:
        return self._print([self._load(bytes(event.object))], event.type) if is_shown else ""

    def _print(self, objects: Sequence[Object], event: str) -> str:
        return self._output.events(named(objects, self._resource), event if self._shows_events else "")
