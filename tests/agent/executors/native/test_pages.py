"""agent/executors/native/pages.py: from page to page, and where a list ends; test_hostile.py has all verbs do so."""

from collections.abc import AsyncIterator

import pytest

from agent.executors.native import pages as under_test
from agent.executors.native.access import Access
from agent.executors.native.errors import CommandFailed
from agent.executors.native.pages import Paging, pages
from agent.executors.native.transport import Transport
from agent.executors.native.verbs.events import EventList
from tests.support.fake_api_server import FakeApiServer, fake_api_server, objects, paged

_EVENTS = "/api/v1/events"


@pytest.fixture
async def server() -> AsyncIterator[FakeApiServer]:
    async with fake_api_server() as running:
        running.route(
            _EVENTS, paged(objects("Event", "v1", [{"metadata": {"name": f"e{number}"}} for number in range(5)]), 2)
        )
        yield running


@pytest.fixture
async def transport(server: FakeApiServer) -> AsyncIterator[Transport]:
    access = Access(server.config())
    yield Transport(access, 2**20)
    await access.close()


async def names(transport: Transport) -> list[str]:
    return [event.metadata.name async for page in pages(transport, _EVENTS, (), EventList) for event in page.items]


def test_a_list_ends_without_a_token() -> None:
    paging = Paging()
    assert [(paging.turn(token), paging.token) for token in ("a", "b", "a", "")] == [
        *((True, "a"), (True, "b"), (True, "a"), (False, "a"))
    ]


def test_a_list_has_so_many_pages() -> None:
    paging = Paging()
    for number in range(under_test._MAX_PAGES - 1):
        assert paging.turn(f"t{number}")
    with pytest.raises(CommandFailed, match="the API server's list has more than 10000 pages"):
        paging.turn("t")


@pytest.mark.parametrize("token", ["same", "x" * 20_000])
def test_a_token_that_leads_nowhere(token: str) -> None:
    paging = Paging()
    paging.turn("same")
    with pytest.raises(CommandFailed, match="leads nowhere"):
        paging.turn(token)


async def test_typed_pages(server: FakeApiServer, transport: Transport) -> None:
    assert await names(transport) == ["e0", "e1", "e2", "e3", "e4"]
    assert len(server.requests) == 3


async def test_a_typed_list_has_a_bound(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "_MAX_BYTES", 300)
    with pytest.raises(CommandFailed, match="this list is larger than 300 bytes"):
        await names(transport)
