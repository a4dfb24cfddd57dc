"""Objects with credentials in every place where people keep them, and without."""

import base64
import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.executors.native.printers import describe
from agent.redaction.markers import Marker, hidden_bytes, is_marker
from agent.redaction.objects import Objects

PLANT = "s3cr3t-Pl4nt"
B64 = base64.b64encode(PLANT.encode()).decode()


def redacted(obj: Any, marker: Marker | None = None) -> tuple[Any, dict[str, int]]:
    counts: dict[str, int] = {}
    return Objects(marker or Marker(), counts).redact(copy.deepcopy(obj)), counts


def pod(**container: Any) -> dict[str, Any]:
    return {"kind": "Pod", "spec": {"containers": [{"name": "c", "image": "nginx:1"} | container]}}


def secret(**fields: Any) -> dict[str, Any]:
    return {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "db"}} | fields


def config_map(**fields: Any) -> dict[str, Any]:
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "app"}} | fields


APPLIED = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(secret(stringData={"x": PLANT}))}

PLANTS = {
    "secret data": secret(data={"anything": B64}),
    "secret stringData": secret(stringData={"anything": PLANT}),
    "secret in a list": {"kind": "SecretList", "items": [{"metadata": {}, "data": {"x": B64}}]},
    "secret in a List": {"kind": "List", "items": [pod(), secret(data={"x": B64})]},
    "secret in a watch event": {"type": "ADDED", "object": secret(data={"x": B64})},
    "secret in a Table": {"kind": "Table", "rows": [{"cells": ["db"], "object": secret(data={"x": B64})}]},
    "secret that is no map": secret(data=B64),
    "secret annotations": secret(metadata={"annotations": {"tool/whole": json.dumps({"data": {"x": B64}})}}),
    "last applied, of any kind": {"kind": "Widget", "metadata": {"annotations": APPLIED}},
    "service account token": secret(type="kubernetes.io/service-account-token", data={"token": B64, "ca.crt": "Q0E="}),
    "helm release": secret(type="helm.sh/release.v1", data={"release": B64}),
    "helm release in a ConfigMap": config_map(metadata={"labels": {"owner": "helm"}}, data={"release": PLANT}),
    "bootstrap token": secret(type="bootstrap.kubernetes.io/token", data={"token-secret": B64}),
    "pull secret": secret(data={".dockerconfigjson": B64}),
    "env by name": pod(env=[{"name": "DB_PASSWORD", "value": PLANT}]),
    "env by content": pod(env=[{"name": "URL", "value": f"postgres://app:{PLANT}@db/x"}]),
    "init env": {"spec": {"template": {"spec": {"initContainers": [{"env": [{"name": "API_KEY", "value": PLANT}]}]}}}},
    "cron job": {
        "kind": "CronJob",
        "spec": {"jobTemplate": {"spec": {"template": {"spec": pod(env=[{"name": "TOKEN", "value": PLANT}])["spec"]}}}},
    },
    "args in one": pod(args=["serve", f"--password={PLANT}"]),
    "args in two": pod(args=["serve", "--token", PLANT]),
    "command line": pod(command=["sh", "-c", f"app --db-password={PLANT} --x"]),
    "config map by key": config_map(data={"password": PLANT}),
    "config map file": config_map(data={"app.properties": f"a=1\ndb.password={PLANT}\nb=2"}),
    "config map yaml": config_map(data={"app.yaml": f"db:\n  password: {PLANT}\n  user: app\n"}),
    "config map json": config_map(data={"app.json": json.dumps({"db": {"password": PLANT}})}),
    "config map binary": config_map(binaryData={"keystore-password": B64}),
    "config map binary file": config_map(binaryData={"x": base64.b64encode(f"password={PLANT}".encode()).decode()}),
    "custom resource": {"kind": "Widget", "spec": {"auth": {"clientSecret": PLANT}, "n": 1}},
    "custom resource, deep": {"kind": "Widget", "spec": {"a": [{"b": [{"c": {"apiKey": PLANT}}]}]}},
    "parameters of a custom resource": {
        "kind": "App",
        "spec": {"parameters": [{"name": "db.password", "value": PLANT}]},
    },
    "annotation by name": {"metadata": {"annotations": {"example.com/api-token": PLANT}}},
    "annotation by content": {"metadata": {"annotations": {"note": f"log in with password={PLANT}"}}},
    "label by name": {"metadata": {"labels": {"token": PLANT}}},
    "private key": config_map(
        data={"k.pem": f"-----BEGIN EC PRIVATE KEY-----\n{PLANT}\n-----END EC PRIVATE KEY-----\n"}
    ),
    "event message": {"kind": "Event", "message": f"failed with token={PLANT}"},
}


@pytest.mark.parametrize("obj", PLANTS.values(), ids=PLANTS.keys())
def test_no_credential_stays(obj: Any) -> None:
    hidden, counts = redacted(obj)
    text = json.dumps(hidden)
    assert PLANT not in text
    assert B64 not in text
    assert counts
    assert redacted(hidden) == (hidden, {})  # once is enough


ORDINARY = [
    pod(
        env=[
            {"name": "LOG_LEVEL", "value": "info"},
            {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
            {"name": "PASSWORD_FILE", "value": "/run/secrets/password"},
            {"name": "TOKEN", "value": "$(OTHER_TOKEN)"},
            {"name": "API_KEY", "value": ""},
            {"name": "USE_TOKEN", "value": "true"},
        ],
        args=["--secret-name=web", "--token-ttl", "3600", "-v"],
        volumeMounts=[{"name": "kube-api-access-x", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}],
    ),
    {
        "kind": "Deployment",
        "spec": {
            "template": {
                "spec": {
                    "automountServiceAccountToken": True,
                    "imagePullSecrets": [{"name": "regcred"}],
                    "volumes": [
                        {"name": "tls", "secret": {"secretName": "web-tls", "defaultMode": 420}},
                        {
                            "projected": {
                                "sources": [{"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}}]
                            }
                        },
                    ],
                }
            }
        },
    },
    {"kind": "Ingress", "spec": {"tls": [{"hosts": ["a.example.com"], "secretName": "web-tls"}]}},
    {"kind": "ServiceAccount", "secrets": [{"name": "default-token-abc"}], "imagePullSecrets": [{"name": "regcred"}]},
    {"kind": "ClusterRole", "rules": [{"apiGroups": [""], "resources": ["secrets", "tokenreviews"], "verbs": ["get"]}]},
    {
        "kind": "ExternalSecret",
        "spec": {"secretStoreRef": {"name": "vault", "kind": "SecretStore"}, "target": {"name": "x"}},
    },
    {"kind": "Certificate", "spec": {"secretName": "web-tls", "privateKey": {"algorithm": "RSA", "size": 2048}}},
    config_map(data={"ca.crt": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "a": "b=1\nc=2\n"}),
    {"kind": "MutatingWebhookConfiguration", "webhooks": [{"clientConfig": {"caBundle": "LS0tLS1CRUdJTg=="}}]},
    {"metadata": {"managedFields": [{"fieldsV1": {"f:data": {"f:password": {}}}}]}},
    {"kind": "Event", "message": 'MountVolume.SetUp failed for volume "tls" : secret "web-tls" not found'},
]


@pytest.mark.parametrize("obj", ORDINARY, ids=range(len(ORDINARY)))
def test_what_has_no_credential_stays(obj: Any) -> None:
    assert redacted(obj) == (obj, {})


def test_equal_values_have_equal_tags_for_one_agent_and_no_other() -> None:
    marker = Marker()
    first, _ = redacted(secret(data={"a": B64, "b": B64, "c": "eA=="}), marker)
    second, _ = redacted(pod(env=[{"name": "PASSWORD", "value": PLANT}]), marker)
    values = first["data"]
    assert values["a"] == values["b"] != values["c"]
    assert f"len={len(PLANT)} " in values["a"]
    assert "len=1 " in values["c"]
    tag = values["a"].partition("tag=")[2]
    assert tag == second["spec"]["containers"][0]["env"][0]["value"].partition("tag=")[2]
    assert tag not in json.dumps(redacted(secret(data={"a": B64}))[0])


def test_markers_are_known_again() -> None:
    assert is_marker(Marker().of("secret", b"x"))
    assert is_marker("[redacted:jwt]")
    assert not is_marker("[redacted:jwt] and more")
    assert hidden_bytes(Marker().of("secret", b"xyz")) == 3
    assert hidden_bytes("[redacted:jwt]") is hidden_bytes("xyz") is None


def test_the_sizes_of_a_secret_are_described_as_they_were() -> None:
    obj = secret(data={"a": B64, "b": ""}, metadata={"name": "db", "annotations": {"tool/whole": "{}", "x": "yz"}})
    assert describe.secret(redacted(obj)[0]) == describe.secret(obj)


LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
BRANCHES = st.lists(LEAVES, max_size=4) | st.dictionaries(st.text(max_size=10), LEAVES, max_size=4)
VALUES = (
    LEAVES | BRANCHES | st.lists(BRANCHES, max_size=3) | st.dictionaries(st.text(max_size=10), BRANCHES, max_size=3)
)
FIELDS = st.sampled_from(
    ["kind", "data", "stringData", "items", "metadata", "annotations", "labels", "name", "value", "env"]
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(FIELDS, VALUES, max_size=6))
def test_nonsense_of_a_server_is_no_error(obj: Any) -> None:
    for kind in ("Secret", "ConfigMap", "SecretList", "Pod"):
        hidden, _ = redacted(obj | {"kind": kind})
        assert redacted(hidden)[0] == hidden


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from(["spec", "items", "template", "a", "0"]), max_size=60),
    st.sampled_from(["password", "clientSecret"]),
)
def test_however_deep(path: list[str], name: str) -> None:
    obj: Any = {name: PLANT}
    for step in path:
        obj = [obj] if step == "0" else {step: obj}
    assert PLANT not in json.dumps(redacted(obj)[0])
