"""What a parsed command reads of a cluster: kinds, in which namespaces. Pure."""

from typing import Final, NamedTuple

import msgspec

from schemas.kubectl.command import KubectlCommand
from schemas.kubectl.kinds import EVENTS, NODES, PODS, SERVICES, Kind, kind_of
from schemas.kubectl.operands import resource_types

# Where `cluster-info` looks for the services that it prints.
SYSTEM_NAMESPACE: Final = "kube-system"
# What else kubectl shows of a kind when it describes it, or prints of its history.
_RELATED: Final[dict[str, tuple[str, ...]]] = {
    "cronjobs": ("jobs",),
    "daemonsets": ("pods", "controllerrevisions"),
    "deployments": ("replicasets",),
    "ingresses": ("services", "endpoints", "endpointslices"),
    "jobs": ("pods",),
    "namespaces": ("resourcequotas", "limitranges"),
    "nodes": ("pods", "leases"),
    "persistentvolumeclaims": ("pods",),
    "replicasets": ("pods",),
    "replicationcontrollers": ("pods",),
    "serviceaccounts": ("secrets",),
    "services": ("endpoints", "endpointslices"),
    "statefulsets": ("pods", "controllerrevisions"),
}
_NAMING: Final = frozenset({"get", "describe", "rollout-status", "rollout-history"})


class Read(NamedTuple):
    """One kind that a command reads: `argument` is where it names it, None where that goes without saying; `names` are
    the objects it names, none: it lists them.
    """

    kind: Kind
    argument: str | None
    names: tuple[str, ...] = ()


def reads(command: KubectlCommand) -> list[Read]:
    """The kinds that a command asks for. Of what reads no objects (`version`, `explain`, `auth can-i`), none."""
    if command.verb in _NAMING:
        return [
            Read(kind_of(word), argument, _names(command, argument))
            for word, argument in resource_types(command.operands)
        ]
    if command.verb == "logs":
        owner, slash, _ = (command.operands or ("",))[0].partition("/")
        named = [Read(kind_of(owner), command.operands[0])] if slash else []
        return [*(read for read in named if read.kind != PODS), Read(PODS, None)]
    if command.verb == "top":
        return [Read(NODES if command.operands[0] == "node" else PODS, command.operands[0], command.operands[1:])]
    if command.verb == "events":
        return [Read(EVENTS, None)]
    if command.verb == "cluster-info":
        return [Read(SERVICES, None)]
    return []


def spelled_out(command: KubectlCommand) -> KubectlCommand:
    """The same command with the kinds it names in full, where they are in the table: `po,deploy` is
    `pods,deployments.apps`. A cluster may have a kind of its own by the name `po`, and none by these.
    """
    if command.verb not in _NAMING and command.verb != "logs":
        return command
    operands = list(command.operands)
    if any("/" in operand for operand in operands):
        operands = [_with_full_name(operand) for operand in operands]
    elif operands and command.verb != "logs":
        operands[0] = ",".join(_full_name(word) for word in operands[0].split(","))
    return msgspec.structs.replace(command, operands=tuple(operands))


def _with_full_name(operand: str) -> str:
    word, slash, name = operand.partition("/")
    return f"{_full_name(word)}/{name}" if slash else operand


def _full_name(word: str) -> str:
    kind = kind_of(word)
    return str(kind) if kind.is_known else word


def shown_beside(command: KubectlCommand) -> list[Kind]:
    """The kinds that kubectl reads and shows beside those that a command asks for."""
    if command.verb not in {"describe", "rollout-history", "rollout-status"}:
        return []
    related = [kind_of(word) for read in reads(command) for word in _RELATED.get(read.kind.plural, ())]
    return [EVENTS, *related] if shows_events(command) else related


def shows_events(command: KubectlCommand) -> bool:
    """Whether events are shown beside what is described."""
    return command.verb == "describe" and command.flag("show-events") != "false"


def _names(command: KubectlCommand, argument: str) -> tuple[str, ...]:
    _, slash, name = argument.partition("/")
    return (name,) if slash else command.operands[1:]
