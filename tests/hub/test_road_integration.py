"""The road through the hub: REST in, frame down, frame up, result out; with an agent spoken by hand."""

import asyncio

from schemas.frames import Ack, Cancel, Chunk, Exit, Output, Run
from tests.support.hub import TestHub
from tests.support.raw_agent import RawAgent, canned, connected, serving


async def test_a_command_is_one_frame_down_and_one_up(hub: TestHub) -> None:
    token = await hub.register("alpha")
    async with serving(hub.url, token, canned) as agent:
        session_id = await hub.open_session("alpha")
        answered = await hub.execute(session_id, "get", ("pods", "-A", "--limit=10"))
        assert answered.status == 200
        result = answered.body
        assert result["status"] == "completed"
        assert result["output"].startswith("get ")
        assert (result["error"], result["exit_code"], result["truncated"]) == (None, 0, False)
        assert result["session_id"] == session_id
        assert [type(frame) for frame in agent.received if not isinstance(frame, Ack)][1:] == [Run]

        again = await hub.call("GET", f"/debug/result/{result['result_id']}")
        assert again.body == result


async def test_what_was_stored_is_acknowledged(hub: TestHub) -> None:
    token = await hub.register("alpha")
    async with connected(hub.url, token) as agent:
        session_id = await hub.open_session("alpha")
        waiting = asyncio.create_task(hub.execute(session_id))
        run = await agent.expect(Run)
        await agent.send(Output(run.result_id, 1, "stdout", "one\n"))
        await agent.send(Output(run.result_id, 2, "stderr", "two\n"))
        await agent.send(
            Exit(run.result_id, 3, "failed", exit_code=1, chunks=[Chunk("stdout", "three\n")], output_bytes=10)
        )
        answered = await waiting
        assert answered.body["output"] == "one\nthree\n"
        assert answered.body["error"] == "two\n"
        assert (answered.body["status"], answered.body["exit_code"]) == ("failed", 1)
        acked = 0
        while acked < 4:
            acked = (await agent.expect(Ack)).results[run.result_id]
        assert acked == 4


async def test_commands_of_one_cluster_run_side_by_side_and_the_rest_queue(hub: TestHub) -> None:
    token = await hub.register("alpha")
    async with connected(hub.url, token) as agent:
        session_id = await hub.open_session("alpha")
        calls = [asyncio.create_task(hub.execute(session_id)) for _ in range(10)]
        runs = [await agent.expect(Run) for _ in range(8)]
        async with asyncio.timeout(5):
            while (await hub.call("GET", "/clusters/alpha/status")).body["queue_depth"] != 2:
                await asyncio.sleep(0.01)
        for run in runs:
            await agent.exit(run, "done\n")
        for _ in range(2):
            await agent.exit(await agent.expect(Run), "done\n")
        assert {(await call).body["status"] for call in calls} == {"completed"}
        assert (await hub.call("GET", "/clusters/alpha/status")).body["queue_depth"] == 0


async def test_closing_a_session_cancels_what_runs_in_it(hub: TestHub) -> None:
    token = await hub.register("alpha")

    async def until_cancelled(agent: RawAgent, run: Run) -> None:
        cancel = await agent.expect(Cancel)
        assert cancel.result_id == run.result_id
        await agent.exit(run, status="cancelled", exit_code=None, error="cancelled: the session was closed")

    async with serving(hub.url, token, until_cancelled):
        session_id = await hub.open_session("alpha")
        waiting = asyncio.create_task(hub.execute(session_id))
        async with asyncio.timeout(5):
            while (await hub.call("GET", f"/debug/session/{session_id}")).body["commands_executed"] != 1:
                await asyncio.sleep(0.01)
        closed = await hub.call("DELETE", f"/debug/session/{session_id}")
        assert closed.body["status"] == "closed"
        assert (await waiting).body["status"] == "cancelled"
        assert (await hub.call("DELETE", f"/debug/session/{session_id}")).body == closed.body
        refused = await hub.execute(session_id)
        assert (refused.status, refused.body["error"]) == (409, "session_not_active")


async def test_an_agent_that_does_not_end_a_command_is_not_waited_for(hub: TestHub) -> None:
    token = await hub.register("alpha")
    async with connected(hub.url, token) as agent:
        session_id = await hub.open_session("alpha")
        waiting = asyncio.create_task(hub.execute(session_id, timeout=1))
        run = await agent.expect(Run)
        assert run.timeout_seconds <= 1
        assert (await agent.expect(Cancel, 10)).result_id == run.result_id
        answered = await waiting
        assert (answered.status, answered.body["status"]) == (200, "timeout")
        await agent.exit(run, "too late\n")
        later = await hub.call("GET", f"/debug/result/{run.result_id}")
        assert (later.body["status"], later.body["output"]) == ("timeout", "")


async def test_a_newer_agent_replaces_the_older(hub: TestHub) -> None:
    token = await hub.register("alpha")
    async with connected(hub.url, token) as older:
        async with connected(hub.url, token, boot_id="boot-2"):
            assert await older.receive() is None
            assert older.socket.close_code == 4409
            assert (await hub.call("GET", "/clusters/alpha/status")).body["status"] == "connected"


async def test_an_agent_cannot_end_a_command_of_another_cluster(hub: TestHub) -> None:
    alpha, beta = await hub.register("alpha"), await hub.register("beta")
    async with connected(hub.url, alpha) as agent, connected(hub.url, beta, "beta") as other:
        session_id = await hub.open_session("alpha")
        waiting = asyncio.create_task(hub.execute(session_id))
        run = await agent.expect(Run)
        await other.exit(run, "forged\n")
        await agent.exit(run, "true\n")
        assert (await waiting).body["output"] == "true\n"


async def test_frames_nobody_wants_are_acknowledged_all_the_same(hub: TestHub) -> None:
    token = await hub.register("alpha")
    async with connected(hub.url, token) as agent:
        await agent.send(Output("res_unknown", 3, "stdout", "x"))
        await agent.send(Exit("res_other", 1, "completed", chunks=[Chunk("stdout", "x"), Chunk("stderr", "y")]))
        acked: dict[str, int] = {}
        while len(acked) < 2:
            acked |= (await agent.expect(Ack)).results
        assert acked == {"res_unknown": 3, "res_other": 3}
