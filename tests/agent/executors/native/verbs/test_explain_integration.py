"""`explain` beside kubectl 1.33, on OpenAPI v3 documents from a fake API server (the test cluster has none).

`recorded/openapi-v2.json.gz` is /openapi/v2 of the test cluster (Kubernetes 1.20, with the samples' Widget), as
`kubectl get --raw` prints it, cut down to the kinds below and what they refer to. tests/support/openapi.py makes v3
documents of it. What 1.20 does not have (enums) and what no built-in kind has is in GADGET, as a CRD has it.
"""

import functools
import gzip
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from agent.executors.native.errors import NotNative
from agent.executors.native.executor import NativeExecutor
from agent.executors.native.resources import Resource
from agent.settings import Execution
from tests.differential.harness import environment, run_native
from tests.support.beside_kubectl import differences
from tests.support.fake_api_server import Answer, FakeApiServer, fake_api_server, respond, status
from tests.support.openapi import group_versions, serve

RECORDED: Final = Path(__file__).parent / "recorded" / "openapi-v2.json.gz"


def _resource(group: str, kind: str, plural: str, *short_names: str, version: str = "v1") -> Resource:
    return Resource(group, version, kind, plural, kind.lower(), True, short_names, (), ("get", "list"))


RESOURCES: Final = (
    _resource("", "ConfigMap", "configmaps", "cm"),
    _resource("", "Event", "events", "ev"),
    _resource("", "Namespace", "namespaces", "ns"),
    _resource("", "Node", "nodes", "no"),
    _resource("", "PersistentVolumeClaim", "persistentvolumeclaims", "pvc"),
    _resource("", "Pod", "pods", "po"),
    _resource("", "Secret", "secrets"),
    _resource("", "Service", "services", "svc"),
    _resource("apps", "Deployment", "deployments", "deploy"),
    _resource("apps", "StatefulSet", "statefulsets", "sts"),
    _resource("apps", "Stray", "strays"),
    _resource("batch", "Job", "jobs"),
    _resource("events.k8s.io", "Event", "events", "ev"),
    _resource("extensions", "Deployment", "deployments", "deploy", version="v1beta1"),
    _resource("networking.k8s.io", "Ingress", "ingresses", "ing"),
    _resource("networking.k8s.io", "NetworkPolicy", "networkpolicies", "netpol"),
    _resource("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions", "crd", "crds"),
    _resource("samples.kubently.dev", "Widget", "widgets", "wd"),
    _resource("odd.kubently.dev", "Gadget", "gadgets", "gd"),
    _resource("odd.kubently.dev", "Ghost", "ghosts"),
    _resource("undocumented.kubently.dev", "Secretive", "secretives"),
)

_KIND: Final = "x-kubernetes-group-version-kind"


def _kind(kind: str, group: str = "odd.kubently.dev") -> dict[str, str]:
    return {"group": group, "kind": kind, "version": "v1"}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


_LONG: Final = (
    f"Description of several  paragraphs, with {'long' * 25} words, https://example.com/{'path/' * 14} and "
    f"no\u00a0break {'é' * 40} {'漢' * 50}\n\n    indented code {'w ' * 60}\n- a list\n\ttabbed, a trailing blank \n"
)
GADGET: Final[dict[str, Any]] = {
    "type": "object",
    "description": _LONG,
    "required": ["mode", "gone"],
    _KIND: [_kind("Gadget")],
    "properties": {
        "mode": {"type": "string", "enum": ["fast", "slow", ""], "description": _LONG},
        "level": {"type": "integer", "enum": [1, 2, 3, 4, 5], "description": "How much."},
        "ratio": {"type": "number", "enum": [1.5, 1e21, 1000000]},
        "any": {"x-kubernetes-preserve-unknown-fields": True, "enum": [None, True, {"a": [1]}, "x"]},
        "port": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
        "time": _ref("lib.Time"),
        "amount": {"allOf": [_ref("lib.Quantity")], "description": "How many.", "default": {}},
        "parts": {"type": "array", "description": "Its parts.", "items": _ref("lib.Part")},
        "byName": {"type": "object", "additionalProperties": {"allOf": [_ref("lib.Part")], "default": {}}},
        "grid": {"type": "array", "items": {"type": "array", "items": {"type": "string", "description": "A cell."}}},
        "lists": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "integer"}}},
        "open": {"type": "object", "additionalProperties": True},
        "closed": {"type": "object", "additionalProperties": False},
        "mixed": {"allOf": [_ref("lib.Part"), _ref("lib.Quantity"), {"properties": {"inline": {"type": "string"}}}]},
        "inline": {"type": "object", "properties": {"z": {"type": "boolean"}}, "required": ["z"]},
        "array": _ref("lib.Array"),
        "chain": _ref("lib.Chain"),
        "nowhere": _ref("lib.Nowhere"),
        "bare": {"type": "array"},
        "oneOf": {"oneOf": [{"properties": {"hidden": {"type": "string"}}}]},
        "self": _ref("lib.Gadget"),
    },
}  # fmt: skip
ODD: Final = {
    "openapi": "3.0.0",
    "paths": {
        "/apis/odd.kubently.dev/v1/namespaces/{namespace}/gadgets/{name}": {"patch": {_KIND: _kind("Gadget")}},
        "/apis/odd.kubently.dev/v1/gadgets": {"get": {_KIND: _kind("Other")}},
        "/apis/odd.kubently.dev/v1/ghosts": {"get": {_KIND: _kind("Ghost")}, "head": {}},
    },
    "components": {
        "schemas": {
            "lib.Gadget": GADGET,
            "lib.Time": {"type": "string", "format": "date-time", "description": "A time."},
            "lib.Quantity": {"oneOf": [{"type": "string"}, {"type": "number"}], "description": "A quantity."},
            "lib.Part": {
                "type": "object",
                "description": "A part.",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "parts": {"type": "array", "items": _ref("lib.Part")}},
            },
            "lib.Array": {"type": "array", "items": _ref("lib.Part")},
            "lib.Chain": {**_ref("lib.Time"), "description": "Never seen."},
        }
    },
}

LINES: Final = tuple(
    f"explain {words}"
    for words in (
        # kinds
        *("pods", "pod", "po", "Pod", "PODS", "services", "svc", "nodes", "no", "secrets", "cm", "ns", "pvc", "events"),
        *("deployments", "deploy", "sts", "jobs", "ing", "netpol", "crd", "crds", "widgets", "wd", "gadgets", "ghosts"),
        # fields
        *("pods.spec", "pods.status", "pods.metadata", "pods.metadata.labels", "pods.metadata.ownerReferences"),
        *("pods.metadata.creationTimestamp", "pods.metadata.managedFields.fieldsV1", "pods.apiVersion", "po.kind"),
        *("pods.spec.containers", "pods.spec.containers.name", "pods.spec.containers.resources"),
        *("pods.spec.containers.resources.limits", "pods.spec.containers.env.valueFrom.secretKeyRef.key"),
        *("pods.spec.containers.livenessProbe.httpGet.port", "pods.spec.volumes.projected.sources.configMap.items"),
        *("pods.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms",),
        *("services.spec.ports", "services.spec.ports.targetPort", "nodes.status.capacity", "secrets.data", "cm.data"),
        *("deployments.spec.template.spec.containers.ports.protocol", "deploy.spec.strategy.rollingUpdate.maxSurge"),
        *("sts.spec.volumeClaimTemplates.spec.resources.requests", "jobs.spec.template.spec.restartPolicy"),
        *("ing.spec.rules.http.paths.backend.service.port", "netpol.spec.ingress.from.ipBlock.cidr"),
        *("crd.spec.versions.schema.openAPIV3Schema", "crd.spec.versions.schema.openAPIV3Schema.properties.items"),
        *("crd.spec.versions.schema.openAPIV3Schema.enum", "widgets.spec", "widgets.spec.colour", "wd.spec.size"),
        *(f"gadgets.{field}" for field in GADGET["properties"]),
        *("gadgets.parts.parts.parts.name", "gadgets.byName.name", "gadgets.self.self.mode", "gadgets.mixed.inline"),
        # all fields
        *("pods --recursive", "deployments --recursive", "crd --recursive", "widgets --recursive=true"),
        *("pods.spec.containers --recursive", "nodes.status --recursive", "gadgets --recursive", "svc --recursive=0"),
        *("crd.spec.versions.schema --recursive", "gadgets.mixed --recursive", "pods.apiVersion --recursive"),
        # groups
        *("deployments.apps", "deployments.apps.spec", "deployments.apps.spec.replicas", "deployments.extensions"),
        *("deployment.apps", "Deployments.apps.spec", "deploy.apps", "deployments.ext.spec", "events.events.k8s.io"),
        *("widgets.samples.kubently.dev", "widgets.samples.kubently.dev.spec", "ev", "ev.events"),
        *("deployments --api-version=apps/v1", "deployments.spec --api-version=apps/v1", "pods --api-version=v1"),
        *("deployments --api-version=extensions/v1beta1", "pods --api-version=apps/v1", "pods --api-version=none/v1"),
        *("pods --api-version=", "pods --api-version=v9", "deployments.apps --api-version=apps/v1"),
        # flags of no effect
        *("pods.kind --output=plaintext", "pods.kind --namespace=x", "pods.kind --request-timeout=30s"),
        # errors
        *("foo", "foo.bar", "foos.apps", "foo --api-version=v1", "pods.foo", "pods.foo.bar", "pods.spec.foo"),
        *("pods.spec.containers.foo", "pods.kind.foo", "pods.Spec", "pods.v1.spec", "gadgets.oneOf.hidden"),
        *("gadgets.bare.x", "gadgets.open.x", "gadgets.nowhere.x", "gadgets.grid.x", "strays", "secretives", "all"),
        *("ghosts.spec", "pods --output=", "pods.foo --recursive", "deployments.extensions.v1beta1"),
    )
)  # fmt: skip


@functools.cache
def documents() -> dict[str, Mapping[str, Any]]:
    v2 = json.loads(gzip.decompress(RECORDED.read_bytes()))
    recorded = {
        resource.group_version for resource in RESOURCES if resource.kind not in {"Gadget", "Ghost", "Secretive"}
    }
    return {**group_versions(v2, recorded), "apis/odd.kubently.dev/v1": ODD}


@pytest.fixture
async def server() -> AsyncIterator[FakeApiServer]:
    async with fake_api_server(RESOURCES) as running:
        serve(running, documents())
        yield running


@pytest.fixture
async def executor(server: FakeApiServer, tmp_path: Path) -> AsyncIterator[NativeExecutor]:
    running = NativeExecutor(environment(server.kubeconfig(tmp_path)), Execution())
    yield running
    await running.close()


async def test_every_line_is_answered_as_kubectl_answers_it(server: FakeApiServer, tmp_path: Path) -> None:
    assert await differences(server, tmp_path, ["explain", *LINES]) == []


async def test_a_document_that_cannot_be_had_is_named_as_kubectl_names_it(
    server: FakeApiServer, tmp_path: Path
) -> None:
    server.route("/openapi/v3/api/v1", status(404, "NotFound", "the server could not find the requested resource"))
    assert await differences(server, tmp_path, ["explain pods"]) == []


@pytest.mark.parametrize(
    "index", [status(404, "NotFound", "no"), status(403, "Forbidden", "no"), respond(b"[]"), respond(b"")]
)
async def test_a_server_without_v3_documents_is_left_to_kubectl(
    server: FakeApiServer, executor: NativeExecutor, index: Answer
) -> None:
    server.route("/openapi/v3", index)
    with pytest.raises(NotNative):
        await run_native(executor, ["explain", "pods"])


@pytest.mark.parametrize("operand", ["pods.", "pods..spec", "pods.$.spec"])
async def test_what_is_more_than_names_with_dots_is_left_to_kubectl(executor: NativeExecutor, operand: str) -> None:
    with pytest.raises(NotNative):
        await run_native(executor, ["explain", operand])


@pytest.mark.parametrize("document", [b"[]", b'{"paths": {}}', b'{"paths": [], "components": {"schemas": {}}}'])
async def test_a_document_of_another_shape_is_left_to_kubectl(
    server: FakeApiServer, executor: NativeExecutor, document: bytes
) -> None:
    server.route("/openapi/v3/api/v1", document)
    with pytest.raises(NotNative):
        await run_native(executor, ["explain", "pods"])


@pytest.mark.parametrize("url", [".example.com/openapi/v3/api/v1", "@example.com/", "/api/v1/secrets", ""])
async def test_a_document_is_fetched_from_its_place_only(
    server: FakeApiServer, executor: NativeExecutor, url: str
) -> None:
    server.route("/openapi/v3", {"paths": {"api/v1": {"serverRelativeURL": url}}})
    with pytest.raises(NotNative):
        await run_native(executor, ["explain", "pods"])
    assert server.paths[-1] == "/openapi/v3"


async def test_a_document_is_fetched_once_for_all_commands(server: FakeApiServer, executor: NativeExecutor) -> None:
    for line in ("explain pods", "explain services.spec", "explain pods --recursive"):
        await run_native(executor, line.split())
    assert server.paths.count("/openapi/v3/api/v1?hash=A1B2") == 1


async def test_a_document_without_a_hash_is_fetched_again(server: FakeApiServer, executor: NativeExecutor) -> None:
    server.route("/openapi/v3", {"paths": {"api/v1": {"serverRelativeURL": "/openapi/v3/api/v1"}}})
    for _ in range(2):
        await run_native(executor, ["explain", "pods"])
    assert server.paths.count("/openapi/v3/api/v1") == 2
