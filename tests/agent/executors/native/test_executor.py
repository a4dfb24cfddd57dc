"""agent/executors/native/executor.py: what a verb gives or raises, as an outcome and as kubectl's words."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from agent.errors import StartError, TooMuchOutput
from agent.executors.base import NotTaken, Outcome, Versions
from agent.executors.native import executor as executor_module
from agent.executors.native.call import Call
from agent.executors.native.errors import CommandFailed, NotNative, StatusError, Unreachable
from agent.executors.native.executor import VERBS, NativeExecutor
from agent.settings import Execution
from schemas import kubectl
from tests.cluster.cluster import Cluster
from tests.support.fake_api_server import FakeApiServer, never, pieces, respond, warning
from tests.support.sinks import Collected, FullSink

GET = kubectl.parse("get", ["pods"])
_UNREADABLE = (
    b"error: the agent could not make an answer of what the API server sent; one of the two is at fault, see the "
    b"agent's log\n"
)


@pytest.fixture
async def under_test(server: FakeApiServer, tmp_path: Path) -> AsyncIterator[NativeExecutor]:
    made = NativeExecutor({"KUBECONFIG": str(server.kubeconfig(tmp_path, namespace="web"))}, Execution())
    yield made
    await made.close()


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Call], Awaitable[int]]], None]:
    """Puts a function of the test in the place of `get`."""

    def put(function: Callable[[Call], Awaitable[int]]) -> None:
        monkeypatch.setattr(executor_module, "VERBS", {**VERBS, "get": function})

    return put


def test_every_verb_of_the_grammar_is_there() -> None:
    assert set(VERBS) == set(kubectl.VERBS)


@pytest.mark.parametrize(
    ("error", "outcome", "stderr"),
    [
        (CommandFailed("error: no"), Outcome(1), b"error: no\n"),
        (CommandFailed("no\n", 3), Outcome(3), b"no\n"),
        (CommandFailed("", 1), Outcome(1), b""),
        (
            StatusError(404, {"reason": "NotFound", "message": "gone"}),
            Outcome(1),
            b"Error from server (NotFound): gone\n",
        ),
        (Unreachable("Unable to connect to the server: EOF"), Outcome(1), b"Unable to connect to the server: EOF\n"),
        (KeyError("metadata"), Outcome(1), _UNREADABLE),
        (RecursionError(), Outcome(1), _UNREADABLE),
        (msgspec.ValidationError("no"), Outcome(1), _UNREADABLE),
    ],
)
async def test_what_a_verb_raises(
    under_test: NativeExecutor,
    server: FakeApiServer,
    verb: Callable[[Callable[[Call], Awaitable[int]]], None],
    error: Exception,
    outcome: Outcome,
    stderr: bytes,
) -> None:
    server.route("/version", {})

    async def failing(call: Call) -> int:
        await call.transport.get("/version")
        await call.out("so far\n")
        raise error

    verb(failing)
    sink = Collected()
    assert await under_test.run(GET, sink) == outcome
    assert (sink.stdout, sink.stderr) == (b"so far\n", stderr)


@pytest.mark.parametrize("error", [KeyError("x"), ValueError("x"), RecursionError()])
async def test_before_there_is_an_answer_the_server_is_not_at_fault(
    under_test: NativeExecutor, verb: Callable[[Callable[[Call], Awaitable[int]]], None], error: Exception
) -> None:
    async def failing(_: Call) -> int:
        raise error

    verb(failing)
    sink = Collected()
    with pytest.raises(type(error)) as raised:
        await under_test.run(GET, sink)
    assert raised.value is error
    assert (sink.stdout, sink.stderr) == (b"", b"")


@pytest.mark.parametrize(
    "error", [TooMuchOutput("much"), NotTaken("no"), AssertionError("a bug"), asyncio.CancelledError()]
)
async def test_what_is_no_answer_passes_untouched(
    under_test: NativeExecutor,
    server: FakeApiServer,
    verb: Callable[[Callable[[Call], Awaitable[int]]], None],
    error: BaseException,
) -> None:
    server.route("/version", {})

    async def failing(call: Call) -> int:
        await call.transport.get("/version")
        raise error

    verb(failing)
    sink = Collected()
    with pytest.raises(type(error)) as raised:
        await under_test.run(GET, sink)
    assert raised.value is error
    assert (sink.stdout, sink.stderr) == (b"", b"")


@pytest.mark.parametrize(
    "line",
    [
        *("get pods", "get pods -o json", "get pods -o name", "get pods -w", "get pods -w -o json"),
        *("logs one", "logs one -f", "logs one -f --all-containers", "logs one -f --all-containers --ignore-errors"),
        *("events", "events -w", "events -w -o json", "get nothing"),
    ],
)
async def test_a_sink_that_has_enough_ends_the_command(
    under_test: NativeExecutor, server: FakeApiServer, line: str
) -> None:
    pod = {"metadata": {"name": "one", "namespace": "web"}, "spec": {"containers": [{"name": "a"}, {"name": "b"}]}}
    change = json.dumps({"type": "ADDED", "object": pod}).encode() + b"\n"

    async def listed(request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            return await pieces(change, is_endless=True)(request)
        return web.json_response({"metadata": {}, "items": [pod]})

    for plural in ("pods", "events"):
        server.route(f"/api/v1/namespaces/web/{plural}", listed)
    server.route("/api/v1/namespaces/web/pods/one", pod)
    server.route("/api/v1/namespaces/web/pods/one/log", pieces(b"line\n", is_endless=True))
    enough = TooMuchOutput("much")
    verb, *words = line.split()
    async with asyncio.timeout(10):
        with pytest.raises(TooMuchOutput) as raised:
            await under_test.run(kubectl.parse(verb, words), FullSink(enough))
    assert raised.value is enough


async def test_what_is_not_native_is_passed_on(
    under_test: NativeExecutor, verb: Callable[[Callable[[Call], Awaitable[int]]], None]
) -> None:
    async def declining(call: Call) -> int:
        raise NotNative("go-template output")

    verb(declining)
    with pytest.raises(NotTaken, match="go-template output needs kubectl, which this agent does not have"):
        await under_test.run(GET, Collected())


async def test_a_command_s_own_things(
    under_test: NativeExecutor, server: FakeApiServer, verb: Callable[[Callable[[Call], Awaitable[int]]], None]
) -> None:
    server.route("/version", warning({}, "old"))

    async def looking(call: Call) -> int:
        assert call.namespace == "web"
        assert call.transport.request_timeout_seconds == (5.0 if call.command.flags else None)
        await call.transport.get("/version")
        await call.discovery.resolve("po")
        await call.err("behind\n")
        await call.transport.get("/version")
        return 7

    verb(looking)
    for args in ([], ["--request-timeout=5s"], ["--request-timeout=5"]):
        sink = Collected()
        assert await under_test.run(kubectl.parse("get", args), sink) == Outcome(7)
        assert sink.stderr.decode() == (
            "Warning: old\n"
            'Warning: short name "po" could also match lower priority resource widgets.example.com\nbehind\n'
        )


@pytest.mark.parametrize("is_last", [True, False])
async def test_a_verb_knows_whether_another_executor_follows(
    server: FakeApiServer, tmp_path: Path, verb: Callable[[Callable[[Call], Awaitable[int]]], None], is_last: bool
) -> None:
    environ = {"KUBECONFIG": str(server.kubeconfig(tmp_path))}
    executor = NativeExecutor(environ, Execution(), is_last=is_last)

    async def looking(call: Call) -> int:
        return 5 if call.is_last else 6

    verb(looking)
    assert await executor.run(GET, Collected()) == Outcome(5 if is_last else 6)
    await executor.close()


async def test_warnings_that_nothing_follows(
    under_test: NativeExecutor, server: FakeApiServer, verb: Callable[[Callable[[Call], Awaitable[int]]], None]
) -> None:
    server.route("/version", warning({}, "old"))

    async def quiet(call: Call) -> int:
        await call.transport.get("/version")
        return 0

    verb(quiet)
    sink = Collected()
    await under_test.run(GET, sink)
    assert sink.stderr == b"Warning: old\n"


async def test_versions(under_test: NativeExecutor, server: FakeApiServer) -> None:
    server.route("/version", {"gitVersion": "v1.32.4"})
    assert await under_test.probe() == Versions("v1.33", "v1.32.4")


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b'{"gitVersion": 1}', json.dumps(None).encode()])
async def test_versions_that_are_not_told(under_test: NativeExecutor, server: FakeApiServer, body: bytes) -> None:
    for answer in (respond(body), respond(body, code=500)):
        server.route("/version", answer)
        assert await under_test.probe() == Versions("v1.33", None)


async def test_a_version_that_takes_too_long(
    under_test: NativeExecutor, server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor_module, "_PROBE_SECONDS", 0.1)
    server.route("/version", never())
    assert await under_test.probe() == Versions("v1.33", None)


def test_no_cluster() -> None:
    with pytest.raises(StartError, match="no cluster"):
        NativeExecutor({}, Execution())


async def test_a_pod_s_own_account(cluster: Cluster) -> None:
    host, port = cluster.host_and_port
    environ = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
    executor = NativeExecutor(environ, Execution(service_account_dir=str(cluster.service_account)))
    sink = Collected()
    assert (await executor.probe()).kubernetes is not None
    assert await executor.run(kubectl.parse("get", ["pods"]), sink) == Outcome(0)
    assert sink.stderr == b"No resources found in kubently namespace.\n"
    await executor.close()
