"""What becomes of commands whose link breaks, whose agent or hub is replaced; with agents spoken by hand."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hub.settings import Agents, Commands, Settings
from schemas.frames import Ack, Cancel, Chunk, CloseCode, Credit, Exit, Held, Leaving, Output, Run, Welcome
from tests.support.hub import Answered, TestHub, running_hub, settings
from tests.support.raw_agent import RawAgent, connected


@contextlib.asynccontextmanager
async def prepared(chosen: Settings) -> AsyncIterator[tuple[TestHub, str]]:
    """A hub with a cluster; the agent's token."""
    async with running_hub(chosen) as hub:
        yield hub, await hub.register("alpha")


@pytest.fixture
async def alpha(hub: TestHub) -> str:
    """The token of cluster alpha."""
    return await hub.register("alpha")


def resume_of(agent: RawAgent) -> dict[str, int | None]:
    welcome = agent.received[0]
    assert isinstance(welcome, Welcome)
    return welcome.resume


async def disconnected(hub: TestHub, cluster_id: str = "alpha") -> None:
    await _status(hub, cluster_id, "disconnected")


async def _status(hub: TestHub, cluster_id: str, wanted: str) -> None:
    async with asyncio.timeout(5):
        while (await hub.call("GET", f"/clusters/{cluster_id}/status")).body["status"] != wanted:
            await asyncio.sleep(0.01)


async def begin(hub: TestHub, agent: RawAgent, **fields: Any) -> tuple[str, Run, asyncio.Task[Answered]]:
    """Execute a command and see it arrive at the agent: session, run, the waiting caller."""
    session_id = await hub.open_session("alpha")
    waiting = asyncio.create_task(hub.execute(session_id, **fields))
    return session_id, await agent.expect(Run), waiting


async def test_the_waiting_caller_notices_nothing_but_the_delay(hub: TestHub, alpha: str) -> None:
    async with connected(hub.url, alpha) as agent:
        _, run, waiting = await begin(hub, agent)
        await agent.send(Output(run.result_id, 1, "stdout", "one "))
        await agent.send(Output(run.result_id, 2, "stdout", "two "))
        assert (await agent.expect(Ack)).results[run.result_id] <= 2
    await disconnected(hub)
    assert not waiting.done()
    held = [Held(run.result_id, 3, is_running=True)]
    async with connected(hub.url, alpha, held=held) as agent:
        assert resume_of(agent) == {run.result_id: 2}
        await agent.send(Output(run.result_id, 3, "stdout", "three "))
        await agent.send(Exit(run.result_id, 4, "completed", exit_code=0, chunks=[Chunk("stdout", "four")]))
        answered = await waiting
    assert (answered.body["status"], answered.body["output"]) == ("completed", "one two three four")


async def test_frames_that_come_twice_count_once(hub: TestHub, alpha: str) -> None:
    async with connected(hub.url, alpha) as agent:
        _, run, waiting = await begin(hub, agent)
        await agent.send(Output(run.result_id, 1, "stdout", "one "))
        await agent.expect(Ack)
    async with connected(hub.url, alpha, held=[Held(run.result_id, 1, is_running=True)]) as agent:
        for seq, data in ((1, "ONE "), (2, "two "), (1, "ONE "), (2, "TWO ")):
            await agent.send(Output(run.result_id, seq, "stdout", data))
        end = Exit(run.result_id, 3, "completed", exit_code=0)
        for frame in (end, end, Output(run.result_id, 4, "stdout", "after the end")):
            await agent.send(frame)
        answered = await waiting
        stored = (await hub.call("GET", f"/debug/result/{run.result_id}")).body
    assert answered.body["output"] == stored["output"] == "one two "


async def test_what_never_arrived_is_sent_again(hub: TestHub, alpha: str) -> None:
    async with connected(hub.url, alpha) as agent:
        _, run, waiting = await begin(hub, agent)
    async with connected(hub.url, alpha) as agent:
        again = await agent.expect(Run)
        assert again.result_id == run.result_id
        assert again.timeout_seconds <= run.timeout_seconds
        await agent.exit(again, "done\n")
        assert (await waiting).body["output"] == "done\n"


async def test_a_restarted_agent_has_lost_what_ran(hub: TestHub, alpha: str) -> None:
    async with connected(hub.url, alpha) as agent:
        _, run, waiting = await begin(hub, agent)
        await agent.send(Output(run.result_id, 1, "stdout", "so far\n"))
        await agent.expect(Ack)
    async with connected(hub.url, alpha, boot_id="boot-2"):
        answered = await waiting
    assert (answered.body["status"], answered.body["output"]) == ("lost", "so far\n")
    assert "restarted" in answered.body["error"]


async def test_what_the_hub_has_ended_the_agent_is_to_forget(hub: TestHub, alpha: str) -> None:
    async with connected(hub.url, alpha) as agent:
        session_id, run, waiting = await begin(hub, agent)
    await disconnected(hub)
    await hub.call("DELETE", f"/debug/session/{session_id}")
    assert (await waiting).body["status"] == "cancelled"
    held = [Held(run.result_id, 0, is_running=True), Held("res_never_heard_of", 5, is_running=False)]
    async with connected(hub.url, alpha, held=held) as agent:
        assert resume_of(agent) == {run.result_id: None, "res_never_heard_of": None}


async def test_an_agent_of_version_1_has_lost_what_ran_on_a_broken_link(hub: TestHub, alpha: str) -> None:
    async with connected(hub.url, alpha, protocol_version=1) as agent:
        welcome = agent.received[0]
        assert isinstance(welcome, Welcome)
        assert welcome.protocol_version == 1
        _, _, waiting = await begin(hub, agent)
    assert (await waiting).body["status"] == "lost"


async def test_while_the_agent_is_away_the_deadline_is_put_off(tmp_path: Path) -> None:
    agents = Agents(resume_window_seconds=60)
    async with prepared(settings(tmp_path, agents=agents, commands=Commands(grace_seconds=0.2))) as (hub, token):
        async with connected(hub.url, token) as agent:
            _, run, waiting = await begin(hub, agent, timeout=1)
        answered = await waiting  # past its deadline: the caller is told to ask again
        assert answered.status == 503
        assert answered.body["details"]["result_id"] == run.result_id
        assert (await hub.call("GET", f"/debug/result/{run.result_id}")).body["status"] == "running"
        async with connected(hub.url, token, held=[Held(run.result_id, 1, is_running=False)]) as agent:
            await agent.exit(run, "late, and complete\n")
            await agent.expect(Ack)
            late = (await hub.call("GET", f"/debug/result/{run.result_id}")).body
        assert (late["status"], late["output"]) == ("completed", "late, and complete\n")


async def test_an_agent_that_never_comes_back_loses_its_commands(tmp_path: Path) -> None:
    agents = Agents(resume_window_seconds=1)
    async with prepared(settings(tmp_path, agents=agents, commands=Commands(grace_seconds=0.2))) as (hub, token):
        async with connected(hub.url, token) as agent:
            _, _, waiting = await begin(hub, agent, timeout=1)
        answered = await waiting
    assert (answered.status, answered.body["status"]) == (200, "lost")
    assert "did not come back" in answered.body["error"]


async def test_a_gap_in_the_numbers_ends_that_command_alone(hub: TestHub, alpha: str) -> None:
    async with connected(hub.url, alpha) as agent:
        _, run, waiting = await begin(hub, agent)
        _, other, other_waiting = await begin(hub, agent)
        await agent.send(Output(run.result_id, 1, "stdout", "one "))
        await agent.send(Output(run.result_id, 3, "stdout", "three "))
        answered = await waiting
        assert (answered.body["status"], answered.body["output"]) == ("lost", "one ")
        assert "number 2 of its output was due and 3 came" in answered.body["error"]
        assert (await agent.expect(Cancel)).result_id == run.result_id
        await agent.send(Exit(run.result_id, 4, "cancelled", chunks=[Chunk("stdout", "what it still had to say")]))
        await agent.exit(other, "unharmed\n")
        assert (await other_waiting).body["output"] == "unharmed\n"


async def test_a_newer_agent_takes_over_and_the_older_finishes(tmp_path: Path) -> None:
    async with prepared(settings(tmp_path)) as (hub, token), connected(hub.url, token) as old:
        _, run, waiting = await begin(hub, old)
        async with connected(hub.url, token, boot_id="boot-2") as new:
            _, second, second_waiting = await begin(hub, new)
            await new.exit(second, "by the new one\n")
            assert (await second_waiting).body["output"] == "by the new one\n"
            await old.exit(run, "by the old one\n")
            assert (await waiting).body["output"] == "by the old one\n"
            while await old.receive() is not None:
                pass
            assert old.socket.close_code == CloseCode.REPLACED
            assert not any(isinstance(frame, Run) for frame in old.received if frame is not run)
            assert (await hub.call("GET", "/clusters/alpha/status")).body["status"] == "connected"


async def test_a_replaced_agent_is_not_waited_for_without_end(tmp_path: Path) -> None:
    agents = Agents(replaced_seconds=0.2)
    async with prepared(settings(tmp_path, agents=agents)) as (hub, token), connected(hub.url, token) as old:
        _, run, waiting = await begin(hub, old)
        _, other, other_waiting = await begin(hub, old)
        async with connected(hub.url, token, boot_id="boot-2"):
            assert {(await old.expect(Cancel)).result_id for _ in range(2)} == {run.result_id, other.result_id}
            await old.send(Exit(run.result_id, 1, "cancelled", error="replaced"))
            assert (await waiting).body["status"] == "cancelled"
            assert (await other_waiting).body["status"] == "lost"  # the old one did not answer


async def test_the_same_process_comes_back_while_its_old_link_looks_alive(hub: TestHub, alpha: str) -> None:
    async with connected(hub.url, alpha) as old:
        _, run, waiting = await begin(hub, old)
        await old.send(Output(run.result_id, 1, "stdout", "over the old link, "))
        await old.expect(Ack)
        async with connected(hub.url, alpha, held=[Held(run.result_id, 1, is_running=True)]) as new:
            assert resume_of(new) == {run.result_id: 1}
            await new.send(Exit(run.result_id, 2, "completed", exit_code=0, chunks=[Chunk("stdout", "over the new")]))
            assert (await waiting).body["output"] == "over the old link, over the new"


async def test_a_restarted_hub_goes_on_with_what_ran_and_what_waited(tmp_path: Path) -> None:
    chosen = settings(tmp_path, agents=Agents(max_concurrent_commands=1))
    answers: list[str] = []
    async with prepared(chosen) as (hub, token):
        async with connected(hub.url, token) as agent:
            session_id = await hub.open_session("alpha")
            for _ in range(2):
                answered = await hub.execute(session_id, headers={"Prefer": "respond-async"})
                answers.append(answered.body["result_id"])
            run = await agent.expect(Run)
            await agent.send(Output(run.result_id, 1, "stdout", "before, "))
            await agent.expect(Ack)
    async with running_hub(chosen) as hub:
        held = [Held(run.result_id, 1, is_running=True)]
        async with connected(hub.url, token, held=held) as agent:
            assert resume_of(agent) == {run.result_id: 1}
            await agent.send(Exit(run.result_id, 2, "completed", exit_code=0, chunks=[Chunk("stdout", "after")]))
            queued = await agent.expect(Run)
            assert [run.result_id, queued.result_id] == answers
            await agent.exit(queued, "its turn\n")
            outputs = [
                (await hub.call("GET", f"/debug/result/{result_id}?wait=5")).body["output"] for result_id in answers
            ]
    assert outputs == ["before, after", "its turn\n"]


async def test_a_leaving_agent_s_queue_goes_to_the_next_one(tmp_path: Path) -> None:
    chosen = settings(tmp_path, agents=Agents(max_concurrent_commands=1))
    async with prepared(chosen) as (hub, token), connected(hub.url, token) as old:
        _, run, waiting = await begin(hub, old)
        session_id = await hub.open_session("alpha")
        queued = asyncio.create_task(hub.execute(session_id))
        async with asyncio.timeout(5):
            while not (await hub.call("GET", "/clusters/alpha/status")).body["queue_depth"]:
                await asyncio.sleep(0.01)
        await old.send(Leaving("SIGTERM"))
        await old.exit(run, "the last of the old\n")
        assert (await waiting).body["output"] == "the last of the old\n"
        async with connected(hub.url, token, boot_id="boot-2") as new:
            await new.exit(await new.expect(Run), "the first of the new\n")
            assert (await queued).body["output"] == "the first of the new\n"


async def test_a_caller_that_leaves_cancels_unless_it_can_come_back(hub: TestHub, alpha: str) -> None:
    async with connected(hub.url, alpha) as agent:
        _, run, waiting = await begin(hub, agent)
        waiting.cancel()
        cancel = await agent.expect(Cancel)
        assert (cancel.result_id, cancel.reason) == (run.result_id, "the caller left")
        await agent.send(Exit(run.result_id, 1, "cancelled", error=cancel.reason))
        async with asyncio.timeout(5):
            while (await hub.call("GET", f"/debug/result/{run.result_id}")).body["status"] != "cancelled":
                await asyncio.sleep(0.01)

        session_id, kept, keyed = await begin(hub, agent, headers={"Idempotency-Key": "once"})
        keyed.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keyed
        again = asyncio.create_task(hub.execute(session_id, headers={"Idempotency-Key": "once"}))
        await asyncio.sleep(0.1)  # for a cancel that must not come
        await agent.exit(kept, "as asked\n")
        assert (await again).body["output"] == "as asked\n"
        assert not any(isinstance(frame, Cancel) and frame.result_id == kept.result_id for frame in agent.received)


async def test_credit_comes_as_output_is_stored(hub: TestHub, alpha: str) -> None:
    async with connected(hub.url, alpha) as agent:
        _, run, waiting = await begin(hub, agent)
        for seq in range(1, 5):
            await agent.send(Output(run.result_id, seq, "stdout", "x" * 65_536))
        credited = 0
        while credited < 4:
            credited = (await agent.expect(Credit)).results[run.result_id]
        await agent.send(Exit(run.result_id, 5, "completed", exit_code=0))
        assert len((await waiting).body["output"]) == 4 * 65_536
