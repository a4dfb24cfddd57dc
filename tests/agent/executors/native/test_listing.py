"""agent/executors/native/listing.py: pages, several targets at once, order, failures, an early end."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

import pytest
from aiohttp import web

from agent.executors.native.access import Access
from agent.executors.native.call import Call
from agent.executors.native.discovery import Discovery
from agent.executors.native.errors import CommandFailed, StatusError
from agent.executors.native.listing import Answer, Request, answers, beside_others, everything
from agent.executors.native.selection import select
from agent.executors.native.transport import Transport
from schemas import kubectl
from tests.support.fake_api_server import FakeApiServer, objects, paged, status
from tests.support.sinks import Collected
from tests.support.waiting import until

_PODS = "/api/v1/namespaces/default/pods"
_SERVICES = "/api/v1/namespaces/default/services"


@dataclass(frozen=True)
class Names:
    """A page as these tests read it."""

    names: tuple[str, ...]
    continue_token: str

    def __len__(self) -> int:
        return len(self.names)


def read(body: bytes) -> Names:
    content = json.loads(body)
    items = content.get("items", [content])
    return Names(tuple(item["metadata"]["name"] for item in items), content["metadata"].get("continue", ""))


@pytest.fixture
async def transport(server: FakeApiServer) -> AsyncIterator[Transport]:
    access = Access(server.config())
    yield Transport(access, 2**20)
    await access.close()


async def asked(transport: Transport, line: str, request: Request[Names]) -> list[Answer[Names]]:
    """All answers to a command line."""
    call = Call(kubectl.parse("get", line.split()), transport, Discovery(transport), Collected())
    async with aclosing(answers(call, await select(call), request)) as coming:
        return [answer async for answer in coming]


def names(some: list[Answer[Names]]) -> list[str]:
    return [name for answer in some if answer.page is not None for name in answer.page.names]


def pods(count: int) -> dict[str, object]:
    return objects("Pod", "v1", [{"metadata": {"name": f"p{number}"}} for number in range(count)])


@pytest.mark.parametrize(
    ("chunk_size", "limit", "sizes"),
    [(0, None, [5]), (2, None, [2, 2, 1]), (9, None, [5]), (2, 3, [2, 1]), (2, 2, [2]), (0, 3, [3]), (2, 9, [2, 2, 1])],
)
async def test_pages(
    server: FakeApiServer, transport: Transport, chunk_size: int, limit: int | None, sizes: list[int]
) -> None:
    server.route(_PODS, paged(pods(5), 100))
    got = await asked(transport, "pods", Request(read, chunk_size=chunk_size, limit=limit))
    assert [len(answer.page) for answer in got if answer.page is not None] == sizes
    assert names(got) == [f"p{number}" for number in range(sum(sizes))]


async def test_a_failure_is_an_answer(server: FakeApiServer, transport: Transport) -> None:
    server.route(_PODS, paged(pods(3), 1, gone_after=2))
    server.route(_SERVICES, objects("Service", "v1", [{"metadata": {"name": "s"}}]))
    got = await asked(transport, "pods,deploy,svc", Request(read, chunk_size=1))
    assert [answer.target.resource.plural for answer in got] == ["pods", "pods", "pods", "deployments", "services"]
    assert [type(answer.failure) for answer in got] == [type(None), type(None), StatusError, StatusError, type(None)]
    assert names(got) == ["p0", "p1", "s"]
    assert str(got[3].failure).startswith('Unable to list "apps/v1, Resource=deployments": ')


async def test_everything_at_once(server: FakeApiServer, transport: Transport) -> None:
    server.route(_PODS, paged(pods(5), 2))
    call = Call(kubectl.parse("get", ["pods"]), transport, Discovery(transport), Collected())
    selection = await select(call)
    held = await everything(call, selection, Request(read, chunk_size=2))
    assert [page.names for page in held] == [("p0", "p1"), ("p2", "p3"), ("p4",)]
    with pytest.raises(CommandFailed, match="more than 300 bytes of objects"):
        await everything(call, selection, Request(read, chunk_size=2), max_bytes=300)
    server.route(_PODS, paged(pods(5), 2, gone_after=1))
    with pytest.raises(StatusError, match="too old"):
        await everything(call, selection, Request(read, chunk_size=2))


async def test_nonsense_is_a_failure(server: FakeApiServer, transport: Transport) -> None:
    server.route(_PODS, b"{")
    (got,) = await asked(transport, "pods", Request(read))
    assert isinstance(got.failure, CommandFailed)


async def test_no_more_than_eight_at_once_and_in_order(server: FakeApiServer, transport: Transport) -> None:
    running = most = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        return web.json_response({"metadata": {"name": request.path.rpartition("/")[2]}})

    wanted = [f"p{number}" for number in range(40)]
    for name in wanted:
        server.route(f"{_PODS}/{name}", answer)
    assert names(await asked(transport, f"pods {' '.join(wanted)}", Request(read))) == wanted
    assert 1 < most <= 8


async def test_leaving_early_ends_what_is_under_way(server: FakeApiServer, transport: Transport) -> None:
    is_asked, is_left = asyncio.Event(), asyncio.Event()

    async def never(_: web.Request) -> web.Response:
        is_asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            is_left.set()
        raise AssertionError("unreachable")

    server.route(_PODS, pods(1))
    server.route(_SERVICES, never)
    call = Call(kubectl.parse("get", ["pods,svc"]), transport, Discovery(transport), Collected())
    async with aclosing(answers(call, await select(call), Request(read))) as coming:
        assert names([await anext(coming)]) == ["p0"]
        await until(is_asked.is_set)
    await until(is_left.is_set)
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("get ")]


@pytest.mark.parametrize(
    ("namespace", "said", "reason"),
    [
        ("gone", status(404, "NotFound", 'namespaces "gone" not found'), 'namespaces "gone" not found'),
        ("secret", status(403, "Forbidden", "no"), "no pod"),
        ("default", status(404, "NotFound", "never asked for"), "no pod"),
    ],
)
async def test_a_namespace_that_is_not_there(
    server: FakeApiServer, transport: Transport, namespace: str, said: object, reason: str
) -> None:
    server.route(f"/api/v1/namespaces/{namespace}/pods/x", status(404, "NotFound", "no pod"))
    server.route(f"/api/v1/namespaces/{namespace}", said)  # type: ignore[arg-type]
    (got,) = await asked(transport, f"pods x -n {namespace}", Request(read))
    assert str(got.failure) == reason


async def test_what_is_large_or_costly_is_done_in_a_thread() -> None:
    here = threading.get_ident()
    assert await beside_others(threading.get_ident, 1000) == here
    assert await beside_others(threading.get_ident, 2**20) != here
    assert await beside_others(threading.get_ident, 0, is_costly=True) != here
