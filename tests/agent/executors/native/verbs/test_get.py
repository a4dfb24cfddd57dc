"""`get` against a server that answers in odd ways, beside the real kubectl where it can be compared, and what is asked.

What a real cluster answers is in tests/differential/cases/get.py.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from agent.executors.native.errors import NotNative
from agent.executors.native.executor import NativeExecutor
from schemas import kubectl
from tests.differential.harness import Printed, run_native
from tests.support.beside_kubectl import differences
from tests.support.fake_api_server import (
    RESOURCES,
    FakeApiServer,
    objects,
    paged,
    respond,
    status,
    table,
    warning,
)
from tests.support.sinks import Collected

_NAMESPACE = "/api/v1/namespaces/default"
_PODS = f"{_NAMESPACE}/pods"
_SERVICES = f"{_NAMESPACE}/services"
_SECRETS = f"{_NAMESPACE}/secrets"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def is_table(request: web.Request) -> bool:
    return "as=Table" in request.headers["Accept"]


def listing(*names: str, kind: str = "Pod", size: int = 500, gone_after: int | None = None) -> Handler:
    """A list, as a Table or as objects, in pages."""
    rows = table(["Name", "Age"], [[name, "1d"] for name in names], kind=kind)
    for row, name in zip(rows["rows"], names, strict=True):
        row["object"]["metadata"]["name"] = name
    items = objects(kind, "v1", [{"metadata": {"name": name, "namespace": "default"}} for name in names])

    async def answer(request: web.Request) -> web.StreamResponse:
        return await paged(rows if is_table(request) else items, size, gone_after=gone_after)(request)

    return answer


def one(name: str, kind: str = "Pod") -> Handler:
    """One object, as a Table or as it is."""

    async def answer(request: web.Request) -> web.StreamResponse:
        bare = {"kind": kind, "apiVersion": "v1", "metadata": {"name": name, "namespace": "default"}}
        return web.json_response(table(["Name", "Age"], [[name, "1d"]]) if is_table(request) else bare)

    return answer


async def printed(native: NativeExecutor, line: str) -> Printed:
    """What native prints."""
    return await run_native(native, line.split())


FORMS = ("", "-o name", "-o json", "-o yaml", "-o custom-columns=N:.metadata.name", "-o jsonpath={.items[*].kind}")


async def test_pages(server: FakeApiServer, tmp_path: Path) -> None:
    server.route(_PODS, listing("a", "a-longer-name", "b", "c", "d", size=2))
    assert await differences(server, tmp_path, [f"get pods {form}" for form in FORMS]) == []


async def test_templates_over_pages(server: FakeApiServer, tmp_path: Path) -> None:
    labels: tuple[dict[str, str], ...] = (
        {"k": "a"},
        {"k": ""},
        {"k": "b"},
        {},
        {"k": ""},
        {"k": ""},
        {"a": "1", "b": "2"},
        {"k": "z"},
    )
    names = ("a", "", "b", "c", "", "", "d", "e")
    items = [
        {"metadata": {"name": name, "namespace": "default", "labels": some}}
        for name, some in zip(names, labels, strict=True)
    ]
    server.route(_PODS, paged(objects("Pod", "v1", items), 1))
    server.route(_SERVICES, objects("Service", "v1", []))
    templates = (
        "{.items[*].metadata.name}",
        "{.items[*].metadata.labels.k}",
        "{.items[*].nothing}",
        "{.items[*]}",
        "{range .items[*]}{.metadata.name}{end}",
        "{range .items[*]}{.metadata.name}{','}{.metadata.labels.k};{end}",
        "{range .items[*]}{.nothing}{end}",
        "{range .items[*]}-{end}",
        "{range .items[*]}{.metadata.name}{end}{.kind}",
        "{range .items[*]}{range .metadata}{.name}{end}{end}",
        "{.kind}{range .items[*]}{.metadata.name}{end}",
    )
    lines = [f"get {kind} -o jsonpath={template}" for kind in ("pods", "svc", "svc,pods") for template in templates]
    assert await differences(server, tmp_path, lines) == []


async def test_a_token_that_has_expired(server: FakeApiServer, native: NativeExecutor, tmp_path: Path) -> None:
    # Unlike client-go's pager, kubectl does not begin again: it prints what it has, and the error.
    server.route(_PODS, listing("a", "b", "c", size=1, gone_after=2))
    assert await differences(server, tmp_path, [f"get pods {form}" for form in FORMS]) == []
    got = await printed(native, "get pods -o name")
    assert (got.exit_code, got.stdout) == (1, b"pod/a\npod/b\n")
    assert got.stderr.startswith(b"Error from server (Expired)")


@pytest.mark.parametrize(
    "answer",
    [
        status(500, "InternalError", "boom"),
        status(400, "BadRequest", "boom"),
        status(404, "NotFound", "boom"),
        status(401, "Unauthorized", "Unauthorized"),
        status(418, "", "teapot"),
        status(
            422, "Invalid", "bad", name="x", kind="Pod", causes=[{"message": "bad", "field": "a"}, {"message": "worse"}]
        ),
        respond(b"<html>bad gateway</html>", code=502, content_type="text/html"),
        respond(b"404 page not found", code=404, content_type="text/plain"),
    ],
)
async def test_errors(server: FakeApiServer, tmp_path: Path, answer: Handler) -> None:
    server.route(_PODS, answer)
    server.route(f"{_PODS}/a", answer)
    server.route(_SERVICES, listing("s", kind="Service"))
    lines = ["get pods", "get pods -o json", "get pods a", "get pods a -o name", "get pods,svc", "get pods a b"]
    assert await differences(server, tmp_path, lines) == []


async def test_several(server: FakeApiServer, tmp_path: Path) -> None:
    server.route(_PODS, listing("a", "b"))
    server.route("/api/v1/pods", listing("a", "b"))
    server.route("/api/v1/services", listing("s", kind="Service"))
    server.route("/api/v1/nodes", listing("n", kind="Node"))
    server.route(_SERVICES, listing())
    server.route("/apis/apps/v1/namespaces/default/deployments", status(403, "Forbidden", "no deployments"))
    for name in "ab":
        server.route(f"{_PODS}/{name}", one(name))
    for name in "st":
        server.route(f"{_SERVICES}/{name}", one(name, "Service"))
    server.route("/api/v1/namespaces/gone", status(404, "NotFound", 'namespaces "gone" not found'))
    server.route("/api/v1/namespaces/elsewhere", status(403, "Forbidden", "no"))
    lines = """
        get pods,svc
        get svc,pods
        get pods,svc,deploy
        get pods,svc,deploy -o json
        get pods,deploy,svc -o name
        get pods,deploy
        get pods,deploy --sort-by=.metadata.name
        get pods,deploy --sort-by=.metadata.nothing -o name
        get pods a b
        get pods a x b
        get pods x y -o yaml
        get pods x y --ignore-not-found
        get pods x a --ignore-not-found -o json
        get deploy --ignore-not-found
        get svc/s pods/a pods/b svc/t
        get pods,svc --no-headers
        get pods,svc -A
        get nodes,pods -A
        get svc,nodes -l x=y
        get pods x -n elsewhere
        get pods x -n gone
        get pods x y -n gone -o json
        get pods x -n gone --ignore-not-found
        """
    assert await differences(server, tmp_path, [line for line in map(str.strip, lines.splitlines()) if line]) == []


async def test_warnings_once(server: FakeApiServer, tmp_path: Path) -> None:
    rows = table(["Name", "Age"], [["a", "1d"]])
    server.route(_PODS, warning(rows, 'be "careful"', "twice"))
    server.route(_SERVICES, warning(rows, "twice"))
    assert await differences(server, tmp_path, ["get pods,svc", "get pods"]) == []


async def test_other_columns_in_a_later_page(server: FakeApiServer, tmp_path: Path) -> None:
    first = {**table(["Name", "Age"], [["a", "1d"]]), "metadata": {"continue": "x"}}
    other = table(["Name", "Ready", "Age"], [["a-much-longer-name", "1/1", "1d"]])

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(other if "continue" in request.query else first)

    server.route(_PODS, answer)
    assert await differences(server, tmp_path, ["get pods", "get pods --no-headers"]) == []


async def test_a_server_without_tables(server: FakeApiServer, tmp_path: Path) -> None:
    created = ("2020-01-01T00:00:00Z", "2021-02-03T04:05:06.789Z", "nonsense", None)
    items = [
        {"metadata": {"name": name, "namespace": "default", "labels": {"k": name}, "creationTimestamp": at}}
        for name, at in zip("dcba", created, strict=True)
    ]
    server.route(_PODS, objects("Pod", "v1", items))
    server.route("/api/v1/pods", objects("Pod", "v1", items))
    server.route(f"{_PODS}/a", {"kind": "Pod", "apiVersion": "v1", **items[0]})
    forms = (
        "",
        "-o wide --show-labels -L k",
        "-A",
        "a",
        "--server-print=false",
        "--sort-by=.metadata.name",
        "--sort-by=.metadata.nothing",
        "--sort-by={.metadata.name} --server-print=false",
    )
    assert await differences(server, tmp_path, [f"get pods {form}" for form in forms]) == []


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"kind":"Table","rows":7}', b'{"kind": "Table", "rows": [{}]}'])
@pytest.mark.parametrize("form", ["", "-o name", "-o json", "--sort-by=.x", "--server-print=false"])
async def test_nonsense_ends_the_command_and_no_more(
    server: FakeApiServer, native: NativeExecutor, body: bytes, form: str
) -> None:
    server.route(_PODS, body)
    assert (await printed(native, f"get pods {form}")).exit_code in {0, 1}


# What is asked


async def asked(server: FakeApiServer, native: NativeExecutor, line: str) -> list[str]:
    """The requests of a command, those of discovery left out."""
    await printed(native, "get nodes nothing")
    server.requests.clear()
    await printed(native, line)
    return server.paths


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("get pods", f"{_PODS}?includeObject=None&limit=500"),
        ("get pods -o wide", f"{_PODS}?includeObject=None&limit=500"),
        ("get pods --show-labels", f"{_PODS}?includeObject=Metadata&limit=500"),
        ("get pods -L app", f"{_PODS}?includeObject=Metadata&limit=500"),
        ("get pods -A", "/api/v1/pods?includeObject=Metadata&limit=500"),
        ("get pods --sort-by=.spec.x", f"{_PODS}?includeObject=Object"),
        ("get pods --sort-by=.spec.x --limit=2", f"{_PODS}?includeObject=Object"),
        ("get pods --chunk-size=0", f"{_PODS}?includeObject=None"),
        ("get pods --chunk-size=7 -o json", f"{_PODS}?limit=7"),
        ("get pods --limit=3", f"{_PODS}?includeObject=None&limit=3"),
        ("get pods --limit=3 -o name", f"{_PODS}?limit=3"),
        ("get pods --limit=3 --chunk-size=0 -o name", f"{_PODS}?limit=3"),
        ("get pods --limit=3 --chunk-size=2", f"{_PODS}?includeObject=None&limit=2"),
        ("get pods -l a=b --field-selector c=d -o name", f"{_PODS}?labelSelector=a=b&fieldSelector=c=d&limit=500"),
        ("get pods a -o json", f"{_PODS}/a"),
        ("get pods a --subresource=status", f"{_PODS}/a/status?includeObject=None"),
    ],
)
async def test_one_request(server: FakeApiServer, native: NativeExecutor, line: str, path: str) -> None:
    server.route(_PODS, listing("a"))
    server.route("/api/v1/pods", listing("a"))
    assert (await asked(server, native, line))[0] == path


async def test_a_limit_ends_the_fetching(server: FakeApiServer, native: NativeExecutor) -> None:
    server.route(_PODS, listing(*"abcdefghij", size=2))
    assert len(await asked(server, native, "get pods --limit=3 -o name")) == 2
    assert (await printed(native, "get pods --limit=3 -o name")).stdout == b"pod/a\npod/b\npod/c\n"
    assert (await printed(native, "get pods --limit=3")).stdout == b"NAME   AGE\na      1d\nb      1d\nc      1d\n"


async def test_a_limit_is_of_all_types_together(server: FakeApiServer, native: NativeExecutor) -> None:
    server.route(_PODS, listing("a", "b"))
    server.route(_SERVICES, listing("s", "t", kind="Service"))
    assert (await printed(native, "get pods,svc --limit=3 -o name")).stdout == b"pod/a\npod/b\nservice/s\n"
    assert (await printed(native, "get pods,svc --limit=2")).stdout == b"NAME    AGE\npod/a   1d\npod/b   1d\n"
    got = await printed(native, "get pods,svc --limit=3 --sort-by=.kind")
    assert got.stdout == b"NAME    AGE\npod/a   1d\npod/b   1d\n\nNAME        AGE\nservice/s   1d\n"


@pytest.mark.parametrize("form", ["", "-o wide", "-A", "--show-labels", "-L app", "--server-print=false", "-o name"])
@pytest.mark.parametrize("operands", ["secrets", "secret a", "pods,secrets"])
async def test_secrets_are_never_asked_for_whole(
    server: FakeApiServer, native: NativeExecutor, form: str, operands: str
) -> None:
    await printed(native, f"get {operands} {form}")
    requests = [request for request in server.requests if "secrets" in request.path]
    assert len(requests) == (0 if " a" in operands and form == "-A" else 1)
    for request in requests:
        accepted = request.headers["Accept"].split(",")
        assert all("as=Table" in kind or "as=PartialObjectMetadata" in kind for kind in accepted)
        assert request.query.get("includeObject") != "Object"


@pytest.mark.parametrize(
    "form", ["-o json", "-o yaml", "-o jsonpath={.items}", "-o custom-columns=A:.data", "-w -o json"]
)
async def test_secrets_by_another_word(server: FakeApiServer, native: NativeExecutor, form: str) -> None:
    # The grammar knows the word only; here `hidden`, and `all`, turn out to mean Secrets.
    secret = next(resource for resource in RESOURCES if resource.kind == "Secret")
    hidden = replace(secret, singular="hidden", short_names=("hid",), categories=("all",))
    server.resources = [hidden if resource is secret else resource for resource in RESOURCES]
    server.route(_SECRETS, listing("s", kind="Secret"))
    lines = [f"get {word} {form}" for word in ("hidden", "hid", "hidden/s", "hidden.v1. s")]
    if "-w" not in form:
        lines += [f"get {word} {form}" for word in ("pods,hid", "all")]
    for line in (*lines, "get hid --sort-by=.data.x"):
        got = await printed(native, line)
        assert (got.exit_code, got.stdout) == (1, b"")
        assert b"the values of Secrets stay in the cluster" in got.stderr
    assert not [path for path in server.paths if "secrets" in path]


@pytest.mark.parametrize("form", ["-o go-template={{.kind}}", "-o template={{.kind}}", "--template={{.kind}}"])
async def test_templates_are_not_native(server: FakeApiServer, native: NativeExecutor, form: str) -> None:
    sink = Collected()
    with pytest.raises(NotNative, match="go-template output"):
        await native.run(kubectl.parse("get", ["pods", *form.split(" ", 1)]), sink)
    assert (sink.stdout, sink.stderr, server.paths) == (b"", b"", [])


# Many and large


async def test_types_are_asked_for_at_once_and_printed_in_order(server: FakeApiServer, native: NativeExecutor) -> None:
    is_asked = asyncio.Event()

    async def last_first(request: web.Request) -> web.StreamResponse:
        await asyncio.wait_for(is_asked.wait(), 10)
        return await listing("a")(request)

    async def last(request: web.Request) -> web.StreamResponse:
        is_asked.set()
        return await listing("s", kind="Service")(request)

    server.route(_PODS, last_first)
    server.route(_SERVICES, last)
    for form in ("", "-o name"):
        is_asked.clear()
        got = await printed(native, f"get pods,svc {form}")
        assert got.stdout.index(b"pod/a") < got.stdout.index(b"service/s")


async def test_many_names(server: FakeApiServer, native: NativeExecutor) -> None:
    names = [f"p{number}" for number in range(60)]
    running = most = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return await one(request.path.rpartition("/")[2])(request)

    for name in names:
        server.route(f"{_PODS}/{name}", answer)
    got = await printed(native, "get pods -o name " + " ".join(names))
    assert got.stdout.decode().split() == [f"pod/{name}" for name in names]
    assert most <= 8


def _large_list(count: int) -> dict[str, Any]:
    items = [
        {"metadata": {"name": f"pod-{number}", "namespace": "default"}, "spec": {"filler": ["x" * 50] * 20}}
        for number in range(count)
    ]
    return objects("Pod", "v1", items)


@pytest.mark.parametrize("form", ["-o json", "-o yaml", "-o name", "-o jsonpath={.items[*].metadata.name}"])
async def test_a_long_list_goes_out_page_by_page(server: FakeApiServer, native: NativeExecutor, form: str) -> None:
    server.route(_PODS, paged(_large_list(600), 100))
    sizes: list[int] = []

    class Sizes(Collected):
        async def write(self, stream: Any, data: bytes) -> None:
            sizes.append(len(data))

    await native.run(kubectl.parse("get", ["pods", *form.split()]), Sizes())
    assert len(sizes) == 6
    assert max(sizes) < sum(sizes) / 3


@pytest.mark.parametrize("form", ["", "-o jsonpath={.items}", "-o name --sort-by=.metadata.name", "--sort-by=.kind"])
async def test_what_has_to_be_held_has_a_bound(
    server: FakeApiServer, native: NativeExecutor, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bound in ("MAX_HELD_BYTES", "_MAX_TABLES_BYTES"):
        monkeypatch.setattr(f"agent.executors.native.verbs.get.{bound}", 10_000)
    server.route(_PODS, paged(_large_list(100), 10))
    got = await printed(native, f"get pods {form}")
    assert got.exit_code == 1
    assert b"ask for fewer" in got.stderr


async def test_one_large_listing_stalls_nobody(server: FakeApiServer, native: NativeExecutor) -> None:
    server.route(_SERVICES, json.dumps(_large_list(4_000)).encode())
    server.route(_PODS, listing("a"))
    await printed(native, "get pods")
    large = asyncio.create_task(printed(native, "get svc -o yaml"))
    longest = 0.0
    for _ in range(10_000):
        if large.done():
            break
        start = time.perf_counter()
        got = await printed(native, "get pods")
        assert got.exit_code == 0
        longest = max(longest, time.perf_counter() - start)
    took = await large
    assert took.exit_code == 0
    assert longest < 1.0  # some 10 ms on a machine of its own; the listing itself takes seconds
