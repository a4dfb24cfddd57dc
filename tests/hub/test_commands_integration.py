"""What a caller may say about a command beside the command: how much of its output, how long to wait, and to stop."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hub.settings import Commands
from schemas.frames import UNBOUNDED, Cancel, Contract, Output, Run
from tests.support.hub import TestHub, running_hub, settings
from tests.support.raw_agent import RawAgent, canned, connected, serving


@pytest.fixture
async def agent(hub: TestHub) -> AsyncIterator[RawAgent]:
    """The agent of cluster alpha, spoken by hand."""
    async with connected(hub.url, await hub.register("alpha")) as link:
        yield link


@pytest.fixture
async def session_id(hub: TestHub, agent: RawAgent) -> str:
    """A session on alpha."""
    return await hub.open_session("alpha")


@pytest.mark.parametrize(
    ("fields", "contract", "max_output_bytes"),
    [
        ({}, None, 8 * 1024 * 1024),
        ({"max_output_bytes": 10}, None, 10),
        ({"max_output_bytes": 2**30}, None, 8 * 1024 * 1024),
        ({"max_lines": 3}, Contract(max_lines=3), 8 * 1024 * 1024),
        ({"tail_lines": 0}, Contract(tail_lines=0), 8 * 1024 * 1024),
        ({"grep": "error|warn"}, Contract(grep="error|warn"), 8 * 1024 * 1024),
        ({"grep": "ü", "keep_full_output": True}, Contract(grep="ü", max_full_bytes=8 * 1024 * 1024), 8 * 1024 * 1024),
        ({"keep_full_output": False}, None, 8 * 1024 * 1024),
    ],
)
async def test_the_output_contract_travels_to_the_agent(
    hub: TestHub,
    agent: RawAgent,
    session_id: str,
    fields: dict[str, Any],
    contract: Contract | None,
    max_output_bytes: int,
) -> None:
    waiting = asyncio.create_task(hub.execute(session_id, **fields))
    run = await agent.expect(Run)
    assert (run.contract, run.max_output_bytes) == (contract, max_output_bytes)
    left_out: dict[str, Any] = {"output_bytes": 100, "omitted_bytes": 96, "omitted_lines": 9, "is_truncated": True}
    await agent.exit(run, "kept", **left_out)
    body = (await waiting).body
    assert (body["output"], body["truncated"], body["reason"]) == ("kept", True, None)
    assert (body["output_bytes"], body["omitted_bytes"], body["omitted_lines"], body["expired_bytes"]) == (
        100,
        96,
        9,
        0,
    )


@pytest.mark.parametrize(
    ("fields", "field", "code"),
    [
        ({"max_output_bytes": 0}, "max_output_bytes", "invalid_value"),
        ({"max_output_bytes": 2**30 + 1}, "max_output_bytes", "invalid_value"),
        ({"max_output_bytes": "1"}, "max_output_bytes", "invalid_type"),
        ({"max_output_bytes": True}, "max_output_bytes", "invalid_type"),
        ({"max_lines": 0}, "max_lines", "invalid_value"),
        ({"max_lines": None}, "max_lines", "invalid_type"),
        ({"tail_lines": -1}, "tail_lines", "invalid_value"),
        ({"grep": ""}, "grep", "invalid_value"),
        ({"grep": "x" * 513}, "grep", "invalid_value"),
        ({"grep": "(a"}, "grep", "invalid_value"),
        ({"grep": "(?=a)"}, "grep", "invalid_value"),
        ({"grep": 7}, "grep", "invalid_type"),
        ({"keep_full_output": "true"}, "keep_full_output", "invalid_type"),
        ({"keep_full_output": 1}, "keep_full_output", "invalid_type"),
        ({"is_live": True}, "is_live", "unknown_field"),
        ({"keep": True}, "keep", "unknown_field"),
    ],
)
async def test_a_bad_contract_names_its_field(hub: TestHub, fields: dict[str, Any], field: str, code: str) -> None:
    answered = await hub.execute("sess_1", **fields)
    assert answered.status == 400
    assert answered.body["details"] == {"field": field, "code": code}


async def test_the_last_lines_of_what_goes_on_cannot_be_had(hub: TestHub, agent: RawAgent, session_id: str) -> None:
    answered = await hub.execute(session_id, "logs", ("-f", "web-0"), tail_lines=10)
    assert (answered.status, answered.body["details"]["field"]) == (400, "tail_lines")
    assert "--tail" in answered.body["message"]
    assert not [frame for frame in agent.received if isinstance(frame, Run)]


async def test_output_before_the_contract_is_kept_for_full(hub: TestHub, agent: RawAgent, session_id: str) -> None:
    waiting = asyncio.create_task(hub.execute(session_id, grep="two", keep_full_output=True))
    run = await agent.expect(Run)
    await agent.send(Output(run.result_id, 1, "full", "one\ntwo\n"))
    await agent.exit(run, "two\n", seq=2, output_bytes=8, omitted_bytes=4, omitted_lines=1, is_truncated=False)
    body = (await waiting).body
    assert (body["output"], body["truncated"]) == ("two\n", False)
    path = f"/debug/result/{run.result_id}"
    assert (await hub.call("GET", path)).body["output"] == "two\n"
    assert (await hub.call("GET", f"{path}?full=false")).body["output"] == "two\n"
    assert (await hub.call("GET", f"{path}?full=true")).body["output"] == "one\ntwo\n"
    assert (await hub.call("GET", f"{path}?full=true&offset=4&limit=2")).body["output"] == "tw"
    for value in ("yes", "1", ""):
        assert (await hub.call("GET", f"{path}?full={value}")).status == 400


async def test_an_answer_carries_so_much_output_unless_more_is_asked_for(tmp_path: Path) -> None:
    async with running_hub(settings(tmp_path, commands=Commands(max_output_bytes=1024, grace_seconds=1.0))) as hub:
        async with connected(hub.url, await hub.register("alpha")) as agent:
            session_id = await hub.open_session("alpha")
            headers = {"Prefer": "respond-async"}
            path = (await hub.execute(session_id, "logs", ("-f", "web-0"), headers=headers)).headers["Location"]
            run = await agent.expect(Run)
            assert run.max_output_bytes == UNBOUNDED
            text = "".join(f"line {number}\n" for number in range(1000))
            await agent.exit(run, text)
            first = (await hub.call("GET", f"{path}?wait=5")).body
            assert first["output"] == text[:1024]
            assert (first["output_bytes"], first["truncated"]) == (len(text), False)
            second = (await hub.call("GET", f"{path}?offset=1024")).body
            assert second["output"] == text[1024:2048]
            assert (await hub.call("GET", f"{path}?limit=100000")).body["output"] == text


# waiting


async def test_a_call_may_wait_for_an_agent_that_is_away(hub: TestHub) -> None:
    token = await hub.register("alpha")
    async with connected(hub.url, token):
        session_id = await hub.open_session("alpha")
    async with asyncio.timeout(5):
        while (await hub.execute(session_id)).status != 503:
            pass
    waiting = asyncio.create_task(hub.execute(session_id, headers={"Prefer": "wait=30"}))
    async with serving(hub.url, token, canned):
        answered = await waiting
    assert (answered.status, answered.body["status"]) == (200, "completed")
    assert answered.headers["Preference-Applied"] == "wait=30"
    async with asyncio.timeout(5):
        while (answered := await hub.execute(session_id, headers={"Prefer": "wait=0"})).status != 503:
            pass
    assert answered.body["error"] == "service_unavailable"
    assert "Preference-Applied" not in answered.headers


async def test_respond_async_may_wait_for_the_end_too(hub: TestHub, agent: RawAgent, session_id: str) -> None:
    prefer = {"Prefer": "respond-async, wait=30"}
    waiting = asyncio.create_task(hub.execute(session_id, headers=prefer))
    await agent.exit(await agent.expect(Run), "quick\n")
    answered = await waiting
    assert (answered.status, answered.body["output"]) == (200, "quick\n")
    assert answered.headers["Preference-Applied"] == "respond-async, wait=30"
    answered = await hub.execute(session_id, headers={"Prefer": "respond-async, wait=1"})
    assert (answered.status, answered.body["status"]) == (202, "running")
    assert answered.headers["Location"] == f"/debug/result/{answered.body['result_id']}"


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        ("wait=5", "wait=5"),
        ("Wait = 5", "wait=5"),
        ('wait="5"', "wait=5"),
        ("wait=5; strict", "wait=5"),
        ("wait=5, wait=7", "wait=5"),
        ('handling=lenient; x="a,b", wait=5', "wait=5"),
        ("wait=99999999999999999999", "wait=60"),
        ("respond-async", "respond-async"),
        ("wait=5,RESPOND-ASYNC", "respond-async, wait=5"),
        ("return=minimal", None),
        (", ,", None),
        ("waiting=5", None),
    ],
)
async def test_preferences_are_read_as_rfc_7240_says(hub: TestHub, prefer: str, applied: str | None) -> None:
    async with serving(hub.url, await hub.register("alpha"), canned):
        session_id = await hub.open_session("alpha")
        answered = await hub.execute(session_id, headers={"Prefer": prefer})
        assert answered.status in (200, 202)
        assert answered.headers.get("Preference-Applied") == applied


async def test_preferences_may_stand_in_several_lines(hub: TestHub) -> None:
    async with serving(hub.url, await hub.register("alpha"), canned):
        session_id = await hub.open_session("alpha")
        body = {"cluster_id": "alpha", "session_id": session_id, "command_type": "get", "args": ["pods"]}
        headers = [("Authorization", "Bearer admin-key-of-the-tests-0123456789abcdef")]
        headers += [("Prefer", "respond-async"), ("Prefer", "wait=5")]
        async with hub.http.post(f"{hub.url}/debug/execute", json=body, headers=headers) as response:
            assert response.headers["Preference-Applied"] == "respond-async, wait=5"


@pytest.mark.parametrize("prefer", ["wait", "wait=", "wait=soon", "wait=-1", "wait=1.5", "wait=٣"])
async def test_a_wait_that_is_no_number_is_refused(hub: TestHub, prefer: str) -> None:
    answered = await hub.execute("sess_1", headers={"Prefer": prefer})
    assert (answered.status, answered.body["details"]) == (400, {"field": "Prefer", "code": "invalid_value"})


# stopping


async def test_a_command_is_cancelled_by_its_result(hub: TestHub, agent: RawAgent, session_id: str) -> None:
    waiting = asyncio.create_task(hub.execute(session_id))
    run = await agent.expect(Run)
    path = f"/debug/result/{run.result_id}"
    assert (await hub.call("DELETE", path, key=await hub.make_key())).status == 404
    cancelling = asyncio.create_task(hub.call("DELETE", path))
    cancel = await agent.expect(Cancel)
    await agent.exit(run, "so far\n", status="cancelled", exit_code=None, error=cancel.reason)
    cancelled = await cancelling
    assert cancelled.status == 200
    body = cancelled.body
    assert (body["status"], body["output"], body["reason"]) == ("cancelled", "so far\n", "the client cancelled it")
    assert (await waiting).body == body
    again = await hub.call("DELETE", path)
    assert (again.status, again.body) == (200, body)
    assert (await hub.call("DELETE", "/debug/result/res_nope")).status == 404


async def test_a_caller_that_leaves_cancels_what_it_waits_for(hub: TestHub, agent: RawAgent, session_id: str) -> None:
    for headers in ({}, {"Idempotency-Key": "again"}):
        waiting = asyncio.create_task(hub.execute(session_id, headers=headers))
        run = await agent.expect(Run)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        if headers:
            again = asyncio.create_task(hub.execute(session_id, headers=headers))
            await agent.exit(run, "done\n")
            assert (await again).body["output"] == "done\n"
        else:
            assert (await agent.expect(Cancel)).result_id == run.result_id
            await agent.exit(run, status="cancelled", exit_code=None)


async def test_a_body_that_never_ends_is_nobodys_command(hub: TestHub, agent: RawAgent, session_id: str) -> None:
    """The caller leaves in the middle of its request."""
    headers = {"Authorization": "Bearer admin-key-of-the-tests-0123456789abcdef", "Content-Type": "application/json"}

    async def half() -> AsyncIterator[bytes]:
        yield b'{"cluster_id": "alpha", '
        await asyncio.Event().wait()

    async with aiohttp.ClientSession() as http:
        sending = asyncio.create_task(http.post(f"{hub.url}/debug/execute", data=half(), headers=headers))
        done, _ = await asyncio.wait([sending], timeout=0.2)
        assert not done
        sending.cancel()
        await asyncio.wait([sending])
    assert (await hub.call("GET", f"/debug/session/{session_id}")).body["commands_executed"] == 0
