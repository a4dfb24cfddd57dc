"""Which objects are revisions of a workload, and what is printed of them; as kubectl 1.33 was seen to do."""

from typing import Any

import pytest

from agent.executors.native.errors import CommandFailed
from agent.executors.native.resources import Resource
from agent.executors.native.verbs.rollout_history import as_typed, failed, is_patched, kept_in, revisions, table
from agent.executors.native.verbs.rollout_progress import REVISION

_CAUSE = "kubernetes.io/change-cause"
_DEPLOYMENT = {"kind": "Deployment", "metadata": {"name": "web", "uid": "u1"}}
_DAEMON_SET = {"kind": "DaemonSet", "metadata": {"name": "logger", "uid": "u2"}}


def resource(kind: str, group: str = "apps", version: str = "v1") -> Resource:
    return Resource(group, version, kind, f"{kind.lower()}s", kind.lower(), is_namespaced=True)


def owned(uid: str, *, is_controller: bool = True) -> list[dict[str, Any]]:
    return [{"uid": "other", "controller": True}, {"uid": uid, **({"controller": True} if is_controller else {})}]


def replica_set(name: str, revision: str | None, cause: str | None = None, template_cause: str = "") -> dict[str, Any]:
    annotations = {REVISION: revision, _CAUSE: cause}
    return {
        "metadata": {
            "name": name,
            "annotations": {key: value for key, value in annotations.items() if value is not None},
            "ownerReferences": owned("u1"),
        },
        "spec": {"template": {"metadata": {"annotations": {_CAUSE: template_cause}}}},
    }


def test_where_revisions_are_kept() -> None:
    assert kept_in(resource("Deployment")).plural == "replicasets"
    assert kept_in(resource("Deployment", "extensions", "v1beta1")).plural == "replicasets"
    assert kept_in(resource("DaemonSet")).plural == "controllerrevisions"
    assert kept_in(resource("StatefulSet")).plural == "controllerrevisions"
    assert is_patched(resource("StatefulSet"))
    assert not is_patched(resource("Deployment"))
    assert not is_patched(resource("Pod", ""))


def test_what_has_none() -> None:
    for kind, named in ((resource("Pod", ""), "Pod"), (resource("ReplicaSet"), "ReplicaSet.apps")):
        with pytest.raises(CommandFailed) as raised:
            kept_in(kind)
        assert raised.value.text == f'error: no history viewer has been implemented for "{named}"'


def test_when_they_cannot_be_had() -> None:
    replica_sets, controller_revisions = kept_in(resource("Deployment")), kept_in(resource("DaemonSet"))
    assert failed(_DEPLOYMENT, replica_sets) == "failed to retrieve replica sets from deployment web"
    assert failed(_DAEMON_SET, controller_revisions) == "unable to find history controlled by DaemonSet logger"


def test_revisions_of_a_deployment() -> None:
    foreign, no_controller = replica_set("foreign", "9"), replica_set("no-controller", "8")
    foreign["metadata"]["ownerReferences"] = owned("u9")
    no_controller["metadata"]["ownerReferences"] = owned("u1", is_controller=False)
    sets = [
        *(replica_set("ten", "10"), replica_set("two", "2"), replica_set("none", None), replica_set("bad", "x")),
        *(foreign, no_controller, {"metadata": {"name": "free"}}),
    ]
    found = revisions(_DEPLOYMENT, sets)
    assert [(revision, obj["metadata"]["name"]) for revision, obj in found.items()] == [
        (0, "none"),
        (2, "two"),
        (10, "ten"),
    ]


def test_revisions_of_a_daemon_set() -> None:
    kept = [{"revision": number, "metadata": {"ownerReferences": owned("u2")}} for number in (3, 1, 12)]
    assert list(revisions(_DAEMON_SET, kept)) == [1, 3, 12]


def test_the_table() -> None:
    found = {
        0: replica_set("a", None),
        1: replica_set("b", "1", "first", "of the template"),
        2: replica_set("c", "2", "", "of the template"),
        10: {"revision": 10, "metadata": {"annotations": {_CAUSE: "a cause\nof two lines"}}},
    }
    assert table(found) == (
        "REVISION  CHANGE-CAUSE\n0         <none>\n1         first\n2         of the template\n"
        "10        a cause\nof two lines\n\n"
    )
    assert table({}) == "No rollout history found.\n"


@pytest.mark.parametrize(
    ("metadata", "wanted"),
    [
        ({"labels": {}}, ["creationTimestamp", "labels"]),
        ({"creationTimestamp": None, "labels": {}}, ["creationTimestamp", "labels"]),
        ({"name": "x", "annotations": {}}, ["name", "creationTimestamp", "annotations"]),
        (None, ["creationTimestamp"]),
    ],
)
def test_as_typed(metadata: dict[str, Any] | None, wanted: list[str]) -> None:
    given = {"metadata": {"name": "a"}, "spec": {"replicas": 1, "template": {"metadata": metadata, "spec": {}}}}
    typed = as_typed({**given, "kind": "ReplicaSet", "apiVersion": "apps/v1"})
    assert list(typed) == ["kind", "apiVersion", "metadata", "spec"]
    assert list(typed["spec"]["template"]["metadata"]) == wanted
    assert list(typed["spec"]["template"]) == ["metadata", "spec"]
    assert "kind" not in given
