"""What is rare and comes anyway: two agents that fight, clocks that jump, frames out of order, callers that leave at
the worst moment, stores that stall; with agents spoken by hand.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hub import keys
from hub.agents.connection import Connection
from hub.errors import StoreFull
from hub.records import Result
from hub.settings import Agents, Commands
from schemas.frames import (
    Ack,
    Cancel,
    Chunk,
    CloseCode,
    Credit,
    Exit,
    Heartbeat,
    Held,
    HubFrame,
    Leaving,
    Output,
    Run,
    Welcome,
)
from tests.support.hub import Answered, TestHub, running_hub, settings
from tests.support.raw_agent import RawAgent, connected
from tests.support.waiting import until

HOUR = 3600.0


@pytest.fixture
async def alpha(hub: TestHub) -> str:
    """The token of cluster alpha."""
    return await hub.register("alpha")


class Stall:
    """A store's operation that does its work, and tells its caller only when it is let go."""

    def __init__(self, store: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_reached = asyncio.Event()
        self.may_return = asyncio.Event()
        self._operation = getattr(store, name)
        monkeypatch.setattr(store, name, self._call)

    async def _call(self, *args: Any, **kwargs: Any) -> Any:
        result = await self._operation(*args, **kwargs)
        self.is_reached.set()
        await self.may_return.wait()
        return result


def resume_of(agent: RawAgent) -> dict[str, int | None]:
    welcome = agent.received[0]
    assert isinstance(welcome, Welcome)
    return welcome.resume


async def begin(hub: TestHub, agent: RawAgent, **fields: Any) -> tuple[str, Run, asyncio.Task[Answered]]:
    """Execute a command and see it arrive at the agent: session, run, the waiting caller."""
    session_id = await hub.open_session("alpha")
    waiting = asyncio.create_task(hub.execute(session_id, **fields))
    return session_id, await agent.expect(Run), waiting


async def ended(hub: TestHub, result_id: str) -> Any:
    """The body of a result that ends within some seconds."""
    body = (await hub.call("GET", f"/debug/result/{result_id}?wait=10")).body
    assert body["status"] not in ("queued", "running")
    return body


async def gone(hub: TestHub) -> None:
    """The hub has noticed that the agent is away, and has dealt with it."""
    registry = hub.app[keys.REGISTRY]
    await until(lambda: registry.find("alpha") is None and not registry._tasks)


def cut(agent: RawAgent) -> None:
    """Break the link as a cable does."""
    connection = agent.socket._response.connection
    assert connection is not None
    assert connection.transport is not None
    connection.transport.abort()


def no_lanes(hub: TestHub) -> Callable[[], bool]:
    return lambda: not hub.app[keys.DISPATCHER]._lanes


# agents


async def test_two_agents_that_fight_for_a_cluster(tmp_path: Path) -> None:
    """Each dials again as soon as the other took over. What one runs it may end on the link that was replaced; what it
    has not ended when that closes is lost, once, and the next welcome says so.
    """
    async with running_hub(settings(tmp_path, agents=Agents(admissions_per_second=10_000))) as hub:
        alpha = await hub.register("alpha")
        bus = hub.app[keys.DISPATCHER]._bus
        endings: list[str] = []
        bus.on_ended(lambda told: endings.append(told.result.result_id))
        answers: dict[str, str] = {}
        async with connected(hub.url, alpha, boot_id="first"):
            session_id = await hub.open_session("alpha")
        held: list[Held] = []
        for turn in range(12):
            process, other = ("one", "two") if turn % 2 else ("two", "one")
            async with connected(hub.url, alpha, boot_id=process) as agent:
                ids = [
                    (await hub.execute(session_id, headers={"Prefer": "respond-async"})).body["result_id"]
                    for _ in range(2)
                ]
                runs = [await agent.expect(Run) for _ in ids]
                assert [run.result_id for run in runs] == ids
                async with connected(hub.url, alpha, boot_id=other, held=held) as newer:
                    assert resume_of(newer) == {each.result_id: None for each in held}
                    await agent.exit(runs[0], f"turn {turn}\n")
                    assert (await ended(hub, ids[0]))["output"] == f"turn {turn}\n"
                    cut(agent)
                    assert (await ended(hub, ids[1]))["status"] == "lost"
                held = [Held(ids[1], 0, is_running=True)]
                answers |= dict.fromkeys(ids, process)
        assert sorted(endings) == sorted(answers)
        await until(no_lanes(hub))


async def test_a_replaced_process_comes_back_while_its_old_link_looks_alive(hub: TestHub, alpha: str) -> None:
    async with connected(hub.url, alpha, boot_id="one") as old:
        _, run, waiting = await begin(hub, old)
        async with connected(hub.url, alpha, boot_id="two"):
            held = [Held(run.result_id, 0, is_running=True)]
            async with connected(hub.url, alpha, boot_id="one", held=held) as back:
                assert resume_of(back) == {run.result_id: 0}
                assert await old.receive() is None  # the hub knows now that nobody is there
                await back.exit(run, "still here\n")
                answered = await waiting
    assert (answered.body["status"], answered.body["output"]) == ("completed", "still here\n")


async def test_an_agent_that_goes_while_another_is_admitted(
    hub: TestHub, alpha: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dispatcher = hub.app[keys.DISPATCHER]
    async with connected(hub.url, alpha, boot_id="one") as old:
        _, _, waiting = await begin(hub, old)
        stall = Stall(dispatcher, "resume", monkeypatch)
        async with contextlib.AsyncExitStack() as stack:
            coming = asyncio.create_task(stack.enter_async_context(connected(hub.url, alpha, boot_id="two")))
            await stall.is_reached.wait()
            cut(old)
            await gone(hub)
            stall.may_return.set()
            await coming
            answered = await asyncio.wait_for(waiting, 5)
    assert answered.body["status"] == "lost"


async def test_what_arrived_before_the_agent_was_restarted_is_stored_first(
    hub: TestHub, alpha: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = hub.app[keys.STORE]
    async with connected(hub.url, alpha, boot_id="one") as old:
        _, run, waiting = await begin(hub, old)
        append = store.append_output
        may_store = asyncio.Event()

        async def later(*args: Any) -> bool:
            await may_store.wait()
            return await append(*args)

        monkeypatch.setattr(store, "append_output", later)
        await old.send(Output(run.result_id, 1, "stdout", "all "))
        await old.send(Exit(run.result_id, 2, "completed", exit_code=0, chunks=[Chunk("stdout", "of it")]))
        await old.send(Leaving("SIGTERM"))
        await until(lambda: hub.app[keys.REGISTRY].find("alpha").is_leaving)  # type: ignore[union-attr]
    await until(lambda: hub.app[keys.REGISTRY].find("alpha") is None)
    async with contextlib.AsyncExitStack() as stack:
        coming = asyncio.create_task(stack.enter_async_context(connected(hub.url, alpha, boot_id="two")))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(coming), 0.2)  # it must not come to this before the store has it all
        may_store.set()
        await coming
        answered = await waiting
    assert (answered.body["status"], answered.body["output"]) == ("completed", "all of it")


async def test_a_reconnect_storm_of_one_cluster(tmp_path: Path) -> None:
    chosen = settings(tmp_path, agents=Agents(admissions_per_second=10_000))
    async with running_hub(chosen) as hub:
        alpha, beta = await hub.register("alpha"), await hub.register("beta")
        async with connected(hub.url, beta, "beta") as bystander:
            session_id = await hub.open_session("beta")
            async with connected(hub.url, alpha) as first:
                _, run, waiting = await begin(hub, first)
            held = [Held(run.result_id, 0, is_running=True)]
            for turn in range(100):
                async with connected(hub.url, alpha, held=held) as agent:
                    assert resume_of(agent) == {run.result_id: 0}
                    if turn % 3 == 0:
                        cut(agent)
            calling = asyncio.create_task(hub.execute(session_id, cluster_id="beta"))
            await bystander.exit(await bystander.expect(Run), "calm\n")
            assert (await calling).body["output"] == "calm\n"
            async with connected(hub.url, alpha, held=held) as agent:
                await agent.exit(run, "at last\n")
                assert (await waiting).body["output"] == "at last\n"
        registry = hub.app[keys.REGISTRY]
        await until(lambda: not len(registry) and not registry._tasks and not registry._retiring)
        await until(no_lanes(hub))


async def test_two_thousand_held_results_in_one_hello(hub: TestHub, alpha: str) -> None:
    async with connected(hub.url, alpha) as agent:
        _, run, waiting = await begin(hub, agent)
    held = [Held(f"res_{number:060}", number, is_running=False) for number in range(2000)]
    async with connected(hub.url, alpha, held=[*held, Held(run.result_id, 0, is_running=True)]) as agent:
        resume = resume_of(agent)
        assert resume.pop(run.result_id) == 0
        assert resume == dict.fromkeys(each.result_id for each in held)
        await agent.exit(run, "and one more\n")
        assert (await waiting).body["output"] == "and one more\n"
        connection = hub.app[keys.REGISTRY].find("alpha")
        assert connection is not None
        assert connection.hello.held == []  # nobody needs it for as long as the link lives


async def test_a_link_cannot_be_used_to_get_around_the_bound_of_output(tmp_path: Path) -> None:
    chosen = settings(tmp_path, commands=Commands(max_output_bytes=1024, grace_seconds=1))
    async with running_hub(chosen) as hub:
        alpha = await hub.register("alpha")
        async with connected(hub.url, alpha) as agent:
            _, run, waiting = await begin(hub, agent)
        seq, is_open = 0, True
        async with asyncio.timeout(30):
            while is_open:
                held = [Held(run.result_id, seq, is_running=True)]
                async with connected(hub.url, alpha, held=held) as agent:
                    is_open = resume_of(agent)[run.result_id] is not None
                    with contextlib.suppress(ConnectionError):
                        for _ in range(16 if is_open else 0):
                            seq += 1
                            await agent.send(Output(run.result_id, seq, "stderr", "x" * 65_536))
                        while is_open and (await agent.expect(Ack)).results.get(run.result_id, 0) < seq - 3:
                            pass
                await gone(hub)
                assert seq < 100, "output without end"
        answered = await waiting
    assert answered.body["status"] == "lost"
    assert len(answered.body["error"]) < 4 * 1024**2


async def test_one_cluster_cannot_keep_the_others_out(tmp_path: Path) -> None:
    async with running_hub(settings(tmp_path, agents=Agents(admissions_per_second=20))) as hub:
        alpha, beta = await hub.register("alpha"), await hub.register("beta")
        statuses: list[int] = []
        for _ in range(30):
            try:
                async with connected(hub.url, alpha):
                    pass
            except aiohttp.WSServerHandshakeError as error:
                statuses.append(error.status)
        assert set(statuses) == {503}
        async with connected(hub.url, beta, "beta"):
            assert (await hub.call("GET", "/clusters/beta/status")).body["status"] == "connected"


async def test_an_agent_that_reads_nothing_costs_little(
    hub: TestHub, alpha: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sends what must be acknowledged, and never reads: what waits for it is bounded, and then it is cut off."""
    monkeypatch.setattr("hub.agents.connection._MAX_UNSENT_BYTES", 64 * 1024)
    unsent: list[int] = []
    send = Connection.send

    async def measured(connection: Connection, frame: HubFrame) -> bool:
        unsent.append(connection._transport.get_write_buffer_size())
        return await send(connection, frame)

    monkeypatch.setattr(Connection, "send", measured)
    async with connected(hub.url, alpha) as agent:
        link = hub.app[keys.REGISTRY].find("alpha")
        assert link is not None
        link._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        assert agent.socket._response.connection is not None
        transport: Any = agent.socket._response.connection.transport
        transport.pause_reading()
        number = 0
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(30):
                while True:
                    number += 1
                    await agent.send(Output(f"res_{number:060}", 1, "stdout", ""))
        await gone(hub)
    assert max(unsent) < 128 * 1024


# frames


async def test_frames_out_of_order(hub: TestHub, alpha: str) -> None:
    async with connected(hub.url, alpha) as agent:
        _, run, waiting = await begin(hub, agent)
        for seq in (2, 1):
            await agent.send(Output(run.result_id, seq, "stdout", f"{seq};"))
        answered = await waiting
        assert (answered.body["status"], answered.body["output"]) == ("lost", "")
        assert (await hub.call("GET", "/clusters/alpha/status")).body["status"] == "connected"


@pytest.mark.parametrize("last", [2, 5])
async def test_a_gap_before_the_exit(hub: TestHub, alpha: str, last: int) -> None:
    async with connected(hub.url, alpha) as agent:
        _, run, waiting = await begin(hub, agent)
        await agent.send(Exit(run.result_id, last, "completed", exit_code=0, chunks=[Chunk("stdout", "the end")]))
        answered = await waiting
        assert (answered.body["status"], answered.body["output"]) == ("lost", "")


async def test_unknown_types_between_frames_of_a_command(hub: TestHub, alpha: str) -> None:
    async with connected(hub.url, alpha) as agent:
        _, run, waiting = await begin(hub, agent)
        await agent.socket.send_str('{"type":"progress","result_id":"' + run.result_id + '","seq":1}')
        await agent.send(Output(run.result_id, 1, "stdout", "one "))
        await agent.socket.send_str('{"type":"ack","results":{"' + run.result_id + '":1}}')  # a hub's, not an agent's
        await agent.send(Exit(run.result_id, 2, "completed", exit_code=0, chunks=[Chunk("stdout", "two")]))
        assert (await waiting).body["output"] == "one two"


async def test_output_after_the_exit(hub: TestHub, alpha: str) -> None:
    async with connected(hub.url, alpha) as agent:
        _, run, waiting = await begin(hub, agent)
        await agent.send(Exit(run.result_id, 1, "completed", exit_code=0, chunks=[Chunk("stdout", "all")]))
        for seq in (1, 2, 3, 4):
            await agent.send(Output(run.result_id, seq, "stdout", "more"))
        assert (await waiting).body["output"] == "all"
        await agent.send(Output(run.result_id, 2**53, "stdout", "more"))
        acked = 0
        while acked < 2**53:  # so that an agent need not keep what nobody wants
            acked = (await agent.expect(Ack)).results.get(run.result_id, 0)
        assert (await ended(hub, run.result_id))["output"] == "all"


# cancels and callers


@pytest.mark.parametrize("is_exit_first", [True, False])
async def test_a_cancel_that_races_the_exit(hub: TestHub, alpha: str, is_exit_first: bool) -> None:
    endings: list[str] = []
    hub.app[keys.DISPATCHER]._bus.on_ended(lambda told: endings.append(told.result.status))
    async with connected(hub.url, alpha) as agent:
        session_id, run, waiting = await begin(hub, agent)
        if is_exit_first:
            await agent.exit(run, "in time\n")
            closing = asyncio.create_task(hub.call("DELETE", f"/debug/session/{session_id}"))
        else:
            closing = asyncio.create_task(hub.call("DELETE", f"/debug/session/{session_id}"))
            await agent.expect(Cancel)
            await agent.exit(run, "on its way\n")
            await agent.exit(run, status="cancelled", exit_code=None)
        answered = await waiting
        await closing
        assert answered.body["status"] == "completed"
        assert endings == ["completed"]
        await agent.send(Heartbeat())
        assert (await ended(hub, run.result_id))["status"] == "completed"
    assert endings == ["completed"]


async def test_a_cancel_while_a_command_is_about_to_be_sent(
    hub: TestHub, alpha: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was not sent when the cancel looked, and was when the store had ended it: the agent is told."""
    dispatcher, store = hub.app[keys.DISPATCHER], hub.app[keys.STORE]
    async with connected(hub.url, alpha) as agent:
        session_id = await hub.open_session("alpha")
        accept = Stall(store, "accept_command", monkeypatch)
        end = Stall(store, "end_command", monkeypatch)
        calling = asyncio.create_task(hub.execute(session_id))
        await accept.is_reached.wait()
        (result,) = await store.list_open_results()
        cancelling = asyncio.create_task(dispatcher.cancel("alpha", result.result_id, "changed my mind"))
        await end.is_reached.wait()
        accept.may_return.set()
        run = await agent.expect(Run)
        end.may_return.set()
        assert (await agent.expect(Cancel)).result_id == run.result_id
        await cancelling
        assert (await calling).body["status"] == "cancelled"
        await agent.exit(run, status="cancelled", exit_code=None)


@pytest.mark.parametrize("stage", ["accept_command", "deliver", "wait", "read_output"])
async def test_a_caller_that_leaves_at_any_stage(
    hub: TestHub, alpha: str, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    store, dispatcher = hub.app[keys.STORE], hub.app[keys.DISPATCHER]
    owners = {"accept_command": store, "deliver": dispatcher._bus, "read_output": store}
    async with connected(hub.url, alpha) as agent:
        session_id = await hub.open_session("alpha")
        stall = Stall(owners[stage], stage, monkeypatch) if stage in owners else None
        calling = asyncio.create_task(hub.execute(session_id))
        if stage != "accept_command":
            run = await agent.expect(Run)
        if stage == "read_output":
            await agent.send(Output(run.result_id, 1, "stdout", "one "))
            await agent.send(Exit(run.result_id, 2, "completed", exit_code=0))
        if stall is not None:
            await asyncio.wait_for(stall.is_reached.wait(), 5)
        (result,) = await _all_results(hub)
        calling.cancel()
        await asyncio.wait([calling])
        await until(lambda: not hub.app[keys.COMMANDS]._bus._watches)  # type: ignore[attr-defined]
        if stall is not None:
            stall.may_return.set()
        if stage in ("deliver", "wait"):
            assert (await agent.expect(Cancel)).result_id == run.result_id
            await agent.exit(run, status="cancelled", exit_code=None)
        body = await ended(hub, result.result_id)
        assert body["status"] == ("completed" if stage == "read_output" else "cancelled")
        await until(no_lanes(hub))
        assert not any(isinstance(frame, Run) for frame in agent.received) or stage != "accept_command"


async def _all_results(hub: TestHub) -> list[Result]:
    store: Any = hub.app[keys.STORE]
    rows = await store._read(lambda db: db.execute("SELECT result_id FROM results").fetchall())
    return [await store.get_result(row[0]) for row in rows]


@pytest.mark.parametrize("operation", ["close_session", "end_command"])
async def test_a_session_is_closed_though_its_client_leaves(
    hub: TestHub, alpha: str, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    async with connected(hub.url, alpha) as agent:
        session_id, _, first = await begin(hub, agent)
        others = [asyncio.create_task(hub.execute(session_id)) for _ in range(2)]
        for _ in others:
            await agent.expect(Run)
    await gone(hub)
    stall = Stall(hub.app[keys.STORE], operation, monkeypatch)
    closing = asyncio.create_task(hub.call("DELETE", f"/debug/session/{session_id}"))
    await asyncio.wait_for(stall.is_reached.wait(), 5)
    closing.cancel()
    await asyncio.wait([closing])
    await asyncio.sleep(0.05)  # for the hub to see that it left
    stall.may_return.set()
    async with asyncio.timeout(5):
        assert {(await each).body["status"] for each in [first, *others]} == {"cancelled"}
    await until(no_lanes(hub))


async def test_a_token_is_revoked_though_its_client_leaves(
    hub: TestHub, alpha: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = (await hub.call("GET", "/admin/clusters/alpha")).body["tokens"]
    async with connected(hub.url, alpha) as agent:
        stall = Stall(hub.app[keys.STORE], "remove_token", monkeypatch)
        path = f"/admin/clusters/alpha/tokens/{tokens[0]['token_id']}"
        removing = asyncio.create_task(hub.call("DELETE", path))
        await stall.is_reached.wait()
        removing.cancel()
        await asyncio.wait([removing])
        await asyncio.sleep(0.05)  # for the hub to see that it left
        stall.may_return.set()
        assert await agent.receive() is None
        assert agent.socket.close_code == CloseCode.TOKEN_REVOKED


async def test_an_agent_that_goes_while_it_is_admitted(
    hub: TestHub, alpha: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store has ended what was lost, and nobody is left to say so: it is said."""
    async with connected(hub.url, alpha, boot_id="one") as agent:
        _, _, waiting = await begin(hub, agent)
    await gone(hub)
    stall = Stall(hub.app[keys.STORE], "end_command", monkeypatch)
    coming = asyncio.create_task(connected(hub.url, alpha, boot_id="two").__aenter__())
    await stall.is_reached.wait()
    coming.cancel()
    await asyncio.wait([coming])
    await asyncio.sleep(0.05)  # for the hub to see that it left
    stall.may_return.set()
    answered = await asyncio.wait_for(waiting, 5)
    assert answered.body["status"] == "lost"
    await until(no_lanes(hub))


# clocks


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Steps the wall clock by so many seconds; the monotonic one goes on as ever."""
    now, offset = time.time, 0.0

    def step(seconds: float) -> None:
        nonlocal offset
        offset += seconds

    monkeypatch.setattr(time, "time", lambda: now() + offset)
    return step


async def test_the_wall_clock_steps_back(hub: TestHub, alpha: str, clock: Callable[[float], None]) -> None:
    """What runs goes on and ends as ever; nothing sent later gets more time than it asked for."""
    async with connected(hub.url, alpha) as agent:
        _, run, waiting = await begin(hub, agent, timeout=30)
    await gone(hub)
    clock(-HOUR)
    async with connected(hub.url, alpha) as agent:
        again = await agent.expect(Run)  # it never arrived
        assert again.result_id == run.result_id
        assert again.timeout_seconds <= 30
        _, later, later_waiting = await begin(hub, agent, timeout=5)
        assert later.timeout_seconds <= 5
        await agent.exit(again, "done\n")
        await agent.exit(later, "done too\n")
        assert [(await each).body["status"] for each in (waiting, later_waiting)] == ["completed"] * 2
    await until(no_lanes(hub))


async def test_the_wall_clock_steps_forward(hub: TestHub, alpha: str, clock: Callable[[float], None]) -> None:
    """By the clock all that runs is overdue: it ends once, as a timeout or with its session, and the agent is told."""
    async with connected(hub.url, alpha) as agent:
        _, run, waiting = await begin(hub, agent, timeout=30)
        clock(HOUR + 1)
        assert (await agent.expect(Cancel)).result_id == run.result_id
        answered = await asyncio.wait_for(waiting, 10)
        assert answered.body["status"] in ("timeout", "cancelled")
        await agent.exit(run, "too late\n")
        _, later, later_waiting = await begin(hub, agent, timeout=5)  # what comes next does not suffer
        assert 4 < later.timeout_seconds <= 5
        await agent.exit(later, "as ever\n")
        assert (await later_waiting).body["output"] == "as ever\n"
        assert (await hub.call("GET", "/clusters/alpha/status")).body["status"] == "connected"
    await until(no_lanes(hub))


# the hub and its store


async def test_a_hub_that_is_restarted_amid_a_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It had decided and not yet said so: the next hub decides again, from the store alone."""
    chosen = settings(tmp_path)
    async with running_hub(chosen) as hub:
        alpha = await hub.register("alpha")
        async with connected(hub.url, alpha) as agent:
            session_id = await hub.open_session("alpha")
            ids = [
                (await hub.execute(session_id, headers={"Prefer": "respond-async"})).body["result_id"] for _ in range(3)
            ]
            runs = [await agent.expect(Run) for _ in ids]
            await agent.send(Output(ids[0], 1, "stdout", "one "))
            await agent.expect(Ack)
        await gone(hub)
        Stall(hub.app[keys.DISPATCHER], "resume", monkeypatch)
        held = [Held(ids[0], 2, is_running=True), Held(ids[1], 1, is_running=False)]
        coming = asyncio.create_task(connected(hub.url, alpha, held=held).__aenter__())
        await asyncio.sleep(0.05)  # it has said hello and hears nothing
    coming.cancel()
    await asyncio.wait([coming])
    async with running_hub(chosen) as hub, connected(hub.url, alpha, held=held) as agent:
        assert resume_of(agent) == {ids[0]: 1, ids[1]: 0}
        assert (await agent.expect(Run)).result_id == ids[2]  # it never arrived
        await agent.send(Exit(ids[0], 2, "completed", exit_code=0, chunks=[Chunk("stdout", "two")]))
        await agent.exit(runs[1], "the second\n")
        await agent.exit(runs[2], "the third\n")
        assert [(await ended(hub, each))["output"] for each in ids] == ["one two", "the second\n", "the third\n"]
        await until(no_lanes(hub))


async def test_agents_come_and_stay_while_the_store_is_full(
    hub: TestHub, alpha: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = hub.app[keys.STORE]

    async def full(*_: object, **__: object) -> None:
        raise StoreFull

    async with connected(hub.url, alpha, boot_id="one") as agent:
        _, run, waiting = await begin(hub, agent)
    await gone(hub)
    with monkeypatch.context() as patched:
        for name in ("record_agent", "record_seen", "end_command", "append_output", "mark_running"):
            patched.setattr(store, name, full)
        async with connected(hub.url, alpha, boot_id="one", held=[Held(run.result_id, 0, is_running=True)]) as agent:
            await agent.send(Heartbeat())
            assert (await hub.call("GET", "/clusters/alpha/status")).body["status"] == "connected"
            await agent.exit(run, "once there is room\n")
            with pytest.raises(TimeoutError):
                await agent.receive(0.3)  # neither an acknowledgement nor the end of the link
            patched.undo()
            answered = await waiting
            assert answered.body["output"] == "once there is room\n"
    await gone(hub)


async def test_a_restarted_agent_is_admitted_though_the_store_is_full(
    hub: TestHub, alpha: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has lost cannot be written down: that waits, and it is told to come again."""
    store = hub.app[keys.STORE]

    async def full(*_: object, **__: object) -> None:
        raise StoreFull

    async with connected(hub.url, alpha, boot_id="one") as agent:
        _, _, waiting = await begin(hub, agent)
    await gone(hub)
    with monkeypatch.context() as patched:
        patched.setattr(store, "end_command", full)
        with pytest.raises(ConnectionError):
            async with connected(hub.url, alpha, boot_id="two"):
                pass
    async with connected(hub.url, alpha, boot_id="two"):
        assert (await asyncio.wait_for(waiting, 5)).body["status"] == "lost"


@contextlib.asynccontextmanager
async def reading(hub: TestHub, result_id: str) -> AsyncIterator[Callable[[], str]]:
    """What a follower of a command has read so far."""
    result = await hub.app[keys.STORE].get_result(result_id)
    assert result is not None
    pieces: list[str] = []

    async def read() -> None:
        with hub.app[keys.COMMANDS]._subscribers.follow(result, 0) as follower:
            while not isinstance(more := await follower.next(), Result):
                pieces.extend(chunk.data for chunk in more)
            pieces.append("END")

    task = asyncio.create_task(read(), name="reading")
    try:
        yield lambda: "".join(pieces)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_follower_sees_what_was_stored_after_its_link_had_broken(
    hub: TestHub, alpha: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link is over, the store took longer than is waited for, and has it in the end: so has the follower."""
    monkeypatch.setattr("hub.agents.connection._SETTLE_SECONDS", 0.1)
    async with connected(hub.url, alpha) as agent:
        _, run, waiting = await begin(hub, agent)
        async with reading(hub, run.result_id) as read:
            await agent.send(Output(run.result_id, 1, "stdout", "one "))
            await until(lambda: read() == "one ")
            with monkeypatch.context() as patched:
                stall = Stall(hub.app[keys.STORE], "append_output", patched)
                await agent.send(Output(run.result_id, 2, "stdout", "two "))
                await stall.is_reached.wait()
                cut(agent)
                await gone(hub)
                stall.may_return.set()
            async with connected(hub.url, alpha, held=[Held(run.result_id, 3, is_running=False)]) as back:
                assert resume_of(back) == {run.result_id: 2}
                await back.send(Exit(run.result_id, 3, "completed", exit_code=0, chunks=[Chunk("stdout", "three")]))
                assert (await waiting).body["output"] == "one two three"
                await until(lambda: read().endswith("END"))
                assert read() == "one two threeEND"


async def test_credit_is_not_taken_back_by_a_resume(hub: TestHub, alpha: str) -> None:
    async with connected(hub.url, alpha) as agent:
        _, run, waiting = await begin(hub, agent)
        for seq in range(1, 4):
            await agent.send(Output(run.result_id, seq, "stdout", "x" * 60_000))
        acked = 0
        while acked < 3:
            acked = (await agent.expect(Ack)).results.get(run.result_id, acked)
    async with connected(hub.url, alpha, held=[Held(run.result_id, 3, is_running=True)]) as agent:
        resumed = resume_of(agent)[run.result_id]
        assert resumed == 3
        for seq in range(4, 8):
            await agent.send(Output(run.result_id, seq, "stdout", "x" * 60_000))
        credit = (await agent.expect(Credit)).results[run.result_id]
        assert resumed <= credit <= 7
        await agent.send(Exit(run.result_id, 8, "completed", exit_code=0))
        assert len((await waiting).body["output"]) == 7 * 60_000
