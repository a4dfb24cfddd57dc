"""`events` beside kubectl, on a server with odd events, and watches of them."""

import asyncio
import json
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web

from agent.executors.native.executor import NativeExecutor
from agent.settings import Execution
from schemas import kubectl
from schemas.frames import Stream
from tests.differential.harness import environment, run_native
from tests.support.beside_kubectl import differences
from tests.support.fake_api_server import FakeApiServer, fake_api_server, objects, paged, pieces, respond, status
from tests.support.sinks import Collected
from tests.support.waiting import until

EVENTS: Final = "/api/v1/namespaces/default/events"


def event(name: str, **fields: Any) -> dict[str, Any]:
    """An event as the API server has it in a list."""
    subject = {"kind": "Pod", "namespace": "default", "name": "web"}
    common = {"reason": "Started", "message": "started", "type": "Normal", "involvedObject": subject}
    return {"metadata": {"name": name, "namespace": "default"}, **common, **fields}


def ago(seconds: float, *, is_micro: bool = False) -> str:
    """A time so long ago, half a second off the edges of what is printed for it."""
    time = datetime.now(UTC) - timedelta(seconds=seconds)
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if is_micro else "%Y-%m-%dT%H:%M:%SZ")


def change(kind: str, **fields: Any) -> bytes:
    """A line of a watch."""
    return json.dumps({"type": kind, "object": {"kind": "Event", "apiVersion": "v1", **fields}}).encode() + b"\n"


FULL: Final = event(
    "full",
    metadata={
        "name": "full",
        "namespace": "default",
        "generateName": "fu",
        "uid": "c0ffee",
        "resourceVersion": "7",
        "generation": 3,
        "creationTimestamp": "2024-01-20T10:30:45.75+02:00",
        "deletionTimestamp": "2024-01-20T10:30:45Z",
        "deletionGracePeriodSeconds": 0,
        "labels": {"b": "<x>", "a": "é"},
        "annotations": {"n": "two\nlines"},
        "ownerReferences": [{"kind": "Pod", "name": "web", "controller": False}],
        "finalizers": ["x/y"],
        "managedFields": [
            {
                "manager": "m",
                "operation": "Update",
                "apiVersion": "v1",
                "time": "2024-01-20T10:30:45Z",
                "fieldsType": "FieldsV1",
                "fieldsV1": {"f:z": {}, "f:a": {".": {}}},
            }
        ],
        "clusterName": "unknown to the type",
    },
    firstTimestamp="2024-01-20T10:30:45Z",
    lastTimestamp="2024-01-20T10:30:45+02:00",
    count=3_000_000,
    source={"component": "x", "host": "h"},
    eventTime="2024-01-20T10:30:45.500000Z",
    series={"count": 2, "lastObservedTime": "2024-01-20T10:30:45.123456Z", "state": "gone"},
    action="a",
    related={"kind": "Pod", "fieldPath": "spec"},
    reportingComponent="me",
    unknown=1,
)


def odd_events() -> list[dict[str, Any]]:
    """One of each way to say when and how often something was, and texts that are no single line."""
    hours = 3600
    return [
        FULL,
        event("never"),
        event("once", eventTime=ago(3 * hours + 90, is_micro=True)),
        event(
            "series",
            eventTime=ago(3 * hours + 90, is_micro=True),
            series={"count": 7, "lastObservedTime": ago(5 * hours + 90, is_micro=True)},
        ),
        event("series-never-seen", series={"count": 7}),
        event("thrice", firstTimestamp=ago(30 * hours), lastTimestamp=ago(20 * hours), count=3),
        event("counted-once", firstTimestamp=ago(31 * hours), lastTimestamp=ago(21 * hours), count=1),
        event("future", firstTimestamp=ago(-300), lastTimestamp=ago(22 * hours)),
        event("long-ago", lastTimestamp="0001-01-01T00:00:01Z", firstTimestamp="1500-01-01T00:00:00Z"),
        event("text", lastTimestamp=ago(19 * hours), message=" \u00a0a\nb\tc\x1b[31m\r d é\x1c ", type="Nor\x1bmal"),
        event("reason", lastTimestamp=ago(18 * hours), reason="A\nB\tC", involvedObject={}),
        event("nulls", **dict.fromkeys(("reason", "message", "type", "involvedObject", "count", "source", "series"))),
    ]


AGES: Final = (
    *(119, 121, 599, 601, 661, 10799, 10861, 28799, 28861, 172799, 172861, 176461, 691199, 691261),
    *(63071999, 63072061, 63158461, 252287999, 252288061, 1e10),
)

LINES: Final = (
    "events",
    "events --no-headers",
    "events -A",
    "events --types=Warning",
    "events --types=normal,WARNING",
    "events -o json",
    "events -o yaml",
    "events -o yaml --show-managed-fields",
    "events -o json --show-managed-fields",
    "events -o name",
    "events -o jsonpath={.items[*].count}",
    "events -o jsonpath={.items[*]}",
    "events -o jsonpath-as-json={.items[*].metadata}",
    'events -o jsonpath=\'{range .items[*]}{.reason}{"\\t"}{.message}{"\\n"}{end}\'',
    "events -o jsonpath={.nothing} --allow-missing-template-keys=false",
    "events --for=pod/web --chunk-size=1",
)


@pytest.fixture
def events() -> list[dict[str, Any]]:
    return odd_events()


async def test_alike(tmp_path: Path, events: list[dict[str, Any]]) -> None:
    async with fake_api_server() as server:
        server.route(EVENTS, objects("Event", "v1", events))
        server.route("/api/v1/events", objects("Event", "v1", events))
        assert await differences(server, tmp_path, LINES) == []


async def test_ages(tmp_path: Path) -> None:
    """Each is written within the second in which it was asked for; asking again is for a machine that stalls."""
    async with fake_api_server() as server:
        for _ in range(3):
            started = [event(str(age), firstTimestamp=ago(age), lastTimestamp=ago(age)) for age in AGES]
            server.route(EVENTS, objects("Event", "v1", started))
            different = await differences(server, tmp_path, ["events"])
            if not different:
                return
    assert different == []


async def test_pages(tmp_path: Path, events: list[dict[str, Any]]) -> None:
    async with fake_api_server() as server:
        server.route(EVENTS, paged(objects("Event", "v1", events), 5))
        assert await differences(server, tmp_path, ["events", "events -o name"]) == []
        server.route(EVENTS, paged(objects("Event", "v1", events), 5, gone_after=1))
        assert await differences(server, tmp_path, ["events"]) == []


async def test_what_goes_wrong(tmp_path: Path) -> None:
    async with fake_api_server() as server:
        server.route("/api/v1/namespaces/forbidden/events", status(403, "Forbidden", "events is forbidden"))
        server.route("/api/v1/namespaces/bad/events", status(400, "BadRequest", "field label not supported"))
        server.route("/api/v1/namespaces/empty/events", objects("Event", "v1", ()))
        server.route("/api/v1/events", objects("Event", "v1", ()))
        lines = (
            "events -n forbidden",
            "events -n forbidden -w",
            "events -n missing",
            "events -n missing -w",
            "events -n bad",
            "events -n bad --for=deployment.apps/web",
            "events -n bad --for='pod/a=b\"c'",
            "events -n empty",
            "events -n empty -o yaml",
            "events -A",
            "events --for=nothing/x",
            "events --for=Nothing.v1.example.com/x",
            "events --types=Other",
            "events -o jsonpath={.items[",
            "events -o jsonpath",
        )
        assert await differences(server, tmp_path, lines) == []


async def test_for_asks_for_kind_version_and_name(tmp_path: Path) -> None:
    async with fake_api_server() as server:
        server.route(EVENTS, objects("Event", "v1", ()))
        executor = NativeExecutor(environment(server.kubeconfig(tmp_path)), Execution())
        for line in ("--for=deploy/web", "--for=Widget.example.com/a=b,c"):
            await run_native(executor, ["events", line])
        await executor.close()
        selectors = [asked.query.get("fieldSelector") for asked in server.requests if asked.path == EVENTS]
    start = "involvedObject.kind"
    assert selectors == [
        f"{start}=Deployment,involvedObject.apiVersion=apps/v1,involvedObject.name=web",
        f"{start}=Widget,involvedObject.apiVersion=example.com/v1,involvedObject.name=a\\=b\\,c",
    ]


def watching(server: FakeApiServer, *lines: bytes, is_endless: bool = False) -> None:
    """Have the server answer watches in all namespaces it is asked for."""
    for path in (EVENTS, "/api/v1/events"):
        server.route(path, pieces(*lines, is_endless=is_endless))


WATCHED: Final = (
    change("ADDED", **event("a", message="one", firstTimestamp="2024-01-20T10:30:45Z")),
    change("ADDED", **event("b", reason="ALongerReason", type="Warning", firstTimestamp="2024-01-20T10:30:45Z")),
    change("MODIFIED", **event("c", message="three\nlines")),
    change("DELETED", **event("d")),
    change("BOOKMARK", **event("e")),
    b'{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","code":410,"reason":"Expired","message":"old"}}\n',
    change("ADDED", **event("f", message="last")),
)
WATCHES: Final = (
    "events -w",
    "events -w -A --no-headers",
    "events -w --types=Warning -A",
    "events -w -o json",
    "events -w -o yaml",
    "events -w -o name",
    "events -w -o jsonpath={.reason}",
    "events -w --for=pod/web",
)


async def test_watches(tmp_path: Path) -> None:
    async with fake_api_server() as server:
        watching(server, *WATCHED)
        assert await differences(server, tmp_path, WATCHES) == []


@pytest.mark.parametrize(
    "broken",
    [
        b"{{{\n",
        b'{"type":"ADDED","object":{"kind":"Event","apiVersion":"v1","count":"many"}}\n',
        change("UNKNOWN", **event("x")),
        b'{"type":"ADDED","object":{"kind":"Unknown","apiVersion":"x/v9"}}\n',
    ],
)
async def test_a_broken_watch_ends_without_a_word(tmp_path: Path, broken: bytes) -> None:
    async with fake_api_server() as server:
        watching(server, WATCHED[0], broken, WATCHED[1])
        assert await differences(server, tmp_path, ["events -w"]) == []


async def test_a_watch_prints_each_event_as_it_comes(tmp_path: Path) -> None:
    arrived = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(WATCHED[0] + WATCHED[1][:20])
        await arrived.wait()
        await response.write(WATCHED[1][20:])
        await asyncio.Event().wait()
        return response

    async with fake_api_server() as server:
        server.route(EVENTS, answer)
        executor = NativeExecutor(environment(server.kubeconfig(tmp_path)), Execution())
        sink = Collected()
        words = shlex.split("events -w -o name")
        running = asyncio.create_task(executor.run(kubectl.parse(words[0], words[1:]), sink))
        await until(lambda: sink.stdout == b"event/a\n")
        arrived.set()
        await until(lambda: sink.stdout == b"event/a\nevent/b\n")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await executor.close()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"hello", "is no JSON"),
        (b"", "is no JSON"),
        (b"[]", "is no EventList"),
        (b'{"items": [7]}', "is no EventList"),
        (b'{"items": [{"message": {}}]}', "is no EventList"),
        (b'{"items": [{"lastTimestamp": "yesterday"}]}', "is no EventList"),
        (b'{"kind": "Pod\\u001bList\\n"}', r"answered with 'Pod\x1bList\n'"),
        (b"[" * 100_000, "is no JSON"),
    ],
)
async def test_answers_that_are_no_lists(tmp_path: Path, body: bytes, said: str) -> None:
    async with fake_api_server() as server:
        server.route(EVENTS, respond(body))
        executor = NativeExecutor(environment(server.kubeconfig(tmp_path)), Execution())
        printed = await run_native(executor, ["events"])
        await executor.close()
    assert printed.exit_code == 1
    assert printed.stdout == b""
    assert said in printed.stderr.decode()


class Full(Collected):
    """A sink that takes 4 MB."""

    async def write(self, stream: Stream, data: bytes) -> None:
        await super().write(stream, data)
        if len(self.stdout) > 4_000_000:
            raise BufferError


async def test_one_huge_cell_is_not_padded_to_the_end(tmp_path: Path) -> None:
    """Whoever may write events can pad every line of the table: 600 MB here, of which no more is made than is taken."""
    events = [event("huge", reason="r" * 1_000_000), *(event(str(number)) for number in range(600))]
    async with fake_api_server() as server:
        server.route(EVENTS, objects("Event", "v1", events))
        executor = NativeExecutor(environment(server.kubeconfig(tmp_path)), Execution())
        sink = Full()
        with pytest.raises(BufferError):
            await executor.run(kubectl.parse("events", []), sink)
        await executor.close()
    assert len(sink.stdout) < 8_000_000


async def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    async with fake_api_server() as server:
        server.route(EVENTS, respond(b'{"kind":"EventList","apiVersion":"v1","items":[{"message":"a\xff\xfeb"},null]}'))
        assert await differences(server, tmp_path, ["events", "events -o json"]) == []
