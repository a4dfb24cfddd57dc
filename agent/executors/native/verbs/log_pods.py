"""Which pods and which of their containers `logs` reads: the pods of a workload, the one kubectl prefers, the container
it takes when none is named. Pure: logs.py asks the server.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from agent.executors.native import label_selectors, scheme
from agent.executors.native.errors import CommandFailed
from agent.executors.native.resources import Resource

_DEFAULT_CONTAINER: Final = "kubectl.kubernetes.io/default-container"
# The phases that kubectl puts behind; all others, even an empty one, count as running.
_PHASES: Final = {"Unknown": 1, "Pending": 2}


class _Read(msgspec.Struct, rename="camel", gc=False):
    """A part of an object as JSON has it; what is not declared is passed over."""


class Metadata(_Read):
    """What a pod is called, and what its author says of it."""

    name: str = ""
    namespace: str = ""
    annotations: dict[str, str] | None = None
    creation_timestamp: str | None = None


class Container(_Read):
    """A container of any of the three kinds."""

    name: str = ""


class Spec(_Read):
    """Where the pod runs, and its containers. `node_name` "": nowhere yet."""

    node_name: str = ""
    containers: list[Container] = []
    init_containers: list[Container] = []
    ephemeral_containers: list[Container] = []


class Condition(_Read):
    """One condition: `Condition("Ready", "True", "2024-01-20T10:30:45Z")`."""

    type: str = ""
    status: str = ""
    last_transition_time: str | None = None


class ContainerStatus(_Read):
    """How a container fares."""

    restart_count: int = 0


class Status(_Read):
    """How the pod fares."""

    phase: str = ""
    conditions: list[Condition] = []
    container_statuses: list[ContainerStatus] = []


class Pod(_Read):
    """A pod, as much of it as `logs` looks at."""

    metadata: Metadata = msgspec.field(default_factory=Metadata)
    spec: Spec = msgspec.field(default_factory=Spec)
    status: Status = msgspec.field(default_factory=Status)

    def containers(self) -> list[str]:
        """The names of all containers in the order they come to run: init, normal, ephemeral ones; each name once."""
        spec = self.spec
        every = (*spec.init_containers, *spec.containers, *spec.ephemeral_containers)
        return list(dict.fromkeys(container.name for container in every))


class ListMetadata(_Read):
    """Of a list: where a watch starts, and what gets the next page ("" when there is none)."""

    resource_version: str = ""
    continue_token: str = msgspec.field(default="", name="continue")


class PodList(_Read):
    """A page of a list of pods."""

    metadata: ListMetadata = msgspec.field(default_factory=ListMetadata)
    items: list[Pod] = []

    @property
    def continue_token(self) -> str:
        """What gets the next page."""
        return self.metadata.continue_token

    def __len__(self) -> int:
        return len(self.items)


class PodEvent(_Read):
    """What a watch of pods tells. Its `object` is a pod's JSON, or with `type` ERROR a Status's."""

    type: str
    object: msgspec.Raw


def choose_container(pod: Pod, named: str, *, is_told: bool) -> tuple[str, str]:
    """The container to read, and what kubectl says on stderr about its choice ("" when it says nothing).

    `named` "": none was named, so it is the one the pod's annotation names, else the first one. `is_told` False leaves
    out that it is the first one. Raises CommandFailed for a container that the pod has not.
    """
    said = ""
    if not named:
        annotated = (pod.metadata.annotations or {}).get(_DEFAULT_CONTAINER, "")
        if annotated in pod.containers():
            return annotated, said
        if annotated:
            said = f'Default container name "{annotated}" not found in pod {pod.metadata.name}\n'
        named = next((container.name for container in pod.spec.containers), "")
        if is_told and len(_all_names(pod)) > 1:
            said += f'Defaulted container "{named}" out of: {", ".join(_all_names(pod))}\n'
    if named not in pod.containers():
        raise CommandFailed(f"error: container {named} is not valid for pod {pod.metadata.name}")
    return named, said


def preferred(pods: Sequence[Pod]) -> Pod:
    """The pod to read for all: one that is scheduled, runs, is ready, for longest, restarted most often, oldest."""
    return min(pods, key=_preference)


def selector_of(resource: Resource, workload: Mapping[str, Any]) -> str:
    """The label selector of a workload's pods as a query has it: `app=web,tier in (a,b)`; "" means all pods.

    Raises CommandFailed in kubectl's words for what has no pods.
    """
    go_type = scheme.go_type(resource)
    reader = _SELECTORS.get((resource.group, resource.kind))
    if reader is None:
        raise CommandFailed(f"error: cannot get the logs from {go_type}: selector for {go_type} not implemented")
    try:
        return reader(workload)
    except _NoSelector as error:
        raise CommandFailed(f"error: cannot get the logs from {go_type}: {error}") from None


class _NoSelector(Exception):
    """The workload has no selector, or none that can be read; the message is kubectl's clause."""


def _all_names(pod: Pod) -> list[str]:
    """The containers as kubectl lists them for people, in its order."""
    spec = pod.spec
    return [
        *(container.name for container in spec.containers),
        *(f"{container.name} (ephem)" for container in spec.ephemeral_containers),
        *(f"{container.name} (init)" for container in spec.init_containers),
    ]


def _preference(pod: Pod) -> tuple[Any, ...]:
    ready = next((one for one in pod.status.conditions if one.type == "Ready" and one.status == "True"), None)
    restarts = max((one.restart_count for one in pod.status.container_statuses), default=0)
    return (
        not pod.spec.node_name,
        _PHASES.get(pod.status.phase, 0),
        ready is None,
        _oldest_first(ready.last_transition_time if ready is not None else None),
        -restarts,
        _oldest_first(pod.metadata.creation_timestamp),
    )


def _oldest_first(moment: str | None) -> tuple[bool, str]:
    """Kubernetes writes every time in one form, so text is ordered as time is; no time comes last."""
    return moment is None, moment or ""


def _of_labels(workload: Mapping[str, Any]) -> str:
    return label_selectors.labels_as_query((workload.get("spec") or {}).get("selector") or {})


def _of_service(service: Mapping[str, Any]) -> str:
    selector = _of_labels(service)
    if not selector:
        raise _NoSelector(f"invalid service '{service['metadata']['name']}': Service is defined without a selector")
    return selector


def _of_selector(workload: Mapping[str, Any]) -> str:
    try:
        return label_selectors.as_query((workload.get("spec") or {}).get("selector") or {})
    except ValueError as error:
        raise _NoSelector(f"invalid label selector: {error}") from None


_SELECTORS: Final[Mapping[tuple[str, str], Callable[[Mapping[str, Any]], str]]] = {
    ("", "Service"): _of_service,
    ("", "ReplicationController"): _of_labels,
    ("apps", "DaemonSet"): _of_selector,
    ("apps", "Deployment"): _of_selector,
    ("apps", "ReplicaSet"): _of_selector,
    ("apps", "StatefulSet"): _of_selector,
    ("batch", "Job"): _of_selector,
    ("extensions", "DaemonSet"): _of_selector,
    ("extensions", "Deployment"): _of_selector,
    ("extensions", "ReplicaSet"): _of_selector,
}
