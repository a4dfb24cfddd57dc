"""`events`: what happened, oldest first, in a table of its own or as objects; with `-w` each event as it comes."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, ClassVar, Final

import msgspec

from agent.executors.native import mapping, watches
from agent.executors.native.call import Call
from agent.executors.native.errors import CommandFailed, StatusError, Unreachable
from agent.executors.native.listing import beside_others
from agent.executors.native.pages import pages
from agent.executors.native.printers.durations import human_duration
from agent.executors.native.printers.tabwriter import TabWriter
from agent.executors.native.printers.typed import (
    NO_TIME,
    ObjectMeta,
    Time,
    Typed,
    TypedList,
    TypedPrinter,
    decode,
    escaped,
    has_time,
    printable,
)
from agent.executors.native.resources import Resource
from agent.executors.native.transport import Query

EVENTS: Final = Resource("", "v1", "Event", "events", "event", is_namespaced=True)
_TYPES: Final = frozenset({"normal", "warning"})
# From here on the text is made in a thread: as YAML, 500 take 50 ms, in which nothing else would move.
_MANY: Final = 500
# https://pkg.go.dev/unicode#IsSpace; Python's own idea of space has four control characters more.
_SPACE: Final = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


class ObjectReference(Typed):
    """core/v1 ObjectReference."""

    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    api_version: str = ""
    resource_version: str = ""
    field_path: str = ""


class EventSource(Typed):
    """core/v1 EventSource."""

    component: str = ""
    host: str = ""


class EventSeries(Typed):
    """core/v1 EventSeries."""

    always: ClassVar = frozenset({"last_observed_time"})
    micros: ClassVar = frozenset({"last_observed_time"})

    count: int = 0
    last_observed_time: Time | None = None


class Event(Typed):
    """core/v1 Event."""

    always: ClassVar = frozenset(
        {"first_timestamp", "last_timestamp", "event_time", "reporting_component", "reporting_instance"}
    )
    micros: ClassVar = frozenset({"event_time"})

    kind: str = ""
    api_version: str = ""
    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    involved_object: ObjectReference = msgspec.field(default_factory=ObjectReference)
    reason: str = ""
    message: str = ""
    source: EventSource = msgspec.field(default_factory=EventSource)
    first_timestamp: Time | None = None
    last_timestamp: Time | None = None
    count: int = 0
    type: str = ""
    event_time: Time | None = None
    series: EventSeries | None = None
    action: str = ""
    related: ObjectReference | None = None
    reporting_component: str = ""
    reporting_instance: str = ""

    def __post_init__(self) -> None:
        if not self.kind and not self.api_version:
            self.kind, self.api_version = "Event", "v1"

    @property
    def last_seen(self) -> datetime:
        """When it happened last; what events are sorted by."""
        if self.series is not None:
            return self.series.last_observed_time or NO_TIME
        return (self.last_timestamp if has_time(self.last_timestamp) else self.event_time) or NO_TIME


class EventList(TypedList):
    """core/v1 EventList."""

    items: list[Event] = msgspec.field(default_factory=list)


class WatchEvent(Typed):
    """One line of a watch."""

    type: str = ""
    object: msgspec.Raw = msgspec.Raw(b"{}")


async def run(call: Call) -> int:
    """Print the events."""
    command = call.command
    is_everywhere = command.is_set("all-namespaces")
    query = await _query(call)
    printer = _Printer(call)
    types = {word.lower() for word in (command.flag("types") or "").split(",") if word}
    if not types <= _TYPES:
        raise CommandFailed("error: valid --types are Normal or Warning")
    path = EVENTS.path(None if is_everywhere else call.namespace)
    if command.is_set("watch"):
        await _watch(call, path, query, types, printer)
        return 0
    events = [event async for event in _listed(call, path, query) if _is_wanted(event, types)]
    if not events:
        await call.err(f"No events found{'' if is_everywhere else f' in {call.namespace} namespace'}.\n")
        return 0
    events.sort(key=lambda event: event.last_seen)
    pieces = printer.pieces(events, is_list=True)
    is_costly = printer.runs_template or len(events) > _MANY
    await call.out(await beside_others(partial(next, pieces, ""), 0, is_costly=is_costly))
    # The rest as the sink takes it: one huge cell pads every line of its column.
    for piece in pieces:
        await call.out(piece)
    return 0


async def _query(call: Call) -> Query:
    """The query of the list or watch, with what --for chooses."""
    subject = call.command.flag("for")
    if not subject:
        return ()
    word, _, name = subject.partition("/")
    resource = await mapping.resource_for(call.discovery, word)
    if resource is None:
        raise mapping.no_match(word)
    fields = {"kind": resource.kind, "apiVersion": resource.group_version, "name": name}
    return (
        ("fieldSelector", ",".join(f"involvedObject.{field}={_escaped(value)}" for field, value in fields.items())),
    )


async def _listed(call: Call, path: str, query: Query) -> AsyncIterator[Event]:
    try:
        async for page in pages(call.transport, path, query, EventList):
            for event in page.items:
                yield event
    except StatusError as error:
        raise _of_list(error, query) from None


async def _watch(call: Call, path: str, query: Query, types: set[str], printer: "_Printer") -> None:
    """Print events as they come. Whatever ends the watch once it runs, kubectl says nothing of it."""
    async with call.transport.stream(path, (*query, ("watch", "true"))) as response:
        with suppress(Unreachable, CommandFailed, msgspec.DecodeError, RecursionError):
            async for line in watches.lines(response):
                event = _watched(line)
                if event is not None and _is_wanted(event, types):
                    printing = partial(list[str], printer.pieces([event]))
                    for piece in await beside_others(printing, len(line), is_costly=printer.runs_template):
                        await call.out(piece)


def _watched(line: bytes) -> Event | None:
    """The event in a line of a watch; None for what is not printed.

    Raises CommandFailed and msgspec.DecodeError for a line that is none.
    """
    change = msgspec.json.decode(line, type=WatchEvent)
    match change.type:
        case "DELETED" | "ERROR":
            return None
        case "ADDED" | "MODIFIED" | "BOOKMARK":
            return decode(bytes(change.object), Event)
        case _:
            raise CommandFailed(f"error: unknown watch event {change.type!r}")


class _Printer:
    """Events to text, in the form asked for. All of it goes through one aligner, as in kubectl: also tabs in YAML."""

    def __init__(self, call: Call) -> None:
        command = call.command
        output = command.flag("output") or ""
        self._clock = call.clock
        self._has_namespaces = command.is_set("all-namespaces")
        self._is_headed = command.is_set("no-headers")
        self._writer = TabWriter()
        self._objects: TypedPrinter | None = None
        # How long it takes is then up to a stranger's template.
        self.runs_template = command.output in {"jsonpath", "jsonpath-as-json"}
        if output:
            self._objects = TypedPrinter(
                output,
                allow_missing=command.flag("allow-missing-template-keys") != "false",
                show_managed_fields=command.is_set("show-managed-fields"),
            )

    def pieces(self, events: Sequence[Event], *, is_list: bool = False) -> Iterator[str]:
        """The text of some events; what cannot be printed as an object is left out without a word, as kubectl does."""
        text = self._lines(events) if self._objects is None else ""
        if self._objects is not None:
            with suppress(CommandFailed):
                items = [printable(event) for event in events]
                text = self._objects.text(_as_list(items) if is_list else items[0])
        if "\t" in text or "\v" in text or "\f" in text:
            self._writer.feed(text)
            yield from self._writer.pieces()
        elif text:
            yield text

    def _lines(self, events: Sequence[Event]) -> str:
        lines = [self._line(event) for event in events]
        if not self._is_headed:
            self._is_headed = True
            header = "LAST SEEN\tTYPE\tREASON\tOBJECT\tMESSAGE\n"
            lines.insert(0, f"NAMESPACE\t{header}" if self._has_namespaces else header)
        return "".join(lines)

    def _line(self, event: Event) -> str:
        subject = event.involved_object
        cells = (
            seen(event, self._clock()),
            escaped(event.type),
            escaped(event.reason),
            f"{escaped(subject.kind)}/{escaped(subject.name)}",
            escaped(event.message.strip(_SPACE)),
        )
        return "\t".join((event.metadata.namespace, *cells) if self._has_namespaces else cells) + "\n"


def seen(event: Event, now: float) -> str:
    """When an event was seen: `5m`, or for one seen often `5m (x3 over 10m)`; `now` in seconds since the epoch."""
    first = _since(event.event_time if has_time(event.event_time) else event.first_timestamp, now)
    if event.series is not None:
        return f"{_since(event.series.last_observed_time, now)} (x{event.series.count} over {first})"
    if event.count > 1:
        return f"{_since(event.last_timestamp, now)} (x{event.count} over {first})"
    return first


def _since(time: datetime | None, now: float) -> str:
    if time is None or not has_time(time):
        return "<unknown>"
    return human_duration(now - time.timestamp())


def _as_list(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"kind": "EventList", "apiVersion": "v1", "metadata": {}, "items": items}


def _is_wanted(event: Event, types: set[str]) -> bool:
    return not types or event.type.lower() in types


def _escaped(value: str) -> str:
    """A value of a field selector (https://pkg.go.dev/k8s.io/apimachinery/pkg/fields#EscapeValue)."""
    return value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")


def _of_list(error: StatusError, query: Query) -> StatusError:
    """The error with kubectl's words about the list in front of the server's."""
    if error.reason not in {"BadRequest", "NotFound"}:
        return error
    fields = dict(query).get("fieldSelector")
    words = 'Unable to list "events"'
    if fields:
        quoted = fields.replace("\\", "\\\\").replace('"', '\\"')
        words = f'Unable to find "events" that match label selector "", field selector "{quoted}"'
    return StatusError(error.code, {**error.status, "message": f"{words}: {error.message}"})
