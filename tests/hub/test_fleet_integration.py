"""One command on many clusters: each answers for itself, none is waited for too long, and nothing is left behind."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hub import keys
from hub.api import stream_lines
from hub.settings import Agents, Commands, Fleet, RateLimit, Server, Streams
from schemas.frames import Cancel, Output, Run
from tests.support.hub import ADMIN_KEY, TestHub, running_hub, settings
from tests.support.raw_agent import Answer, RawAgent, canned, serving
from tests.support.waiting import until

GET_PODS = {"command_type": "get", "args": ["pods"]}


@contextlib.asynccontextmanager
async def clusters(hub: TestHub, *names: str, answer: Answer = canned) -> AsyncIterator[list[RawAgent]]:
    """Registered clusters, each labelled `number=0` and so on, with an agent that answers."""
    async with contextlib.AsyncExitStack() as stack:
        agents = []
        for number, name in enumerate(names):
            made = await hub.call("POST", "/admin/clusters", {"cluster_id": name, "labels": {"number": str(number)}})
            token = made.body["agent_token"]
            agents.append(await stack.enter_async_context(serving(hub.url, token, answer, name)))
        yield agents


@contextlib.asynccontextmanager
async def asking(hub: TestHub, key: str = ADMIN_KEY, **body: Any) -> AsyncIterator[aiohttp.ClientResponse]:
    headers = {"Authorization": f"Bearer {key}"}
    async with hub.http.post(f"{hub.url}/debug/fleet/execute", json=GET_PODS | body, headers=headers) as response:
        yield response


async def ask(hub: TestHub, key: str = ADMIN_KEY, **body: Any) -> list[dict[str, Any]]:
    """All lines."""
    async with asking(hub, key, **body) as response:
        assert response.status == 200, await response.text()
        assert response.content_type == "application/x-ndjson"
        return [json.loads(line) async for line in response.content]


async def refused(hub: TestHub, key: str = ADMIN_KEY, **body: Any) -> tuple[int, dict[str, Any]]:
    async with asking(hub, key, **body) as response:
        return response.status, await response.json()


async def active(hub: TestHub) -> int:
    return int((await hub.call("GET", "/debug/sessions")).body["total"])


async def test_each_cluster_answers_for_itself(hub: TestHub) -> None:
    await hub.register("prod-dark")
    async with clusters(hub, "prod-a", "prod-b", "test-a"):
        lines = await ask(hub, clusters=["prod-*", "nowhere"], metadata={"user": "me"}, max_lines=5)
    assert lines[0] == {"type": "started", "clusters": ["nowhere", "prod-a", "prod-b", "prod-dark"], "total": 4}
    assert lines[-1] == {"type": "completed", "total": 4, "succeeded": 2, "failed": 2}
    rows = {line["cluster_id"]: line for line in lines[1:-1]}
    assert len(rows) == len(lines) - 2
    for name in ("prod-a", "prod-b"):
        result = rows[name]["result"]
        assert (rows[name]["type"], result["cluster_id"], result["status"]) == ("result", name, "completed")
        assert result["output"] == "get -- pods\n"
        whole = (await hub.call("GET", f"/debug/result/{result['result_id']}")).body
        assert whole == result
        session = (await hub.call("GET", f"/debug/session/{result['session_id']}")).body
        assert (session["status"], session["metadata"]) == ("closed", {"user": "me"})
    dark, nowhere = rows["prod-dark"], rows["nowhere"]
    assert (dark["type"], dark["error"], dark["details"]["cluster_id"]) == ("error", "service_unavailable", "prod-dark")
    assert (nowhere["error"], nowhere["message"]) == ("not_found", "Cluster not found: nowhere")
    assert await active(hub) == 0


async def test_selectors_choose_too(hub: TestHub) -> None:
    async with clusters(hub, "a", "b", "c"):
        assert (await ask(hub, selector="number in (0,2)"))[0]["clusters"] == ["a", "c"]
        assert (await ask(hub, selector="number=0", clusters=["b"]))[0]["clusters"] == ["a", "b"]
        assert (await ask(hub, clusters=["?"], concurrency=1))[-1]["succeeded"] == 3
        for none in ({"selector": "number=9"}, {"clusters": ["x*"]}):
            assert (await refused(hub, **none))[1]["error"] == "not_found"


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 400, "clusters"),
        ({"clusters": []}, 400, "clusters"),
        ({"clusters": ["Not A Name"]}, 400, "clusters.0"),
        ({"clusters": ["a"], "selector": "in in"}, 400, "selector"),
        ({"clusters": [f"{number}*" for number in range(33)]}, 400, "clusters"),
        ({"clusters": ["a"], "concurrency": 65}, 400, "concurrency"),
        ({"clusters": ["a"], "timeout": 301}, 400, "timeout"),
        ({"clusters": ["a"], "keep_full_output": True}, 400, "keep_full_output"),
        ({"clusters": ["a"], "grep": "("}, 400, "grep"),
        ({"clusters": ["a"], "command_type": "logs", "args": ["-f", "web"]}, 400, "args"),
        ({"clusters": ["a"], "args": ["pods", "-w"]}, 400, "args"),
    ],
)
async def test_what_is_wrong_is_said_once_and_nothing_runs(
    hub: TestHub, body: dict[str, Any], status: int, field: str
) -> None:
    got, error = await refused(hub, **body)
    assert (got, error["details"]["field"]) == (status, field)


async def test_a_command_that_may_not_run_is_one_refusal(hub: TestHub) -> None:
    async with clusters(hub, "a") as agents:
        status, error = await refused(hub, clusters=["a"], command_type="delete", args=["pod", "x"])
        assert (status, error["error"], error["details"]["by"]) == (403, "command_refused", "grammar")
        limited = await hub.make_key(denied_kinds=["pods"])
        assert (await refused(hub, limited, clusters=["a"]))[1]["details"]["by"] == "key"
        auditor = await hub.make_key(role="auditor")
        assert (await refused(hub, auditor, clusters=["a"]))[0] == 403
        assert not [frame for frame in agents[0].received if isinstance(frame, Run)]


async def test_a_key_reaches_its_own_clusters_only(hub: TestHub) -> None:
    key = await hub.make_key(clusters=["a", "b*"])
    async with clusters(hub, "a", "b1", "c"):
        assert (await ask(hub, key, clusters=["*"]))[0]["clusters"] == ["a", "b1"]
        lines = await ask(hub, key, clusters=["a", "c"])
        assert {line["cluster_id"]: line["type"] for line in lines[1:-1]} == {"a": "result", "c": "error"}
        assert (await refused(hub, key, clusters=["c*"]))[0] == 404
        secret = next(line for line in lines if line.get("cluster_id") == "c")
        unknown = (await ask(hub, key, clusters=["d"]))[1]
        assert json.dumps(secret).replace("c", "d") == json.dumps(unknown).replace("c", "d")


async def test_no_more_at_once_than_were_asked_for(hub: TestHub) -> None:
    running, most, gate = 0, 0, asyncio.Event()

    async def slow(agent: RawAgent, run: Run) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gate.wait()
        running -= 1
        await canned(agent, run)

    async with clusters(hub, *"abcdefg", answer=slow):
        asked = asyncio.create_task(ask(hub, clusters=["*"], concurrency=3))
        await until(lambda: running == 3)
        await asyncio.sleep(0.2)
        assert running == 3
        gate.set()
        assert (await asked)[-1] == {"type": "completed", "total": 7, "succeeded": 7, "failed": 0}
        assert most == 3


async def test_all_fleets_of_a_key_share_what_it_may_have_at_once(tmp_path: Path) -> None:
    async with running_hub(settings(tmp_path, fleet=Fleet(max_at_once=3))) as hub:
        running, gate = 0, asyncio.Event()

        async def slow(agent: RawAgent, run: Run) -> None:
            nonlocal running
            running += 1
            await gate.wait()
            running -= 1
            await canned(agent, run)

        async with clusters(hub, *"abcd", answer=slow):
            key = await hub.make_key()
            asked = [asyncio.create_task(ask(hub, clusters=["*"], timeout=60)) for _ in range(2)]
            await until(lambda: running == 3)
            other = asyncio.create_task(ask(hub, key, clusters=["d"], timeout=60))
            await until(lambda: running >= 4)  # what one key has asked is nothing to another
            gate.set()
            assert [(await each)[-1]["succeeded"] for each in asked] == [4, 4]
            assert (await other)[-1]["succeeded"] == 1
            await until(lambda: hub.app[keys.FLEET]._places == {})


async def test_each_has_its_own_time(hub: TestHub) -> None:
    async def never(agent: RawAgent, run: Run) -> None:
        pass

    async with clusters(hub, "slow", answer=never), clusters(hub, "quick"):
        lines = await ask(hub, clusters=["*"], timeout=1)
        ends = [(line["cluster_id"], line["result"]["status"]) for line in lines[1:-1]]
        assert ends == [("quick", "completed"), ("slow", "timeout")]
        assert await active(hub) == 0


async def test_an_agent_that_dies_is_a_row(tmp_path: Path) -> None:
    agents = Agents(hello_timeout_seconds=1.0, send_timeout_seconds=2.0, resume_window_seconds=1.0)
    async with running_hub(settings(tmp_path, agents=agents, commands=Commands(grace_seconds=0.5))) as hub:

        async def dies(agent: RawAgent, run: Run) -> None:
            await agent.socket.close()

        async with clusters(hub, "dying", answer=dies), clusters(hub, "well"):
            lines = await ask(hub, clusters=["*"], timeout=1)
        assert lines[-1] == {"type": "completed", "total": 2, "succeeded": 1, "failed": 1}
        assert await active(hub) == 0


async def test_who_leaves_cancels_everywhere(hub: TestHub) -> None:
    begun = 0

    async def never(agent: RawAgent, run: Run) -> None:
        nonlocal begun
        begun += 1

    async with clusters(hub, *"abcde", answer=never) as agents:
        async with asking(hub, clusters=["*"], concurrency=3) as response:
            await response.content.readline()
            await until(lambda: begun == 3)

        def cancelled() -> set[str]:
            return {frame.result_id for agent in agents for frame in agent.received if isinstance(frame, Cancel)}

        await until(lambda: len(cancelled()) == 3)
        async with asyncio.timeout(5):
            while await active(hub):
                await asyncio.sleep(0.01)
        assert begun == 3
        assert len(hub.app[keys.STREAMS]) == 0


async def test_leaving_at_any_moment_leaves_no_session(hub: TestHub) -> None:
    async with clusters(hub, *"abcdef"):
        for milliseconds in range(0, 40, 2):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(milliseconds / 1000):
                    await ask(hub, clusters=["*"], concurrency=2)
        async with asyncio.timeout(5):
            while await active(hub):
                await asyncio.sleep(0.01)


async def test_how_many_there_may_be(tmp_path: Path) -> None:
    limits = RateLimit(execute_per_minute=3, session_per_minute=1, standard_per_minute=0)
    fleet = Fleet(max_clusters=2, max_output_bytes=1024)
    async with running_hub(settings(tmp_path, fleet=fleet, ratelimit=limits)) as hub:

        async def long(agent: RawAgent, run: Run) -> None:
            assert run.max_output_bytes == 1024
            await canned(agent, run)

        async with clusters(hub, "a", "b", "c", answer=long):
            status, error = await refused(hub, clusters=["*"])
            assert (status, error["details"]) == (400, {"field": "clusters", "code": "too_large"})
            # One token of the execute bucket, and none of the session bucket, whatever the number of clusters.
            for left in (1, 0):
                async with asking(hub, clusters=["a", "b"]) as response:
                    assert response.headers["X-RateLimit-Remaining"] == str(left)
                    assert json.loads((await response.text()).splitlines()[-1])["succeeded"] == 2
            assert (await refused(hub, clusters=["a"]))[0] == 429


async def test_silence_gets_heartbeats_and_a_stop_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_lines, "HEARTBEAT_SECONDS", 0.1)
    async with running_hub(settings(tmp_path, server=Server(port=0, drain_seconds=0.1))) as hub:

        async def never(agent: RawAgent, run: Run) -> None:
            pass

        async with clusters(hub, "a", answer=never), asking(hub, clusters=["a"]) as response:
            kinds = [json.loads(await response.content.readline())["type"] for _ in range(3)]
            assert kinds == ["started", "heartbeat", "heartbeat"]
            await hub.app[keys.STREAMS].drain()
            rest = [json.loads(line) async for line in response.content]
            assert (rest[-1]["type"], rest[-1]["error"]) == ("error", "draining")
        assert (await refused(hub, clusters=["a"]))[1]["error"] == "draining"


async def test_a_reader_that_does_not_read_is_cut_off(tmp_path: Path) -> None:
    async with running_hub(settings(tmp_path, streams=Streams(stall_seconds=1.0))) as hub:

        async def flood(agent: RawAgent, run: Run) -> None:
            for seq in range(1, 5):
                await agent.send(Output(run.result_id, seq, "stdout", "x" * 50_000))
            await agent.exit(run, seq=5, output_bytes=200_000)

        names = [f"c{number}" for number in range(60)]
        async with clusters(hub, *names, answer=flood):
            host, port = hub.url.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
            body = json.dumps(GET_PODS | {"clusters": ["*"], "concurrency": 4})
            head = f"POST /debug/fleet/execute HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN_KEY}\r\n"
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write((head + body).encode())
            await reader.readuntil(b"\r\n\r\n")
            await until(lambda: len(hub.app[keys.STREAMS]) == 1)
            await until(lambda: len(hub.app[keys.STREAMS]) == 0, timeout_seconds=10)
            writer.close()
            async with asyncio.timeout(5):
                while await active(hub):
                    await asyncio.sleep(0.01)


async def test_each_command_is_in_the_audit_log(hub: TestHub) -> None:
    async with clusters(hub, "a", "b"):
        await ask(hub, clusters=["*"])
    rows = (await hub.call("GET", "/audit?limit=100")).body["rows"]
    fleet = [row for row in rows if row.get("action") == "POST /debug/fleet/execute"]
    accepted = [row for row in fleet if row["kind"] == "accepted"]
    assert {row["cluster_id"] for row in accepted} == {"a", "b"}
    assert all(row["argv"] == ["get", "--", "pods"] and row["key_id"] for row in accepted)
    assert [row["decision"] for row in fleet if row["kind"] == "request"] == ["allowed"]
    assert len([row for row in rows if row["kind"] == "ended"]) == 2
