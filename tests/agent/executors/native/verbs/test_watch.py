"""`get --watch` against a server that says everything a server can say, beside the real kubectl.

The server ends each watch, so that kubectl ends as well and all it printed can be compared.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from agent.executors.native.executor import NativeExecutor
from schemas import kubectl
from tests.differential.harness import Printed, run_native
from tests.support.beside_kubectl import differences
from tests.support.fake_api_server import FakeApiServer, objects, status, table
from tests.support.sinks import Collected
from tests.support.waiting import until

_PODS = "/api/v1/namespaces/default/pods"
_SECRETS = "/api/v1/namespaces/default/secrets"
_GONE = {
    "kind": "Status",
    "apiVersion": "v1",
    "metadata": {},
    "status": "Failure",
    "message": "too old resource version: 1 (2)",
    "reason": "Expired",
    "code": 410,
}

Line = tuple[str, str | Mapping[str, Any]]


def pod(name: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default", "labels": {"k": name}, "managedFields": [{"manager": "m"}]}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata}


def is_table(request: web.Request) -> bool:
    return "as=Table" in request.headers["Accept"]


def line(request: web.Request, event: str, what: str | Mapping[str, Any]) -> bytes:
    """One line of a watch, in the form the request asks for; `what` is a pod's name, or an object as it is."""
    if isinstance(what, str):
        what = table(["Name", "Age"], [[what, "1d"]]) if is_table(request) else pod(what)
    return json.dumps({"type": event, "object": what}).encode() + b"\n"


def answering(
    names: Sequence[str], *lines: Line | bytes, size: int = 500
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """A list of pods in pages of `size`, and the watch of it: its lines, then its end."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            response = web.StreamResponse(headers={"Content-Type": "application/json"})
            await response.prepare(request)
            for said in lines:
                await response.write(said if isinstance(said, bytes) else line(request, *said))
            return response
        start = int(request.query.get("continue", 0))
        some = names[start : start + size]
        body = (
            table(["Name", "Age"], [[name, "1d"] for name in some])
            if is_table(request)
            else objects("Pod", "v1", [{"metadata": pod(name)["metadata"]} for name in some])
        )
        if start + size < len(names):
            body["metadata"]["continue"] = str(start + size)
        return web.json_response(body)

    return answer


def object_answering(name: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """One pod."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(table(["Name", "Age"], [[name, "1d"]]) if is_table(request) else pod(name))

    return answer


async def printed(native: NativeExecutor, line: str) -> Printed:
    """What native prints."""
    return await run_native(native, line.split())


CHANGES: tuple[Line, ...] = (
    ("ADDED", "new"),
    ("MODIFIED", "one-with-a-much-longer-name"),
    ("DELETED", "x<y"),
    ("BOOKMARK", "mark"),
)
FORMS = (
    "",
    "-o wide",
    "--no-headers",
    "--show-kind",
    "--show-labels -L k,nothing",
    "-A",
    "-o name",
    "-o json",
    "-o yaml",
    "-o json --show-managed-fields",
    "-o jsonpath={.metadata.name}",
    "-o jsonpath={.type}",
    "-o jsonpath-as-json={.metadata.labels}",
    "-o custom-columns=N:.metadata.name,K:.kind",
    "--server-print=false",
)


@pytest.mark.parametrize("events", ["", "--output-watch-events"])
async def test_forms(server: FakeApiServer, tmp_path: Path, events: str) -> None:
    server.route(_PODS, answering(["a", "longer"], *CHANGES))
    server.route("/api/v1/pods", answering(["a", "longer"], *CHANGES))
    assert await differences(server, tmp_path, [f"get pods -w {form} {events}" for form in FORMS]) == []


async def test_watch_only(server: FakeApiServer, tmp_path: Path) -> None:
    lines = [f"get pods --watch-only {form}" for form in ("", "-o name", "-o json", "--output-watch-events")]
    server.route(_PODS, answering(["a", "b"], *CHANGES))
    assert await differences(server, tmp_path, lines) == []
    server.route(_PODS, answering(["a", "b"]))
    assert await differences(server, tmp_path, lines) == []


async def test_one_object_is_not_told_twice(server: FakeApiServer, native: NativeExecutor, tmp_path: Path) -> None:
    server.route(f"{_PODS}/a", object_answering("a"))
    server.route(_PODS, answering([], ("ADDED", "a"), ("MODIFIED", "a-changed")))
    forms = ("-w", "--watch-only", "-w -o yaml", "-w --output-watch-events", "-w -o name", "-w --subresource=status")
    assert await differences(server, tmp_path, [f"get pod a {form}" for form in forms]) == []
    assert (await printed(native, "get pod a -w -o name")).stdout == b"pod/a\npod/a-changed\n"
    assert server.paths[-1] == f"{_PODS}?fieldSelector=metadata.name=a&resourceVersion=0&watch=true"


async def test_what_is_asked(server: FakeApiServer, native: NativeExecutor) -> None:
    server.route(_PODS, answering(["a", "b"], size=1))
    await printed(native, "get pods -w -l a=b --field-selector c=d --chunk-size=1")
    assert server.paths[-3:] == [
        f"{_PODS}?includeObject=None&labelSelector=a=b&fieldSelector=c=d&limit=1",
        f"{_PODS}?includeObject=None&labelSelector=a=b&fieldSelector=c=d&limit=1&continue=1",
        f"{_PODS}?includeObject=None&resourceVersion=1000&labelSelector=a=b&fieldSelector=c=d&watch=true",
    ]


async def test_a_list_in_several_pages(server: FakeApiServer, tmp_path: Path) -> None:
    server.route(_PODS, answering(["a", "b", "c"], ("ADDED", "new"), size=2))
    forms = ("", "-o name", "-o json", "-o yaml", "-o jsonpath={.kind}")
    assert await differences(server, tmp_path, [f"get pods -w {form}" for form in forms]) == []


async def test_an_error_in_a_later_page_leaves_nothing_printed(
    server: FakeApiServer, native: NativeExecutor, tmp_path: Path
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if "continue" in request.query:
            return await status(410, "Expired", "too old")(request)
        return await answering(["a", "b"], size=1)(request)

    server.route(_PODS, answer)
    assert await differences(server, tmp_path, ["get pods -w"]) == []
    assert (await printed(native, "get pods -w")).stdout == b""


async def test_columns_come_once(server: FakeApiServer, tmp_path: Path) -> None:
    without = {**table([], [["b", "2d"]]), "columnDefinitions": None}
    other = table(["Name", "Ready", "Age"], [["c", "1/1", "3d"]])
    server.route(_PODS, answering(["a"], ("MODIFIED", without), ("MODIFIED", other)))
    assert await differences(server, tmp_path, ["get pods -w"]) == []


async def test_columns_of_what_is_not_shown_hold_as_well(server: FakeApiServer, tmp_path: Path) -> None:
    without = {**table([], [["b", "2d"]]), "columnDefinitions": None}
    server.route(f"{_PODS}/a", object_answering("a"))
    server.route(_PODS, answering([], ("ADDED", "a"), ("MODIFIED", without)))
    assert await differences(server, tmp_path, ["get pod a --watch-only", "get pod a -w"]) == []


async def test_an_error_of_the_server(server: FakeApiServer, tmp_path: Path) -> None:
    for path in (_PODS, "/api/v1/pods"):
        server.route(path, answering(["a"], ("ADDED", "b"), ("ERROR", _GONE)))
    forms = ("", "--output-watch-events", "--show-kind", "-o name", "-o yaml", "-A", "-o jsonpath={.message}")
    assert await differences(server, tmp_path, [f"get pods -w {form}" for form in forms]) == []


async def test_an_event_of_no_known_type_is_the_last(
    server: FakeApiServer, native: NativeExecutor, tmp_path: Path
) -> None:
    server.route(_PODS, answering(["a"], ("WHAT", "b"), ("ADDED", "c")))
    assert await differences(server, tmp_path, ["get pods -w", "get pods -w -o yaml"]) == []
    assert b"got invalid watch event type: WHAT" in (await printed(native, "get pods -w")).stdout


async def test_a_line_that_is_no_json_is_the_last(server: FakeApiServer, native: NativeExecutor) -> None:
    server.route(_PODS, answering(["a"], b"\n", b"nonsense\n", ("ADDED", "c")))
    got = await printed(native, "get pods -w")
    assert got.exit_code == 0
    assert b"unable to decode an event from the watch stream" in got.stdout
    assert b"c " not in got.stdout


async def test_a_line_that_breaks_off_is_no_event(server: FakeApiServer, tmp_path: Path) -> None:
    server.route(_PODS, answering(["a"], ("ADDED", "b"), b'{"type": "ADDED", "object": {"ki'))
    assert await differences(server, tmp_path, ["get pods -w -o name"]) == []


async def test_what_else_there_is_to_ask(server: FakeApiServer, tmp_path: Path) -> None:
    server.route(_PODS, answering(["b", "a"], ("ADDED", "c"), ("MODIFIED", "d")))
    for name in ("a", "b"):
        server.route(f"{_PODS}/{name}", object_answering(name))
    server.route("/api/v1/namespaces/default/services", status(403, "Forbidden", "no"))
    lines = """
        get pods a b -w
        get pods/a pods/b -w -o name
        get pods,services -w
        get pods/a services/b -w
        get all -w
        get pods,pods -w
        get po,pods -w
        get nope,pods -w
        get nope -w
        get -w
        get pods a -w -A
        get pods a -w -l x=y
        get pods nope -w
        get pods nope -w --ignore-not-found
        get pods -w --subresource=status
        get services -w
        get pods -w --show-labels -o json
        get pods -w -o jsonpath={
        get pods --watch-only -o jsonpath={.nothing} --allow-missing-template-keys=false
        get pods -w --sort-by=.metadata.name
        get pods -w --sort-by=.metadata.name -o name
        get pods -w --sort-by=.metadata.nothing
        get pods -w --watch-only=false
        """
    assert await differences(server, tmp_path, [line for line in map(str.strip, lines.splitlines()) if line]) == []


async def test_a_watch_that_is_refused(server: FakeApiServer, tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        refused = status(403, "Forbidden", "pods is forbidden: no watch")
        return await (refused if "watch" in request.query else answering(["a"]))(request)

    server.route(_PODS, answer)
    assert await differences(server, tmp_path, ["get pods -w", "get pods -w -o name"]) == []


async def test_events_go_out_as_they_come(server: FakeApiServer, native: NativeExecutor) -> None:
    more = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return await answering(["a"])(request)
        response = web.StreamResponse()
        await response.prepare(request)
        whole = line(request, "ADDED", "b") + line(request, "ADDED", "c")
        await response.write(whole[:-5])
        await more.wait()
        await response.write(whole[-5:])
        return response

    server.route(_PODS, answer)
    sink = Collected()
    task = asyncio.create_task(native.run(kubectl.parse("get", ["pods", "-w"]), sink))
    await until(lambda: b"b " in sink.stdout)
    assert b"c " not in sink.stdout
    more.set()
    assert (await task).exit_code == 0
    assert b"c " in sink.stdout


async def test_cancelling_closes_the_watch(server: FakeApiServer, native: NativeExecutor) -> None:
    left = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return await answering(["a"])(request)
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        raise AssertionError("unreachable")

    server.route(_PODS, answer)
    sink = Collected()
    task = asyncio.create_task(native.run(kubectl.parse("get", ["pods", "-w"]), sink))
    await until(lambda: len(server.paths) > 2 and "watch" in server.paths[-1])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(left.wait(), 5)


async def test_an_event_has_a_bound(
    server: FakeApiServer, native: NativeExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.executors.native.verbs.watch._MAX_EVENT_BYTES", 1000)
    server.route(_PODS, answering(["a"], ("ADDED", "b"), b'{"type": "ADDED", "object": "' + b"x" * 2000))
    sink = Collected()
    assert (await native.run(kubectl.parse("get", ["pods", "-w"]), sink)).exit_code == 0
    assert b"b " in sink.stdout


@pytest.mark.parametrize("form", ["", "-o wide", "-o name", "--show-labels", "--server-print=false"])
async def test_secrets_are_never_asked_for_whole(server: FakeApiServer, native: NativeExecutor, form: str) -> None:
    server.route(_SECRETS, answering(["a"], ("ADDED", "b")))
    await native.run(kubectl.parse("get", f"secrets -w {form}".split()), Collected())
    asked = [request for request in server.requests if request.path == _SECRETS]
    assert len(asked) == 2
    for request in asked:
        accepted = request.headers["Accept"].split(",")
        assert all("as=Table" in kind or "as=PartialObjectMetadata" in kind for kind in accepted)
        assert request.query.get("includeObject") != "Object"
