"""`explain`: what a kind and its fields are for, as the server's OpenAPI v3 documents tell it."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Final

from agent.executors.native import openapi
from agent.executors.native.call import Call
from agent.executors.native.errors import CommandFailed, NotNative
from agent.executors.native.listing import beside_others
from agent.executors.native.printers.explain import Explainer
from agent.executors.native.printers.values import go_text
from agent.executors.native.resources import Resource

_NOTHING_NAMED: Final = (
    'error: You must specify the type of resource to explain. Use "kubectl api-resources" for a complete list of '
    "supported resources."
)


async def run(call: Call) -> int:
    """Explain one kind or one field of it."""
    command = call.command
    if not command.operands:
        raise CommandFailed(_NOTHING_NAMED)
    [operand] = command.operands
    word, *path = operand.split(".")
    if "$" in operand or "" in (word, *path):
        raise NotNative("a field path that is more than names with dots between them")
    api_version = command.flag("api-version") or ""
    if api_version:
        resource, group_version = await _resolved(call, word), api_version
    else:
        resource, path = await _placed(call, operand, word, path)
        group_version = resource.group_version
    document = await openapi.document(call.transport, group_version)
    group, _, version = group_version.rpartition("/")
    if document is None:
        raise CommandFailed(f'error: couldn\'t find resource for "{group}/{version}, Resource={resource.plural}"')
    if command.flag("output") == "":
        raise CommandFailed("error: unrecognized format: ")
    kind = document.kinds.get(resource.plural)
    if kind is None:
        raise CommandFailed(f"error: GVR ({group}/{version}, Resource={resource.plural}) not found in OpenAPI schema")
    schema = document.schema_of(kind)
    is_recursive = command.is_set("recursive")
    explainer = Explainer(functools.cache(document.schema), is_recursive=is_recursive)
    text = None
    if schema is not None:
        # A small document can have a field for everything below everything.
        explaining = functools.partial(explainer.explain, schema, path)
        text = await beside_others(explaining, document.size, is_costly=is_recursive)
    await call.out(_header(kind) + (f"{text}\n" if text is not None else ""))
    if schema is None:
        raise CommandFailed(f"error: GVK {go_text(kind)} not found in OpenAPI schema")
    if text is None:
        raise CommandFailed(f'error: field "{path[-1]}" does not exist')
    return 0


def _header(kind: Mapping[str, Any]) -> str:
    group = f"GROUP:      {kind['group']}\n" if kind.get("group") else ""
    return f"{group}KIND:       {kind.get('kind', '<no value>')}\nVERSION:    {kind.get('version', '<no value>')}\n\n"


async def _placed(call: Call, operand: str, word: str, path: Sequence[str]) -> tuple[Resource, list[str]]:
    """The resource an operand is about and the field in it.

    `deployments.apps.spec` names a group where there is one; `deployments.spec` has the first of the server's.
    """
    resource = await _resolved(call, word)
    if word.lower() not in {resource.plural, resource.singular}:
        return resource, list(path)  # a short name, which means one group only
    meant = [other for other in await call.discovery.resources() if word.lower() in {other.plural, other.singular}]
    for other in meant:
        if operand.startswith(other.qualified):
            return other, operand[len(other.qualified) :].split(".")[1:]
    return meant[0], list(path)


async def _resolved(call: Call, word: str) -> Resource:
    """What a word means that is no kind: `explain` knows plurals, singulars and short names only."""
    try:
        resource = await call.discovery.resolve(word)
    except CommandFailed as failed:
        raise CommandFailed(failed.text.removeprefix("error: ")) from None
    if word.lower() not in {resource.plural, resource.singular} and word not in resource.short_names:
        raise CommandFailed(f'the server doesn\'t have a resource type "{word}"')
    return resource
