"""agent/executors/native/watches.py: the lines of a watch, however its bytes are cut."""

import itertools
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.executors.native import watches
from agent.executors.native.access import Access
from agent.executors.native.errors import CommandFailed
from agent.executors.native.transport import Response, Transport
from tests.support.fake_api_server import fake_api_server, pieces

_LINES = [b'{"type":"ADDED"}', b'{"type":"MODIFIED","object":{"text":"\xc3\xa9\\n"}}', b"{}"]


class Pieces(Response):
    """An answer whose body is there already."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


async def read(*pieces: bytes) -> list[bytes]:
    return [line async for line in watches.lines(Pieces(pieces))]


@given(st.sets(st.integers(0, 80)))
async def test_any_cut_gives_the_same_lines(cuts: set[int]) -> None:
    body = b"\n".join(_LINES) + b"\n"
    edges = [0, *sorted(cut for cut in cuts if cut < len(body)), len(body)]
    assert await read(*(body[start:end] for start, end in itertools.pairwise(edges))) == _LINES


async def test_half_a_line_at_the_end_is_none() -> None:
    assert await read(b"{}\n\n{}", b"\n{") == [b"{}", b"{}"]


async def test_an_event_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "_MAX_EVENT_BYTES", 10)
    assert await read(b"0123456789", b"\n") == [b"0123456789"]
    with pytest.raises(CommandFailed, match="larger than 10 bytes"):
        await read(b"01234", b"567890")


async def test_a_watch_of_a_server() -> None:
    async with fake_api_server() as server:
        server.route("/api/v1/pods", pieces(b"{}\n{", b"}\n"))
        access = Access(server.config())
        async with Transport(access, 2**20).stream("/api/v1/pods") as response:
            assert [line async for line in watches.lines(response)] == [b"{}", b"{}"]
        await access.close()
