"""A stream followed over many connections gives every byte once, or says what is wrong."""

import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from chaos.follower import PATH, Followed, follow
from chaos.rest import Rest
from tests.cluster import numbered

Message = dict[str, Any]
OUTPUT = [
    {"type": "output", "result_id": "res_1", "seq": seq, "stream": "stdout", "data": numbered.lines(seq * 10, 10)}
    for seq in range(1, 60)
]
END: Message = {"type": "completed", "result": {"result_id": "res_1", "status": "completed"}}


class Hub:
    """Sends what is behind `after_seq`, and breaks off in the middle of a line as often as it is told."""

    def __init__(self, messages: list[Message], spoil: Callable[[list[Message]], list[Message]]) -> None:
        self._messages = messages
        self._spoil = spoil
        self._breaks = Random(3)
        self.asked: list[int] = []

    async def stream(self, request: web.Request) -> web.StreamResponse:
        after = int(request.query["after_seq"])
        self.asked.append(after)
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        rest = self._spoil([one for one in self._messages if one.get("seq", 1000) > after])
        text = "".join(json.dumps(one) + "\n" for one in [{"type": "heartbeat"}, *rest]).encode()
        if len(self.asked) < 8:
            await response.write(text[: self._breaks.randrange(len(text) // 4)])
            assert request.transport is not None
            request.transport.abort()
        else:
            await response.write(text)
        return response


@contextlib.asynccontextmanager
async def serving(hub: Hub) -> AsyncIterator[Rest]:
    app = web.Application()
    app.router.add_get(PATH, hub.stream)
    async with TestServer(app) as server:
        rest = Rest(str(server.make_url("")).rstrip("/"), "key")
        try:
            yield rest
        finally:
            await rest.close()


async def followed_through(spoil: Callable[[list[Message]], list[Message]]) -> tuple[Followed, Hub]:
    hub = Hub([*OUTPUT, END], spoil)
    async with serving(hub) as rest:
        return await follow(rest, "res_1", Random(4), time.monotonic() + 20), hub


async def test_every_byte_once_over_many_connections() -> None:
    followed, hub = await followed_through(lambda messages: messages)
    assert followed.faults == []
    assert followed.completed is not None
    assert followed.output == numbered.lines(10, 590)
    assert followed.visits == len(hub.asked) == 8
    assert hub.asked[0] == 0
    assert hub.asked == sorted(hub.asked)
    assert hub.asked[-1] > 0


@pytest.mark.parametrize(
    "spoil",
    [
        lambda messages: OUTPUT[:1] + messages,  # what it has already
        lambda messages: messages[:2] + messages[1:],
        lambda messages: messages[:5][::-1] + messages[5:],
        lambda messages: messages[1:],
        lambda messages: [{"type": "error", "error": "output_expired"}],
    ],
)
async def test_what_is_lost_doubled_or_reordered_is_said(spoil: Callable[[list[Message]], list[Message]]) -> None:
    followed, _ = await followed_through(spoil)
    assert followed.faults


async def test_a_hub_that_wants_it_to_come_again() -> None:
    followed, _ = await followed_through(
        lambda messages: messages if len(messages) < 12 else [*messages[:10], {"type": "error", "error": "draining"}]
    )
    assert followed.faults == []
    assert followed.output == numbered.lines(10, 590)


async def test_a_stream_that_is_refused() -> None:
    async with serving(Hub([], list)) as rest:
        rest.url += "/elsewhere"
        followed = await follow(rest, "res_1", Random(4), time.monotonic() + 20)
    assert "answered with 404" in followed.faults[0]


async def test_it_gives_up_in_time() -> None:
    hub = Hub(OUTPUT, list)  # without an end
    async with serving(hub) as rest:
        followed = await follow(rest, "res_1", Random(4), time.monotonic() + 0.2)
    assert followed.completed is None
