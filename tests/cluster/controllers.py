"""What the controllers would make of the samples, once, where there is no controller manager to run.

The official archive has the API server and etcd alone. Deployments then get their ReplicaSet and pods, Jobs their pod,
Services their Endpoints and namespaces their `default` account from here; nothing is kept up afterwards.
"""

import json
from collections.abc import Callable
from typing import Any

# Runs kubectl as the admin: arguments, standard input; its standard output.
Kubectl = Callable[..., str]


def make_accounts(kubectl: Kubectl) -> None:
    """Give every namespace its `default` ServiceAccount."""
    for namespace in _items(kubectl, "namespaces"):
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        kubectl("-n", namespace["metadata"]["name"], "apply", "-f", "-", text=json.dumps(account))


def make_children(kubectl: Kubectl, namespace: str) -> None:
    """Make what belongs to the deployments and jobs of a namespace, and say in their status that it is so."""
    for deployment in _items(kubectl, "deployments", namespace):
        _roll_out(kubectl, deployment)
    for job in _items(kubectl, "jobs", namespace):
        _run(kubectl, job)


def make_endpoints(kubectl: Kubectl, namespace: str) -> None:
    """Lead the services of a namespace to its pods that are ready by now."""
    pods = _items(kubectl, "pods", namespace)
    for service in _items(kubectl, "services", namespace):
        wanted = service["spec"]["selector"].items()
        chosen = [pod for pod in pods if wanted <= pod["metadata"].get("labels", {}).items()]
        addresses = [{"ip": pod["status"]["podIP"]} for pod in chosen if pod["status"]["phase"] == "Running"]
        ports = [{"port": port["targetPort"]} for port in service["spec"]["ports"]]
        endpoints = {"apiVersion": "v1", "kind": "Endpoints", "metadata": _metadata(service, "")}
        subsets = [{"addresses": addresses, "ports": ports}] if addresses else []
        kubectl("create", "-f", "-", text=json.dumps({**endpoints, "subsets": subsets}))


def _roll_out(kubectl: Kubectl, deployment: Any) -> None:
    spec, replicas = deployment["spec"], deployment["spec"]["replicas"]
    revision = {"deployment.kubernetes.io/revision": "1"}
    labels = {**spec["template"]["metadata"]["labels"], "pod-template-hash": "5f6d7c8b9"}
    template = {**spec["template"], "metadata": {**spec["template"]["metadata"], "labels": labels}}
    metadata = {**_metadata(deployment, "-5f6d7c8b9", owner="Deployment"), "labels": labels, "annotations": revision}
    made = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": metadata,
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }
    replica_set = json.loads(kubectl("create", "-f", "-", "-o", "json", text=json.dumps(made)))
    for letter in "abcdefgh"[:replicas]:
        _pod(kubectl, replica_set, f"-{letter * 5}", template)
    is_up = {"replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas}
    _say(kubectl, replica_set, is_up)
    patch = json.dumps({"metadata": {"annotations": revision}})
    where = ("-n", deployment["metadata"]["namespace"])
    patched = kubectl(*where, "patch", "deployment", deployment["metadata"]["name"], "-p", patch, "-o", "json")
    progress = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}
    available = {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"}
    _say(kubectl, json.loads(patched), {**is_up, "updatedReplicas": replicas, "conditions": [available, progress]})


def _run(kubectl: Kubectl, job: Any) -> None:
    _pod(kubectl, job, "-aaaaa", job["spec"]["template"])
    started = job["metadata"]["creationTimestamp"]
    done = {"startTime": started, "completionTime": started, "succeeded": 1}
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": started, "lastProbeTime": started}
        for kind in ("SuccessCriteriaMet", "Complete")
    ]
    _say(kubectl, job, {**done, "conditions": conditions})


def _pod(kubectl: Kubectl, owner: Any, suffix: str, template: Any) -> None:
    metadata = {**template["metadata"], **_metadata(owner, suffix, owner=owner["kind"])}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    kubectl("create", "-f", "-", text=json.dumps(pod))


def _metadata(of: Any, suffix: str, *, owner: str | None = None) -> dict[str, Any]:
    name, namespace = of["metadata"]["name"], of["metadata"]["namespace"]
    metadata: dict[str, Any] = {"name": name + suffix, "namespace": namespace}
    if owner is not None:
        reference = {"apiVersion": of["apiVersion"], "kind": owner, "name": name, "uid": of["metadata"]["uid"]}
        metadata["ownerReferences"] = [{**reference, "controller": True, "blockOwnerDeletion": True}]
    return metadata


def _say(kubectl: Kubectl, of: Any, status: dict[str, Any]) -> None:
    metadata = {name: value for name, value in of["metadata"].items() if name != "resourceVersion"}
    if of["kind"] != "Job":  # whose status names no generation
        status = {**status, "observedGeneration": metadata["generation"]}
    group = f"/apis/{of['apiVersion']}/namespaces/{metadata['namespace']}"
    path = f"{group}/{of['kind'].lower()}s/{metadata['name']}/status"
    kubectl("replace", "--raw", path, "-f", "-", text=json.dumps({**of, "metadata": metadata, "status": status}))


def _items(kubectl: Kubectl, kind: str, namespace: str = "") -> list[Any]:
    where = ["-n", namespace] if namespace else []
    items: list[Any] = json.loads(kubectl(*where, "get", kind, "-o", "json"))["items"]
    return items
