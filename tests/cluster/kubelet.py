"""The stand-in for a node: gives scheduled pods a status and serves their logs; runs no container.

Where there is no scheduler it also takes every pod that asks for no node in particular.

What a pod is like stands in its annotations:

    kubently.dev/state             Running (default; a Job's pod: Succeeded), CrashLoopBackOff, ImagePullBackOff,
                                   Pending, OOMKilled or Succeeded; anything else is a reason to wait for its containers
    kubently.dev/logs              its log, a line each; default: 20 lines with their number
    kubently.dev/numbered-lines    its log is so many lines of numbered.py, and goes on with the next ones; their tag is
                                   another at each request
    kubently.dev/emit-interval-ms  a followed log goes on for ever, a line each so many milliseconds; 0: as fast as read
"""

import asyncio
import contextlib
import datetime
import itertools
import json
import secrets
import ssl
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web

from tests.cluster import numbered

NODE: Final = "samples-node"
_LEASE_SECONDS: Final = 10.0
_LINES: Final = 20
_FLOOD_LINES: Final = 1000
# Lines written at once of what a container has written before.
_LINES_AT_ONCE: Final = 500
# Why a container has no log yet, as a kubelet words it.
_WAITING: Final = {
    "ImagePullBackOff": "trying and failing to pull image",
    "Pending": "ContainerCreating",
}
_EVENTS: Final = {
    "CrashLoopBackOff": ("BackOff", "Back-off restarting failed container"),
    "ImagePullBackOff": ("Failed", "Error: ImagePullBackOff"),
}
# Watches end on purpose from time to time, and must then be begun anew.
_WATCH_SECONDS: Final = 300


class Api:
    """The API server, as the admin."""

    def __init__(self, url: str, folder: Path) -> None:
        kubeconfig = json.loads((folder / "kubeconfig").read_text())
        token = kubeconfig["users"][0]["user"]["token"]
        trust = ssl.create_default_context(cafile=folder / "certificates" / "ca.crt")
        self._url = url
        self._http = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {token}"},
            connector=aiohttp.TCPConnector(ssl=trust),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
        )

    async def call(self, method: str, path: str, body: Any = None, *, patch: str = "merge") -> tuple[int, Any]:
        """One request; its status and JSON."""
        headers = {"Content-Type": f"application/{patch}-patch+json" if method == "PATCH" else "application/json"}
        data = None if body is None else json.dumps(body)
        async with self._http.request(method, self._url + path, data=data, headers=headers) as response:
            return response.status, await response.json()

    async def watch(self, path: str) -> Any:
        """Yield the events of a watch until it ends."""
        async with self._http.get(self._url + path) as response:
            response.raise_for_status()
            buffer = b""
            async for piece in response.content.iter_any():
                buffer += piece
                *lines, buffer = buffer.split(b"\n")
                for line in lines:
                    yield json.loads(line)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()


def now() -> str:
    """The time as Kubernetes writes it."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Kubelet:
    """One node and its pods."""

    def __init__(self, api: Api, port: int) -> None:
        self._api = api
        self._port = port
        self._pods: dict[tuple[str, str], Any] = {}

    async def register(self) -> None:
        """Make the node, or take over the one that is there."""
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE, "labels": {"kubernetes.io/os": "linux"}}}
        await self._api.call("POST", "/api/v1/nodes", node)
        await self.report()

    async def report(self) -> None:
        """Say that the node is well."""
        conditions = [
            {"type": kind, "status": status, "reason": reason, "message": message, "lastHeartbeatTime": now()}
            for kind, status, reason, message in (
                ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
                ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
                ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
                ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
            )
        ]
        capacity = {"cpu": "8", "memory": "16Gi", "pods": "2000"}
        status = {
            "conditions": conditions,
            "capacity": capacity,
            "allocatable": capacity,
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": NODE}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._port}},
            "nodeInfo": {
                "kubeletVersion": "v1.20.2",
                "kubeProxyVersion": "v1.20.2",
                "osImage": "stand-in",
                "operatingSystem": "linux",
                "architecture": "amd64",
                "kernelVersion": "6.0.0",
                "containerRuntimeVersion": "none://0",
                "machineID": "0",
                "systemUUID": "0",
                "bootID": "0",
            },
        }
        await self._api.call("PATCH", f"/api/v1/nodes/{NODE}/status", {"status": status}, patch="strategic-merge")

    async def beat(self) -> None:
        """Keep the node's lease and conditions fresh, for ever."""
        leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
        while True:
            spec = {
                "holderIdentity": NODE,
                "leaseDurationSeconds": 40,
                "renewTime": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            }
            with contextlib.suppress(aiohttp.ClientError):
                status, _ = await self._api.call("PATCH", f"{leases}/{NODE}", {"spec": spec})
                if status == 404:
                    await self._api.call("POST", leases, {"metadata": {"name": NODE}, "spec": spec})
                await self.report()
            await asyncio.sleep(_LEASE_SECONDS)

    async def follow(self) -> None:
        """Keep every pod of the node in its state, for ever."""
        await self._watch(NODE, self._on_change)

    async def schedule(self) -> None:
        """Give the node every pod that has none and may have any, for ever."""
        await self._watch("", self._bind)

    async def _watch(self, node: str, on_change: Callable[[str, list[Any]], Awaitable[None]]) -> None:
        """Tell of the pods of a node ("": of none) and of every change: `("LISTED", pods)`, `("ADDED", [pod])`."""
        path = f"/api/v1/pods?fieldSelector=spec.nodeName={node}"
        while True:
            try:
                _, listed = await self._api.call("GET", path)
                await on_change("LISTED", listed["items"])
                version = listed["metadata"]["resourceVersion"]
                watched = f"{path}&watch=true&resourceVersion={version}&timeoutSeconds={_WATCH_SECONDS}"
                async for event in self._api.watch(watched):
                    if event["type"] == "ERROR":
                        break  # 410: too old, list anew
                    await on_change(event["type"], [event["object"]])
            except (aiohttp.ClientError, KeyError, TimeoutError) as error:
                print(f"watching again: {error!r}", file=sys.stderr, flush=True)
                await asyncio.sleep(0.5)

    async def _on_change(self, kind: str, pods: list[Any]) -> None:
        if kind == "LISTED":
            self._pods.clear()
        for pod in pods:
            if kind == "DELETED":
                self._pods.pop(_key(pod), None)
            else:
                self._pods[_key(pod)] = pod
                await self._settle(pod)

    async def _bind(self, kind: str, pods: list[Any]) -> None:
        for pod in pods:
            if kind != "DELETED" and "nodeSelector" not in pod["spec"]:
                namespace, name = _key(pod)
                binding = {"metadata": {"name": name}, "target": {"kind": "Node", "name": NODE}}
                await self._api.call("POST", f"/api/v1/namespaces/{namespace}/pods/{name}/binding", binding)

    async def _settle(self, pod: Any) -> None:
        namespace, name = _key(pod)
        path = f"/api/v1/namespaces/{namespace}/pods/{name}"
        if pod["metadata"].get("deletionTimestamp"):
            await self._api.call("DELETE", path, {"gracePeriodSeconds": 0})
        elif "startTime" not in pod.get("status", {}):  # what a kubelet sets first
            await self._api.call("PATCH", f"{path}/status", {"status": _status(pod)}, patch="strategic-merge")
            if _state(pod) in _EVENTS:
                await self._api.call("POST", f"/api/v1/namespaces/{namespace}/events", _event(pod))

    # logs

    async def logs(self, request: web.Request) -> web.StreamResponse:
        """GET /containerLogs/{namespace}/{pod}/{container}, as a kubelet answers it."""
        key = (request.match_info["namespace"], request.match_info["pod"])
        container, query = request.match_info["container"], request.query
        pod = self._pods.get(key)
        if pod is None or container not in _containers(pod):
            raise web.HTTPNotFound(text=f'pod "{key[1]}" or its container "{container}" not found')
        if _state(pod) in _WAITING:
            why = f'container "{container}" in pod "{key[1]}" is waiting to start: {_WAITING[_state(pod)]}'
            raise web.HTTPBadRequest(text=why)
        is_previous = query.get("previous") == "true"
        if is_previous and _state(pod) != "CrashLoopBackOff":
            raise web.HTTPBadRequest(text=f'previous terminated container "{container}" in pod "{key[1]}" not found')
        interval = pod["metadata"].get("annotations", {}).get("kubently.dev/emit-interval-ms")
        goes_on = query.get("follow") == "true" and not is_previous
        tag = secrets.token_hex(4)
        lines = list(_written(pod, container, tag, is_previous=is_previous))
        if "sinceSeconds" in query or "sinceTime" in query:
            lines = _since(lines, query)
        if "tailLines" in query:
            tail = int(query["tailLines"])
            lines = lines[-tail:] if tail else []
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        left = int(query.get("limitBytes", 2**62))
        is_stamped = query.get("timestamps") == "true"
        for first in range(0, len(lines), _LINES_AT_ONCE):
            some = lines[first : first + _LINES_AT_ONCE]
            left = await _emit(response, "".join(f"{at} {text}" if is_stamped else text for at, text in some), left)
        if goes_on and interval is not None:
            at_once = 1 if int(interval) else _FLOOD_LINES
            count = _numbered(pod)
            for first in itertools.count(_LINES if count is None else count, at_once):
                if left <= 0:
                    break
                stamp = f"{_stamp()} " if is_stamped else ""
                numbers = range(first, first + at_once)
                text = "".join(
                    stamp + (f"{container} line {number}\n" if count is None else numbered.line(number, tag))
                    for number in numbers
                )
                left = await _emit(response, text, left)
                await asyncio.sleep(int(interval) / 1000)
        elif goes_on and _state(pod) == "Running":
            await asyncio.Event().wait()  # a quiet container: until the reader leaves
        return response


async def _emit(response: web.StreamResponse, text: str, left: int) -> int:
    """Write as much as is left of the limit; the bytes left after it."""
    written = text.encode()[:left]
    if written:
        await response.write(written)
    return left - len(written)


def _written(pod: Any, container: str, tag: str, *, is_previous: bool) -> Iterator[tuple[str, str]]:
    """The lines a container has written so far: one a second from the start of its pod."""
    annotations = pod["metadata"].get("annotations", {})
    default = "".join(f"{container} line {number}\n" for number in range(_LINES))
    count = _numbered(pod)
    text = annotations.get("kubently.dev/logs") or (default if count is None else numbered.lines(0, count, tag))
    created = datetime.datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
    prefix = "previous: " if is_previous else ""
    for number, line in enumerate(text.splitlines(keepends=True)):
        yield _stamp(created + datetime.timedelta(seconds=number)), prefix + line


def _numbered(pod: Any) -> int | None:
    """How many numbered lines the pod has written; None when its lines are others."""
    count = pod["metadata"].get("annotations", {}).get("kubently.dev/numbered-lines")
    return None if count is None else int(count)


def _since(lines: list[tuple[str, str]], query: Any) -> list[tuple[str, str]]:
    if "sinceTime" in query:
        first = datetime.datetime.fromisoformat(query["sinceTime"])
    else:
        first = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=int(query["sinceSeconds"]))
    return [line for line in lines if line[0] >= _stamp(first)]


def _event(pod: Any) -> dict[str, Any]:
    """What a kubelet tells of a pod that does not come up."""
    namespace, name = _key(pod)
    reason, message = _EVENTS[_state(pod)]
    return {
        "metadata": {"generateName": f"{name}.", "namespace": namespace},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": namespace,
            "name": name,
            "uid": pod["metadata"]["uid"],
        },
        "type": "Warning",
        "reason": reason,
        "message": message,
        "count": 12,
        "source": {"component": "kubelet", "host": NODE},
        "firstTimestamp": now(),
        "lastTimestamp": now(),
    }


def _stamp(moment: datetime.datetime | None = None) -> str:
    moment = moment or datetime.datetime.now(datetime.UTC)
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"


def _key(pod: Any) -> tuple[str, str]:
    return pod["metadata"]["namespace"], pod["metadata"]["name"]


def _containers(pod: Any) -> list[str]:
    spec = pod["spec"]
    return [one["name"] for one in [*spec.get("initContainers", []), *spec["containers"]]]


def _state(pod: Any) -> str:
    is_job = any(owner["kind"] == "Job" for owner in pod["metadata"].get("ownerReferences", []))
    default = "Succeeded" if is_job else "Running"
    state: str = pod["metadata"].get("annotations", {}).get("kubently.dev/state", default)
    return state


def _status(pod: Any) -> dict[str, Any]:
    """The status a kubelet would report of a pod in its state."""
    state, moment = _state(pod), now()
    is_ready = state == "Running"
    phases = {"ImagePullBackOff": "Pending", "Pending": "Pending", "OOMKilled": "Failed", "Succeeded": "Succeeded"}
    number = sum(pod["metadata"]["uid"].encode())
    conditions = {
        "Initialized": True,
        "Ready": is_ready,
        "ContainersReady": is_ready,
        "PodScheduled": True,
    }
    status: dict[str, Any] = {
        "phase": phases.get(state, "Running"),
        "startTime": moment,
        "hostIP": "127.0.0.1",
        "podIP": f"10.1.{number % 250}.{number // 250 % 250 + 1}",
        "conditions": [
            {"type": kind, "status": str(holds), "lastTransitionTime": moment} for kind, holds in conditions.items()
        ],
    }
    if state == "Pending":  # seen by the kubelet, and nothing begun
        return status
    status["containerStatuses"] = [
        _container(one, state, moment, is_ready=is_ready) for one in pod["spec"]["containers"]
    ]
    if "initContainers" in pod["spec"]:
        status["initContainerStatuses"] = [
            _container(one, "Succeeded", moment, is_ready=True) for one in pod["spec"]["initContainers"]
        ]
    return status


def _container(container: Any, state: str, moment: str, *, is_ready: bool) -> dict[str, Any]:
    ended = {"startedAt": moment, "finishedAt": moment, "containerID": f"none://{container['name']}"}
    crashed = {"exitCode": 1, "reason": "Error", **ended}
    name, image = container["name"], container["image"]
    states: dict[str, dict[str, Any]] = {
        "Running": {"running": {"startedAt": moment}},
        "Succeeded": {"terminated": {"exitCode": 0, "reason": "Completed", **ended}},
        "OOMKilled": {"terminated": {"exitCode": 137, "reason": "OOMKilled", **ended}},
        "CrashLoopBackOff": {
            "waiting": {
                "reason": "CrashLoopBackOff",
                "message": f"back-off 5m0s restarting failed container={name}",
            }
        },
        "ImagePullBackOff": {"waiting": {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{image}"'}},
    }
    is_crashing = state == "CrashLoopBackOff"
    return {
        "name": name,
        "image": image,
        "imageID": "" if state == "ImagePullBackOff" else f"{image}@sha256:{'0' * 64}",
        "ready": is_ready,
        "started": is_ready,
        "restartCount": 7 if is_crashing else 0,
        "state": states.get(state, {"waiting": {"reason": state}}),
        "lastState": {"terminated": crashed} if is_crashing else {},
    }


async def main(url: str, port: int, folder: Path, *, schedules: bool) -> None:
    """Run until ended."""
    api = Api(url, folder)
    kubelet = Kubelet(api, port)
    certificates = folder / "certificates"
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificates / "ca.crt")
    tls.verify_mode = ssl.CERT_REQUIRED  # the API server shows its certificate, nobody else gets in
    tls.load_cert_chain(certificates / "kubelet.crt", certificates / "kubelet.key")
    app = web.Application()
    app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", kubelet.logs)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
    await kubelet.register()
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(kubelet.beat(), name="beat")
            tasks.create_task(kubelet.follow(), name="follow")
            if schedules:
                tasks.create_task(kubelet.schedule(), name="schedule")
    finally:
        await runner.cleanup()
        await api.close()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), schedules="--schedules" in sys.argv[4:]))
