"""What a command's operands mean, as requests: `TYPE[,TYPE] [NAME...]`, `TYPE/NAME...`, `all`, selectors.

Asks discovery for what the words mean; fetches nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agent.executors.native.call import Call
from agent.executors.native.errors import CommandFailed
from agent.executors.native.resources import Resource
from agent.executors.native.transport import Query

_NOTHING_NAMED: Final = (
    "error: You must provide one or more resources by argument or filename.\n"
    "Example resource specifications include:\n"
    "   '-f rsrc.yaml'\n"
    "   '--filename=rsrc.json'\n"
    "   '<resource> <name>'\n"
    "   '<resource>'"
)
# Which query parameter a flag becomes. The server reads selectors; kubectl hands them on as they are.
_SELECTORS: Final = (("selector", "labelSelector"), ("field-selector", "fieldSelector"))


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to ask for: `name` None is a list of the resource, `namespace` None is of all namespaces or of none."""

    resource: Resource
    namespace: str | None
    name: str | None = None

    def path(self, subresource: str | None = None) -> str:
        """The path to GET. Raises CommandFailed for a name that cannot stand in a path."""
        return self.resource.path(self.namespace, self.name, subresource)


@dataclass(frozen=True, slots=True)
class Selection:
    """All that the operands name, in the order kubectl asks for it. `query` has the selectors, for lists only."""

    targets: tuple[Target, ...]
    is_single: bool  # exactly one object by its name: printed bare, and its error is the whole answer
    query: Query = ()


async def select(call: Call, *, is_single_type: bool = False) -> Selection:
    """Resolve the operands of a command, with its --namespace, --all-namespaces, --selector and --field-selector.

    `is_single_type`: several types are refused, as a watch has it. Raises CommandFailed with kubectl's text for words
    that mean nothing or do not go together, and what discovery raises.
    """
    operands = call.command.operands
    query = tuple((parameter, value) for flag, parameter in _SELECTORS if (value := call.command.flag(flag) or ""))
    if not operands:
        raise CommandFailed(_NOTHING_NAMED)
    if "/" in operands[0]:
        if query:
            raise CommandFailed("error: selectors and the all flag cannot be used when passing resource/name arguments")
        return await _by_type_and_name(call, operands, is_single_type)
    words = tuple(dict.fromkeys(operands[0].split(",")))
    if len(operands) > 1:
        if query:
            raise CommandFailed("error: name cannot be provided when a selector is specified")
        return await _by_name(call, words, operands[1:], is_single_type)
    return await _lists(call, words, query, is_single_type)


async def _by_type_and_name(call: Call, operands: Sequence[str], is_single_type: bool) -> Selection:
    pairs = [operand.split("/", 1) for operand in operands]
    _check_types(len({word for word, _ in pairs}), is_single_type)
    targets = [_named(call, await call.discovery.resolve(word), name) for word, name in pairs]
    return Selection(tuple(targets), is_single=len(targets) == 1)


async def _by_name(call: Call, words: Sequence[str], names: Sequence[str], is_single_type: bool) -> Selection:
    if len(words) == 1 and await call.discovery.category(words[0]):
        raise CommandFailed("error: you must specify only one resource")
    _check_types(len(words), is_single_type)
    resources = [await call.discovery.resolve(word) for word in words]
    targets = tuple(_named(call, resource, name) for resource in resources for name in names)
    return Selection(targets, is_single=len(targets) == 1)


async def _lists(call: Call, words: Sequence[str], query: Query, is_single_type: bool) -> Selection:
    categories = [await call.discovery.category(word) for word in words]
    _check_types(sum(len(category) or 1 for category in categories), is_single_type)
    resources: dict[Resource, None] = {}  # each once, in the order they were first named
    for word, category in zip(words, categories, strict=True):
        resources.update(dict.fromkeys(category or (await call.discovery.resolve(word),)))
    targets = (Target(resource, None if _is_everywhere(call, resource) else call.namespace) for resource in resources)
    return Selection(tuple(targets), is_single=False, query=query)


def _named(call: Call, resource: Resource, name: str) -> Target:
    if resource.is_namespaced and call.command.is_set("all-namespaces"):
        raise CommandFailed("error: a resource cannot be retrieved by name across all namespaces")
    return Target(resource, call.namespace if resource.is_namespaced else None, name)


def _is_everywhere(call: Call, resource: Resource) -> bool:
    return not resource.is_namespaced or call.command.is_set("all-namespaces")


def _check_types(count: int, is_single_type: bool) -> None:
    if is_single_type and count > 1:
        raise CommandFailed("error: you may only specify a single resource type")
