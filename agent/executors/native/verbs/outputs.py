"""What `get` prints other than tables: json, yaml, name, jsonpath, custom-columns. get.py and watch.py feed it."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from agent.executors.native.call import Call
from agent.executors.native.errors import CommandFailed
from agent.executors.native.listing import Request
from agent.executors.native.printers.columns import CustomColumns
from agent.executors.native.printers.jsonpath import JsonPath
from agent.executors.native.printers.jsonprinter import ListPrinter, print_json, print_watch_event
from agent.executors.native.printers.names import print_name
from agent.executors.native.printers.objects import as_list, items_of, without_managed_fields
from agent.executors.native.printers.sorting import sort_objects
from agent.executors.native.printers.yamlprinter import YamlList, print_yaml
from agent.executors.native.resources import Resource
from agent.executors.native.selection import Selection
from agent.executors.native.transport import JSON
from schemas.kubectl import KubectlCommand

Object = dict[str, Any]

_YAML_SEPARATOR: Final = "---\n"
# Templates whose text for a List is that of its items, one after another: `{.items[*].metadata.name}`, and
# `{range .items[*]}{.metadata.name}{"\n"}{end}` with simple paths and texts in it. Not `{.items[*].a[*]}`: where one
# `a` is empty, kubectl finds nothing in the others.
_OF_EACH_ITEM: Final = re.compile(
    r"""\{\.items\[\*\](?:\.[\w-]+)*\}
    |(?P<range>\{range\ \.items\[\*\]\})
     (?:[^{}]|\{(?:\.[\w-]+|\[(?:\*|\d+)\])+\}|\{"(?:[^"\\{}]|\\.)*"\}|\{'(?:[^'\\{}]|\\.)*'\})*
     \{end\}""",
    re.ASCII | re.VERBOSE,
)
_CHUNK_SIZE: Final = 500  # kubectl's own default

# Metadata instead of objects; a server that cannot do so gives them whole.
_METADATA: Final = f"application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,{JSON}"
_METADATA_LIST: Final = f"application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,{JSON}"


@dataclass(frozen=True, slots=True)
class ObjectsPage:
    """An answer as JSON values: `raw` as it came, `items` the objects of the list that it is, or itself."""

    raw: Object
    items: list[Object]

    @classmethod
    def of(cls, raw: Any) -> Self:
        """Raises ValueError for what is no object."""
        if not isinstance(raw, dict):
            raise ValueError("the API server's answer is no object")  # noqa: TRY004 -- as for what is no JSON
        return cls(raw, items_of(raw))

    @property
    def continue_token(self) -> str:
        """What gets the next page, "" for the last one."""
        return str(self._metadata.get("continue") or "")

    @property
    def resource_version(self) -> str:
        """Where a watch starts."""
        return str(self._metadata.get("resourceVersion") or "")

    def __len__(self) -> int:
        return len(self.items)

    @property
    def _metadata(self) -> Mapping[str, Any]:
        return self.raw.get("metadata") or {}


class Output(ABC):
    """The printer of one command: `one` object; or `items` any number of times, then `end`; or any number of `events`.

    All give text to write, "" for nothing yet, and raise CommandFailed for what cannot be printed; `rest` then has what
    is printed all the same. `holds_items`: it needs all items of a List before it prints the first. `runs_template`:
    how long it takes is up to a stranger's template, so it belongs in a thread.
    """

    holds_items = False
    runs_template = False

    @abstractmethod
    def one(self, obj: Object) -> str:
        """A bare object."""

    @abstractmethod
    def items(self, objects: Sequence[Object]) -> str:
        """The next items of a List."""

    def end(self) -> str:
        """What is left of a List."""
        return ""

    def rest(self) -> str:
        """What an error leaves to print."""
        return ""

    def events(self, objects: Sequence[Object], event: str) -> str:
        """What a watch gives at once: objects, or lists of them; `event` is `ADDED`, or "" to be left out."""
        return "".join([self.one(_as_event(obj, event) if event else obj) for obj in objects])


def output_of(command: KubectlCommand) -> Output:
    """The printer for a command's -o. Raises CommandFailed for an argument that cannot be read."""
    argument = (command.flag("output") or "").partition("=")[2]
    match command.output:
        case "json":
            return _Json(hides_managers=not command.is_set("show-managed-fields"))
        case "yaml":
            return _Yaml(hides_managers=not command.is_set("show-managed-fields"))
        case "name":
            return _Names()
        case "custom-columns":
            return _Columns(argument, has_headers=not command.is_set("no-headers"))
        case kind:
            if not argument:
                raise CommandFailed("error: template format specified but no template given")
            allow_missing = command.flag("allow-missing-template-keys") != "false"
            return _Path(argument, allow_missing=allow_missing, as_json=kind == "jsonpath-as-json")


def object_request(call: Call, selection: Selection) -> Request[ObjectsPage]:
    """How to ask for the objects of a command that prints no table."""
    command = call.command
    is_sorted = bool(command.flag("sort-by"))
    return Request(
        lambda body: ObjectsPage.of(call.load(body)),
        accept=metadata_accept(command, selection) if command.output == "name" else JSON,
        chunk_size=chunk_size(command),
        limit=None if is_sorted else command.limit,
        subresource=command.flag("subresource") or None,
    )


def chunk_size(command: KubectlCommand) -> int:
    """The size of a list's pages; 0: in one piece, as it must be to be sorted (a watch sorts nothing)."""
    if command.flag("sort-by") and not command.is_streaming:
        return 0
    return int(command.flag("chunk-size") or _CHUNK_SIZE)


def metadata_accept(command: KubectlCommand, selection: Selection) -> str:
    """What to accept where metadata is enough. To sort takes whole objects, and subresources have nothing else."""
    if command.flag("sort-by") or command.flag("subresource"):
        return accept_for(selection, JSON)
    return accept_for(selection, _METADATA if selection.targets[0].name is not None else _METADATA_LIST)


def accept_for(selection: Selection, accept: str) -> str:
    """What to accept, whole objects as the last choice left out where they would be Secrets."""
    if any(is_secret(target.resource) for target in selection.targets):
        return accept.removesuffix(f",{JSON}")
    return accept


def is_secret(resource: Resource) -> bool:
    """Whether its objects are Secrets, which never leave the cluster with their values."""
    return not resource.group and resource.kind == "Secret"


def named(objects: Sequence[Object], resource: Resource) -> Sequence[Object]:
    """Objects of a resource; those that came as metadata only get their kind back."""
    for obj in objects:
        if obj.get("kind") == "PartialObjectMetadata":
            obj["kind"], obj["apiVersion"] = resource.kind, resource.group_version
    return objects


class Sorted(Output):
    """An output whose List is put into the order of --sort-by. A watch keeps its own."""

    holds_items = True
    runs_template = True

    def __init__(self, output: Output, expression: str) -> None:
        self._output = output
        self._expression = expression
        self._items: list[Object] = []

    def one(self, obj: Object) -> str:
        """As without an order."""
        return self._output.one(obj)

    def items(self, objects: Sequence[Object]) -> str:
        """Nothing yet."""
        self._items += objects
        return ""

    def end(self) -> str:
        """All of the List. Raises CommandFailed when there is no such field."""
        items = sort_objects(self._items, self._expression) if self._items else []
        return self._output.items(items) + self._output.end()

    def rest(self) -> str:
        """As without an order."""
        return self._output.rest()


class _Json(Output):
    def __init__(self, *, hides_managers: bool) -> None:
        self._hides_managers = hides_managers
        self._list = ListPrinter()
        self._has_begun = False

    def one(self, obj: Object) -> str:
        return print_json(_without_managers(obj) if self._hides_managers else obj)

    def items(self, objects: Sequence[Object]) -> str:
        pieces = [self._beginning()]
        pieces += [self._list.item(without_managed_fields(item) if self._hides_managers else item) for item in objects]
        return "".join(pieces)

    def end(self) -> str:
        return self._beginning() + self._list.footer()

    def events(self, objects: Sequence[Object], event: str) -> str:
        return "".join([print_watch_event(event, obj) if event else self.one(obj) for obj in objects])

    def _beginning(self) -> str:
        has_begun, self._has_begun = self._has_begun, True
        return "" if has_begun else self._list.header()


class _Yaml(Output):
    def __init__(self, *, hides_managers: bool) -> None:
        self._hides_managers = hides_managers
        self._list = YamlList()
        self._separator = ""  # what stands before the next document

    def one(self, obj: Object) -> str:
        separator, self._separator = self._separator, _YAML_SEPARATOR
        return separator + print_yaml(_without_managers(obj) if self._hides_managers else obj)

    def items(self, objects: Sequence[Object]) -> str:
        return "".join(
            [self._list.item(without_managed_fields(item) if self._hides_managers else item) for item in objects]
        )

    def end(self) -> str:
        return self._list.end()


class _Names(Output):
    def one(self, obj: Object) -> str:
        return print_name(obj)

    def items(self, objects: Sequence[Object]) -> str:
        return "".join(map(print_name, objects))

    def events(self, objects: Sequence[Object], event: str) -> str:  # noqa: ARG002 -- the name is the object's own
        return "".join([self.items(items_of(obj)) for obj in objects])


class _Columns(Output):
    runs_template = True

    def __init__(self, spec: str, *, has_headers: bool) -> None:
        self._columns = CustomColumns(spec, has_headers=has_headers)

    def one(self, obj: Object) -> str:
        return self.events([obj], "")

    def items(self, objects: Sequence[Object]) -> str:
        self._columns.feed(objects, are_listed=True)
        return ""

    def end(self) -> str:
        self._columns.feed(())  # of no items there is the header
        return self._columns.flush()

    def rest(self) -> str:
        return self._columns.flush()

    def events(self, objects: Sequence[Object], event: str) -> str:
        for obj in objects:
            self._columns.feed([_as_event(obj, event)] if event else items_of(obj))
        return self._columns.flush()


class _Path(Output):
    runs_template = True

    def __init__(self, template: str, *, allow_missing: bool, as_json: bool) -> None:
        self._path = JsonPath.parse(template, allow_missing=allow_missing)
        self._as_json = as_json
        self._separator = None if as_json else _piece_separator(template)
        self.holds_items = self._separator is None
        self._items: list[Object] = []
        self._has_begun = False

    def one(self, obj: Object) -> str:
        return self._path.render_json(obj) if self._as_json else self._path.render(obj)

    def items(self, objects: Sequence[Object]) -> str:
        if self._separator is None:
            self._items += objects
            return ""
        some = as_list(objects)
        text = self._path.render(some)
        if not text and not any(self._path.find(some, is_listed=True)):
            return ""
        has_begun, self._has_begun = self._has_begun, True
        return self._separator + text if has_begun else text

    def end(self) -> str:
        return "" if self._has_begun else self.one(as_list(self._items))


def _piece_separator(template: str) -> str | None:
    """What stands between the texts of two parts of a List; None where these do not make up the text of the whole."""
    match = _OF_EACH_ITEM.fullmatch(template)
    if match is None:
        return None
    return "" if match["range"] else " "


def _as_event(obj: Object, event: str) -> Object:
    """What a watch gives where its events are shown."""
    return {"object": obj, "type": event}


def _without_managers(obj: Object) -> Object:
    """The object, or the list, without managedFields. What is inside of an event keeps them, as kubectl has it."""
    for item in items_of(obj):
        without_managed_fields(item)
    return obj
