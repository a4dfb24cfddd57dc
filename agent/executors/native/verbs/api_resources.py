"""`api-resources`: the kinds of objects the server has, each in its preferred version."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from agent.executors.native.call import Call
from agent.executors.native.errors import CommandFailed, StatusError, Unreachable
from agent.executors.native.printers.tabwriter import TabWriter
from agent.executors.native.resources import Resource
from schemas.kubectl import KubectlCommand

_HEADER: Final = ("NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND")
_WIDE_HEADER: Final = (*_HEADER, "VERBS", "CATEGORIES")
# By what the lines are ordered; those that are the same in it stay in the server's order, as kubectl has it.
_ORDERS: Final[dict[str, Callable[[Resource], Any]]] = {
    "": lambda resource: (resource.group, resource.plural),
    "name": lambda resource: resource.plural,
    "kind": lambda resource: (resource.kind, resource.plural),
}


async def run(call: Call) -> int:
    """Print the resources that the flags leave. Those that could not be discovered end in an error behind the rest."""
    command = call.command
    try:
        discovered = await call.discovery.discovered(is_fresh=not command.is_set("cached"))
    except (StatusError, Unreachable):
        await call.out(_text([], command))
        raise
    resources = [resource for resource in discovered.catalogue.preferred() if _is_wanted(resource, command)]
    resources.sort(key=_ORDERS[command.flag("sort-by") or ""])
    await call.out(_text(resources, command))
    if discovered.failed:
        failures = ", ".join(f"{group_version}: {why}" for group_version, why in sorted(discovered.failed.items()))
        raise CommandFailed(f"error: unable to retrieve the complete list of server APIs: {failures}")
    return 0


def _is_wanted(resource: Resource, command: KubectlCommand) -> bool:
    group, namespaced = command.flag("api-group"), command.flag("namespaced")
    return (
        bool(resource.verbs)
        and group in {None, resource.group}
        and namespaced in {None, "true" if resource.is_namespaced else "false"}
        and _words(command.flag("verbs")) <= set(resource.verbs)
        and _words(command.flag("categories")) <= set(resource.categories)
    )


def _words(flag: str | None) -> set[str]:
    return set(flag.split(",")) if flag else set()


def _text(resources: Iterable[Resource], command: KubectlCommand) -> str:
    if command.output == "name":
        return "".join(f"{resource.qualified}\n" for resource in resources)
    is_wide = command.output == "wide"
    writer = TabWriter()
    if not command.is_set("no-headers"):
        writer.feed("\t".join(_WIDE_HEADER if is_wide else _HEADER) + "\n")
    for resource in resources:
        cells = [
            resource.plural,
            ",".join(resource.short_names),
            resource.group_version,
            "true" if resource.is_namespaced else "false",
            resource.kind,
        ]
        if is_wide:
            cells += [",".join(resource.verbs), ",".join(resource.categories)]
        writer.feed("\t".join(cells) + "\n")
    return writer.flush()
