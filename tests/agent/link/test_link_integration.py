"""agent/link against a scripted hub: what a hub may do to an agent, and how the agent comes back."""

import asyncio
import contextlib
import json
import logging
import time

import pytest

from agent.errors import Rejected
from agent.executors.base import Outcome, Sink
from agent.redaction.screen import NO_SCREEN, Screen
from agent.settings import Link as LinkSettings
from schemas.frames import (
    MAX_FRAME_BYTES,
    Ack,
    Cancel,
    Chunk,
    CloseCode,
    Drain,
    Exit,
    Heartbeat,
    Leaving,
    Output,
)
from schemas.kubectl import KubectlCommand
from tests.support.executors import EchoExecutor, FloodingExecutor, SlowExecutor
from tests.support.linked_agent import LinkedAgent, linked_agent
from tests.support.scripted_hub import Answer, HubLink, ScriptedHub, scripted_hub
from tests.support.waiting import until


async def welcomed(
    hub: ScriptedHub, heartbeat_interval_seconds: float = 20.0, max_concurrent_commands: int = 8
) -> HubLink:
    link = await hub.link()
    await link.welcome(heartbeat_interval_seconds, max_concurrent_commands)
    return link


async def test_a_command_down_and_up() -> None:
    async with scripted_hub() as hub, linked_agent(hub):
        link = await hub.link()
        hello = await link.welcome()
        assert (hello.cluster_id, hello.boot_id, hello.protocol_version) == ("alpha", "boot_1", 2)
        await link.run("get", "pods", "-A")
        outputs, last = await link.result()
        assert outputs == []
        assert (last.status, last.exit_code) == ("completed", 0)
        assert last.chunks[0].data == "get --all-namespaces=true -- pods\n"


async def test_cancel() -> None:
    executor = SlowExecutor()
    async with scripted_hub() as hub, linked_agent(hub, executor):
        link = await welcomed(hub)
        await link.run("get", "pods")
        await executor.started.acquire()
        await link.send(Cancel("res_1", "session closed"))
        _, last = await link.result()
        assert (last.status, last.error) == ("cancelled", "session closed")


async def test_heartbeats_come_when_there_is_nothing_else_to_say() -> None:
    async with scripted_hub() as hub, linked_agent(hub):
        link = await welcomed(hub, heartbeat_interval_seconds=0.05)
        for _ in range(3):
            await link.expect(Heartbeat, 2.0)
            await link.send(Heartbeat())


async def test_heartbeats_and_neighbours_are_not_stuck_behind_a_flood() -> None:
    async with scripted_hub() as hub, linked_agent(hub, FloodingExecutor()):
        link = await welcomed(hub, heartbeat_interval_seconds=5.0)
        await link.run("get", "pods", result_id="res_flood", max_output_bytes=1 << 30)
        await link.expect(Output)
        await link.run("delete", "pods", result_id="res_short")
        began = time.monotonic()
        frames = 0
        while True:
            frame = await link.receive()
            frames += 1
            if isinstance(frame, Exit):
                break
            assert isinstance(frame, Output)
            await link.acknowledge(frame)
        assert frame.result_id == "res_short"
        # What was under way when the hub asked, and one of each neighbour.
        assert frames < 40
        assert time.monotonic() - began < 2.0


async def test_a_large_output_comes_in_numbered_frames_and_is_cut_at_a_line() -> None:
    class Large(EchoExecutor):
        async def run(self, command: KubectlCommand, sink: Sink, screen: Screen = NO_SCREEN) -> Outcome:
            for number in range(40_000):
                await sink.write("stdout", f"line {number:06}\n".encode())
            return Outcome(0)

    async with scripted_hub() as hub, linked_agent(hub, Large()):
        link = await welcomed(hub)
        await link.run("get", "pods", max_output_bytes=300_005)
        outputs, last = await link.result()
        assert [frame.seq for frame in outputs] == list(range(1, len(outputs) + 1))
        assert last.seq == len(outputs) + 1
        parts: list[Output | Chunk] = [*outputs, *last.chunks]
        whole = "".join(part.data for part in parts)
        assert whole == "".join(f"line {number:06}\n" for number in range(25_000))
        assert (last.output_bytes, last.omitted_bytes) == (480_000, 180_000)


async def test_a_hub_that_is_gone_is_dialled_again() -> None:
    async with scripted_hub() as hub, linked_agent(hub) as agent:
        for _ in range(3):
            (await welcomed(hub)).cut()
        link = await welcomed(hub)
        await link.run("get", "pods")
        assert (await link.result())[1].status == "completed"
        assert len(agent.backoff.delays) == 3


async def test_a_hub_that_accepts_and_closes_is_not_dialled_in_a_hot_loop() -> None:
    async with scripted_hub() as hub, linked_agent(hub) as agent:
        for _ in range(8):
            await (await hub.link()).close()
        assert len(agent.backoff.delays) >= 7
        # The bound of each delay doubles although every dial succeeds.
        assert agent.backoff.delays[-1] > max(agent.backoff.delays[:3]) / 2
        assert max(agent.backoff.delays) > 2.0


async def test_a_hub_that_welcomes_and_closes_is_not_dialled_in_a_hot_loop() -> None:
    async with scripted_hub() as hub, linked_agent(hub) as agent:
        for _ in range(8):
            await (await welcomed(hub)).close()
        assert sum(agent.backoff.delays) > 5.0


@pytest.mark.parametrize("status", [401, 403, 426])
async def test_a_rejected_agent_says_so_and_asks_again_in_five_minutes(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with scripted_hub() as hub:
        hub.answers.append(Answer(status, body=b'{"message": "Invalid agent token"}'))
        with caplog.at_level(logging.ERROR, "agent"):
            async with linked_agent(hub) as agent:
                await welcomed(hub)
    assert 270 <= agent.backoff.delays[0] <= 330
    record = next(record for record in caplog.records if record.levelno == logging.ERROR)
    assert (record.getMessage(), vars(record)["answer"]) == ("the hub rejects this agent", "Invalid agent token")
    assert "t0ken" not in str(vars(record))


@pytest.mark.parametrize("status", [401, 403, 426])
async def test_a_rejected_agent_may_be_told_to_give_up(status: int) -> None:
    async with scripted_hub() as hub:
        hub.answers.append(Answer(status))
        agent = LinkedAgent(hub.url, EchoExecutor(), exit_on_rejection=True)
        with pytest.raises(Rejected) as caught:
            await asyncio.wait_for(agent.link.run(), 5)
    assert caught.value.status == status


async def test_a_hub_that_asks_for_time_gets_it() -> None:
    async with scripted_hub() as hub:
        hub.answers.extend([Answer(503, {"Retry-After": "17"}), Answer(429, {"Retry-After": "3"})])
        async with linked_agent(hub) as agent:
            await welcomed(hub)
    assert 17.0 <= agent.backoff.delays[0] <= 17.5
    assert 3.0 <= agent.backoff.delays[1] <= 4.0


async def test_a_replaced_agent_stays_away_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    executor = SlowExecutor()
    async with scripted_hub() as hub, linked_agent(hub, executor) as agent:
        link = await welcomed(hub)
        await link.run("get", "pods")
        await executor.started.acquire()
        await link.close(CloseCode.REPLACED, "a newer agent took over")
        assert (await (await hub.link()).welcome()).held == []
        assert executor.cancelled == 1
    assert 60 <= agent.backoff.delays[0] <= 180
    assert "another agent has this cluster's link" in caplog.text


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("garbage", CloseCode.MALFORMED_FRAME),
        ("[1, 2]", CloseCode.MALFORMED_FRAME),
        ('{"type": "run"}', CloseCode.MALFORMED_FRAME),
        ('{"type": "ack", "results": {"res_1": -1}}', CloseCode.MALFORMED_FRAME),
        ("[" * 100_000, CloseCode.MALFORMED_FRAME),
        (b"\x00\x01", CloseCode.MALFORMED_FRAME),
        (
            '{"type": "welcome", "hub_version": "1", "heartbeat_interval_seconds": 1, "max_concurrent_commands": 1}',
            4422,
        ),
    ],
)
async def test_a_malformed_frame_closes_the_link_and_says_so(
    text: str | bytes, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with scripted_hub() as hub, linked_agent(hub):
        link = await welcomed(hub)
        await link.socket.send(text)
        assert await link.closed() == code
        link.done.set()
        await welcomed(hub)
    assert any(vars(record).get("code") == code for record in caplog.records)


@pytest.mark.parametrize("when", ["before the welcome", "after it"])
async def test_a_frame_of_100_megabytes_is_refused_by_its_head(when: str) -> None:
    async with scripted_hub() as hub, linked_agent(hub):
        link = await hub.link()
        if when == "after it":
            await link.welcome()
        sending = asyncio.create_task(link.socket.send("x" * 100_000_000), name="flood")
        assert await link.closed() == 1009
        with contextlib.suppress(Exception):
            await sending
        link.done.set()
        await welcomed(hub)


async def test_the_largest_frame_a_hub_may_send_is_taken() -> None:
    async with scripted_hub() as hub, linked_agent(hub):
        link = await welcomed(hub)
        filler = "x" * (MAX_FRAME_BYTES - 100)
        await link.socket.send(json.dumps({"type": "heartbeat", "news": filler}))
        await link.run("get", "pods")
        assert (await link.result())[1].status == "completed"


async def test_what_a_newer_hub_adds_is_passed_over() -> None:
    async with scripted_hub() as hub, linked_agent(hub):
        link = await hub.link()
        await link.socket.send('{"type": "motd", "text": "hello"}')
        await link.send(Heartbeat())
        await link.welcome()
        await link.socket.send('{"type": "credit", "results": {}, "bytes": 5}')
        run = {
            "type": "run",
            "result_id": "res_1",
            "command_type": "get",
            "args": ["pods"],
            "timeout_seconds": 5,
            "max_output_bytes": 1000,
            "priority": {"high": True},
        }
        await link.socket.send(json.dumps(run))
        assert (await link.result())[1].status == "completed"


async def test_a_hub_that_does_not_welcome() -> None:
    settings = LinkSettings(open_timeout_seconds=5.0, welcome_timeout_seconds=0.1)
    async with scripted_hub() as hub, linked_agent(hub, link=settings):
        link = await hub.link()
        assert await link.closed() == CloseCode.HELLO_TIMEOUT
        link.done.set()
        await hub.link()


async def test_a_hub_that_speaks_before_its_welcome() -> None:
    async with scripted_hub() as hub, linked_agent(hub):
        link = await hub.link()
        await link.send(Ack({}))
        assert await link.closed() == CloseCode.PROTOCOL_VIOLATION


@pytest.mark.parametrize("version", [0, 3])
async def test_a_hub_of_an_unknown_protocol_is_a_rejection(version: int) -> None:
    async with scripted_hub() as hub, linked_agent(hub) as agent:
        link = await hub.link()
        await link.welcome(protocol_version=version)
        assert await link.closed() == CloseCode.VERSION_UNSUPPORTED
        await until(lambda: bool(agent.backoff.delays))
        assert agent.backoff.delays[0] >= 270


async def test_a_silent_hub_is_left_after_two_and_a_half_intervals() -> None:
    async with scripted_hub() as hub, linked_agent(hub):
        link = await welcomed(hub, heartbeat_interval_seconds=0.1)
        began = time.monotonic()
        assert await link.closed() == CloseCode.SILENT_PEER
        assert 0.2 < time.monotonic() - began < 2.0


async def test_a_hub_that_does_not_read_is_left_and_memory_is_bounded() -> None:
    executor = FloodingExecutor()
    async with scripted_hub() as hub, linked_agent(hub, executor) as agent:
        link = await hub.link()
        await link.welcome(0.4, window_bytes=64 << 20)  # more than the sockets on the way hold
        link.socket.transport.pause_reading()
        await link.run("get", "pods", max_output_bytes=1 << 30)

        async def speak() -> None:
            while True:
                await link.send(Heartbeat())
                await asyncio.sleep(0.05)

        speaking = asyncio.create_task(speak(), name="heartbeats")
        try:
            await until(lambda: executor.written > 500_000)
            for number in range(30):
                await link.run("get", "pods", result_id=f"res_{number + 2}", max_output_bytes=1 << 30)
            await until(lambda: len(agent.backoff.delays) > 0, 10.0)
            assert executor.written < 64 * 1024 * 1024
        finally:
            speaking.cancel()
            await asyncio.wait([speaking])
            link.cut()


async def test_a_hub_that_floods_with_commands_is_left() -> None:
    async with scripted_hub() as hub, linked_agent(hub, SlowExecutor()):
        link = await welcomed(hub, max_concurrent_commands=2)
        for number in range(4 * (2 + 16) + 1):
            await link.run("get", "pods", result_id=f"res_{number}")
        assert await link.closed() == CloseCode.PROTOCOL_VIOLATION


async def test_a_hub_of_version_1_finds_its_commands_ended_and_nothing_held() -> None:
    executor = SlowExecutor()
    async with scripted_hub() as hub, linked_agent(hub, executor):
        link = await hub.link()
        await link.welcome(protocol_version=1)
        await link.run("get", "pods")
        await executor.started.acquire()
        link.cut()
        hello = await (again := await hub.link()).welcome(protocol_version=1)
        assert executor.cancelled == 1
        assert hello.held == []
        await again.run("get", "pods")
        await executor.started.acquire()
        executor.release.set()
        assert (await again.result())[1].status == "completed"


async def test_drain_lets_commands_end_then_comes_back() -> None:
    executor = SlowExecutor()
    async with scripted_hub() as hub, linked_agent(hub, executor):
        link = await welcomed(hub)
        await link.run("get", "pods")
        await executor.started.acquire()
        began = time.monotonic()
        await link.send(Drain(0.3, "the hub is stopping"))
        executor.release.set()
        _, last = await link.result()
        assert last.status == "completed"
        assert await link.closed() == CloseCode.NORMAL
        await welcomed(hub)
        assert time.monotonic() - began >= 0.3


async def test_drain_while_idle_closes_at_once() -> None:
    async with scripted_hub() as hub, linked_agent(hub):
        link = await welcomed(hub)
        await link.send(Drain(0.2, "the hub is stopping"))
        assert await link.closed() == CloseCode.NORMAL
        link.done.set()
        await welcomed(hub)


async def test_a_hub_that_cannot_wait_for_the_drain() -> None:
    executor = SlowExecutor()
    async with scripted_hub() as hub, linked_agent(hub, executor) as agent:
        link = await welcomed(hub)
        await link.run("get", "pods")
        await executor.started.acquire()
        await link.send(Drain(0.0, "the hub is stopping"))
        await link.close(CloseCode.GOING_AWAY, "the hub is stopping")
        again = await hub.link()
        await again.welcome(resume={"res_1": 0})
        executor.release.set()
        assert (await again.result())[1].status == "completed"
        assert 0 <= agent.backoff.delays[0] <= 3.0


async def test_leaving() -> None:
    executor = SlowExecutor()
    async with scripted_hub() as hub:
        agent = LinkedAgent(hub.url, executor)
        task = asyncio.create_task(agent.link.run(), name="link")
        link = await welcomed(hub)
        await link.run("get", "pods")
        await executor.started.acquire()
        await agent.link.leave("told to stop")
        assert (await link.expect(Leaving)).reason == "told to stop"
        executor.release.set()
        assert (await link.result())[1].status == "completed"
        await agent.link.hang_up()
        assert await link.closed() == CloseCode.NORMAL
        async with asyncio.timeout(5):
            await task
        assert len(hub.dials) == 1


async def test_a_revoked_token_leads_to_a_rejection() -> None:
    async with scripted_hub() as hub, linked_agent(hub) as agent:
        link = await welcomed(hub)
        hub.answers.append(Answer(401))
        await link.close(CloseCode.TOKEN_REVOKED, "revoked")
        await hub.dialled(2)
        await until(lambda: len(agent.backoff.delays) == 2)
        assert agent.backoff.delays[1] >= 270
