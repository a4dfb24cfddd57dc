"""`cluster-info` beside kubectl, on services that no test cluster has."""

from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.beside_kubectl import differences
from tests.support.fake_api_server import Answer, fake_api_server, objects, respond, status, warning

SERVICES: Final = "/api/v1/namespaces/kube-system/services"


def service(name: str, *ports: dict[str, Any], label: str | None = None, **parts: Any) -> dict[str, Any]:
    labels = {"kubernetes.io/cluster-service": "true"} | ({} if label is None else {"kubernetes.io/name": label})
    metadata = {"name": name, "namespace": "kube-system", "labels": labels}
    return {"metadata": metadata, "spec": {"ports": list(ports)}, **parts}


def balanced(*ingress: dict[str, str]) -> dict[str, Any]:
    return {"status": {"loadBalancer": {"ingress": list(ingress)}}}


DNS: Final = service("kube-dns", {"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53})
ODD: Final = objects(
    "Service",
    "v1",
    [
        {**DNS, "metadata": {**DNS["metadata"], "labels": {"kubernetes.io/name": "CoreDNS"}}},
        service("unnamed", {"port": 80}),
        service("secure", {"port": 443}),
        service("secure-named", {"name": "web", "port": 443}),
        service("named-secure", {"name": "https", "port": 8443}),
        service("shouting", {"name": "HTTPS", "port": 8443}),
        service("plain", {"name": "http", "port": 80}),
        service("protocol", {"port": 80, "appProtocol": "https"}),
        service("node-port", {"port": 80, "nodePort": 30080}),
        service("second-secure", {"port": 80}, {"port": 443}),
        service("portless"),
        service("empty-label", {"port": 80}, label=""),
        service("balanced", {"port": 80}, {"name": "https", "port": 443}, **balanced({"ip": "192.0.2.1"}, {})),
        service("by-name", {"port": 80}, **balanced({"hostname": "lb.example.com"})),
        service("by-both", {"port": 80}, **balanced({"hostname": "lb.example.com", "ip": "192.0.2.2"})),
        service("by-nothing", {"port": 80}, **balanced({})),
        service("unbalanced", {"port": 80}, **balanced()),
        service("balanced-portless", **balanced({"ip": "192.0.2.3"})),
        service("v6", {"port": 80}, **balanced({"ip": "2001:db8::1"})),
        service("odd name/%é\x1b", {"port": 80}),
        {"metadata": {"name": "nulls", "labels": None}, "spec": None, "status": {"loadBalancer": None}},
        {},
    ],
)  # fmt: skip


@pytest.mark.parametrize(
    "answer",
    [
        ODD,
        objects("Service", "v1", []),
        {"kind": "ServiceList", "apiVersion": "v1", "metadata": {}, "items": None},
        warning(objects("Service", "v1", [DNS]), "careful"),
        status(403, "Forbidden", 'services is forbidden: User "x" cannot list resource "services"'),
        status(404, "NotFound", "the server could not find the requested resource"),
        respond(b"boom", code=500, content_type="text/plain"),
    ],
    ids=["odd", "none", "null", "warning", "forbidden", "not found", "broken"],
)
async def test_it_answers_as_kubectl_does(tmp_path: Path, answer: Answer) -> None:
    async with fake_api_server() as server:
        server.route(SERVICES, answer)
        assert await differences(server, tmp_path, ["cluster-info"]) == []


async def test_the_namespace_of_a_flag_is_asked_instead(tmp_path: Path) -> None:
    async with fake_api_server() as server:
        server.route("/api/v1/namespaces/other/services", objects("Service", "v1", [DNS]))
        assert await differences(server, tmp_path, ["cluster-info -n other", "cluster-info --namespace="]) == []
