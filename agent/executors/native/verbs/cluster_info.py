"""`cluster-info`: where the API server is, and the services of the cluster itself."""

from typing import Final

import msgspec

from agent.executors.native import statuses
from agent.executors.native.call import Call
from agent.executors.native.errors import CommandFailed, StatusError, Unreachable
from agent.executors.native.printers.typed import ObjectMeta, Typed, TypedList, decode
from agent.executors.native.resources import Resource

_NAMESPACE: Final = "kube-system"  # whatever namespace the agent's commands have otherwise
_SELECTOR: Final = "kubernetes.io/cluster-service=true"
_NAME_LABEL: Final = "kubernetes.io/name"
_HTTPS_PORT: Final = 443
_SERVICES: Final = Resource("", "v1", "Service", "services", "service", is_namespaced=True)
_HINT: Final = "\nTo further debug and diagnose cluster problems, use 'kubectl cluster-info dump'.\n"


class _Port(Typed):
    name: str = ""
    port: int = 0


class _Spec(Typed):
    ports: list[_Port] = msgspec.field(default_factory=list)


class _Ingress(Typed):
    ip: str = ""
    hostname: str = ""


class _LoadBalancer(Typed):
    ingress: list[_Ingress] = msgspec.field(default_factory=list)


class _Status(Typed):
    load_balancer: _LoadBalancer = msgspec.field(default_factory=_LoadBalancer)


class Service(Typed):
    """v1 Service, as far as its address needs it."""

    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


class ServiceList(TypedList):
    """v1 ServiceList."""

    items: list[Service] = msgspec.field(default_factory=list)


async def run(call: Call) -> int:
    """Print the server's URL, then one line for each service that says it is the cluster's own, then the hint."""
    try:
        services = await _services(call)
    except (CommandFailed, StatusError, Unreachable):
        await call.out(_HINT)
        raise
    host = call.transport.host
    lines = [f"Kubernetes control plane is running at {host}\n"]
    for service in services:
        name = service.metadata.labels.get(_NAME_LABEL) or service.metadata.name
        lines.append(f"{name} is running at {_address(service, host)}\n")
    await call.out("".join([*lines, _HINT]))
    return 0


async def _services(call: Call) -> list[Service]:
    path = _SERVICES.path(call.command.namespace or _NAMESPACE)
    try:
        body = await call.transport.get(path, [("labelSelector", _SELECTOR)])
    except StatusError as error:
        raise statuses.of_list(error, _SERVICES, _SELECTOR) from None
    return decode(body, ServiceList).items


def _address(service: Service, host: str) -> str:
    """Where a service is: its load balancer, port by port, else its place behind the API server."""
    ports = service.spec.ports
    if service.status.load_balancer.ingress:
        first = service.status.load_balancer.ingress[0]
        address = first.ip or first.hostname
        return "".join(f"http://{address}:{port.port} " for port in ports)
    name = service.metadata.name
    if ports:
        is_https = ports[0].name == "https" or ports[0].port == _HTTPS_PORT
        if is_https:
            name = f"https:{name}:{ports[0].name}"
        elif ports[0].name:
            name = f"{name}:{ports[0].name}"
    # Printed for people, never asked for: unlike a path it is not encoded.
    return f"{host}/api/v1/namespaces/{service.metadata.namespace}/services/{name}/proxy"
