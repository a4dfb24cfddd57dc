"""A result's lines: what is there, what comes, and how they end."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hub import keys
from hub.api import stream_lines
from hub.errors import SubscriberLagging
from hub.records import OutputChunk
from hub.settings import Streams
from schemas.frames import Cancel, Output, Run
from tests.support.floods import flooding
from tests.support.hub import ADMIN_KEY, TestHub, running_hub, settings
from tests.support.raw_agent import RawAgent, connected
from tests.support.stream_client import following, streaming
from tests.support.waiting import until


@pytest.fixture
async def agent(hub: TestHub) -> AsyncIterator[RawAgent]:
    """The agent of cluster alpha, spoken by hand."""
    async with connected(hub.url, await hub.register("alpha")) as link:
        yield link


@pytest.fixture
async def run(hub: TestHub, agent: RawAgent) -> Run:
    """A followed log that has begun."""
    session_id = await hub.open_session("alpha")
    await hub.execute(session_id, "logs", ("-f", "web-0"), headers={"Prefer": "respond-async"})
    return await agent.expect(Run)


async def test_what_is_there_then_what_comes_then_the_end(hub: TestHub, agent: RawAgent, run: Run) -> None:
    await agent.send(Output(run.result_id, 1, "stdout", "one\n"))
    await agent.send(Output(run.result_id, 2, "stderr", "oops\n"))
    async with following(hub.url, run.result_id) as lines:
        assert lines.response.status == 200
        assert lines.response.content_type == "application/x-ndjson"
        assert lines.response.headers["Transfer-Encoding"] == "chunked"
        assert lines.response.headers["Cache-Control"] == "no-store"
        assert lines.response.headers["X-Accel-Buffering"] == "no"
        assert "Content-Encoding" not in lines.response.headers
        first = {"type": "output", "result_id": run.result_id, "seq": 1, "stream": "stdout", "data": "one\n"}
        assert await lines.receive() == first
        assert (await lines.receive() or {})["stream"] == "stderr"
        await agent.send(Output(run.result_id, 3, "stdout", "three\u2028\n"))
        assert (await lines.receive() or {})["data"] == "three\u2028\n"
        await agent.exit(run, seq=4, output_bytes=13)
        completed = await lines.receive()
        assert completed is not None
        assert await lines.receive() is None
    whole = (await hub.call("GET", f"/debug/result/{run.result_id}")).body
    del whole["output"]
    assert completed == {"type": "completed", "result": whole | {"error": None}}
    async with following(hub.url, run.result_id, after_seq=2) as lines:
        assert [message["type"] for message in await lines.rest()] == ["output", "completed"]
    async with following(hub.url, run.result_id, after_seq=2**53) as lines:
        assert [message["type"] for message in await lines.rest()] == ["completed"]


async def test_refusals_are_those_of_every_call(hub: TestHub, agent: RawAgent, run: Run) -> None:
    key = await hub.make_key()
    path = f"/debug/result/{run.result_id}/stream"
    for wanted, answered in (
        (401, await hub.call("GET", path, key="wrong")),
        (404, await hub.call("GET", path, key=key)),
        (404, await hub.call("GET", "/debug/result/res_nope/stream")),
        (400, await hub.call("GET", f"{path}?after_seq=-1")),
        (400, await hub.call("GET", f"{path}?after_seq=x")),
        (400, await hub.call("GET", f"{path}?seq=1")),
        (405, await hub.call("POST", path)),
    ):
        assert answered.status == wanted
        assert set(answered.body) <= {"error", "message", "details"}


async def test_a_head_does_not_hang(hub: TestHub, agent: RawAgent, run: Run) -> None:
    async with asyncio.timeout(5):
        answered = await hub.call("HEAD", f"/debug/result/{run.result_id}/stream")
    assert (answered.status, answered.headers["Content-Type"]) == (200, "application/x-ndjson")
    assert (await hub.call("HEAD", "/debug/result/res_nope/stream")).status == 404


async def test_silence_gets_heartbeats(
    hub: TestHub, agent: RawAgent, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_lines, "HEARTBEAT_SECONDS", 0.1)
    async with following(hub.url, run.result_id) as lines:
        for _ in range(3):
            assert await lines.receive() == {"type": "heartbeat"}
        await agent.exit(run, "end\n")
        kinds = [message["type"] for message in await lines.rest()]
        assert kinds[-2:] == ["output", "completed"]


async def test_a_reader_that_leaves_leaves_the_command_alone(hub: TestHub, agent: RawAgent, run: Run) -> None:
    async with following(hub.url, run.result_id) as lines:
        await agent.send(Output(run.result_id, 1, "stdout", "one\n"))
        await lines.receive()
    await until(lambda: len(hub.app[keys.STREAMS]) == 0)
    assert (await hub.call("GET", f"/debug/result/{run.result_id}")).body["status"] == "running"
    assert not [frame for frame in agent.received if isinstance(frame, Cancel)]


@pytest.mark.parametrize(
    ("verb", "prefer", "timeout", "wanted"),
    [
        ("logs", "respond-async", None, 600),
        ("logs", "respond-async", 500, 500),
        ("logs", "respond-async", 601, None),
        ("logs", "wait=1", 301, None),
        ("get", "respond-async", None, 30),
        ("get", "respond-async", 301, None),
    ],
)
async def test_what_nobody_waits_for_goes_on_as_long_as_on_a_socket(
    hub: TestHub, agent: RawAgent, verb: str, prefer: str, timeout: int | None, wanted: int | None
) -> None:
    session_id = await hub.open_session("alpha")
    args = ("-f", "web-0") if verb == "logs" else ("pods",)
    fields: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
    answered = await hub.execute(session_id, verb, args, headers={"Prefer": prefer}, **fields)
    if wanted is None:
        assert (answered.status, answered.body["details"]) == (400, {"field": "timeout", "code": "too_large"})
    else:
        assert (await agent.expect(Run)).timeout_seconds == pytest.approx(wanted, abs=5)


async def test_a_reader_that_does_not_read_is_cut_off(tmp_path: Path) -> None:
    async with running_hub(settings(tmp_path, streams=Streams(stall_seconds=1.0))) as hub:
        async with connected(hub.url, await hub.register("alpha")) as agent:
            session_id = await hub.open_session("alpha")
            await hub.execute(session_id, "logs", ("-f", "web-0"), headers={"Prefer": "respond-async"})
            run = await agent.expect(Run)
            host, port = hub.url.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
            head = f"GET /debug/result/{run.result_id}/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN_KEY}"
            writer.write(f"{head}\r\n\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")
            async with flooding(agent, run, 256 * 1024 * 1024):
                await until(lambda: len(hub.app[keys.STREAMS]) == 0)
                assert not [frame for frame in agent.received if isinstance(frame, Cancel)]
            writer.close()


async def test_what_goes_wrong_later_is_a_line(
    hub: TestHub, agent: RawAgent, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    for error, code in (
        (SubscriberLagging(run.result_id, last_seq=1, newest_seq=9), "subscriber_lagging"),
        (ZeroDivisionError("a bug"), "internal_error"),
    ):
        calls = 0

        async def fail(_: object, error: Exception = error) -> list[OutputChunk]:
            nonlocal calls
            calls += 1
            if calls == 1:
                return [OutputChunk(1, "stdout", "x")]
            raise error

        monkeypatch.setattr("hub.subscribers.Follower.next", fail)
        async with following(hub.url, run.result_id) as lines:
            assert lines.response.status == 200
            first, last = await lines.rest()
            assert (first["type"], last["type"], last["error"]) == ("output", "error", code)
            assert last["result_id"] == run.result_id


async def test_a_removed_key_ends_its_lines(hub: TestHub, agent: RawAgent) -> None:
    made = (await hub.call("POST", "/admin/keys", {"name": "x", "role": "user"})).body
    key, headers = made["api_key"], {"Prefer": "respond-async"}
    session_id = await hub.open_session("alpha", key=key)
    await hub.execute(session_id, "logs", ("-f", "web-0"), key=key, headers=headers)
    run = await agent.expect(Run)
    async with following(hub.url, run.result_id, key=key) as lines:
        await agent.send(Output(run.result_id, 1, "stdout", "one\n"))
        await lines.receive()
        await hub.call("DELETE", f"/admin/keys/{made['key_id']}")
        last = (await lines.rest())[-1]
        assert (last["type"], last["error"], last["result_id"]) == ("error", "unauthorized", run.result_id)


async def test_a_stopping_hub_says_where_to_go_on(tmp_path: Path) -> None:
    async with running_hub(settings(tmp_path)) as hub:
        async with connected(hub.url, await hub.register("alpha")) as agent:
            session_id = await hub.open_session("alpha")
            await hub.execute(session_id, "logs", ("-f", "web-0"), headers={"Prefer": "respond-async"})
            run = await agent.expect(Run)
            async with following(hub.url, run.result_id) as lines:
                await agent.send(Output(run.result_id, 1, "stdout", "one\n"))
                await lines.receive()
                await hub.app.shutdown()
                last = (await lines.rest())[-1]
                assert (last["error"], last["details"]) == ("draining", {"results": {run.result_id: 1}})


async def test_http_1_0_reads_to_the_end_of_the_connection(hub: TestHub, agent: RawAgent, run: Run) -> None:
    host, port = hub.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"GET /debug/result/{run.result_id}/stream HTTP/1.0\r\nAuthorization: Bearer {ADMIN_KEY}"
    writer.write(f"{head}\r\n\r\n".encode())
    await agent.exit(run, "one\n")
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    lines = answer.partition(b"\r\n\r\n")[2].splitlines()
    assert [json.loads(line)["type"] for line in lines] == ["output", "completed"]


async def test_lines_and_sockets_count_together_for_a_key(tmp_path: Path) -> None:
    async with running_hub(settings(tmp_path, streams=Streams(max_sockets_per_key=1))) as hub:
        async with connected(hub.url, await hub.register("alpha")) as agent:
            session_id = await hub.open_session("alpha")
            async with streaming(hub.url, session_id) as client:
                await client.execute("r1", "logs", "-f", "web-0", keep=True)
                run = await agent.expect(Run)
                path = f"/debug/result/{run.result_id}/stream"
                refused = await hub.call("GET", path)
                assert (refused.status, refused.body["error"]) == (429, "too_many_streams")
                assert (await hub.call("HEAD", path)).status == 200
            await until(lambda: len(hub.app[keys.STREAMS]) == 0)
            async with following(hub.url, run.result_id) as lines:
                await agent.exit(run)
                await lines.rest()
