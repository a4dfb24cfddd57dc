"""agent/executors/native/scheme.py."""

import pytest

from agent.executors.native.errors import CommandFailed
from agent.executors.native.resources import Resource
from agent.executors.native.scheme import go_type


@pytest.mark.parametrize(
    ("group", "version", "kind", "wanted"),
    [
        ("", "v1", "Pod", "*v1.Pod"),
        ("apps", "v1", "Deployment", "*v1.Deployment"),
        ("batch", "v1beta1", "CronJob", "*v1beta1.CronJob"),
        ("autoscaling", "v2", "HorizontalPodAutoscaler", "*v2.HorizontalPodAutoscaler"),
    ],
)
def test_types_kubectl_has(group: str, version: str, kind: str, wanted: str) -> None:
    assert go_type(Resource(group, version, kind, "x", "x", is_namespaced=True)) == wanted


@pytest.mark.parametrize(
    "group_version",
    ["example.com/v1", "apiextensions.k8s.io/v1", "metrics.k8s.io/v1beta1", "resource.k8s.io/v1", "gateway.k8s.io/v1"],
)
def test_types_it_has_not(group_version: str) -> None:
    group, _, version = group_version.partition("/")
    with pytest.raises(CommandFailed) as raised:
        go_type(Resource(group, version, "Thing", "things", "thing", is_namespaced=True))
    said = f'no kind "Thing" is registered for version "{group_version}" in scheme "pkg/scheme/scheme.go:28"'
    assert raised.value.text == f"error: {said}"
