"""`top` beside kubectl, on a server with documents of the form metrics-server gives."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from agent.executors.native.resources import Resource
from tests.support.beside_kubectl import differences
from tests.support.fake_api_server import RESOURCES, FakeApiServer, fake_api_server, objects, status

METRICS: Final = "/apis/metrics.k8s.io/v1beta1"
API: Final = "metrics.k8s.io/v1beta1"
SERVED: Final = (
    *RESOURCES,
    Resource("metrics.k8s.io", "v1beta1", "PodMetrics", "pods", "pod", True, (), (), ("get", "list")),
    Resource("metrics.k8s.io", "v1beta1", "NodeMetrics", "nodes", "", False, (), (), ("get", "list")),
)

Usage = Mapping[str, Any]


def pod(name: str, namespace: str = "default", /, **containers: Usage) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": "2024-01-20T10:30:45Z"},
        "timestamp": "2024-01-20T10:30:30Z",
        "window": "15.03s",
        "containers": [{"name": container, "usage": usage} for container, usage in containers.items()],
    }


def node(name: str, **usage: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "creationTimestamp": "2024-01-20T10:30:45Z"},
        "timestamp": "2024-01-20T10:30:30Z",
        "window": "20.01s",
        "usage": usage,
    }


def machine(name: str, allocatable: Usage, capacity: Usage) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"allocatable": allocatable, "capacity": capacity}}


PODS: Final = (
    pod("web-b", app={"cpu": "1234567n", "memory": "20Mi"}, side={"cpu": "1m", "memory": "1048575"}),
    pod("web-a", z={"cpu": "250m", "memory": "1Gi"}, b={"cpu": "1500u", "memory": "123456Ki"}),
    pod("idle", app={"cpu": "0", "memory": "0"}),
    pod("bare"),
    pod("partly", c={"cpu": "3m"}, d={"memory": "7Mi"}),
    pod("big", x={"cpu": "12", "memory": "1e9"}, y={"cpu": "0.1", "memory": "1.5Gi"}),
    pod("twins", s={"cpu": "250m", "memory": "1Gi"}, r={"cpu": "250m", "memory": "1Gi"}),
)
ELSEWHERE: Final = (
    pod("a", "aaa", app={"cpu": "9m", "memory": "9Mi"}),
    pod("web-a", "zzz", app={"cpu": "1m", "memory": "1Mi"}),
)
NODES: Final = (
    node("n2", cpu="156340111n", memory="1234567Ki"),
    node("n1", cpu="1999m", memory="3Gi"),
    node("n3", cpu="10m", memory="100Mi"),
    node("unknown-to-us", cpu="5m", memory="5Mi"),
    node("full", cpu="2", memory="2Gi"),
)
MACHINES: Final = (
    machine("n1", {"cpu": "2", "memory": "4Gi"}, {"cpu": "4", "memory": "8Gi"}),
    machine("n2", {"cpu": "1930m", "memory": "3000Mi"}, {"cpu": "2", "memory": "4000Mi"}),
    machine("n3", {}, {"cpu": "1"}),
    machine("silent", {"cpu": "1", "memory": "1Gi"}, {}),
    machine("full", {"cpu": 2, "memory": 2147483648}, {"cpu": "2", "memory": "2Gi"}),
)

PRINTED: Final = (
    "top pod",
    "top pods --no-headers",
    "top po -A",
    "top pod -A --no-headers",
    "top pod --containers",
    "top pod --containers -A",
    "top pod --containers --no-headers",
    "top pod --sum",
    "top pod --sum --no-headers",
    "top pod --sum -A",
    "top pod --sum -A --no-headers",
    "top pod --sum --containers",
    "top pod --sum --containers -A",
    "top pod --sum --containers -A --no-headers",
    "top pod --sort-by=cpu",
    "top pod --sort-by=memory",
    "top pod --sort-by=cpu -A --sum",
    "top pod --containers --sort-by=cpu",
    "top pod --containers --sort-by=memory",
    "top pod --sort-by=",
    "top pod web-a",
    "top pod web-a --containers --sum",
    "top pod web-a -A",
    "top pod -l 'b=1, a in (y,x)' --field-selector=c==d",
    "top node",
    "top no --no-headers",
    "top nodes --sort-by=cpu",
    "top node --sort-by=memory",
    "top node --show-capacity",
    "top node n1",
    "top node n1 --show-capacity --no-headers",
    "top node -l a=b",
)
REFUSED: Final = (
    "top pod nobody",
    "top pod nobody -n empty",
    "top pod -n forbidden",
    "top pod -n unavailable",
    "top pod -n empty",
    "top pod -n empty --sum",
    "top pod -n young",
    "top pod -n hidden",
    "top pod web-a -l a=b",
    "top pod web-a --field-selector=a=b",
    "top pod -l a=b=c",
    "top pod --field-selector=a",
    "top pod -n odd",
    "top node nobody",
    "top node unknown-to-us",
    "top node n1 -l a=b",
    "top node -l 'a in'",
)


def route(server: FakeApiServer) -> None:
    """Have the server answer for all the lines above."""
    server.route(f"{METRICS}/namespaces/default/pods", objects("PodMetrics", API, PODS))
    server.route(f"{METRICS}/pods", objects("PodMetrics", API, (*PODS, *ELSEWHERE)))
    server.route(f"{METRICS}/namespaces/default/pods/web-a", {"kind": "PodMetrics", "apiVersion": API, **PODS[1]})
    server.route(
        f"{METRICS}/namespaces/default/pods/nobody",
        status(404, "NotFound", 'podmetrics.metrics.k8s.io "default/nobody" not found', name="default/nobody"),
    )
    server.route(f"{METRICS}/namespaces/forbidden/pods", status(403, "Forbidden", "pods.metrics.k8s.io is forbidden"))
    server.route(f"{METRICS}/namespaces/unavailable/pods", status(503, "ServiceUnavailable", "not now"))
    server.route(
        f"{METRICS}/namespaces/odd/pods",
        objects("PodMetrics", API, [pod("a", "odd", b={"cpu": "much", "memory": "1"})]),
    )
    for namespace in ("empty", "young", "old", "hidden"):
        server.route(f"{METRICS}/namespaces/{namespace}/pods", objects("PodMetrics", API, ()))
    server.route("/api/v1/namespaces/empty/pods", objects("Pod", "v1", ()))
    server.route("/api/v1/namespaces/hidden/pods", status(403, "Forbidden", "pods is forbidden"))
    just_now = datetime.now(UTC) - timedelta(seconds=5)
    young = {"name": "new", "namespace": "young", "creationTimestamp": just_now.strftime("%Y-%m-%dT%H:%M:%SZ")}
    server.route("/api/v1/namespaces/young/pods", objects("Pod", "v1", [{"metadata": young}]))
    old = {"name": "mute", "namespace": "old"}
    server.route("/api/v1/namespaces/old/pods", objects("Pod", "v1", [{"metadata": young}, {"metadata": old}]))
    server.route(f"{METRICS}/nodes", objects("NodeMetrics", API, NODES))
    server.route("/api/v1/nodes", objects("Node", "v1", MACHINES))
    server.route(f"{METRICS}/nodes/n1", {"kind": "NodeMetrics", "apiVersion": API, **NODES[1]})
    server.route("/api/v1/nodes/n1", {"kind": "Node", "apiVersion": "v1", **MACHINES[0]})
    server.route(f"{METRICS}/nodes/unknown-to-us", {"kind": "NodeMetrics", "apiVersion": API, **NODES[3]})
    server.route(f"{METRICS}/nodes/nobody", status(404, "NotFound", 'nodemetrics.metrics.k8s.io "nobody" not found'))


@pytest.mark.parametrize("lines", [PRINTED, REFUSED], ids=["printed", "refused"])
async def test_alike(tmp_path: Path, lines: tuple[str, ...]) -> None:
    async with fake_api_server(SERVED) as server:
        route(server)
        assert await differences(server, tmp_path, lines) == []


async def test_quantities_of_every_form(tmp_path: Path) -> None:
    """Also what no machine has: nothing, less than nothing, more than there is."""
    used = (
        *(node("zero", cpu="0", memory="0"), node("none"), node("less", cpu="-5m", memory="-5Mi")),
        *(node("whole", cpu=2, memory=1048576), node("broken", cpu=0.25, memory=1.5e9)),
        *(node("fine", cpu="1.0001", memory="1048575500m"), node("tiny", cpu="0.1n", memory="1n")),
        *(node("exponent", cpu="1e3", memory="1e-3"), node("huge", cpu="1E", memory="1E")),
        node("never", cpu="5m", memory="5Mi"),
    )
    there = (
        machine("never", {"cpu": "0", "memory": "0"}, {}),
        machine("zero", {"cpu": "0", "memory": "0"}, {}),
        *(machine(one["metadata"]["name"], {"cpu": "1500m", "memory": "3G"}, {}) for one in used[2:-1]),
    )
    async with fake_api_server(SERVED) as server:
        server.route(f"{METRICS}/nodes", objects("NodeMetrics", API, used))
        server.route("/api/v1/nodes", objects("Node", "v1", there))
        lines = ("top node", "top node --sort-by=cpu", "top node --sort-by=memory")
        assert await differences(server, tmp_path, lines) == []


async def test_nulls_count_as_nothing(tmp_path: Path) -> None:
    items = [None, {"metadata": None, "containers": None}, {"containers": [None, {"usage": {"cpu": None}}]}]
    async with fake_api_server(SERVED) as server:
        server.route(f"{METRICS}/namespaces/default/pods", objects("PodMetrics", API, items))  # type: ignore[arg-type]
        server.route(f"{METRICS}/pods", {"kind": "PodMetricsList", "apiVersion": API, "items": None})
        server.route("/api/v1/namespaces/default/pods", {"kind": "PodList", "apiVersion": "v1", "items": None})
        assert await differences(server, tmp_path, ("top pod", "top pod --containers --sum", "top pod -A")) == []


async def test_names_are_printed_as_they_are(tmp_path: Path) -> None:
    odd = [
        pod("a\tb", x={"cpu": "1m"}),
        pod("c\x1b[1m\nd", "default", **{"y\tz": {"cpu": "1m"}}),
        pod("é" * 9, z={"cpu": "2"}),
    ]
    async with fake_api_server(SERVED) as server:
        server.route(f"{METRICS}/namespaces/default/pods", objects("PodMetrics", API, odd))
        assert await differences(server, tmp_path, ("top pod", "top pod --containers --sum")) == []


async def test_no_metrics_api(tmp_path: Path) -> None:
    lines = ("top pod", "top pod web -A", "top node", "top node n1", "top pod -l a=b", "top pod web -l a=b")
    async with fake_api_server() as server:
        assert await differences(server, tmp_path, lines) == []
        # What a server says to one who may not use the API is the same whether there is one or not.
        server.route(f"{METRICS}/nodes", status(403, "Forbidden", "nodes.metrics.k8s.io is forbidden"))
        assert await differences(server, tmp_path, ["top node"]) == []


@pytest.mark.parametrize("discovery", ["v2", "legacy"])
async def test_metrics_api_that_is_down(tmp_path: Path, discovery: Any) -> None:
    """Its group is there, its resources are not."""
    async with fake_api_server(SERVED, discovery=discovery) as server:
        server.failing = [API]
        for path in (f"{METRICS}/nodes", f"{METRICS}/namespaces/default/pods"):
            server.route(
                path, status(503, "ServiceUnavailable", "the server is currently unable to handle the request")
            )
        assert await differences(server, tmp_path, ("top pod", "top node")) == []


async def test_nobody_anywhere(tmp_path: Path) -> None:
    """kubectl then looks for pods in the namespace of the command only."""
    async with fake_api_server(SERVED) as server:
        server.route(f"{METRICS}/pods", objects("PodMetrics", API, ()))
        server.route("/api/v1/namespaces/default/pods", objects("Pod", "v1", ()))
        server.route(
            "/api/v1/namespaces/web/pods", objects("Pod", "v1", [{"metadata": {"name": "a", "namespace": "web"}}])
        )
        assert await differences(server, tmp_path, ("top pod -A", "top pod -A -n web", "top pod -A -l a=b")) == []


async def test_the_age_of_a_pod_without_metrics(tmp_path: Path) -> None:
    """kubectl prints it to the nanosecond; a pod that does not say when it was made is as old as can be."""
    async with fake_api_server(SERVED) as server:
        route(server)
        assert await differences(server, tmp_path, ["top pod -n old"]) == []
