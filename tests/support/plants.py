"""Credentials in every place of a cluster's objects where people keep them, each of them to be known again."""

import base64
import json
from typing import Any, Final

PLACES: Final = (
    *("secret-data", "secret-annotation", "account-token", "docker-config", "helm-release", "bootstrap-token"),
    *("config-key", "config-file", "config-binary", "config-helm", "last-applied", "annotation", "label"),
    *("env-name", "env-content", "env-init", "args-one", "args-two", "command", "event", "custom-key"),
    *("custom-text", "custom-list"),
)


# A kind that nobody knows, with fields that nobody knows.
CUSTOM_KIND: Final[dict[str, Any]] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "pots.plants.example.com"},
    "spec": {
        "group": "plants.example.com",
        "scope": "Namespaced",
        "names": {"plural": "pots", "singular": "pot", "kind": "Pot"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


def plant(place: str) -> str:
    """The credential that is hidden at a place; no other has a part of it."""
    return f"Pl4nt{PLACES.index(place):02d}x{place.replace('-', '')}Zq9"


def traces(secret: str) -> list[str]:
    """What a text would have of a credential: itself, its base64 wherever that begins, its hexadecimal digits."""
    raw = secret.encode()
    cuts = {0: (0, None), 1: (2, -1), 2: (3, -1)}
    encoded = [base64.b64encode(b"\0" * before + raw).decode().rstrip("=")[slice(*cuts[before])] for before in range(3)]
    return [secret, *(text[:-1] for text in encoded), raw.hex()]


def _b64(place: str) -> str:
    return base64.b64encode(plant(place).encode()).decode()


def objects(namespace: str) -> list[dict[str, Any]]:
    """All the objects, for a namespace of their own; kubectl's apply adds what it last applied to each."""
    env = [
        {"name": "DB_PASSWORD", "value": plant("env-name")},
        {"name": "DATABASE_URL", "value": f"postgres://app:{plant('env-content')}@db:5432/shop"},
        {"name": "LOG_LEVEL", "value": "info"},
    ]
    pod_spec: dict[str, Any] = {
        "initContainers": [{"name": "i", "image": "x", "env": [{"name": "API_TOKEN", "value": plant("env-init")}]}],
        "containers": [
            {
                "name": "c",
                "image": "x",
                "env": env,
                "args": ["serve", f"--password={plant('args-one')}", "--token", plant("args-two")],
                "command": ["sh", "-c", f"app --db-password={plant('command')} --port=1"],
            }
        ],
    }
    template = {"metadata": {"labels": {"app": "planted"}}, "spec": pod_spec}
    annotations = {"example.com/api-token": plant("annotation")}

    def secret(name: str, kind: str, data: dict[str, str], **metadata: Any) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name} | metadata,
            "type": kind,
            "data": data,
        }

    def config(name: str, **fields: Any) -> dict[str, Any]:
        metadata = {"name": name, "labels": fields.pop("labels", {})}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **fields}

    whole = json.dumps({"kind": "Secret", "stringData": {"x": plant("secret-annotation")}})
    docker = json.dumps({"auths": {"registry.example.com": {"auth": _b64("docker-config")}}})
    return [
        secret("db", "Opaque", {"anything": _b64("secret-data")}, annotations={"tool/whole": whole}),
        secret(
            "robot-token",
            "kubernetes.io/service-account-token",
            {"extra": _b64("account-token")},
            annotations={"kubernetes.io/service-account.name": "default"},
        ),
        secret(
            "regcred",
            "kubernetes.io/dockerconfigjson",
            {".dockerconfigjson": base64.b64encode(docker.encode()).decode()},
        ),
        secret("sh.helm.release.v1.web.v1", "helm.sh/release.v1", {"release": _b64("helm-release")}),
        secret("bootstrap-x", "bootstrap.kubernetes.io/token", {"token-secret": _b64("bootstrap-token")}),
        config("by-key", data={"password": plant("config-key")}),
        config("by-file", data={"app.properties": f"user=app\ndb.password={plant('config-file')}\nport=1"}),
        config("binary", binaryData={"f": base64.b64encode(f"password={plant('config-binary')}".encode()).decode()}),
        config("helm", labels={"owner": "helm"}, data={"release": plant("config-helm")}),
        config("applied", data={"plain": "x", "note": f"token={plant('last-applied')}"}),
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "planted", "annotations": annotations, "labels": {"token": plant("label")}},
            "spec": pod_spec,
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "planted", "annotations": annotations},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "planted"}}, "template": template},
        },
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "planted"},
            "spec": {"template": {"spec": pod_spec | {"restartPolicy": "Never"}}},
        },
        {
            "apiVersion": "plants.example.com/v1",
            "kind": "Pot",
            "metadata": {"name": "planted"},
            "spec": {
                "size": 1,
                "clientSecret": plant("custom-key"),
                "config": f"[db]\npassword = {plant('custom-text')}\n",
                "credentials": [plant("custom-list")],
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": "planted"},
            "involvedObject": {"kind": "Pod", "name": "planted", "namespace": namespace},
            "reason": "Failed",
            "message": f"cannot log in with token={plant('event')}",
            "type": "Warning",
        },
    ]
