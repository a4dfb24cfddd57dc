"""`rollout status` and `rollout history` against a server that says what a test wants."""

import asyncio
import json
import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from agent.executors.native.errors import NotNative
from agent.executors.native.executor import NativeExecutor
from agent.executors.native.resources import Resource
from agent.settings import Execution
from schemas import kubectl
from tests.differential.harness import environment
from tests.support.fake_api_server import RESOURCES, FakeApiServer, fake_api_server, objects, pieces, status
from tests.support.sinks import Collected
from tests.support.waiting import until

_APPS = "/apis/apps/v1/namespaces/default"
_READ = ("get", "list", "watch")
_MORE = (
    Resource("apps", "v1", "DaemonSet", "daemonsets", "daemonset", True, ("ds",), ("all",), _READ),
    Resource("apps", "v1", "StatefulSet", "statefulsets", "statefulset", True, ("sts",), ("all",), _READ),
)
_DONE = 'deployment "web" successfully rolled out\n'


def waiting(updated: int) -> str:
    return f'Waiting for deployment "web" rollout to finish: {updated} out of 3 new replicas have been updated...\n'


def deployment(name: str = "web", updated: int = 3, version: str = "5") -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default", "uid": f"u-{name}", "resourceVersion": version},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": name}}},
        "status": {"replicas": updated, "updatedReplicas": updated, "availableReplicas": updated},
    }


def event(kind: str, obj: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": obj}).encode() + b"\n"


@pytest.fixture
async def server() -> AsyncIterator[FakeApiServer]:
    async with fake_api_server((*RESOURCES, *_MORE)) as running:
        yield running


@pytest.fixture
async def executor(server: FakeApiServer, tmp_path: Path) -> AsyncIterator[NativeExecutor]:
    running = NativeExecutor(environment(server.kubeconfig(tmp_path)), Execution())
    yield running
    await running.close()


def serve(server: FakeApiServer, *states: dict[str, Any]) -> None:
    """Serve deployments by name, and each as a list of its own, as a watch's beginning is asked for."""
    named = {state["metadata"]["name"]: state for state in states}
    for name, state in named.items():
        server.route(f"{_APPS}/deployments/{name}", state)

    async def listed(request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            return await pieces(is_endless=True)(request)
        name = request.query.get("fieldSelector", "").removeprefix("metadata.name=")
        return web.json_response(objects("Deployment", "apps/v1", [named[name]] if name else states))

    server.route(f"{_APPS}/deployments", listed)


async def printed(executor: NativeExecutor, line: str) -> tuple[int | None, str, str]:
    """The exit code, stdout and stderr of a command."""
    verb, *words = shlex.split(line)
    sink = Collected()
    code = (await executor.run(kubectl.parse(verb, words), sink)).exit_code
    return code, sink.stdout.decode(), sink.stderr.decode()


# status


async def test_a_rollout_that_is_done(server: FakeApiServer, executor: NativeExecutor) -> None:
    serve(server, deployment())
    assert await printed(executor, "rollout status deploy/web") == (0, _DONE, "")
    assert [path for path in server.paths if path.startswith(_APPS)] == [
        f"{_APPS}/deployments/web",
        f"{_APPS}/deployments?fieldSelector=metadata.name=web",
    ]


async def test_one_look(server: FakeApiServer, executor: NativeExecutor) -> None:
    serve(server, deployment(updated=1))
    assert await printed(executor, "rollout status deploy/web --watch=false") == (0, waiting(1), "")


async def test_following_until_it_is_done(server: FakeApiServer, executor: NativeExecutor) -> None:
    server.route(f"{_APPS}/deployments/web", deployment(updated=0))
    events = (
        event("MODIFIED", deployment(updated=1)),
        event("BOOKMARK", {"metadata": {"resourceVersion": "9"}}),
        event("MODIFIED", deployment(updated=1)) + event("MODIFIED", deployment(updated=3)),
        event("MODIFIED", deployment(updated=2)),
    )
    server.route(
        f"{_APPS}/deployments",
        objects("Deployment", "apps/v1", [deployment(updated=0)]),
        pieces(*events, is_endless=True),
    )
    stdout = waiting(0) + waiting(1) + waiting(1) + _DONE
    assert await printed(executor, "rollout status deploy/web") == (0, stdout, "")
    assert server.requests[-1].query["resourceVersion"] == "1000"


async def test_a_watch_that_ends_goes_on_where_it_ended(
    server: FakeApiServer, executor: NativeExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.executors.native.verbs.rollout._AGAIN_SECONDS", 0.0)
    server.route(f"{_APPS}/deployments/web", deployment(updated=0))
    listed = objects("Deployment", "apps/v1", [deployment(updated=0)])
    server.route(
        f"{_APPS}/deployments",
        listed,
        pieces(event("MODIFIED", deployment(updated=1, version="7"))),
        pieces(event("BOOKMARK", {"metadata": {"resourceVersion": "8"}})),
        status(410, "Expired", "too old resource version"),
        listed,
        pieces(event("ERROR", {"kind": "Status", "code": 410})),
        listed,
        pieces(event("MODIFIED", deployment())),
    )
    assert await printed(executor, "rollout status deploy/web") == (
        0,
        waiting(0) + waiting(1) + waiting(0) + waiting(0) + _DONE,
        "",
    )
    versions = [asked.query.get("resourceVersion") for asked in server.requests if asked.path.endswith("/deployments")]
    assert versions == [None, "1000", "7", "8", None, "1000", None, "1000"]


async def test_a_workload_that_is_deleted(server: FakeApiServer, executor: NativeExecutor) -> None:
    server.route(f"{_APPS}/deployments/web", deployment(updated=0))
    server.route(
        f"{_APPS}/deployments",
        objects("Deployment", "apps/v1", [deployment(updated=0)]),
        pieces(event("DELETED", deployment(updated=0))),
    )
    wanted = (1, waiting(0), "error: object has been deleted\n")
    assert await printed(executor, "rollout status deploy/web") == wanted


async def test_a_timeout_is_for_each_workload(server: FakeApiServer, executor: NativeExecutor) -> None:
    serve(server, deployment("slow", 1), deployment())
    code, stdout, stderr = await printed(executor, "rollout status deploy slow web --timeout=200ms")
    assert (code, stderr) == (1, "error: timed out waiting for the condition\n")
    assert stdout == waiting(1).replace("web", "slow") + _DONE


async def test_all_that_goes_wrong_is_told(server: FakeApiServer, executor: NativeExecutor) -> None:
    serve(server, deployment())
    server.route("/api/v1/namespaces/default/pods/p", {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p"}})
    widget = {"kind": "Widget", "apiVersion": "example.com/v1", "metadata": {"name": "w"}}
    server.route("/apis/example.com/v1/namespaces/default/widgets/w", widget)
    server.route(f"{_APPS}/deployments/absent", status(404, "NotFound", 'deployments.apps "absent" not found'))
    assert await printed(executor, "rollout status pod/p deploy/absent deploy/web widget/w") == (
        1,
        _DONE,
        "no status viewer has been implemented for Pod\n"
        'Error from server (NotFound): deployments.apps "absent" not found\n'
        'no kind "Widget" is registered for version "example.com/v1" in scheme "pkg/scheme/scheme.go:28"\n',
    )


async def test_nothing_to_follow(server: FakeApiServer, executor: NativeExecutor) -> None:
    server.route(f"{_APPS}/deployments", objects("Deployment", "apps/v1", []))
    nothing = (0, "", "No resources found in default namespace.\n")
    assert await printed(executor, "rollout status deploy -l app=nobody") == nothing
    assert await printed(executor, "rollout history deploy -l app=nobody") == (0, "", "")


@pytest.mark.parametrize("verb", ["status", "history"])
async def test_nothing_named(executor: NativeExecutor, verb: str) -> None:
    assert await printed(executor, f"rollout {verb} -l app=web") == (1, "", "error: required resource not specified\n")


async def test_cancelling_closes_the_watch(server: FakeApiServer, executor: NativeExecutor) -> None:
    is_open = asyncio.Event()

    async def watched(request: web.Request) -> web.StreamResponse:
        is_open.set()
        try:
            return await pieces(is_endless=True)(request)
        finally:
            is_open.clear()

    server.route(f"{_APPS}/deployments/web", deployment(updated=0))
    server.route(f"{_APPS}/deployments", objects("Deployment", "apps/v1", [deployment(updated=0)]), watched)
    running = asyncio.create_task(printed(executor, "rollout status deploy/web"))
    await until(is_open.is_set)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(lambda: not is_open.is_set(), 1.0)


# history


def replica_set(name: str, revision: int) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "annotations": {"deployment.kubernetes.io/revision": str(revision)},
            "ownerReferences": [{"uid": "u-web", "controller": True}],
            "managedFields": [{"manager": "kube"}],
        },
        "spec": {"template": {"metadata": {"creationTimestamp": None}}},
    }


def serve_history(server: FakeApiServer) -> None:
    serve(server, deployment())
    listed = objects("ReplicaSet", "apps/v1", [replica_set("b", 2), replica_set("a", 1)])
    server.route(f"{_APPS}/replicasets", listed)
    daemon_set = {
        "kind": "DaemonSet",
        "apiVersion": "apps/v1",
        "metadata": {"name": "logger", "namespace": "default", "uid": "u"},
    }
    server.route(f"{_APPS}/daemonsets/logger", {**daemon_set, "spec": {"selector": {}}})
    kept = {"revision": 3, "metadata": {"name": "c", "ownerReferences": [{"uid": "u", "controller": True}]}}
    server.route(f"{_APPS}/controllerrevisions", objects("ControllerRevision", "apps/v1", [kept]))


@pytest.mark.parametrize(
    ("line", "stdout"),
    [
        (
            "deploy/web ds/logger",
            "deployment.apps/web \nREVISION  CHANGE-CAUSE\n1         <none>\n2         <none>\n\n"
            "daemonset.apps/logger \nREVISION  CHANGE-CAUSE\n3         <none>\n\n",
        ),
        ("deploy/web --revision=0 -o name", "replicaset.apps/a\nreplicaset.apps/b\n"),
        ("deploy/web --revision=2 -o name", "replicaset.apps/b\n"),
        ("ds/logger -o name", "daemonset.apps/logger\n"),
        ("deploy/web -o jsonpath={.kind}:{.metadata.name};", "ReplicaSet:a;ReplicaSet:b;"),
        (
            "deploy/web -o yaml --revision=1",
            "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata:\n  annotations:\n"
            '    deployment.kubernetes.io/revision: "1"\n  name: a\n  ownerReferences:\n  - controller: true\n'
            "    uid: u-web\nspec:\n  template:\n    metadata:\n      creationTimestamp: null\n",
        ),
    ],
)
async def test_a_history(server: FakeApiServer, executor: NativeExecutor, line: str, stdout: str) -> None:
    serve_history(server)
    assert await printed(executor, f"rollout history {line}") == (0, stdout, "")


async def test_a_history_as_json(server: FakeApiServer, executor: NativeExecutor) -> None:
    serve_history(server)
    _, stdout, _ = await printed(executor, "rollout history deploy/web -o json --revision=1 --show-managed-fields")
    wanted = {"kind": "ReplicaSet", "apiVersion": "apps/v1", **replica_set("a", 1)}
    assert stdout == json.dumps(wanted, indent=4) + "\n"


async def test_selectors_go_to_the_server(server: FakeApiServer, executor: NativeExecutor) -> None:
    serve_history(server)
    await printed(executor, "rollout history deploy/web")
    assert server.requests[-1].query["labelSelector"] == "app=web"


async def test_a_revision_that_is_not_there(server: FakeApiServer, executor: NativeExecutor) -> None:
    serve_history(server)
    wanted = (1, "", "error: unable to find the specified revision\n")
    assert await printed(executor, "rollout history deploy/web -o name --revision=9") == wanted


async def test_a_history_that_may_not_be_read(server: FakeApiServer, executor: NativeExecutor) -> None:
    serve_history(server)
    server.route(f"{_APPS}/replicasets", status(403, "Forbidden", "replicasets.apps is forbidden"))
    server.route(f"{_APPS}/controllerrevisions", status(403, "Forbidden", "controllerrevisions.apps is forbidden"))
    first = "failed to retrieve replica sets from deployment web: replicasets.apps is forbidden\n"
    second = "unable to find history controlled by DaemonSet logger: controllerrevisions.apps is forbidden\n"
    assert await printed(executor, "rollout history deploy/web") == (1, "", f"error: {first}")
    assert await printed(executor, "rollout history deploy/web ds/logger") == (1, "", first + second)


@pytest.mark.parametrize("line", ["deploy/web --revision=1", "ds/logger -o yaml", "deploy/web sts/db -o json"])
async def test_what_kubectl_must_answer(server: FakeApiServer, executor: NativeExecutor, line: str) -> None:
    serve_history(server)
    with pytest.raises(NotNative):
        await printed(executor, f"rollout history {line}")
