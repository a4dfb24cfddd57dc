"""`describe` beside kubectl: of Secrets all that has no value in it, and, for want of kubectl, of anything else.

kubectl describes a custom resource in the form that is ours for all kinds, so that is where the two are compared.
"""

import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from agent.executors.native import statuses
from agent.executors.native.access import Access
from agent.executors.native.call import Call
from agent.executors.native.discovery import Discovery
from agent.executors.native.errors import CommandFailed, NotNative, StatusError
from agent.executors.native.transport import Transport
from agent.executors.native.verbs import describe
from schemas import kubectl
from tests.differential.__main__ import difference
from tests.differential.harness import Kubectl, Printed
from tests.support.fake_api_server import FakeApiServer, fake_api_server, objects, paged, status
from tests.support.kubectl import kubectl_binary
from tests.support.sinks import Collected

NAMESPACE: Final = "/api/v1/namespaces/default"
WIDGETS: Final = "/apis/example.com/v1/namespaces/default/widgets"
APPLIED: Final = {"kubectl.kubernetes.io/last-applied-configuration": "{}"}

SECRETS: Final[list[dict[str, Any]]] = [
    {"metadata": {"name": "one-key", "namespace": "default"}, "type": "Opaque", "data": {"key": "dmFsdWU="}},
    {
        "metadata": {
            "name": "one-label",
            "namespace": "default",
            "labels": {"b": "2", "a": "1", "long.example.com/name": "x"},
            "annotations": APPLIED,
        },
        "type": "odd\ttype\x1b[31m",
        "data": None,
    },
    {"metadata": {"name": "other", "namespace": "default"}, "type": "kubernetes.io/tls", "data": {"tls.key": "YWI="}},
]
WIDGET: Final[dict[str, Any]] = {
    "apiVersion": "example.com/v1",
    "kind": "Widget",
    "metadata": {
        "name": "odd",
        "namespace": "default",
        "uid": "u-1",
        "resourceVersion": "5",
        "generateName": "o",
        "creationTimestamp": "2025-01-01T00:00:00Z",
        "deletionTimestamp": "2025-01-02T00:00:00Z",
        "finalizers": ["a", "b"],
        "labels": {"b": "2", "a": "1"},
        "annotations": {
            **APPLIED,
            "empty": "",
            "colon": "a: b",
            "lines": "one\ntwo\n",
            "ends": "in a newline\n",
            **{f"exactly-{size}": "x" * (size - len(f"exactly-{size}: ")) for size in range(136, 144)},
            "very-long": f"{'long ' * 100}\n{'x' * 138}\n{'y' * 139}\n",
        },
        "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "1", "controller": True}],
        "managedFields": [{"manager": "x"}],
    },
    "spec": {
        "camelCaseName": "v",
        "URLPath": "u",
        "podCIDR": "c",
        "someURLs": 1,
        "clusterIPs": ["1"],
        "x509Cert": 1,
        "with-dash": 1,
        "with_underscore": 2,
        "with.dot/slash": 3,
        "UPPER": 1,
        "aB": 2,
        "A": 1,
        "a": None,
        "bool": True,
        "int": 5,
        "float": 1.5,
        "big": 12345678901,
        "bigf": 1e21,
        "one": 1.0,
        "text": "a\tb\x1b[31m",
        "emptyList": [],
        "emptyMap": {},
        "emptyString": "",
        "lines": "l1\nl2\n",
        "long": "y" * 200,
        "cr": "\r",
        "list": ["x", "y"],
        "maps": [{"name": "n"}, {"only": 1}, {}],
        "lists": [["a", {"b": 1}], []],
        "mixed": [1, "a", None, {"k": "v"}],
        "nested": {"deep": {"deeper": {"k": "v"}}},
    },
    "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    "data": {"some.key": "v"},
    "top": "level",
}
PLAIN: Final = {**WIDGET, "metadata": {"name": "plain", "namespace": "default"}, "spec": {"size": 3}}


def event(**fields: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "e", "namespace": "default"},
        "involvedObject": {"kind": "Widget", "name": "plain", "namespace": "default"},
        "type": "Normal",
        "reason": "Turned",
        "message": "as it should",
        "source": {"component": "turner", "host": "h"},
        "firstTimestamp": "2020-01-01T00:00:00Z",
        "lastTimestamp": "2021-06-01T00:00:00Z",
        "count": 1,
        **fields,
    }


EVENTS: Final = (
    event(),
    event(count=5, type="Warning", message="  two\nlines\n"),
    event(
        firstTimestamp=None,
        lastTimestamp=None,
        eventTime="2020-01-01T12:00:00.000000Z",
        series={"count": 3, "lastObservedTime": "2020-06-03T00:00:00.000000Z"},
        source={},
        reportingComponent="reporter",
    ),
    event(firstTimestamp=None, lastTimestamp=None, count=0, type="", reason="", message="x" * 100),
    event(lastTimestamp="2020-02-01T00:00:00Z", message="earlier\x1b[31m"),
)


@pytest.fixture
async def server() -> AsyncIterator[FakeApiServer]:
    async with fake_api_server() as running:
        secrets = [{"apiVersion": "v1", "kind": "Secret", **secret} for secret in SECRETS]
        running.route(f"{NAMESPACE}/secrets", paged(objects("Secret", "v1", secrets), 2))
        running.route(f"{WIDGETS}", objects("Widget", "example.com/v1", [WIDGET, PLAIN]))
        for one in secrets:
            running.route(f"{NAMESPACE}/secrets/{one['metadata']['name']}", one)
        for kind, path in (("secrets", f"{NAMESPACE}/secrets"), ("widgets.example.com", WIDGETS)):
            for name in ("o", "zz", "yy"):
                running.route(f"{path}/{name}", status(404, "NotFound", f'{kind} "{name}" not found'))
        for one in (WIDGET, PLAIN):
            running.route(f"{WIDGETS}/{one['metadata']['name']}", one)
        running.route(f"{NAMESPACE}/events", objects("Event", "v1", []))
        yield running


async def native(server: FakeApiServer, line: str, *, is_last: bool) -> Printed:
    access = Access(server.config())
    transport = Transport(access, 1 << 20)
    discovery = Discovery(transport)
    sink = Collected()
    words = shlex.split(line)
    call = Call(kubectl.parse(words[0], words[1:]), transport, discovery, sink, is_last=is_last)
    try:
        code = await describe.run(call)
    except (CommandFailed, StatusError) as error:
        await call.err(f"{statuses.text(error) if isinstance(error, StatusError) else error}\n")
        code = 1
    finally:
        await discovery.close()
        await access.close()
    return Printed(sink.stdout, sink.stderr, code)


async def assert_alike(server: FakeApiServer, folder: Path, line: str, *, is_last: bool = False) -> None:
    oracle = Kubectl(kubectl_binary(), server.kubeconfig(folder))
    try:
        wanted = await oracle.run(shlex.split(line))
    finally:
        oracle.close()
    assert "".join(difference(wanted, await native(server, line, is_last=is_last))) == ""


@pytest.mark.parametrize(
    "words",
    [
        *("secrets", "secret one-key", "secret one-label", "secret/other", "secret other one-key", "secret one-"),
        *("secret o", "secret zz", "secret zz other", "secret zz yy", "secret/other secret/zz", "secret/zz secret/yy"),
        *("secrets --chunk-size=1", "secrets --show-events=false"),
    ],
)
async def test_secrets_are_described_as_by_kubectl(server: FakeApiServer, tmp_path: Path, words: str) -> None:
    await assert_alike(server, tmp_path, f"describe {words}")


async def test_nothing_of_a_secret_but_its_keys_and_sizes_is_told(server: FakeApiServer) -> None:
    token = {
        "metadata": {
            "name": "t",
            "namespace": "default",
            "annotations": {**APPLIED, "kubernetes.io/service-account.name": "robot"},
        },
        "type": "kubernetes.io/service-account-token",
        "data": {"token": "ZXlKaGJHY2lPaUpTVXo=", "ca.crt": "LS0t"},
    }
    server.route(f"{NAMESPACE}/secrets/t", token)
    printed = await native(server, "describe secret t", is_last=False)
    assert printed.stdout.decode() == (
        "Name:         t\n"
        "Namespace:    default\n"
        "Labels:       <none>\n"
        "Annotations:  kubernetes.io/service-account.name: 5 bytes\n"
        "\n"
        "Type:  kubernetes.io/service-account-token\n"
        "\n"
        "Data\n"
        "====\n"
        "ca.crt:  3 bytes\n"
        "token:   14 bytes\n"
    )


@pytest.mark.parametrize("words", ["widgets", "pods", "secret,widgets", "pod/a secret/b", "widget zz", "all"])
async def test_anything_else_is_left_to_kubectl(server: FakeApiServer, words: str) -> None:
    with pytest.raises(NotNative):
        await native(server, f"describe {words}", is_last=False)


@pytest.mark.parametrize(
    "words",
    [
        *("widgets", "widget odd", "widget plain", "widgets plain odd", "widget pl", "widget zz", "widget plain zz"),
        *("widgets --show-events=false", "secret,widget", "secret,widget one-key", "secret/other wd/plain"),
    ],
)
async def test_without_kubectl_other_kinds_are_described_plainly(
    server: FakeApiServer, tmp_path: Path, words: str
) -> None:
    await assert_alike(server, tmp_path, f"describe {words}", is_last=True)


@pytest.mark.parametrize(
    "answer", [objects("Event", "v1", EVENTS), objects("Event", "v1", EVENTS[:1]), status(403, "Forbidden", "no")]
)
async def test_events_stand_below(server: FakeApiServer, tmp_path: Path, answer: Any) -> None:
    server.route(f"{NAMESPACE}/events", answer)
    await assert_alike(server, tmp_path, "describe widget plain", is_last=True)
    assert any("involvedObject.name=plain" in path for path in server.paths)
