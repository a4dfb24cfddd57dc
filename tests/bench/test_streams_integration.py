"""The bare pipe, its readers and the log server as processes. What a hub adds is in the bench as a whole."""

import asyncio
import dataclasses
import re

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bench.lines import FLOOD, LINE, age_seconds
from bench.processes import Failed
from bench.stream_sides import bare_bytes_per_second, log_server, pipe
from schemas.stream import SUBPROTOCOL
from tests.support.raw_server import raw_server


@pytest.mark.timeout(60)
async def test_a_reader_gets_all_of_a_flood_and_a_neighbour_its_answer() -> None:
    async with pipe() as side:
        seen = await side.read("flood", "0.5", "1")
        assert seen["data_bytes"] == seen["frames"] * len(FLOOD) > 0
        assert seen["lines"] == seen["frames"] * FLOOD.count("\n")
        assert seen["all_bytes"] > seen["data_bytes"]
        async with side.flooded():
            assert (await side.ask(0.5)).requests > 0


@pytest.mark.timeout(60)
async def test_a_stalled_reader_stalls_the_pipe_in_bounded_memory() -> None:
    async with pipe() as side:
        async with side.reading("stall"):
            cpu = -1.0
            while (now := side.server.cpu_seconds()) > cpu:  # until nothing moves any more
                cpu = now
                await asyncio.sleep(0.1)
            assert side.server.peak_rss_bytes() < 100_000_000
        assert (await side.read("flood", "0.2", "1"))["frames"] > 0


@pytest.mark.timeout(60)
async def test_a_quiet_stream_is_timed_line_by_line_and_from_its_start() -> None:
    async with pipe() as side:
        seen = await side.read("quiet", "10")
        assert 0 < seen["p50_ms"] <= seen["p99_ms"] < 1000
        assert (await side.read("first", "3"))["p50_ms"] > 0


OUTPUT = {"type": "output", "result_id": "res_1", "seq": 1, "stream": "stdout", "data": FLOOD[:1000]}


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([OUTPUT, OUTPUT | {"seq": 2, "data": FLOOD[999:2000]}], "frame 2 is not what the pod wrote"),
        ([OUTPUT, OUTPUT | {"seq": 3, "data": FLOOD[1000:2000]}], "number 3 came behind 1"),
        ([OUTPUT, {"type": "completed", "result": {}}], "not expected: .*completed"),
        ([OUTPUT, {"type": "error", "error": "store_full", "message": "full"}], "not expected: .*store_full"),
        ([OUTPUT], "the stream was closed"),
    ],
)
async def test_a_reader_takes_nothing_but_the_flood(messages: list[dict[str, object]], told: str) -> None:
    async def read(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=[SUBPROTOCOL])
        await socket.prepare(request)
        await socket.receive_json()
        for message in ({"type": "started", "request_id": "1", "result_id": "res_1"}, *messages):
            await socket.send_json(message)
        await socket.close()
        return socket

    app = web.Application()
    app.router.add_get("/", read)
    async with pipe() as side, TestServer(app) as server:
        elsewhere = dataclasses.replace(side, url=str(server.make_url("/")))
        with pytest.raises(Failed, match=told):
            await elsewhere.read("flood", "5", "1")


async def test_a_reader_that_cannot_read_says_why() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with pipe() as side, raw_server(refuse) as port:
        elsewhere = dataclasses.replace(side, url=f"http://127.0.0.1:{port}/")
        with pytest.raises(Failed, match="403"):
            await elsewhere.read("flood", "0.2", "1")


async def test_the_log_server_has_pods_and_their_logs() -> None:
    async with log_server() as url, aiohttp.ClientSession(f"{url}/api/v1/namespaces/default/pods/") as http:
        async with http.get("quiet") as answer:
            assert (await answer.json())["metadata"]["name"] == "quiet"
        async with http.get("line/log?container=main") as answer:
            assert await answer.text() == LINE
        async with http.get("quiet/log?follow=true") as answer:
            line = (await answer.content.readline()).decode()
            assert re.fullmatch(r"\d{20} \.+\n", line)
            assert 0 <= age_seconds(line) < 5
        async with http.get("flood/log?follow=true") as answer:
            assert await answer.content.readexactly(2 * len(FLOOD)) == 2 * FLOOD.encode()
        async with http.get("other") as answer:
            assert answer.status == 404
        assert await bare_bytes_per_second(url, 0.2) > 0
