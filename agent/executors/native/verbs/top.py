"""`top pod` and `top node`: what the metrics API (metrics.k8s.io) says is being used, rounded as kubectl does."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Self, TypeVar

import msgspec

from agent.executors.native import selectors
from agent.executors.native.call import Call
from agent.executors.native.errors import CommandFailed, StatusError
from agent.executors.native.pages import pages
from agent.executors.native.printers.durations import go_duration
from agent.executors.native.printers.quantity import parse_quantity
from agent.executors.native.printers.tabwriter import TabWriter
from agent.executors.native.printers.typed import Time, Typed, TypedList, decode
from agent.executors.native.resources import Resource
from agent.executors.native.transport import Query

_POD_METRICS: Final = Resource("metrics.k8s.io", "v1beta1", "PodMetrics", "pods", "pod", is_namespaced=True)
_NODE_METRICS: Final = Resource("metrics.k8s.io", "v1beta1", "NodeMetrics", "nodes", "node", is_namespaced=False)
_PODS: Final = Resource("", "v1", "Pod", "pods", "pod", is_namespaced=True)
_NODES: Final = Resource("", "v1", "Node", "nodes", "node", is_namespaced=False)

_METRICS_DELAY_SECONDS: Final = 120  # kubectl gives the metrics of a new pod so long to come
_MEBIBYTE: Final = 1024 * 1024
_MAX_INT64: Final = 2**63 - 1
_INFINITE_PERCENT: Final = -(2**63)  # an infinite float as int64, on amd64
_BAD_QUANTITY: Final = r"quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"

Usage = dict[str, str | int | float]  # `{"cpu": "156340111n", "memory": "1234Ki"}`


class Metadata(Typed):
    """As much of meta/v1 ObjectMeta as is needed."""

    name: str = ""
    namespace: str = ""
    creation_timestamp: Time | None = None


class ContainerMetrics(Typed):
    """metrics/v1beta1 ContainerMetrics."""

    name: str = ""
    usage: Usage = msgspec.field(default_factory=dict)


class PodMetrics(Typed):
    """metrics/v1beta1 PodMetrics."""

    kind: str = ""
    metadata: Metadata = msgspec.field(default_factory=Metadata)
    containers: list[ContainerMetrics] = msgspec.field(default_factory=list)


class PodMetricsList(TypedList):
    """metrics/v1beta1 PodMetricsList."""

    items: list[PodMetrics] = msgspec.field(default_factory=list)


class NodeMetrics(Typed):
    """metrics/v1beta1 NodeMetrics."""

    kind: str = ""
    metadata: Metadata = msgspec.field(default_factory=Metadata)
    usage: Usage = msgspec.field(default_factory=dict)


class NodeMetricsList(TypedList):
    """metrics/v1beta1 NodeMetricsList."""

    items: list[NodeMetrics] = msgspec.field(default_factory=list)


class Pod(Typed):
    """As much of core/v1 Pod as is needed."""

    metadata: Metadata = msgspec.field(default_factory=Metadata)


class PodList(TypedList):
    """core/v1 PodList."""

    items: list[Pod] = msgspec.field(default_factory=list)


class NodeStatus(Typed):
    """As much of core/v1 NodeStatus as is needed: what the node has."""

    allocatable: Usage = msgspec.field(default_factory=dict)
    capacity: Usage = msgspec.field(default_factory=dict)


class Node(Typed):
    """As much of core/v1 Node as is needed."""

    kind: str = ""
    metadata: Metadata = msgspec.field(default_factory=Metadata)
    status: NodeStatus = msgspec.field(default_factory=NodeStatus)


class NodeList(TypedList):
    """core/v1 NodeList."""

    items: list[Node] = msgspec.field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Amounts:
    """CPU in cores and memory in bytes; None: nothing is said of it, which counts as nothing used."""

    cpu: Fraction | None = None
    memory: Fraction | None = None

    @classmethod
    def read(cls, usage: Usage) -> Self:
        """The amounts in a document. Raises CommandFailed for what is no quantity."""
        return cls(*(_quantity(usage[name]) if name in usage else None for name in ("cpu", "memory")))

    def __add__(self, other: "Amounts") -> "Amounts":
        return Amounts((self.cpu or 0) + (other.cpu or Fraction()), (self.memory or 0) + (other.memory or Fraction()))

    def cells(self, available: "Amounts") -> Iterator[str]:
        """The cells of a line. What is said to be available also tells which part of it is used."""
        yield f"{_milli(self.cpu)}m"
        if available.cpu is not None:
            yield _percent(self.cpu, available.cpu)
        yield f"{math.trunc(Fraction(_whole(self.memory), _MEBIBYTE))}Mi"
        if available.memory is not None:
            yield _percent(self.memory, available.memory)

    def rank(self, sort_by: str) -> int:
        """The place in an order by `cpu` or `memory`, the largest first."""
        return -(_milli(self.cpu) if sort_by == "cpu" else _whole(self.memory))


_NOTHING: Final = Amounts()

Answer = TypeVar("Answer", bound=Typed)


async def run(call: Call) -> int:
    """Print the metrics of pods or of nodes."""
    command = call.command
    what, *names = command.operands
    name = names[0] if names else None
    labels, fields = command.flag("selector") or "", command.flag("field-selector") or ""
    if name and (labels or fields):
        raise CommandFailed(
            f"error: only one of NAME or {'selector' if what == 'pod' else '--selector'} can be provided"
        )
    selected = {"labelSelector": selectors.label_selector(labels), "fieldSelector": selectors.field_selector(fields)}
    query = tuple((key, value) for key, value in selected.items() if value)
    lines = await (_pods(call, name, query) if what == "pod" else _nodes(call, name, query))
    writer = TabWriter()
    writer.feed("".join(lines))
    for piece in writer.pieces():
        await call.out(piece)
    return 0


async def _pods(call: Call, name: str | None, query: Query) -> Iterable[str]:
    command = call.command
    is_everywhere = command.is_set("all-namespaces")
    namespace = None if is_everywhere else call.namespace
    path = _POD_METRICS.path(namespace, name)
    if name:
        pods = [await _metrics(call, path, (), PodMetrics)]
    else:
        pods = (await _metrics(call, path, query, PodMetricsList)).items
    if not pods:
        # Of the namespace of the command, also with --all-namespaces: kubectl's slip.
        await _expect_none(call, _PODS.path(call.namespace), query)
        await call.err("No resources found\n" if is_everywhere else f"No resources found in {namespace} namespace.\n")
        return ()
    return _pod_lines(
        pods,
        sort_by=command.flag("sort-by") or "",
        has_namespaces=is_everywhere,
        has_containers=command.is_set("containers"),
        has_sum=command.is_set("sum"),
        has_header=not command.is_set("no-headers"),
    )


async def _nodes(call: Call, name: str | None, query: Query) -> Iterable[str]:
    command = call.command
    path = _NODE_METRICS.path(None, name)
    if name:
        metrics = [await _metrics(call, path, (), NodeMetrics)]
    else:
        metrics = (await _metrics(call, path, query, NodeMetricsList)).items
    if not metrics:
        raise CommandFailed("error: metrics not available yet")
    path = _NODES.path(None, name)
    if name:
        nodes = [decode(await call.transport.get(path), Node)]
    else:
        nodes = [node async for page in pages(call.transport, path, query, NodeList) for node in page.items]
    shows_capacity = command.is_set("show-capacity")
    available = {
        node.metadata.name: Amounts.read(node.status.capacity if shows_capacity else node.status.allocatable)
        for node in nodes
    }
    return _node_lines(
        metrics, available, sort_by=command.flag("sort-by") or "", has_header=not command.is_set("no-headers")
    )


async def _metrics(call: Call, path: str, query: Query, kind: type[Answer]) -> Answer:
    """An answer of the metrics API. kubectl asks first whether there is one; here that is asked when it says no."""
    try:
        return decode(await call.transport.get(path, query), kind)
    except StatusError:
        if _POD_METRICS.group_version not in (await call.discovery.discovered()).group_versions:
            raise CommandFailed("error: Metrics API not available") from None
        raise


async def _expect_none(call: Call, path: str, query: Query) -> None:
    """Raise CommandFailed unless there are no pods that could have metrics."""
    has_pods = False
    async for page in pages(call.transport, path, query, PodList):
        has_pods = has_pods or bool(page.items)
        for pod in page.items:
            created = pod.metadata.creation_timestamp
            age = call.clock() - created.timestamp() if created else math.inf
            if age > _METRICS_DELAY_SECONDS:
                which = f"{pod.metadata.namespace}/{pod.metadata.name}"
                raise CommandFailed(f"error: Metrics not available for pod {which}, age: {go_duration(age)}")
    if has_pods:
        raise CommandFailed("error: metrics not available yet")


def _pod_lines(
    pods: Iterable[PodMetrics],
    *,
    sort_by: str,
    has_namespaces: bool,
    has_containers: bool,
    has_sum: bool,
    has_header: bool,
) -> Iterator[str]:
    """The lines of the table, each cell behind a tab."""
    heads = ["NAMESPACE"] * has_namespaces + ["POD"] * has_containers + ["NAME", "CPU(cores)", "MEMORY(bytes)"]
    if has_header:
        yield _line(heads)
    read = [(pod, [(container, Amounts.read(container.usage)) for container in pod.containers]) for pod in pods]
    rows = [(pod, sum((used for _, used in containers), _NOTHING), containers) for pod, containers in read]
    if sort_by:
        rows.sort(key=lambda row: row[1].rank(sort_by))
    else:
        rows.sort(key=lambda row: (row[0].metadata.namespace if has_namespaces else "", row[0].metadata.name))
    for pod, used, containers in rows:
        place = [pod.metadata.namespace] * has_namespaces + [pod.metadata.name]
        if not has_containers:
            yield _line([*place, *used.cells(_NOTHING)])
            continue
        containers.sort(key=lambda one: one[1].rank(sort_by) if sort_by else one[0].name)
        for container, used_by_it in containers:
            yield _line([*place, container.name, *used_by_it.cells(_NOTHING)])
    if has_sum:
        # Without a header kubectl forgets the columns of namespaces and pods here.
        margin = [""] * ((len(heads) if has_header else 3) - 2)
        yield _line([*margin, "________", "________"])
        yield _line([*margin, *sum((used for _, used, _ in rows), _NOTHING).cells(_NOTHING)])


def _node_lines(
    nodes: Sequence[NodeMetrics], available: Mapping[str, Amounts], *, sort_by: str, has_header: bool
) -> Iterator[str]:
    """The lines of the table, each cell behind a tab; last the nodes without metrics, by name."""
    if has_header:
        yield _line(["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"])
    rest = dict(available)
    rows = [(node.metadata.name, Amounts.read(node.usage)) for node in nodes]
    for name, used in sorted(rows, key=lambda row: row[1].rank(sort_by) if sort_by else row[0]):
        yield _line([name, *used.cells(rest.pop(name, _NOTHING))])
    for name in sorted(rest):
        yield _line([name, *["<unknown>"] * 4])


def _line(cells: Iterable[str]) -> str:
    return "".join([f"{cell}\t" for cell in cells]) + "\n"


def _quantity(value: str | float) -> Fraction:
    try:
        return parse_quantity(str(value))
    except ValueError:
        raise CommandFailed(f"error: {_BAD_QUANTITY}") from None


def _whole(amount: Fraction | None) -> int:
    """An amount as a whole number, away from zero."""
    amount = amount or Fraction()
    return math.ceil(amount) if amount > 0 else math.floor(amount)


def _milli(amount: Fraction | None) -> int:
    """An amount in thousandths; 0 for what is beyond int64, as for kubectl."""
    thousandths = _whole(1000 * (amount or Fraction()))
    return thousandths if abs(thousandths) <= _MAX_INT64 else 0


def _percent(used: Fraction | None, available: Fraction) -> str:
    all_of_it = _milli(available)
    return f"{math.trunc(_milli(used) / all_of_it * 100) if all_of_it else _INFINITE_PERCENT}%"
