"""How far a rollout is, in the words kubectl 1.33 was seen to use for the same objects."""

from typing import Any

import pytest

from agent.executors.native.errors import CommandFailed
from agent.executors.native.resources import Resource
from agent.executors.native.verbs.rollout_progress import REVISION, revision_of, viewer_of

_ROLLING = {"type": "RollingUpdate", "rollingUpdate": {}}


def resource(kind: str, group: str = "apps", version: str = "v1") -> Resource:
    return Resource(group, version, kind, f"{kind.lower()}s", kind.lower(), is_namespaced=True)


def told(kind: str, obj: dict[str, Any], revision: int = 0) -> tuple[str, bool]:
    return viewer_of(resource(kind))(obj, revision)


def refused(kind: str, obj: dict[str, Any], revision: int = 0) -> str:
    with pytest.raises(CommandFailed) as raised:
        told(kind, obj, revision)
    return raised.value.text


def deployment(**status: Any) -> dict[str, Any]:
    """One of three replicas that is done, but for what `status` says."""
    done = {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}
    metadata = {"name": "web", "generation": 2, "annotations": {REVISION: "4"}}
    return {"metadata": metadata, "spec": {"replicas": 3}, "status": {**done, **status}}


@pytest.mark.parametrize(
    ("status", "text"),
    [
        ({"observedGeneration": 1, "updatedReplicas": 0}, "Waiting for deployment spec update to be observed...\n"),
        (
            {"updatedReplicas": 1},
            'Waiting for deployment "web" rollout to finish: 1 out of 3 new replicas have been updated...\n',
        ),
        (
            {"replicas": 5, "availableReplicas": 0},
            'Waiting for deployment "web" rollout to finish: 2 old replicas are pending termination...\n',
        ),
        (
            {"availableReplicas": 1},
            'Waiting for deployment "web" rollout to finish: 1 of 3 updated replicas are available...\n',
        ),
    ],
)
def test_a_deployment_under_way(status: dict[str, Any], text: str) -> None:
    assert told("Deployment", deployment(**status)) == (text, False)


def test_a_deployment_that_is_done() -> None:
    done = ('deployment "web" successfully rolled out\n', True)
    assert told("Deployment", deployment()) == done
    assert told("Deployment", deployment(observedGeneration=3)) == done
    assert told("Deployment", deployment(), revision=4) == done
    assert told("Deployment", {"metadata": {"name": "web"}, "spec": {"replicas": 0}}) == done
    assert told("Deployment", {"metadata": {"name": "web"}}) == done


def test_a_deployment_that_has_failed() -> None:
    late = [{"type": "Available"}, {"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]
    said = 'error: deployment "web" exceeded its progress deadline'
    assert refused("Deployment", deployment(conditions=late)) == said
    # Not of the spec as it is now.
    assert told("Deployment", deployment(conditions=late, observedGeneration=1))[1] is False


def test_the_wrong_revision() -> None:
    said = "error: desired revision (3) is different from the running revision (4)"
    assert refused("Deployment", deployment(observedGeneration=1), revision=3) == said
    other = deployment()
    other["metadata"]["annotations"] = None
    assert refused("Deployment", other, 3) == "error: desired revision (3) is different from the running revision (0)"
    other["metadata"]["annotations"] = {REVISION: "x"}
    assert refused("Deployment", other, 3) == (
        'error: cannot get the revision of deployment "web": strconv.ParseInt: parsing "x": invalid syntax'
    )


def daemon_set(strategy: str = "RollingUpdate", **status: Any) -> dict[str, Any]:
    done = {"observedGeneration": 2, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 3}
    spec = {"updateStrategy": {"type": strategy}}
    return {"metadata": {"name": "logger", "generation": 2}, "spec": spec, "status": {**done, **status}}


@pytest.mark.parametrize(
    ("status", "text", "is_done"),
    [
        ({"observedGeneration": 1}, "Waiting for daemon set spec update to be observed...\n", False),
        (
            {"updatedNumberScheduled": 1},
            'Waiting for daemon set "logger" rollout to finish: 1 out of 3 new pods have been updated...\n',
            False,
        ),
        (
            {"numberAvailable": None},
            'Waiting for daemon set "logger" rollout to finish: 0 of 3 updated pods are available...\n',
            False,
        ),
        ({}, 'daemon set "logger" successfully rolled out\n', True),
    ],
)
def test_a_daemon_set(status: dict[str, Any], text: str, is_done: bool) -> None:
    assert told("DaemonSet", daemon_set(**status), revision=7) == (text, is_done)


def stateful_set(strategy: dict[str, Any] | None = None, replicas: int | None = 3, **status: Any) -> dict[str, Any]:
    done = {"observedGeneration": 2, "readyReplicas": 3, "updatedReplicas": 3}
    revisions = {"currentRevision": "r1", "updateRevision": "r2"}
    spec = {"updateStrategy": _ROLLING if strategy is None else strategy, "replicas": replicas}
    return {"metadata": {"name": "db", "generation": 2}, "spec": spec, "status": {**done, **revisions, **status}}


def partition(number: int) -> dict[str, Any]:
    return {"type": "RollingUpdate", "rollingUpdate": {"partition": number}}


@pytest.mark.parametrize(
    ("obj", "text", "is_done"),
    [
        (stateful_set(observedGeneration=1), "Waiting for statefulset spec update to be observed...\n", False),
        (stateful_set(observedGeneration=0), "Waiting for statefulset spec update to be observed...\n", False),
        (stateful_set(readyReplicas=1), "Waiting for 2 pods to be ready...\n", False),
        (stateful_set(partition(1), readyReplicas=2), "Waiting for 1 pods to be ready...\n", False),
        (
            stateful_set(partition(2), updatedReplicas=0),
            "Waiting for partitioned roll out to finish: 0 out of 1 new pods have been updated...\n",
            False,
        ),
        (
            stateful_set(partition(0), updatedReplicas=1),
            "Waiting for partitioned roll out to finish: 1 out of 3 new pods have been updated...\n",
            False,
        ),
        (
            stateful_set(partition(2), updatedReplicas=1),
            "partitioned roll out complete: 1 new pods have been updated...\n",
            True,
        ),
        (stateful_set(updatedReplicas=2), "partitioned roll out complete: 2 new pods have been updated...\n", True),
        (
            stateful_set(partition(1), replicas=None, updatedReplicas=0),
            "partitioned roll out complete: 0 new pods have been updated...\n",
            True,
        ),
        (
            stateful_set({"type": "RollingUpdate"}, updatedReplicas=1),
            "waiting for statefulset rolling update to complete 1 pods at revision r2...\n",
            False,
        ),
        (
            stateful_set({"type": "RollingUpdate"}, currentRevision="r2", currentReplicas=2),
            "statefulset rolling update complete 2 pods at revision r2...\n",
            True,
        ),
    ],
)
def test_a_stateful_set(obj: dict[str, Any], text: str, is_done: bool) -> None:
    assert told("StatefulSet", obj) == (text, is_done)


@pytest.mark.parametrize("strategy", ["OnDelete", ""])
def test_a_strategy_that_rolls_nothing_out(strategy: str) -> None:
    said = "error: rollout status is only available for RollingUpdate strategy type"
    assert refused("DaemonSet", daemon_set(strategy)) == said
    assert refused("StatefulSet", stateful_set({"type": strategy})) == said


def test_kinds_that_roll_nothing_out() -> None:
    for kind, named in (
        (resource("Pod", ""), "Pod"),
        (resource("ReplicaSet"), "ReplicaSet.apps"),
        (resource("StatefulSet", "extensions", "v1beta1"), "StatefulSet.extensions"),
    ):
        with pytest.raises(CommandFailed) as raised:
            viewer_of(kind)
        assert raised.value.text == f"error: no status viewer has been implemented for {named}"


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("007", 7), ("+6", 6), ("-4", -4), (str(2**63 - 1), 2**63 - 1)])
def test_revisions(text: str, number: int) -> None:
    assert revision_of({"metadata": {"annotations": {REVISION: text}}}) == number


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "invalid syntax"),
        (" 1", "invalid syntax"),
        ("1_0", "invalid syntax"),
        ("٣", "invalid syntax"),
        (str(2**63), "value out of range"),
        ("9" * 4000, "value out of range"),
    ],
)
def test_revisions_that_are_none(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f'^strconv.ParseInt: parsing "{text}": {problem}$'):
        revision_of({"metadata": {"annotations": {REVISION: text}}})
