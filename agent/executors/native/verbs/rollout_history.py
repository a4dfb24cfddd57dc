"""The revisions of a workload: which objects hold them, which of those are its own, what is printed of them. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from agent.executors.native.errors import CommandFailed
from agent.executors.native.printers.tabwriter import TabWriter
from agent.executors.native.resources import Resource
from agent.executors.native.verbs.rollout_progress import revision_of

_CAUSE: Final = "kubernetes.io/change-cause"
_REPLICA_SETS: Final = Resource("apps", "v1", "ReplicaSet", "replicasets", "replicaset", is_namespaced=True)
_CONTROLLER_REVISIONS: Final = Resource(
    "apps", "v1", "ControllerRevision", "controllerrevisions", "controllerrevision", is_namespaced=True
)
_KEPT_IN: Final[Mapping[tuple[str, str], Resource]] = {
    ("apps", "Deployment"): _REPLICA_SETS,
    ("apps", "DaemonSet"): _CONTROLLER_REVISIONS,
    ("apps", "StatefulSet"): _CONTROLLER_REVISIONS,
    ("extensions", "Deployment"): _REPLICA_SETS,
    ("extensions", "DaemonSet"): _CONTROLLER_REVISIONS,
}
# What stands before creationTimestamp in client-go's ObjectMeta.
_BEFORE_CREATION: Final = frozenset(
    {"name", "generateName", "namespace", "selfLink", "uid", "resourceVersion", "generation"}
)

Object = Mapping[str, Any]


def kept_in(resource: Resource) -> Resource:
    """What the revisions of such workloads are kept in. Raises CommandFailed when they have none."""
    kept = _KEPT_IN.get((resource.group, resource.kind))
    if kept is None:
        kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
        raise CommandFailed(f'error: no history viewer has been implemented for "{kind}"')
    return kept


def is_patched(resource: Resource) -> bool:
    """Whether a revision of these is a patch to the workload, and not an object of its own."""
    return _KEPT_IN.get((resource.group, resource.kind)) is _CONTROLLER_REVISIONS


def failed(workload: Object, kept: Resource) -> str:
    """What kubectl says when the objects that hold the revisions cannot be had, as a clause."""
    name = workload["metadata"]["name"]
    if kept is _REPLICA_SETS:
        return f"failed to retrieve replica sets from deployment {name}"
    return f"unable to find history controlled by {workload['kind']} {name}"


def revisions(workload: Object, kept: Sequence[Object]) -> dict[int, Object]:
    """The workload's own among the objects `kept`, by revision, ascending. One whose revision cannot be read is left
    out, as by kubectl (which says so in its own log lines); of two with the same revision the last counts.
    """
    found: dict[int, Object] = {}
    for obj in kept:
        if _is_controlled_by(workload, obj):
            try:
                found[obj["revision"] if "revision" in obj else revision_of(obj)] = obj
            except ValueError:
                continue
    return dict(sorted(found.items()))


def table(found: Mapping[int, Object]) -> str:
    """The table of revisions, the empty line behind it included."""
    if not found:
        return "No rollout history found.\n"
    writer = TabWriter.of_descriptions()
    writer.feed("REVISION\tCHANGE-CAUSE\n")
    for revision, obj in found.items():
        writer.feed(f"{revision}\t{_cause(obj) or '<none>'}\n")
    return writer.flush() + "\n"


def as_typed(replica_set: Object) -> dict[str, Any]:
    """A ReplicaSet out of a list as kubectl's types print it: with its kind, and with the time its pod template was not
    made at, which servers from 1.34 on leave out. In all else what a server sends has the same form.
    """
    typed = {"kind": _REPLICA_SETS.kind, "apiVersion": _REPLICA_SETS.group_version, **replica_set}
    spec = typed["spec"]
    metadata = spec["template"].get("metadata") or {}
    first = {name: metadata[name] for name in metadata if name in _BEFORE_CREATION}
    metadata = {**first, "creationTimestamp": None, **metadata}
    return {**typed, "spec": {**spec, "template": {**spec["template"], "metadata": metadata}}}


def _is_controlled_by(workload: Object, obj: Object) -> bool:
    owners = obj["metadata"].get("ownerReferences") or ()
    uid = workload["metadata"].get("uid")
    return any(owner.get("controller") and owner.get("uid") == uid for owner in owners)


def _cause(obj: Object) -> str:
    """Why the revision was made: the object's own word, else that of a ReplicaSet's pod template."""
    template = (obj.get("spec") or {}).get("template") or {}
    own, of_template = (((one.get("metadata") or {}).get("annotations") or {}).get(_CAUSE) for one in (obj, template))
    return own or of_template or ""
