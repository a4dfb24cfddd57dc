"""`get`: objects as a table, or in another form; with --watch, watch.py takes over.

One request per type or name, all of them at once; a long list comes page by page. A table is printed when all of it is
there, since its columns are as wide as their widest cell, and until then only its cells are kept. json, yaml and name
are printed as they come.
"""

from collections.abc import Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from agent.executors.native import statuses
from agent.executors.native.call import Call
from agent.executors.native.errors import CommandFailed, NotNative, StatusError
from agent.executors.native.listing import MAX_HELD_BYTES, Failure, answers, beside_others
from agent.executors.native.printers.sorting import Unsortable, sort_objects, sort_rows
from agent.executors.native.printers.table import Table, TablePrinter
from agent.executors.native.resources import Resource
from agent.executors.native.selection import Selection, select
from agent.executors.native.verbs import watch
from agent.executors.native.verbs.outputs import (
    Object,
    ObjectsPage,
    Sorted,
    is_secret,
    named,
    object_request,
    output_of,
)
from agent.executors.native.verbs.tables import TablePage, as_table, is_table, printer_of, table_of, table_request
from schemas.kubectl import KubectlCommand

_NO_TYPE: Final = (
    'You must specify the type of resource to get. Use "kubectl api-resources" for a complete list of supported '
    "resources.\n\n"
    "error: Required resource not specified.\n"
    'Use "kubectl explain <resource>" for a detailed description of that resource (e.g. kubectl explain pods).\n'
    "See 'kubectl get -h' for help and examples"
)
# Of tables only cells are held; so much JSON are over 100,000 rows even where metadata comes with them.
_MAX_TABLES_BYTES: Final = 512 * 1024 * 1024
_WRITE_CHARACTERS: Final = 64 * 1024
_SECRET_OUTPUTS: Final = frozenset({"", "wide", "name"})


async def run(call: Call) -> int:
    """Answer `get`. Raises what ends it without an answer; some of the output may have been written then."""
    command = call.command
    _check(command)
    selection = await select(call, is_single_type=command.is_streaming)
    _check_secrets(call, selection)
    if command.is_streaming:
        return await watch.run(call, selection)
    if is_table(command):
        return await _print_tables(call, selection)
    if selection.is_single:
        return await _print_object(call, selection)
    return await _print_list(call, selection)


def _check(command: KubectlCommand) -> None:
    """What can be said without asking anybody, in kubectl's order."""
    if command.output in {"go-template", "template"} or command.flag("template"):
        raise NotNative("go-template output")
    if not command.operands and not command.is_streaming:
        raise CommandFailed(_NO_TYPE)
    if command.is_set("show-labels") and not is_table(command):
        raise CommandFailed(f"error: --show-labels option cannot be used with {command.flag('output')} printer")
    if command.is_set("output-watch-events") and not command.is_streaming:
        raise CommandFailed("error: --output-watch-events option can only be used with --watch or --watch-only")
    is_of_names = len(command.operands) > 1 or "/" in "".join(command.operands)
    if command.flag("subresource") and not is_of_names and not command.is_streaming:
        raise CommandFailed("error: subresource cannot be used when bulk resources are specified")


def _check_secrets(call: Call, selection: Selection) -> None:
    """Where nothing is hidden, refuse Secrets with their values, or in an order that tells of them."""
    command = call.command
    if call.screen.hides or not any(is_secret(target.resource) for target in selection.targets):
        return
    if command.output not in _SECRET_OUTPUTS or command.flag("sort-by"):
        raise CommandFailed(
            "error: the values of Secrets stay in the cluster, and this agent hides none (its policy has redaction: "
            "off): get them as a table (no -o, or -o wide) or as -o name, and leave --sort-by out"
        )


@dataclass(frozen=True, slots=True)
class _Block:
    """Rows of one resource. `raw` is what --sort-by compares: a Table as JSON values, or one object."""

    resource: Resource
    table: Table
    raw: Object | None = None


async def _print_tables(call: Call, selection: Selection) -> int:
    """All rows, then all errors. An object asked for alone is its own error."""
    command = call.command
    order = command.flag("sort-by")
    blocks: list[_Block] = []
    failures: list[Failure] = []
    size = 0
    async with aclosing(answers(call, selection, table_request(call, selection))) as pages:
        async for answer in pages:
            size += answer.size
            _check_held(size, MAX_HELD_BYTES if order else _MAX_TABLES_BYTES)
            if answer.page is not None:
                blocks += _blocks(answer.target.resource, answer.page, call.clock(), is_sorted=bool(order))
            elif answer.failure is not None and not _is_ignored(command, answer.failure):
                failures.append(answer.failure)

    printer = printer_of(command, with_kind=command.is_set("show-kind") or _are_of_several_kinds(blocks))
    if order:
        blocks = await beside_others(partial(_sorted, blocks, order), size, is_costly=True)
    pieces = _pieces(printer, blocks, command.limit)
    text = ""  # goes out with what follows it: a short table, or several, are one write
    while (piece := await beside_others(partial(next, pieces, None), size)) is not None:
        text += piece
        if len(text) >= _WRITE_CHARACTERS:
            await call.out(text)
            text = ""
    await _write(call, text)
    if selection.is_single and failures:
        raise failures[0]
    if failures:
        raise CommandFailed("\n".join(map(_line, failures)))
    if not printer.has_printed and not command.is_set("ignore-not-found"):
        await call.err(_no_resources(call, blocks))
    return 0


def _blocks(resource: Resource, page: TablePage | ObjectsPage, now: float, *, is_sorted: bool) -> list[_Block]:
    """The rows of a page. Of objects there is nothing when there are none, and each is sorted for itself."""
    if isinstance(page, TablePage):
        return [_Block(resource, page.table, page.raw)]
    if is_sorted:
        return [_Block(resource, table_of([item], now), item) for item in page.items]
    return [_Block(resource, table_of(page.items, now))] if page.items else []


def _sorted(blocks: list[_Block], order: str) -> list[_Block]:
    """The blocks in the order of --sort-by, and the rows in each. Raises CommandFailed.

    Several types are several Tables, and kubectl looks for the field in the Tables themselves: it hardly ever is there.
    """
    if len(blocks) > 1:
        by_raw = {id(block.raw): block for block in blocks}
        blocks = [by_raw[id(raw)] for raw in sort_objects([block.raw for block in blocks], order)]
    return [
        _Block(block.resource, _with_sorted_rows(block.raw, order)) if block.raw and "rows" in block.raw else block
        for block in blocks
    ]


def _with_sorted_rows(raw: Object, order: str) -> Table:
    rows = raw.get("rows") or []
    if len(rows) > 1:
        try:
            rows = sort_rows(rows, order)
        except Unsortable:
            raise
        except CommandFailed:
            rows = []  # kubectl then prints nothing, and does not say why
    return as_table({**raw, "rows": rows})


def _are_of_several_kinds(blocks: Iterable[_Block]) -> bool:
    return len({(block.resource.group_version, block.resource.kind) for block in blocks}) > 1


def _pieces(printer: TablePrinter, blocks: Iterable[_Block], limit: int | None) -> Iterator[str]:
    """The text of the tables, at most `limit` rows of them."""
    has_namespaces = False  # once there was a column of namespaces, kubectl keeps it for resources that have none
    for block in blocks:
        has_namespaces |= block.resource.is_namespaced
        yield from printer.begin(replace(block.resource, is_namespaced=has_namespaces))
        table = block.table
        if limit is not None:
            table.rows = (table.rows or [])[:limit]
            limit -= len(table.rows)
        printer.feed(table)
    yield from printer.finish()


def _no_resources(call: Call, blocks: Iterable[_Block]) -> str:
    if call.command.is_set("all-namespaces") or not all(block.resource.is_namespaced for block in blocks):
        return "No resources found\n"
    return f"No resources found in {call.namespace} namespace.\n"


async def _print_object(call: Call, selection: Selection) -> int:
    """One object, bare. Its error is the whole answer."""
    command = call.command
    [answer] = [answer async for answer in answers(call, selection, object_request(call, selection))]
    if answer.page is None:
        if answer.failure is not None and not _is_ignored(command, answer.failure):
            raise answer.failure
        return 0
    obj = named([answer.page.raw], answer.target.resource)[0]
    output = output_of(command)
    is_costly = output.runs_template
    try:
        await _write(call, await beside_others(partial(output.one, obj), answer.size, is_costly=is_costly))
    except CommandFailed:
        await _write(call, output.rest())
        raise
    return 0


async def _print_list(call: Call, selection: Selection) -> int:
    """All objects in one List, or what else the form makes of several."""
    command = call.command
    order = command.flag("sort-by")
    output = Sorted(output_of(command), order) if order else output_of(command)
    is_costly = output.runs_template
    left = command.limit
    failures: list[Failure] = []
    is_empty = True
    size = 0
    text = ""  # goes out with what follows it: a short list is one write
    try:
        async with aclosing(answers(call, selection, object_request(call, selection))) as pages:
            async for answer in pages:
                if answer.page is None:
                    if answer.failure is not None and not _is_ignored(command, answer.failure):
                        failures.append(answer.failure)
                    continue
                items = named(answer.page.items[:left], answer.target.resource)
                if left is not None:
                    left -= len(items)
                if items:
                    await _write(call, text)
                    is_empty = False
                    size += answer.size
                    if output.holds_items:
                        _check_held(size, MAX_HELD_BYTES)
                    text = await beside_others(partial(output.items, items), answer.size, is_costly=is_costly)
        if not (is_empty and command.is_set("ignore-not-found")):
            await _write(call, text + await beside_others(output.end, size, is_costly=is_costly))
    except CommandFailed as error:
        await _write(call, output.rest())
        failures.append(error)
    if failures:
        raise statuses.several(failures)
    return 0


def _check_held(size: int, most: int) -> None:
    """Raise CommandFailed where what is held was more than `most` bytes of JSON."""
    if size > most:
        raise CommandFailed(
            f"error: this output needs all objects at once, and they are more than {most} bytes of JSON: ask for fewer "
            "(--namespace, --selector), or for another output"
        )


async def _write(call: Call, text: str) -> None:
    if text:
        await call.out(text)


def _is_ignored(command: KubectlCommand, failure: Failure) -> bool:
    is_missing = isinstance(failure, StatusError) and failure.reason == "NotFound"
    return is_missing and command.is_set("ignore-not-found")


def _line(failure: Failure) -> str:
    """An error as one among several: that is how kubectl prints even a single one behind a table."""
    return statuses.line(failure) if isinstance(failure, StatusError) else str(failure).removeprefix("error: ")
