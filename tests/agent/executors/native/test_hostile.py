"""Every verb against an API server that answers with nonsense: each command ends by itself, in little time, in words.

Discovery is left as it should be, so that what is asked for can be asked for; test_discovery.py has it hostile.
"""

import asyncio
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web

from agent.executors.base import NotTaken
from agent.executors.native import pages
from agent.executors.native.executor import NativeExecutor
from agent.settings import Execution
from schemas import kubectl
from tests.support.fake_api_server import FakeApiServer, respond
from tests.support.sinks import Collected

_SECONDS: Final = 10.0

LINES: Final = (
    *("get pods", "get pods -o wide -A --show-labels", "get pods -L a --show-kind", "get po,svc", "get all"),
    *("get pods -o json", "get pods -o yaml", "get pods -o name", "get pods -o jsonpath={..name}"),
    *("get pods -o custom-columns=A:.metadata.name,B:.spec", "get pods --sort-by=.metadata.name"),
    *("get pods -o json --sort-by=.spec.x", "get pods --server-print=false", "get pods --limit=2"),
    *("get pod web", "get pod web -o yaml", "get po web api", "get secrets", "get deploy web --subresource=scale"),
    *("get pods -w", "get pods -w -o json", "get pods -w --output-watch-events", "get pod web -w -o name"),
    *("describe pod web", "describe pods", "logs web", "logs deploy/web", "logs -l a=b", "logs web --all-containers"),
    *(
        "events",
        "events -o json",
        "events -w",
        "events --for=pod/web",
        "top pod --containers",
        "top pod web",
        "top node",
    ),
    *("auth can-i get pods", "auth can-i --list", "auth whoami", "auth whoami -o yaml", "explain pods --recursive"),
    *(
        "rollout status deploy/web --watch=false",
        "rollout history deploy/web",
        "rollout history deploy/web --revision=1",
    ),
    *("cluster-info", "version -o json"),
)

POD: Final = '{"kind":"PodList","apiVersion":"v1","items":[{"metadata":{"name":"x"},"spec":%s}]}'
COLUMNS: Final = '"columnDefinitions":[{"name":"Name","type":"string","format":"name"}]'
BODIES: Final = {
    "no JSON": b"hello",
    "nothing": b"",
    "null": b"null",
    "a list": b"[]",
    "a number": b"7",
    "an empty object": b"{}",
    "null items": b'{"kind":"PodList","apiVersion":"v1","items":[null]}',
    "items of other types": b'{"kind":"PodList","apiVersion":"v1","items":[1,"x",[]]}',
    "items that are no list": b'{"kind":"PodList","apiVersion":"v1","items":{}}',
    "metadata that is none": b'{"kind":"PodList","metadata":[],"items":[{"metadata":"x","spec":"y","status":7}]}',
    "fields of other types": b'{"kind":7,"apiVersion":[],"metadata":{"name":[],"labels":7},"spec":{"containers":[7]}}',
    "a kind that steers a terminal": json.dumps({"kind": "Pod\x1b[31m\nX", "metadata": {"name": "a\nb\x07"}}).encode(),
    "a table without anything": b'{"kind":"Table"}',
    "a table of nulls": b'{"kind":"Table","columnDefinitions":[null],"rows":[null,{"cells":null,"object":null}]}',
    "a table without cells": b'{"kind":"Table",%b,"rows":[{},{"cells":[]},{"cells":[{"a":1}]}]}' % COLUMNS.encode(),
    "a table without columns": b'{"kind":"Table","rows":[{"cells":["a","b"]}]}',
    "a table of other types": b'{"kind":"Table","columnDefinitions":"x","rows":{"a":1}}',
    "rows of other types": b'{"kind":"Table",%b,"rows":[{"cells":"abc","object":[]}]}' % COLUMNS.encode(),
    "numbers out of range": (POD % '{"a":1e400,"b":-99999999999999999999}').encode(),
    "a number without end": (POD % ("9" * 20_000)).encode(),
    "no numbers": (POD % '{"a":NaN,"b":Infinity}').encode(),
    "halves of characters": (POD % r'{"\ud800":"\udfff"}').encode(),
    "no text": POD.encode().replace(b"x", b"\xff\xfe") % b"{}",
    "deep": (POD % ("[" * 900 + "]" * 900)).encode(),
    "too deep": b"[" * 100_000,
    "too deep objects": b'{"a":' * 100_000,
    "a Status of nonsense": b'{"kind":"Status","status":[],"message":{},"reason":[],"details":{"causes":[7]}}',
    "an Invalid of nonsense": b'{"kind":"Status","reason":"Invalid","details":{"causes":[null,{"field":7}],"name":7}}',
    "changes of nonsense": b'{"type":7,"object":[]}\nnull\n{"type":"ADDED","object":{"kind":"Table","rows":[null]}}\n',
    "errors of nonsense": b'{"type":"ERROR","object":{"kind":"Status","message":[]}}\n{"type":"ERROR","object":7}\n',
}


LISTS: Final = (
    *("get pods", "get pods -o json", "get pods -o yaml", "get pods -o name --limit=100", "get po,svc", "get pods -w"),
    *("get pods --sort-by=.metadata.name", "get pods -o jsonpath={.items}", "get secrets", "describe pods"),
    *("logs -l a=b", "logs deploy/web", "events", "events -o json", "top node", "top pod"),
    *("rollout history deploy/web", "rollout history deploy", "rollout status deploy --watch=false"),
)
_MAX_PAGES: Final = 12


@pytest.mark.parametrize("code", [200, 422, 500])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_nonsense(server: FakeApiServer, tmp_path: Path, body: bytes, code: int) -> None:
    server.otherwise = respond(body, code=code)
    executor = NativeExecutor({"KUBECONFIG": str(server.kubeconfig(tmp_path))}, Execution())
    try:
        for line in LINES:
            words, sink = shlex.split(line), Collected()
            try:
                async with asyncio.timeout(_SECONDS):
                    outcome = await executor.run(kubectl.parse(words[0], words[1:]), sink)
            except NotTaken:
                assert (sink.stdout, sink.stderr) == (b"", b""), line
                continue
            assert outcome.exit_code in {0, 1}, line
            assert outcome.exit_code == 0 or sink.stdout or sink.stderr, line
    finally:
        await executor.close()


@pytest.mark.parametrize("tokens", ["always another", "always the same", "a number", "two in turns", "a huge one"])
@pytest.mark.parametrize("line", LISTS)
async def test_a_list_without_an_end(
    server: FakeApiServer, tmp_path: Path, line: str, tokens: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "_MAX_PAGES", _MAX_PAGES)
    token: dict[str, Callable[[], object]] = {
        "always another": lambda: f"t{len(server.requests)}",
        "always the same": lambda: "t",
        "a number": lambda: 7,
        "two in turns": lambda: f"t{len(server.requests) % 2}",
        "a huge one": lambda: "t" * 2**20,
    }
    one = {"metadata": {"name": "x", "namespace": "default"}, "spec": {"template": {}}, "status": {}, "usage": {}}

    async def answer(request: web.Request) -> web.Response:
        # Named or listed, everything has more behind it.
        metadata = {"name": "web", "resourceVersion": "1", "continue": token[tokens]()}
        is_metrics = "metrics.k8s.io" in request.path
        items = [] if is_metrics and request.path.endswith("pods") else [one]
        return web.json_response({"metadata": metadata, "spec": {}, "items": items})

    server.otherwise = answer
    executor = NativeExecutor({"KUBECONFIG": str(server.kubeconfig(tmp_path))}, Execution(), is_last=True)
    sink = Collected()
    words = shlex.split(line)
    try:
        async with asyncio.timeout(_SECONDS):
            outcome = await executor.run(kubectl.parse(words[0], words[1:]), sink)
    finally:
        await executor.close()
    assert outcome.exit_code == 1
    assert sink.stderr
    # A list for each object of a list at the most, as a history has it.
    assert len(server.requests) <= 2 + _MAX_PAGES * (1 + _MAX_PAGES)


async def test_one_object_has_no_pages(server: FakeApiServer, tmp_path: Path) -> None:
    path = "/api/v1/namespaces/default/pods/web"
    server.route(path, {"kind": "Pod", "metadata": {"name": "web", "continue": "t"}})
    executor = NativeExecutor({"KUBECONFIG": str(server.kubeconfig(tmp_path))}, Execution())
    try:
        assert (await executor.run(kubectl.parse("get", ["pod", "web", "-o", "name"]), Collected())).exit_code == 0
    finally:
        await executor.close()
    assert server.paths.count(path) == 1
