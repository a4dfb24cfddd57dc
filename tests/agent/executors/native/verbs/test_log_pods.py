"""Which pods and containers are read, against what kubectl 1.33 was seen to choose."""

from typing import Any

import msgspec
import pytest

from agent.executors.native.errors import CommandFailed
from agent.executors.native.resources import Resource
from agent.executors.native.verbs.log_pods import Pod, choose_container, preferred, selector_of

_READY = {"type": "Ready", "status": "True", "lastTransitionTime": "2024-01-01T00:00:00Z"}
_DEFAULT = "kubectl.kubernetes.io/default-container"
# From one that kubectl prefers to one it likes less, all else equal. Each was seen with `kubectl.1.33 logs deploy/d`
# and two pods, in both orders; pods in one group are alike to it.
_RANKS: tuple[tuple[dict[str, Any], ...], ...] = (
    ({"containerStatuses": [{"restartCount": 1}, {"restartCount": 5}]},),
    ({"containerStatuses": [{"restartCount": 3}]},),
    ({"created": "2023-03-01T00:00:00Z"},),
    ({}, {"phase": "Succeeded"}, {"phase": "Failed"}, {"phase": ""}, {"initContainerStatuses": [{"restartCount": 9}]}),
    ({"created": "2024-03-01T00:00:00Z"},),
    ({"created": None},),
    ({"conditions": [{**_READY, "lastTransitionTime": "2024-02-01T00:00:00Z"}]},),
    ({"conditions": [{**_READY, "lastTransitionTime": None}]},),
    ({"conditions": []}, {"conditions": [{**_READY, "status": "False"}]}, {"conditions": [{**_READY, "status": "?"}]}),
    ({"phase": "Unknown"},),
    ({"phase": "Pending"},),
    ({"nodeName": ""},),
)


def pod(
    *, containers: str = "a", init: str = "", ephemeral: str = "", annotation: str | None = None, **parts: Any
) -> Pod:
    """A pod whose containers have the names given, separated by blanks."""
    created = parts.pop("created", "2024-01-01T00:00:00Z")
    node = parts.pop("nodeName", "n")
    return msgspec.convert(
        {
            "metadata": {
                "name": "web-0",
                "namespace": "web",
                "creationTimestamp": created,
                **({} if annotation is None else {"annotations": {_DEFAULT: annotation}}),
            },
            "spec": {
                "nodeName": node,
                "containers": [{"name": name, "image": "i"} for name in containers.split()],
                "initContainers": [{"name": name} for name in init.split()],
                "ephemeralContainers": [{"name": name} for name in ephemeral.split()],
            },
            "status": {"phase": "Running", "conditions": [_READY], **parts},
        },
        Pod,
    )


@pytest.mark.parametrize("rank", range(len(_RANKS) - 1))
def test_the_preferred_pod(rank: int) -> None:
    for better in _RANKS[rank]:
        for worse in _RANKS[rank + 1]:
            first, second = pod(**better), pod(**worse)
            assert preferred([first, second]) is first
            assert preferred([second, first]) is first


def test_of_pods_alike_the_first_one() -> None:
    for group in _RANKS:
        pods = [pod(**parts) for parts in group]
        assert preferred(pods) is pods[0]


def test_containers_in_the_order_they_come_to_run() -> None:
    assert pod(containers="a b", init="i", ephemeral="e").containers() == ["i", "a", "b", "e"]
    assert pod(containers="a", init="a").containers() == ["a"]


@pytest.mark.parametrize(
    ("given", "named", "container", "said"),
    [
        (pod(), "", "a", ""),
        (pod(), "a", "a", ""),
        (pod(containers="a b"), "b", "b", ""),
        (pod(containers="b a"), "", "b", 'Defaulted container "b" out of: b, a\n'),
        (pod(init="i"), "", "a", 'Defaulted container "a" out of: a, i (init)\n'),
        (
            pod(containers="a b", init="i", ephemeral="e"),
            "",
            "a",
            'Defaulted container "a" out of: a, b, e (ephem), i (init)\n',
        ),
        (pod(containers="a b", init="i", ephemeral="e"), "e", "e", ""),
        (pod(containers="a b", annotation="b"), "", "b", ""),
        (pod(containers="a b", annotation="b"), "a", "a", ""),
        (pod(containers="a b", init="i", annotation="i"), "", "i", ""),
        (pod(containers="a b", annotation=""), "", "a", 'Defaulted container "a" out of: a, b\n'),
        (pod(annotation="z"), "", "a", 'Default container name "z" not found in pod web-0\n'),
        (
            pod(containers="a b", annotation="z"),
            "",
            "a",
            'Default container name "z" not found in pod web-0\nDefaulted container "a" out of: a, b\n',
        ),
    ],
)
def test_the_container_chosen(given: Pod, named: str, container: str, said: str) -> None:
    assert choose_container(given, named, is_told=True) == (container, said)


def test_a_choice_that_is_not_told() -> None:
    assert choose_container(pod(containers="a b"), "", is_told=False) == ("a", "")
    said = 'Default container name "z" not found in pod web-0\n'
    assert choose_container(pod(containers="a b", annotation="z"), "", is_told=False) == ("a", said)


@pytest.mark.parametrize("named", ["z", ""])
def test_a_container_that_is_not_there(named: str) -> None:
    with pytest.raises(CommandFailed) as raised:
        choose_container(pod(containers=""), named, is_told=True)
    assert raised.value.text == f"error: container {named} is not valid for pod web-0"


def resource(kind: str, group: str = "apps", version: str = "v1") -> Resource:
    return Resource(group, version, kind, f"{kind.lower()}s", kind.lower(), is_namespaced=True)


@pytest.mark.parametrize(
    ("kind", "selector", "wanted"),
    [
        (resource("Deployment"), {"matchLabels": {"b": "2", "a": "1"}}, "a=1,b=2"),
        (resource("ReplicaSet"), {"matchLabels": {"a": "1"}}, "a=1"),
        (resource("DaemonSet"), {"matchLabels": {"a": ""}}, "a="),
        (
            resource("StatefulSet"),
            {
                "matchLabels": {"a": "1"},
                "matchExpressions": [
                    {"key": "tier", "operator": "In", "values": ["z", "a"]},
                    {"key": "a", "operator": "NotIn", "values": ["2"]},
                    {"key": "q", "operator": "Exists"},
                    {"key": "p", "operator": "DoesNotExist"},
                ],
            },
            "a=1,tier in (a,z),a notin (2),q,!p",
        ),
        (resource("Job", "batch"), {"matchLabels": {"controller-uid": "u"}}, "controller-uid=u"),
        (resource("Deployment", "extensions", "v1beta1"), {"matchLabels": {"a": "1"}}, "a=1"),
        (resource("Deployment"), {}, ""),
        (resource("Deployment"), None, ""),
        (resource("ReplicationController", ""), {"b": "2", "a": "1"}, "a=1,b=2"),
        (resource("Service", ""), {"a": "1"}, "a=1"),
    ],
)
def test_the_selector_of_a_workload(kind: Resource, selector: object, wanted: str) -> None:
    assert selector_of(kind, {"metadata": {"name": "w"}, "spec": {"selector": selector}}) == wanted


@pytest.mark.parametrize(
    ("kind", "selector", "wanted"),
    [
        (
            resource("Service", ""),
            None,
            "cannot get the logs from *v1.Service: invalid service 'w': Service is defined without a selector",
        ),
        (
            resource("Deployment"),
            {"matchExpressions": [{"key": "k", "operator": "Near"}]},
            'cannot get the logs from *v1.Deployment: invalid label selector: "Near" is not a valid label selector '
            "operator",
        ),
        (
            resource("CronJob", "batch", "v1beta1"),
            None,
            "cannot get the logs from *v1beta1.CronJob: selector for *v1beta1.CronJob not implemented",
        ),
        (
            resource("Widget", "example.com", "v2"),
            None,
            'no kind "Widget" is registered for version "example.com/v2" in scheme "pkg/scheme/scheme.go:28"',
        ),
    ],
)
def test_what_has_no_pods(kind: Resource, selector: object, wanted: str) -> None:
    with pytest.raises(CommandFailed) as raised:
        selector_of(kind, {"metadata": {"name": "w"}, "spec": {"selector": selector}})
    assert raised.value.text == f"error: {wanted}"
