"""agent/executors/native/selection.py: operands to targets. What kubectl says of bad ones is in the cases of get."""

from collections.abc import AsyncIterator

import pytest

from agent.executors.native.access import Access
from agent.executors.native.call import Call
from agent.executors.native.discovery import Discovery
from agent.executors.native.errors import CommandFailed
from agent.executors.native.selection import Selection, select
from agent.executors.native.transport import Transport
from schemas import kubectl
from tests.support.fake_api_server import fake_api_server
from tests.support.sinks import Collected


class Selector:
    """Selects for command lines."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def __call__(self, line: str, *, is_single_type: bool = False) -> Selection:
        command = kubectl.parse("get", line.split())
        call = Call(command, self._transport, Discovery(self._transport), Collected())
        return await select(call, is_single_type=is_single_type)


@pytest.fixture
async def selector() -> AsyncIterator[Selector]:
    async with fake_api_server() as server:
        access = Access(server.config(namespace="home"))
        yield Selector(Transport(access, 2**20))
        await access.close()


@pytest.mark.parametrize(
    ("line", "paths"),
    [
        ("pods", ["/api/v1/namespaces/home/pods"]),
        ("pods -n web", ["/api/v1/namespaces/web/pods"]),
        ("pods -A", ["/api/v1/pods"]),
        ("nodes", ["/api/v1/nodes"]),
        ("nodes -n web", ["/api/v1/nodes"]),
        ("pods,pod,Pod", ["/api/v1/namespaces/home/pods"]),
        ("svc,pods", ["/api/v1/namespaces/home/services", "/api/v1/namespaces/home/pods"]),
        (
            "pods,svc a b",
            [f"/api/v1/namespaces/home/{plural}/{name}" for plural in ("pods", "services") for name in "ab"],
        ),
        ("pods,pods a", ["/api/v1/namespaces/home/pods/a"]),
        ("pods,pod a", ["/api/v1/namespaces/home/pods/a"] * 2),
        ("pod/a svc/b", ["/api/v1/namespaces/home/pods/a", "/api/v1/namespaces/home/services/b"]),
        ("nodes/a -A", ["/api/v1/nodes/a"]),
        ("deploy.apps/a", ["/apis/apps/v1/namespaces/home/deployments/a"]),
        ("pods a,b", ["/api/v1/namespaces/home/pods/a,b"]),
    ],
)
async def test_paths(selector: Selector, line: str, paths: list[str]) -> None:
    assert [target.path() for target in (await selector(line)).targets] == paths


async def test_all_is_each_of_its_resources_once(selector: Selector) -> None:
    selection = await selector("svc,all,all")
    assert [target.resource.plural for target in selection.targets] == [
        "services",
        "pods",
        "deployments",
        "horizontalpodautoscalers",
    ]


@pytest.mark.parametrize(
    ("line", "is_single"),
    [("pods", False), ("pods a", True), ("pod/a", True), ("pods a b", False), ("po,pods a", False)],
)
async def test_a_single_object(selector: Selector, line: str, is_single: bool) -> None:
    assert (await selector(line)).is_single is is_single


async def test_selectors_are_of_lists(selector: Selector) -> None:
    selection = await selector("pods -l a=b --field-selector c=d")
    assert selection.query == (("labelSelector", "a=b"), ("fieldSelector", "c=d"))
    assert (await selector("pods --selector=")).query == ()


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("", "error: You must provide one or more resources by argument or filename."),
        ("nope", 'error: the server doesn\'t have a resource type "nope"'),
        ("pods,nope", 'error: the server doesn\'t have a resource type "nope"'),
        ("nope.example.com a", 'error: the server doesn\'t have a resource type "nope"'),
        ("nope a -l x=y", "error: name cannot be provided when a selector is specified"),
        ("nope/a -l x=y", "error: selectors and the all flag cannot be used when passing resource/name arguments"),
        ("pods a -A", "error: a resource cannot be retrieved by name across all namespaces"),
        ("nope/a -A", 'error: the server doesn\'t have a resource type "nope"'),
        ("all a", "error: you must specify only one resource"),
        ("pods,all a", 'error: the server doesn\'t have a resource type "all"'),
        ("all/a", 'error: the server doesn\'t have a resource type "all"'),
    ],
)
async def test_what_cannot_be_selected(selector: Selector, line: str, text: str) -> None:
    with pytest.raises(CommandFailed) as failed:
        await selector(line)
    assert failed.value.text.startswith(text)


@pytest.mark.parametrize(
    "line", ["pods,svc", "pods,pod", "nope,pods", "all", "pods,svc a", "pod/a svc/a", "pod/a pods/b"]
)
async def test_a_single_type(selector: Selector, line: str) -> None:
    with pytest.raises(CommandFailed, match="you may only specify a single resource type"):
        await selector(line, is_single_type=True)


@pytest.mark.parametrize("line", ["pods", "pods,pods", "pods a b", "pods/a pods/b"])
async def test_a_single_type_named_twice(selector: Selector, line: str) -> None:
    assert (await selector(line, is_single_type=True)).targets
