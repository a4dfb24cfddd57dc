"""Cancelling a command at its worst moment: it returns within a second and leaves no task and no open request behind.

What runs in a thread cannot be stopped; it goes on until its bounds end it, and nobody waits for it.
"""

import asyncio
import contextlib
import json
import shlex
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web

from agent.executors.native.executor import NativeExecutor
from agent.settings import Execution
from schemas import kubectl
from tests.support.fake_api_server import FakeApiServer, objects, pieces
from tests.support.openapi import serve
from tests.support.sinks import Collected, StalledSink
from tests.support.waiting import until

_PODS: Final = "/api/v1/namespaces/default/pods"
_STREAMS: Final = 5
_SIXTEEN: Final = ",".join(["0"] * 16)
# A million ways to one value.
_BOMB: Final = "{.items" + f"[{_SIXTEEN}].a" * 5 + "}"
_EVENTS_BOMB: Final = "{..name}" * 200


class Threads:
    """Counts the work that runs in threads."""

    def __init__(self) -> None:
        self._running: set[int] = set()
        self._to_thread = asyncio.to_thread

    @property
    def busy(self) -> int:
        """How many threads work."""
        return len(self._running)

    async def __call__(self, work: Callable[..., Any], *args: Any) -> Any:
        def counted() -> Any:
            self._running.add(threading.get_ident())
            try:
                return work(*args)
            finally:
                self._running.discard(threading.get_ident())

        return await self._to_thread(counted)


class Requests:
    """Counts the requests that the server has open."""

    def __init__(self, server: FakeApiServer) -> None:
        self.open = 0
        self._server = server

    def route(self, path: str, answer: Callable[[web.Request], Any]) -> None:
        """As the server's."""

        async def counted(request: web.Request) -> web.StreamResponse:
            self.open += 1
            try:
                response: web.StreamResponse = await answer(request)
                return response
            finally:
                self.open -= 1

        self._server.route(path, counted)


@pytest.fixture
def requests(server: FakeApiServer) -> Requests:
    return Requests(server)


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Threads:
    counted = Threads()
    monkeypatch.setattr(asyncio, "to_thread", counted)
    return counted


@pytest.fixture
async def executor(server: FakeApiServer, tmp_path: Path) -> AsyncIterator[NativeExecutor]:
    made = NativeExecutor({"KUBECONFIG": str(server.kubeconfig(tmp_path))}, Execution())
    await made.run(kubectl.parse("api-versions", []), Collected())  # the import and discovery are behind it
    yield made
    await made.close()


def own_tasks() -> set[str]:
    """The tasks of the executor; those of the server are one for each connection."""
    return {task.get_name() for task in asyncio.all_tasks() if "RequestHandler" not in repr(task.get_coro())}


@contextlib.asynccontextmanager
async def cancelled(
    executor: NativeExecutor, requests: Requests, line: str, sink: Collected | None = None
) -> AsyncIterator[None]:
    """Begin a command; cancel it where the context is left, and look what there is then."""
    before = own_tasks()
    words = shlex.split(line)
    command = asyncio.create_task(
        executor.run(kubectl.parse(words[0], words[1:]), sink or Collected()), name="the command"
    )
    yield
    assert not command.done(), await command
    began = time.monotonic()
    command.cancel()
    with pytest.raises(asyncio.CancelledError):
        await command
    await until(lambda: requests.open == 0, 1.0)
    await until(lambda: own_tasks() <= before, 1.0)
    assert time.monotonic() - began < 1.0


def pods(count: int) -> list[Mapping[str, Any]]:
    labels = {f"label-{number}": "value" for number in range(50)}
    return [{"metadata": {"name": f"p{number}", "namespace": "default", "labels": labels}} for number in range(count)]


@pytest.mark.parametrize("line", ["get pods -o yaml", "get pods -o json", "get pods -o yaml --sort-by=.metadata.name"])
async def test_a_huge_list_in_a_thread(
    server: FakeApiServer, executor: NativeExecutor, requests: Requests, threads: Threads, line: str
) -> None:
    server.route(_PODS, json.dumps(objects("Pod", "v1", pods(3_000))).encode())
    async with cancelled(executor, requests, line):
        await until(lambda: threads.busy == 1)
    await until(lambda: threads.busy == 0, 30)


@pytest.mark.parametrize("line", ["get pods", "get pods -o json", "get pods -o yaml", "get po,svc -o json"])
async def test_a_sink_that_takes_no_more(
    server: FakeApiServer, executor: NativeExecutor, requests: Requests, line: str
) -> None:
    async def endless(request: web.Request) -> web.Response:
        page = objects("Pod", "v1", pods(400))
        return web.json_response({**page, "metadata": {"continue": f"t{len(server.requests)}"}})

    async def listed(_: web.Request) -> web.Response:
        return web.json_response(objects("Pod", "v1", pods(4_000)))

    requests.route(_PODS, listed if line == "get pods" else endless)
    requests.route("/api/v1/namespaces/default/services", listed)
    sink = StalledSink()
    async with cancelled(executor, requests, line, sink):
        await sink.wrote.wait()


@pytest.mark.parametrize("line", [f"get pods -o jsonpath={_BOMB}", f"events -o jsonpath={_EVENTS_BOMB}"])
async def test_a_bomb_in_a_thread(
    server: FakeApiServer, executor: NativeExecutor, requests: Requests, threads: Threads, line: str
) -> None:
    bomb: Any = "x"
    for _ in range(5):
        bomb = [{"a": bomb}]
    [item] = bomb
    server.route(_PODS, objects("Pod", "v1", [item]))
    events = [{"metadata": {"name": f"e{number}"}} for number in range(400)]
    server.route("/api/v1/namespaces/default/events", objects("Event", "v1", events))
    async with cancelled(executor, requests, line):
        await until(lambda: threads.busy == 1)
    await until(lambda: threads.busy == 0, 30)


@pytest.mark.parametrize(
    "line", ["get pods -w", "get pods -w -o json", "events -w", "rollout status deploy/web", "logs deploy/web"]
)
async def test_a_watch(server: FakeApiServer, executor: NativeExecutor, requests: Requests, line: str) -> None:
    endless = pieces(b"", is_endless=True)

    async def answer(request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            return await endless(request)
        return web.json_response({"metadata": {"resourceVersion": "1"}, "items": []})

    workload = {"metadata": {"name": "web", "namespace": "default", "generation": 1}, "spec": {"selector": {}}}

    async def deployments(request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            return await endless(request)
        return web.json_response({"metadata": {"resourceVersion": "1"}, "items": [workload]})

    for path in (_PODS, "/api/v1/namespaces/default/events"):
        requests.route(path, answer)
    requests.route("/apis/apps/v1/namespaces/default/deployments", deployments)
    server.route("/apis/apps/v1/namespaces/default/deployments/web", workload)
    async with cancelled(executor, requests, line):
        await until(lambda: requests.open == 1 and "watch" in server.requests[-1].query)


@pytest.mark.parametrize("sink", [Collected(), StalledSink()], ids=["a sink", "a sink that takes no more"])
async def test_logs(server: FakeApiServer, executor: NativeExecutor, requests: Requests, sink: Collected) -> None:
    containers = [{"name": f"c{number}"} for number in range(_STREAMS)]
    server.route(
        f"{_PODS}/web", {"metadata": {"name": "web", "namespace": "default"}, "spec": {"containers": containers}}
    )
    requests.route(f"{_PODS}/web/log", pieces(*[b"line\n"] * 100, is_endless=True))
    async with cancelled(executor, requests, "logs web -f --all-containers", sink):
        await until(lambda: requests.open == _STREAMS)
        await sink.wrote.wait()


async def test_explain(server: FakeApiServer, executor: NativeExecutor, requests: Requests, threads: Threads) -> None:
    """While a document of many MiB is parsed."""
    schemas = {f"s{number}": {"description": "d" * 100} for number in range(100_000)}
    serve(server, {"api/v1": {"paths": {}, "components": {"schemas": schemas}}})
    async with cancelled(executor, requests, "explain pods"):
        await until(lambda: threads.busy == 1)
    await until(lambda: threads.busy == 0, 30)


async def test_discovery_is_for_others_as_well(server: FakeApiServer, tmp_path: Path, requests: Requests) -> None:
    """One that is cancelled leaves the look that all share; the executor's end ends it."""
    made = NativeExecutor({"KUBECONFIG": str(server.kubeconfig(tmp_path))}, Execution())
    requests.route("/apis", pieces(b" ", is_endless=True))
    command = asyncio.create_task(made.run(kubectl.parse("get", ["pods"]), Collected()), name="the command")
    await until(lambda: requests.open == 1)
    command.cancel()
    with pytest.raises(asyncio.CancelledError):
        await command
    assert "discovery" in own_tasks()
    await made.close()
    await until(lambda: requests.open == 0, 1.0)
    assert "discovery" not in own_tasks()
