"""Answers no real API server gives in a test: errors of every kind, odd discovery; native beside the real kubectl."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.beside_kubectl import differences
from tests.support.fake_api_server import RESOURCES, DiscoveryForm, fake_api_server, later, respond, status, warning

_CODES = (400, 401, 403, 404, 405, 406, 409, 410, 413, 415, 418, 422, 429, 500, 502, 503, 504)
_BODIES: Mapping[str, tuple[bytes, str]] = {
    "text": (b"plain text body", "text/plain"),
    "lines": (b'two\n"lines" \xc3\xa9\n', "text/html"),
    "json": (b'{"kind": "Other"}', "application/json"),
    "empty": (b"", "text/plain"),
    "untyped": (b"", ""),
}
_CAUSES = [{"field": "spec.x", "message": "bad"}, {"message": "worse"}, {"field": "f"}, {"field": "f"}]


def _status(code: int, **fields: Any) -> bytes:
    document = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, **fields}
    return json.dumps(document).encode()


_STATUSES = {
    "plain": _status(404, message="the message", reason="TheReason"),
    "unsaid": _status(404, reason="TheReason"),
    "unnamed": _status(404, message="the message"),
    "unnamed401": _status(401, message="the message"),
    "anonymous": _status(401, message="the message", reason="Unauthorized"),
    "invalid": _status(422, message="m", reason="Invalid", details={"name": "n", "kind": "Kd", "causes": _CAUSES}),
    "invalid1": _status(422, message="m", reason="Invalid", details={"name": "n", "kind": "Kd", "causes": _CAUSES[:1]}),
    "invalid0": _status(422, message="m", reason="Invalid", details={"name": "n", "group": "g", "kind": "Kd"}),
    "invalidn": _status(422, message="m", reason="Invalid"),
    "conflict": _status(409, message="m", reason="Conflict", details={"name": "n", "causes": _CAUSES}),
}


@pytest.mark.parametrize("body", _BODIES)
async def test_errors_without_a_status(tmp_path: Path, body: str) -> None:
    data, content_type = _BODIES[body]
    async with fake_api_server() as server:
        for code in _CODES:
            answer = respond(data, code=code, content_type=content_type)
            server.route(f"/api/v1/namespaces/default/pods/c{code}", answer)
        server.route("/apis/apps/v1/namespaces/default/deployments", respond(data, code=500, content_type=content_type))
        lines = [*(f"get pod c{code}" for code in _CODES), "get deployments", "get deploy -o json"]
        assert await differences(server, tmp_path, lines) == []


async def test_statuses(tmp_path: Path) -> None:
    async with fake_api_server() as server:
        for name, body in _STATUSES.items():
            path = f"/api/v1/namespaces/default/pods/{name}"
            server.route(path, respond(body, code=json.loads(body)["code"]))
        lines = [f"get pod {name}" for name in _STATUSES]
        lines += ["get pod " + " ".join(_STATUSES), "get pod plain plain", "get pod/invalid pod/anonymous -o yaml"]
        assert await differences(server, tmp_path, lines) == []


async def test_lists_that_fail(tmp_path: Path) -> None:
    async with fake_api_server() as server:
        for code, reason, plural in (
            (404, "NotFound", "pods"),
            (400, "BadRequest", "services"),
            (403, "Forbidden", "secrets"),
        ):
            server.route(f"/api/v1/namespaces/default/{plural}", status(code, reason, "the message"))
            server.route(f"/api/v1/{plural}", status(code, reason, "the message"))
        lines = [
            f"get {types}{flags}"
            for types in ("pods", "services", "secrets", "pods,services")
            for flags in ("", " -A", " -l a=b", " --field-selector=a=b -l 'x in (\"y\")'", " -o name")
        ]
        assert await differences(server, tmp_path, lines) == []


async def test_retries_and_warnings(tmp_path: Path) -> None:
    pod = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "x"}}
    async with fake_api_server() as server:
        server.route("/api/v1/namespaces/default/pods/busy", later(0, 503))
        server.route("/api/v1/namespaces/default/pods/warned", warning(pod, "old", 'say "x"', "old"))
        header = '299 - "a", 299 - "b", 300 - "c", 299 x "dated" "Wed, 21 Oct 2015 07:28:00 GMT"'
        server.route(
            "/api/v1/namespaces/default/pods/many", respond(json.dumps(pod).encode(), headers={"Warning": header})
        )
        server.route("/api/v1/namespaces/default/pods/gone", respond(b"", code=404, headers={"Warning": '299 - "bye"'}))
        lines = [f"get pod {names} -o name" for names in ("busy", "warned", "many", "gone", "warned many warned")]
        assert await differences(server, tmp_path, lines) == []


_WORDS = (
    *("pods", "pod", "Pod", "PODS", "po", "PO", "Pod.", "pods.v1.", "pod.v1", "pod.v1.", "po.v1.", "po.v9."),
    *("deploy", "deploy.apps", "deploy.app", "deployments.v1.apps", "deployments.v1.app", "deployments.v2.apps"),
    *("Deployment.v1.apps", "hpa", "hpa.v1", "hpa.v1.", "hpa.autoscaling", "hpa.v1.autoscaling", "hpa.v3.autoscaling"),
    *("hpa.auto", "hpa.v1.auto", "hpa.v3.auto", "horizontalpodautoscalers.v1.autoscaling"),
    *("foob", "FOOB", "FooBarCore", "foobarcore", "FoobarCore", "fb", "wid", "wid.x", "wid.x.io", "wid.v2.x.io"),
    *("WidgetKind", "widgetkind", "WidgetKind.x.io", "widgetkind.x.io", "WidgetKind.v1.x.io", "WidgetKind.x"),
    *("po.x", "po.v9.x", "po.v9.x.io", "w", "w.x", "w.x.io", "pods.metrics.k8s.io", "pods.metrics"),
    *("foo.bar.baz", "widget.", "nothing", "all", "po,po", "po.x,po.x.io,w.x.io"),
)


@pytest.mark.parametrize("form", ["v2", "v2beta1", "legacy"])
async def test_words(tmp_path: Path, form: DiscoveryForm) -> None:
    pods, deployments, hpa_v2, hpa_v1, widgets = (RESOURCES[index] for index in (2, 5, 6, 7, 8))
    resources = (
        pods,
        replace(pods, kind="FooBarCore", plural="foobars", singular="foob", short_names=("fb",), categories=()),
        deployments,
        hpa_v2,
        hpa_v1,
        replace(widgets, group="x.io", kind="WidgetKind", singular="wid", short_names=("po", "w", "fb")),
        replace(widgets, group="x.io", kind="Zed", plural="zeds", singular="zed", short_names=("w",)),
        replace(widgets, group="y.io", kind="Zed", plural="zads", singular="zad", short_names=("w",)),
        replace(pods, group="metrics.k8s.io", kind="PodMetrics", short_names=(), categories=()),
    )
    async with fake_api_server(resources, discovery=form) as server:
        assert await differences(server, tmp_path, [f"get {word}" for word in _WORDS]) == []


@pytest.mark.parametrize("form", ["v2", "v2beta1"])
async def test_a_group_that_is_stale(tmp_path: Path, form: DiscoveryForm) -> None:
    async with fake_api_server(discovery=form) as server:
        server.failing = ["apps/v1", "autoscaling/v2"]
        lines = ["api-versions", "get pods", "get hpa"]
        assert await differences(server, tmp_path, lines) == []
