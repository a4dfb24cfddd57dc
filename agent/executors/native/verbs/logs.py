"""`kubectl logs`: finds the pods and containers meant, then copies what they wrote.

Of several containers that are not followed kubectl reads one after another, in an order that differs from run to run.
Here it is always the same: pods as the server lists them, in each the init containers, the normal, the ephemeral ones.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import msgspec

from agent.executors.native import listing, watches
from agent.executors.native.call import Call
from agent.executors.native.errors import CommandFailed, StatusError
from agent.executors.native.listing import Request
from agent.executors.native.resources import Resource
from agent.executors.native.selection import Selection, Target
from agent.executors.native.transport import Query
from agent.executors.native.verbs.log_pods import Pod, PodEvent, PodList, choose_container, preferred, selector_of
from agent.executors.native.verbs.log_streams import Source, Streams
from schemas.kubectl import KubectlCommand, seconds

_PODS: Final = Resource("", "v1", "Pod", "pods", "pod", is_namespaced=True)
_POD_WORDS: Final = frozenset({"", "pod", "pods"})  # they mean `_PODS` on every server: nothing need be asked
_PAGE: Final = 500  # pods; kubectl asks for all at once, and some namespaces are large
# They are held as the few fields `logs` looks at. So much JSON are 20,000 pods, more than a selector means to choose.
_MAX_LISTED_BYTES: Final = 256 * 1024 * 1024
# kubectl's defaults for --max-log-requests, --pod-running-timeout, and --tail with a selector.
_MAX_FOLLOWED: Final = 5
_POD_TIMEOUT: Final = "20s"
_SELECTOR_TAIL: Final = "10"
_NANOSECONDS: Final = 1_000_000_000
_SEE_HELP: Final = "See 'kubectl logs -h' for help and examples"
_NOTHING_NAMED: Final = (
    "error: expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\n"
    f"POD or TYPE/NAME is a required argument for the logs command\n{_SEE_HELP}"
)
_NAME_AND_SELECTOR: Final = {
    1: f"error: only a selector (-l) or a POD name is allowed\n{_SEE_HELP}",
    2: "error: selectors and the all flag cannot be used when passing resource/name arguments",
}


async def run(call: Call) -> int:
    """Write the logs. Followed ones end when their containers do; cancelling closes all requests.

    Raises CommandFailed, StatusError, Unreachable and what the sink raises.
    """
    command = call.command
    found = await _find(call)
    _check_flags(command)
    pods = await _pods_of(call, found) if isinstance(found, _Workload) else found
    sources = await _sources(call, pods)
    streams = Streams(call, ignores_errors=command.is_set("ignore-errors"))
    if command.is_set("follow") and len(sources) > 1:
        most = int(command.flag("max-log-requests") or _MAX_FOLLOWED)
        if len(sources) > most:
            raise CommandFailed(
                f"error: you are attempting to follow {len(sources)} log streams, but maximum allowed concurrency is "
                f"{most}, use --max-log-requests to increase the limit"
            )
        await streams.at_once(sources)
    else:
        await streams.one_by_one(sources)
    return 0


@dataclass(frozen=True, slots=True)
class _Workload:
    """Something other than a pod, as the server has it."""

    resource: Resource
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Object:
    """One object of any kind, as listing wants it."""

    continue_token: ClassVar = ""
    body: bytes

    def __len__(self) -> int:
        return 1


async def _find(call: Call) -> Sequence[Pod] | _Workload:
    """What the operands or the selector mean."""
    selector, operands = call.command.flag("selector") or "", call.command.operands
    if not selector and not operands:
        raise CommandFailed(_NOTHING_NAMED)
    if selector and operands:
        raise CommandFailed(_NAME_AND_SELECTOR[len(operands)])
    try:
        if operands:
            return await _named(call, operands[0])
        pods, _ = await _list_pods(call, _selecting(selector))
    except StatusError as error:
        if error.reason != "NotFound":
            raise
        where = f'in namespace "{call.namespace}"'
        raise CommandFailed(f"error: error from server (NotFound): {error.message} {where}") from None
    if not pods:
        await call.err(f"No resources found in {call.namespace} namespace.\n")
    return pods


async def _named(call: Call, operand: str) -> Sequence[Pod] | _Workload:
    """The object of `POD` or `TYPE/NAME`."""
    word, _, name = operand.rpartition("/")
    resource = _PODS if word.lower() in _POD_WORDS else await call.discovery.resolve(word)
    target = Target(resource, call.namespace if resource.is_namespaced else None, name)
    [found] = await listing.everything(call, Selection((target,), is_single=True), Request(read=_Object))
    if (resource.group, resource.plural) == (_PODS.group, _PODS.plural):
        return [msgspec.json.decode(found.body, type=Pod)]
    return _Workload(resource, msgspec.json.decode(found.body))


def _check_flags(command: KubectlCommand) -> None:
    """Refuse flags that do not go together, in kubectl's order: after the server was asked."""
    since = _since(command)
    if since is not None and command.flag("since-time"):
        raise CommandFailed("error: at most one of `sinceTime` or `sinceSeconds` may be specified")
    container = _container(command)
    if container and command.is_set("all-containers"):
        raise CommandFailed(f"error: --all-containers=true should not be specified with container name {container}")
    if command.flag("container") is not None and len(command.operands) == 2:
        raise CommandFailed("error: only one of -c or an inline [CONTAINER] arg is allowed")
    if since is not None and since < 0:
        raise CommandFailed("error: --since must be greater than 0")


async def _pods_of(call: Call, workload: _Workload) -> Sequence[Pod]:
    """The pods of a workload to read: one of them, or with --all-pods all. Where there is none, the first to come."""
    labels = _selecting(selector_of(workload.resource, workload.content))
    pods, version = await _list_pods(call, labels)
    if not pods:
        return [await _first_to_come(call, (*labels, ("resourceVersion", version), ("watch", "true")))]
    if call.command.is_set("all-pods"):
        return pods
    pod = preferred(pods)
    if len(pods) > 1:
        await call.err(f"Found {len(pods)} pods, using pod/{pod.metadata.name}\n")
    return [pod]


async def _list_pods(call: Call, labels: Query) -> tuple[list[Pod], str]:
    """The pods of the namespace, and the version of the list, from where to watch."""
    selection = Selection((Target(_PODS, call.namespace),), is_single=False, query=labels)
    request = Request(read=msgspec.json.Decoder(PodList).decode, chunk_size=_PAGE)
    pages = await listing.everything(call, selection, request, max_bytes=_MAX_LISTED_BYTES)
    return [pod for page in pages for pod in page.items], pages[-1].metadata.resource_version


async def _first_to_come(call: Call, query: Query) -> Pod:
    """Watch for a pod as long as --pod-running-timeout says."""
    try:
        async with asyncio.timeout(seconds(call.command.flag("pod-running-timeout") or _POD_TIMEOUT)):
            async with call.transport.stream(_PODS.path(call.namespace), query) as response:
                async for line in watches.lines(response):
                    event = msgspec.json.decode(line, type=PodEvent)
                    if event.type in {"ADDED", "MODIFIED"}:
                        return msgspec.json.decode(event.object, type=Pod)
    except TimeoutError:
        raise CommandFailed("error: timed out waiting for the condition") from None
    raise CommandFailed("error: watch closed before UntilWithoutRetry timeout")


def _selecting(selector: str) -> tuple[tuple[str, str], ...]:
    """The parameter for a label selector; "" selects everything."""
    return (("labelSelector", selector),) if selector else ()


async def _sources(call: Call, pods: Sequence[Pod]) -> list[Source]:
    """The logs to read, in order. Says on stderr what was chosen where nothing was named."""
    command = call.command
    query = _query(command)
    is_all_pods = command.is_set("all-pods")
    has_prefix = is_all_pods or command.is_set("prefix")
    sources = []
    for pod in pods:
        if command.is_set("all-containers"):
            containers = pod.containers()
        else:
            container, said = choose_container(pod, _container(command), is_told=not is_all_pods)
            containers = [container]
            if said:
                await call.err(said)
        path = _PODS.path(pod.metadata.namespace, pod.metadata.name, "log")
        for container in containers:
            prefix = f"[pod/{pod.metadata.name}/{container}] ".encode() if has_prefix else b""
            sources.append(Source(path, (("container", container), *query), prefix))
    return sources


def _query(command: KubectlCommand) -> Query:
    """The parameters that are the same for all containers
    (https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#get-read-log-of-the-specified-pod).
    """
    since = _since(command)
    tail = command.flag("tail") or (_SELECTOR_TAIL if command.flag("selector") else "-1")
    values = {
        "follow": "true" if command.is_set("follow") else "",
        "limitBytes": command.flag("limit-bytes") if command.flag("limit-bytes") != "0" else "",
        "previous": "true" if command.is_set("previous") else "",
        "sinceSeconds": "" if since is None else str(since),
        "sinceTime": command.flag("since-time"),
        "tailLines": tail if tail != "-1" else "",
        "timestamps": "true" if command.is_set("timestamps") else "",
    }
    return [(name, value) for name, value in values.items() if value]


def _container(command: KubectlCommand) -> str:
    """The container named, "" when none is."""
    return command.operands[1] if len(command.operands) == 2 else command.flag("container") or ""


def _since(command: KubectlCommand) -> int | None:
    """--since in whole seconds, halves rounded away from zero as Go does; None: not given, or 0s, which is the same."""
    nanoseconds = round(seconds(command.flag("since") or "0s") * _NANOSECONDS)
    if nanoseconds == 0:
        return None
    whole = (abs(nanoseconds) + _NANOSECONDS // 2) // _NANOSECONDS
    return whole if nanoseconds > 0 else -whole
