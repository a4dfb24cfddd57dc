"""How far a rollout is, in kubectl's words. Pure."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from agent.executors.native.errors import CommandFailed
from agent.executors.native.resources import Resource

REVISION: Final = "deployment.kubernetes.io/revision"
_ROLLING: Final = "RollingUpdate"
_MAX_INT64: Final = 2**63 - 1
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,4300}", re.ASCII)  # as long as Python reads at all

Object = Mapping[str, Any]
# What is printed, and whether the rollout is done.
Progress = tuple[str, bool]


def viewer_of(resource: Resource) -> Callable[[Object, int], Progress]:
    """The function that tells how far a rollout of these is: `(object, revision wanted or 0)` to text and whether it is
    done. It raises CommandFailed when the rollout has failed, or cannot be told of.

    Raises CommandFailed for a resource that rolls out nothing.
    """
    viewer = _VIEWERS.get((resource.group, resource.kind))
    if viewer is None:
        kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
        raise CommandFailed(f"error: no status viewer has been implemented for {kind}")
    return viewer


def revision_of(obj: Object) -> int:
    """The revision a Deployment or ReplicaSet has, 0 when none is written on it.

    Raises ValueError with Go's words for what is no number.
    """
    text = (obj["metadata"].get("annotations") or {}).get(REVISION, "0")
    if _INTEGER.fullmatch(text) is None:
        raise ValueError(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    if not -_MAX_INT64 - 1 <= int(text) <= _MAX_INT64:
        raise ValueError(f'strconv.ParseInt: parsing "{text}": value out of range')
    return int(text)


def _deployment(obj: Object, wanted: int) -> Progress:
    name, spec, status = _parts(obj)
    if wanted:
        _check_revision(obj, wanted)
    if not _is_observed(obj):
        return "Waiting for deployment spec update to be observed...\n", False
    if _reason(status, "Progressing") == "ProgressDeadlineExceeded":
        raise CommandFailed(f'error: deployment "{name}" exceeded its progress deadline')
    waiting = f'Waiting for deployment "{name}" rollout to finish:'
    replicas = spec.get("replicas") or 0
    updated, available = _count(status, "updatedReplicas"), _count(status, "availableReplicas")
    if updated < replicas:
        return f"{waiting} {updated} out of {replicas} new replicas have been updated...\n", False
    old = _count(status, "replicas") - updated
    if old > 0:
        return f"{waiting} {old} old replicas are pending termination...\n", False
    if available < updated:
        return f"{waiting} {available} of {updated} updated replicas are available...\n", False
    return f'deployment "{name}" successfully rolled out\n', True


def _daemon_set(obj: Object, _wanted: int) -> Progress:
    name, spec, status = _parts(obj)
    _check_strategy(spec)
    if not _is_observed(obj):
        return "Waiting for daemon set spec update to be observed...\n", False
    waiting = f'Waiting for daemon set "{name}" rollout to finish:'
    desired = _count(status, "desiredNumberScheduled")
    updated, available = _count(status, "updatedNumberScheduled"), _count(status, "numberAvailable")
    if updated < desired:
        return f"{waiting} {updated} out of {desired} new pods have been updated...\n", False
    if available < desired:
        return f"{waiting} {available} of {desired} updated pods are available...\n", False
    return f'daemon set "{name}" successfully rolled out\n', True


def _stateful_set(obj: Object, _wanted: int) -> Progress:
    _, spec, status = _parts(obj)
    _check_strategy(spec)
    if not _count(status, "observedGeneration") or not _is_observed(obj):
        return "Waiting for statefulset spec update to be observed...\n", False
    replicas, updated = spec.get("replicas"), _count(status, "updatedReplicas")
    missing = (replicas or 0) - _count(status, "readyReplicas")
    if missing > 0:
        return f"Waiting for {missing} pods to be ready...\n", False
    rolling = spec["updateStrategy"].get("rollingUpdate")
    if rolling is not None:
        partition = rolling.get("partition")
        new = replicas - partition if replicas is not None and partition is not None else 0
        if updated < new:
            text = f"Waiting for partitioned roll out to finish: {updated} out of {new} new pods have been updated...\n"
            return text, False
        return f"partitioned roll out complete: {updated} new pods have been updated...\n", True
    old, new_revision = status.get("currentRevision") or "", status.get("updateRevision") or ""
    if old != new_revision:
        text = f"waiting for statefulset rolling update to complete {updated} pods at revision {new_revision}...\n"
        return text, False
    current = _count(status, "currentReplicas")
    return f"statefulset rolling update complete {current} pods at revision {old}...\n", True


def _parts(obj: Object) -> tuple[str, Mapping[str, Any], Mapping[str, Any]]:
    """Name, spec, status."""
    return obj["metadata"]["name"], obj.get("spec") or {}, obj.get("status") or {}


def _count(status: Mapping[str, Any], name: str) -> int:
    count: int = status.get(name) or 0
    return count


def _reason(status: Mapping[str, Any], condition: str) -> str | None:
    """The reason of a condition, None when there is none."""
    return next((one.get("reason") for one in status.get("conditions") or () if one.get("type") == condition), None)


def _is_observed(obj: Object) -> bool:
    """Whether the status speaks of the spec as it is now."""
    return (obj["metadata"].get("generation") or 0) <= _count(obj.get("status") or {}, "observedGeneration")


def _check_strategy(spec: Mapping[str, Any]) -> None:
    if (spec.get("updateStrategy") or {}).get("type") != _ROLLING:
        raise CommandFailed(f"error: rollout status is only available for {_ROLLING} strategy type")


def _check_revision(deployment: Object, wanted: int) -> None:
    try:
        running = revision_of(deployment)
    except ValueError as error:
        name = deployment["metadata"]["name"]
        raise CommandFailed(f'error: cannot get the revision of deployment "{name}": {error}') from None
    if running != wanted:
        raise CommandFailed(f"error: desired revision ({wanted}) is different from the running revision ({running})")


_VIEWERS: Final[Mapping[tuple[str, str], Callable[[Object, int], Progress]]] = {
    ("apps", "Deployment"): _deployment,
    ("apps", "DaemonSet"): _daemon_set,
    ("apps", "StatefulSet"): _stateful_set,
    ("extensions", "Deployment"): _deployment,
    ("extensions", "DaemonSet"): _daemon_set,
}
