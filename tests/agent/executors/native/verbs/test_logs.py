"""`logs` against a server that says what a test wants. What is expected here was seen of kubectl 1.33."""

import asyncio
import functools
import json
import shlex
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from agent.executors.base import Sink
from agent.executors.native.executor import NativeExecutor
from agent.settings import Execution
from schemas import kubectl
from schemas.frames import Stream
from tests.differential.harness import environment
from tests.support.fake_api_server import (
    FakeApiServer,
    cut_off,
    fake_api_server,
    objects,
    paged,
    pieces,
    respond,
    status,
)
from tests.support.sinks import Collected, FullSink
from tests.support.waiting import until

_PODS = "/api/v1/namespaces/default/pods"
_DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
_LEFT = 'Defaulted container "a" out of: a, b, e (ephem), i (init)\n'


def pod(name: str, containers: str = "a", init: str = "", ephemeral: str = "", **annotations: str) -> dict[str, Any]:
    """A pod whose containers have the names given, separated by blanks."""
    kinds = {"containers": containers, "initContainers": init, "ephemeralContainers": ephemeral}
    return {
        "metadata": {"name": name, "namespace": "default", "annotations": annotations},
        "spec": {kind: [{"name": one} for one in names.split()] for kind, names in kinds.items()},
    }


class Log:
    """A followed log: what is put into it comes out of the server, until `end`."""

    def __init__(self) -> None:
        self.is_open = False
        self._written: asyncio.Queue[bytes | None] = asyncio.Queue()

    def write(self, data: bytes) -> None:
        self._written.put_nowait(data)

    def end(self) -> None:
        self._written.put_nowait(None)

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        self.is_open = True
        try:
            while (data := await self._written.get()) is not None:
                await response.write(data)
        finally:
            self.is_open = False
        return response


@pytest.fixture
async def server() -> AsyncIterator[FakeApiServer]:
    """A server with a pod of one container, one of each kind, and a deployment of the latter and another."""
    async with fake_api_server() as running:
        multi = pod("multi", "a b", "i", "e")
        for one in (pod("one"), multi, pod("last", "a b")):
            name = one["metadata"]["name"]
            running.route(f"{_PODS}/{name}", one)
            running.route(f"{_PODS}/{name}/log", container_log)
        running.route(_PODS, objects("Pod", "v1", [multi, pod("last", "a b")]))
        running.route(f"{_DEPLOYMENTS}/web", {"metadata": {"name": "web"}, "spec": {"selector": {}}})
        yield running


@pytest.fixture
async def executor(server: FakeApiServer, tmp_path: Path) -> AsyncIterator[NativeExecutor]:
    running = NativeExecutor(environment(server.kubeconfig(tmp_path)), Execution())
    yield running
    await running.close()


async def container_log(request: web.Request) -> web.StreamResponse:
    """A line of each container, with its name."""
    return web.Response(text=f"{request.path.split('/')[-2]} {request.query['container']}\n")


async def run(executor: NativeExecutor, line: str, sink: Sink) -> int | None:
    verb, *words = shlex.split(line)
    return (await executor.run(kubectl.parse(verb, words), sink)).exit_code


async def printed(executor: NativeExecutor, line: str) -> tuple[int | None, str, str]:
    """The exit code, stdout and stderr of a command."""
    sink = Collected()
    code = await run(executor, line, sink)
    return code, sink.stdout.decode(), sink.stderr.decode()


def sink_has(sink: Collected, stdout: bytes) -> bool:
    return sink.stdout == stdout


def queries(server: FakeApiServer) -> list[dict[str, str]]:
    """What the logs were asked for, without the container."""
    return [
        {name: value for name, value in asked.query.items() if name != "container"}
        for asked in server.requests
        if asked.path.endswith("/log")
    ]


@pytest.mark.parametrize(
    ("line", "stdout", "stderr"),
    [
        ("logs one", "one a\n", ""),
        ("logs multi", "multi a\n", _LEFT),
        ("logs multi -c ''", "multi a\n", _LEFT),
        ("logs multi i", "multi i\n", ""),
        ("logs multi -c e", "multi e\n", ""),
        ("logs multi --prefix", "[pod/multi/a] multi a\n", _LEFT),
        ("logs multi --all-pods", "[pod/multi/a] multi a\n", ""),
        ("logs multi --all-containers", "multi i\nmulti a\nmulti b\nmulti e\n", ""),
        (
            "logs multi --all-containers --prefix",
            "[pod/multi/i] multi i\n[pod/multi/a] multi a\n[pod/multi/b] multi b\n[pod/multi/e] multi e\n",
            "",
        ),
        ("logs -l app=web", "multi a\nlast a\n", f'{_LEFT}Defaulted container "a" out of: a, b\n'),
        ("logs -l app=web -c b", "multi b\nlast b\n", ""),
        ("logs -l app=web --all-pods -c b", "[pod/multi/b] multi b\n[pod/last/b] last b\n", ""),
        ("logs deploy/web", "multi a\n", f"Found 2 pods, using pod/multi\n{_LEFT}"),
        ("logs deploy/web b", "multi b\n", "Found 2 pods, using pod/multi\n"),
        ("logs deploy/web --all-pods", "[pod/multi/a] multi a\n[pod/last/a] last a\n", ""),
        (
            "logs deploy/web --all-containers",
            "multi i\nmulti a\nmulti b\nmulti e\n",
            "Found 2 pods, using pod/multi\n",
        ),
    ],
)
async def test_what_is_read(executor: NativeExecutor, line: str, stdout: str, stderr: str) -> None:
    assert await printed(executor, line) == (0, stdout, stderr)


@pytest.mark.parametrize(
    ("line", "stderr"),
    [
        ("logs multi z", "error: container z is not valid for pod multi\n"),
        ("logs deploy/web z", "Found 2 pods, using pod/multi\nerror: container z is not valid for pod multi\n"),
        ("logs -l app=web -c i", "error: container i is not valid for pod last\n"),
        (
            "logs multi a -c a --all-containers --since=-1s --since-time=2020-01-01T00:00:00Z",
            "error: at most one of `sinceTime` or `sinceSeconds` may be specified\n",
        ),
        (
            "logs multi a -c a --all-containers --since=-1s",
            "error: --all-containers=true should not be specified with container name a\n",
        ),
        ("logs multi a -c a --since=-1s", "error: only one of -c or an inline [CONTAINER] arg is allowed\n"),
        ("logs multi a -c ''", "error: only one of -c or an inline [CONTAINER] arg is allowed\n"),
        ("logs multi --since=-1s", "error: --since must be greater than 0\n"),
        (
            "logs -l app=web -f --all-containers",
            "error: you are attempting to follow 6 log streams, but maximum allowed concurrency is 5, use "
            "--max-log-requests to increase the limit\n",
        ),
        (
            "logs deploy/web -f --all-pods --max-log-requests=1",
            "error: you are attempting to follow 2 log streams, but maximum allowed concurrency is 1, use "
            "--max-log-requests to increase the limit\n",
        ),
    ],
)
async def test_what_does_not_go_together(executor: NativeExecutor, line: str, stderr: str) -> None:
    assert await printed(executor, line) == (1, "", stderr)


@pytest.mark.parametrize(
    ("flags", "query"),
    [
        ("one", {}),
        ("one --tail=-1 --limit-bytes=0 --since=0 --follow=false --previous=false --timestamps=false", {}),
        ("one --tail=0", {"tailLines": "0"}),
        ("one -f -p --timestamps", {"follow": "true", "previous": "true", "timestamps": "true"}),
        ("one --limit-bytes=9 --tail=3", {"limitBytes": "9", "tailLines": "3"}),
        ("one --since=1h1ns", {"sinceSeconds": "3600"}),
        ("one --since=1500ms", {"sinceSeconds": "2"}),
        ("one --since=2500ms", {"sinceSeconds": "3"}),
        ("one --since=499ms", {"sinceSeconds": "0"}),
        ("one --since=-1ns", {"sinceSeconds": "0"}),
        ("one --since-time=2020-01-20T10:30:45+02:00", {"sinceTime": "2020-01-20T10:30:45+02:00"}),
        ("-l app=web -c a", {"tailLines": "10"}),
        ("-l app=web -c a --tail=-1", {}),
        ("-l app=web -c a --tail=2", {"tailLines": "2"}),
    ],
)
async def test_what_the_server_is_asked(
    server: FakeApiServer, executor: NativeExecutor, flags: str, query: dict[str, str]
) -> None:
    code, _, _ = await printed(executor, f"logs {flags}")
    assert code == 0
    asked = queries(server)
    assert asked
    assert all(each == query for each in asked)


async def test_a_pod_costs_two_requests(server: FakeApiServer, executor: NativeExecutor) -> None:
    await printed(executor, "logs pod/one")
    assert server.paths == [f"{_PODS}/one", f"{_PODS}/one/log?container=a"]


async def test_many_pods_come_in_pages(server: FakeApiServer, executor: NativeExecutor) -> None:
    pods = [pod(f"p{number}") for number in range(5)]
    server.route(_PODS, paged(objects("Pod", "v1", pods), 2))
    for number in range(5):
        server.route(f"{_PODS}/p{number}/log", container_log)
    code, stdout, _ = await printed(executor, "logs -l app=web")
    assert (code, stdout) == (0, "".join(f"p{number} a\n" for number in range(5)))


async def test_a_log_need_not_end_with_a_newline(server: FakeApiServer, executor: NativeExecutor) -> None:
    server.route(f"{_PODS}/last/log", pieces(b"x\ny"), pieces(b"z\n\nq"))
    stdout = "[pod/last/a] x\n[pod/last/a] y[pod/last/b] z\n[pod/last/b] \n[pod/last/b] q"
    assert await printed(executor, "logs last --all-containers --prefix") == (0, stdout, "")


async def test_an_empty_log(server: FakeApiServer, executor: NativeExecutor) -> None:
    server.route(f"{_PODS}/one/log", respond(b""))
    assert await printed(executor, "logs one --prefix") == (0, "", "")


async def test_an_error_of_one_log(server: FakeApiServer, executor: NativeExecutor) -> None:
    waiting = status(400, "BadRequest", 'container "a" in pod "last" is waiting to start: ContainerCreating')
    server.route(f"{_PODS}/last/log", waiting, container_log)
    said = 'Error from server (BadRequest): container "a" in pod "last" is waiting to start: ContainerCreating\n'
    assert await printed(executor, "logs last --all-containers") == (1, "", said)


@pytest.mark.parametrize("follow", ["", " -f"])
async def test_errors_that_are_ignored(server: FakeApiServer, executor: NativeExecutor, follow: str) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return await (status(400, "BadRequest", "not yet") if request.query["container"] == "a" else container_log)(
            request
        )

    server.route(f"{_PODS}/last/log", answer)
    code, stdout, stderr = await printed(executor, f"logs last --all-containers --ignore-errors --prefix{follow}")
    assert (code, sorted(stdout.splitlines()), stderr) == (0, ["[pod/last/b] last b", "error: not yet"], "")


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        ("one", (1, "first\nsec", "error: unexpected EOF\n")),
        ("one --ignore-errors", (0, "first\nsecerror: unexpected EOF\n", "")),
        ("one --prefix -f", (1, "[pod/one/a] first\n[pod/one/a] sec", "error: unexpected EOF\n")),
    ],
)
async def test_a_log_that_breaks_off(
    server: FakeApiServer, executor: NativeExecutor, flags: str, wanted: tuple[int, str, str]
) -> None:
    server.route(f"{_PODS}/one/log", cut_off(b"first\nsec"))
    assert await printed(executor, f"logs {flags}") == wanted


async def test_a_followed_log_that_breaks_off_among_others(server: FakeApiServer, executor: NativeExecutor) -> None:
    server.route(f"{_PODS}/last/log", cut_off(b"first\nsec"), cut_off(b""))
    line = "logs last --all-containers --ignore-errors --prefix -f"
    code, stdout, _ = await printed(executor, line)
    assert code == 0
    assert "] secerror: unexpected EOF\n" in stdout
    assert stdout.count("error: unexpected EOF\n") == 2


# waiting for a pod


def event(kind: str, content: object) -> bytes:
    return json.dumps({"type": kind, "object": content}).encode() + b"\n"


@pytest.mark.parametrize(
    ("events", "is_endless", "wanted"),
    [
        ([event("ADDED", pod("one")), event("ADDED", pod("multi"))], True, (0, "one a\n", "")),
        ([event("DELETED", pod("multi")), event("MODIFIED", pod("one"))], True, (0, "one a\n", "")),
        ([event("BOOKMARK", pod("multi"))], True, (1, "", "error: timed out waiting for the condition\n")),
        (
            [event("ERROR", {"kind": "Status", "status": "Failure", "code": 410})],
            True,
            (1, "", "error: timed out waiting for the condition\n"),
        ),
        ([b""], False, (1, "", "error: watch closed before UntilWithoutRetry timeout\n")),
    ],
)
async def test_a_workload_without_pods_yet(
    server: FakeApiServer,
    executor: NativeExecutor,
    events: Sequence[bytes],
    is_endless: bool,
    wanted: tuple[int, str, str],
) -> None:
    server.route(_PODS, objects("Pod", "v1", []), pieces(*events, is_endless=is_endless))
    assert await printed(executor, "logs deploy/web --pod-running-timeout=200ms") == wanted
    assert f"{_PODS}?resourceVersion=1000&watch=true" in server.paths


# following


async def test_a_followed_log_passes_as_it_comes(server: FakeApiServer, executor: NativeExecutor) -> None:
    log, sink = Log(), Collected()
    server.route(f"{_PODS}/one/log", log)
    running = asyncio.create_task(run(executor, "logs one -f --prefix", sink))
    for data, stdout in (
        (b"ha", b"[pod/one/a] ha"),
        (b"lf\nnext\n", b"[pod/one/a] half\n[pod/one/a] next\n"),
        (b"\n", b"[pod/one/a] half\n[pod/one/a] next\n[pod/one/a] \n"),
    ):
        log.write(data)
        await until(functools.partial(sink_has, sink, stdout))
    log.end()
    assert await running == 0


async def test_followed_logs_take_turns_line_by_line(server: FakeApiServer, executor: NativeExecutor) -> None:
    a, b, sink = Log(), Log(), Collected()
    route_both(server, a, b)
    running = asyncio.create_task(run(executor, "logs last -f --all-containers --prefix", sink))
    a.write(b"A1\nA2 half")
    await until(lambda: sink.stdout == b"[pod/last/a] A1\n")
    b.write(b"B1\nB2\n")
    await until(lambda: sink.stdout.endswith(b"[pod/last/b] B1\n[pod/last/b] B2\n"))
    a.write(b" rest\nA3")
    await until(lambda: sink.stdout.endswith(b"B2\n[pod/last/a] A2 half rest\n"))
    a.end()
    await until(lambda: sink.stdout.endswith(b"rest\n[pod/last/a] A3"))
    b.end()
    assert await running == 0


async def test_a_line_of_a_megabyte_passes_in_pieces(server: FakeApiServer, executor: NativeExecutor) -> None:
    a, b = Log(), Log()
    sizes: list[int] = []

    class Sized(Collected):
        async def write(self, stream: Stream, data: bytes) -> None:
            sizes.append(len(data))
            await super().write(stream, data)

    sink = Sized()
    route_both(server, a, b)
    running = asyncio.create_task(run(executor, "logs last -f --all-containers --prefix", sink))
    line = b"x" * 2**20
    a.write(line)
    await until(lambda: len(sink.stdout) > 2**19)
    b.write(b"B1\n")  # has to wait until the line has its end
    await until(lambda: b.is_open)
    a.write(b"\nA2\n")
    a.end()
    b.end()
    assert await running == 0
    assert sink.stdout == b"[pod/last/a] " + line + b"\n[pod/last/a] A2\n[pod/last/b] B1\n"
    assert max(sizes) < 2**19


async def test_the_first_failure_ends_all_logs(server: FakeApiServer, executor: NativeExecutor) -> None:
    a, sink = Log(), Collected()

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.query["container"] == "a":
            return await a(request)
        await until(lambda: a.is_open)
        return await status(400, "BadRequest", "not yet")(request)

    server.route(f"{_PODS}/last/log", answer)
    assert await run(executor, "logs last -f --all-containers", sink) == 1
    assert sink.stderr == b"Error from server (BadRequest): not yet\n"
    await until(lambda: not a.is_open, 1.0)


async def test_cancelling_closes_all_logs_within_a_second(server: FakeApiServer, executor: NativeExecutor) -> None:
    a, b = Log(), Log()
    route_both(server, a, b)
    running = asyncio.create_task(run(executor, "logs last -f --all-containers", Collected()))
    await until(lambda: a.is_open and b.is_open)
    began = time.monotonic()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(lambda: not a.is_open and not b.is_open, 1.0)
    assert time.monotonic() - began < 1.0


async def test_what_the_sink_raises_ends_all_logs(server: FakeApiServer, executor: NativeExecutor) -> None:
    a, b = Log(), Log()
    route_both(server, a, b)
    full = OSError("full")
    running = asyncio.create_task(run(executor, "logs last -f --all-containers", FullSink(full)))
    await until(lambda: a.is_open and b.is_open)
    a.write(b"A1\n")
    with pytest.raises(OSError, match="full") as raised:
        await running
    assert raised.value is full
    await until(lambda: not a.is_open and not b.is_open, 1.0)


def route_both(server: FakeApiServer, a: Log, b: Log) -> None:
    """The logs of both containers of the pod `last`."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return await (a if request.query["container"] == "a" else b)(request)

    server.route(f"{_PODS}/last/log", answer)
