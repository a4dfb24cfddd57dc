"""agent/dispatcher.py: one terminal frame per command, whatever happens."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest

from agent.dispatcher import Dispatcher, TooManyCommands
from agent.executors.base import Executor
from agent.outbox import Outbox
from agent.policy import Limits, Policy
from agent.settings import Output as OutputSettings
from schemas import codec
from schemas.frames import (
    MAX_FRAME_BYTES,
    Ack,
    Cancel,
    Chunk,
    Contract,
    Credit,
    Exit,
    Held,
    Hello,
    Output,
    Run,
    Welcome,
)
from tests.support.executors import (
    BrokenExecutor,
    DecliningExecutor,
    EchoExecutor,
    FloodingExecutor,
    NeverExecutor,
    SlowExecutor,
)
from tests.support.waiting import until


class Agent:
    """A dispatcher whose frames the test reads as the link would; acknowledges them as a hub does."""

    def __init__(self, *executors: Executor, policy: Policy | None = None, limit: int = 8) -> None:
        self.outbox = Outbox(OutputSettings())
        self.dispatcher = Dispatcher(executors, policy or Policy(), self.outbox)
        self.output: defaultdict[str, str] = defaultdict(str)
        self.begin(limit)

    def begin(self, limit: int = 8, **fields: Any) -> None:
        self.dispatcher.begin(Welcome("0.0-test", 20.0, limit, **{"max_concurrent_streams": 4} | fields))

    def run(self, *args: str, result_id: str = "res_1", timeout_seconds: float = 30.0, **fields: Any) -> None:
        command_type, *rest = args or ("get", "pods")
        self.dispatcher.take(Run(result_id, command_type, rest, timeout_seconds, 8 << 20, "corr_1", **fields))

    async def exit(self) -> Exit:
        """The next terminal frame."""
        while True:
            async with asyncio.timeout(10):
                frame = await self.outbox.next()
            parts: Sequence[Output | Chunk] = frame.chunks if isinstance(frame, Exit) else [frame]
            self.output[frame.result_id] += "".join(part.data for part in parts)
            last = frame.seq + len(frame.chunks) if isinstance(frame, Exit) else frame.seq
            self.dispatcher.take(Ack({frame.result_id: last}))
            self.dispatcher.take(Credit({frame.result_id: last}))
            if isinstance(frame, Exit):
                return frame

    async def quiet(self) -> None:
        """Nothing is left, and nothing more comes."""
        await self.dispatcher.idle()
        assert self.outbox.held() == []
        assert self.outbox.held_bytes == 0


async def breathe() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_command_that_completes() -> None:
    agent = Agent(EchoExecutor())
    agent.run("get", "pods", "-A")
    frame = await agent.exit()
    assert (frame.status, frame.exit_code, frame.executor, frame.error) == ("completed", 0, "echo", None)
    assert frame.chunks[0].data == "get --all-namespaces=true -- pods\n"
    await agent.quiet()


@pytest.mark.parametrize(
    ("args", "reason"),
    [(("delete", "pods", "x"), "delete"), (("get", "pods", "--kubeconfig=/x"), "kubeconfig"), (("get", "../x"), "x")],
)
async def test_the_grammar_is_asked_again(args: tuple[str, ...], reason: str) -> None:
    agent = Agent(EchoExecutor())
    agent.run(*args)
    frame = await agent.exit()
    assert (frame.status, frame.exit_code, frame.chunks) == ("refused", None, [])
    assert reason in str(frame.error)
    await agent.quiet()


async def test_the_policy_is_asked() -> None:
    agent = Agent(EchoExecutor(), policy=Policy(verbs=("logs",)))
    agent.run("get", "pods")
    frame = await agent.exit()
    assert (frame.status, frame.error) == ("refused", "`get` is not allowed: this cluster's policy is limited to logs")


async def test_another_policy_holds_at_once_also_for_what_runs() -> None:
    agent = Agent(SlowExecutor())
    agent.run("get", "pods", result_id="res_1")
    agent.run("get", "configmaps", result_id="res_2")
    await until(lambda: agent.dispatcher.running == 2)
    await asyncio.sleep(0)
    agent.dispatcher.adopt(Policy(denied_kinds=("cm",)))
    frame = await agent.exit()
    assert (frame.result_id, frame.status) == ("res_2", "cancelled")
    assert str(frame.error).startswith("This cluster's policy has changed: `configmaps` is")
    assert agent.dispatcher.running == 1
    agent.run("get", "cm", result_id="res_3")
    frame = await agent.exit()
    assert (frame.result_id, frame.status) == ("res_3", "refused")
    agent.dispatcher.take(Cancel("res_1", "enough"))
    assert (await agent.exit()).result_id == "res_1"


async def test_output_that_was_not_to_be_redacted_ends_when_it_is() -> None:
    agent = Agent(SlowExecutor(), policy=Policy(redaction="off"))
    agent.run("logs", "-f", "web-0", is_stream=True)
    await until(lambda: agent.dispatcher.running == 1)
    agent.dispatcher.adopt(Policy())
    frame = await agent.exit()
    assert (frame.status, frame.error) == (
        "cancelled",
        "This cluster's policy has changed: its output is to be redacted now",
    )


async def test_the_limits_of_the_policy() -> None:
    limits = Limits(max_seconds=0.2, max_output_bytes=1024, max_commands=1)
    agent = Agent(SlowExecutor(), policy=Policy(limits=limits))
    agent.run("get", "pods")
    frame = await agent.exit()
    assert (frame.status, frame.error) == ("timeout", "Not done within 0.2 s")
    agent = Agent(FloodingExecutor(), policy=Policy(limits=limits))
    agent.run("get", "pods")
    frame = await agent.exit()
    assert len(agent.output["res_1"]) <= 1024
    assert frame.is_truncated


async def test_without_an_executor() -> None:
    agent = Agent()
    agent.run()
    frame = await agent.exit()
    assert frame.status == "refused"
    assert "no executor" in str(frame.error)


async def test_the_first_executor_that_takes_it_runs_it() -> None:
    agent = Agent(DecliningExecutor("first"), EchoExecutor(), BrokenExecutor())
    agent.run()
    frame = await agent.exit()
    assert (frame.status, frame.executor, frame.chunks[0].data) == ("completed", "echo", "get -- pods\n")
    await agent.quiet()


async def test_none_takes_it() -> None:
    agent = Agent(DecliningExecutor("first"), DecliningExecutor("last"))
    agent.run()
    frame = await agent.exit()
    assert (frame.status, frame.executor, frame.error) == ("refused", None, "last: not this one")
    await agent.quiet()


async def test_a_timeout() -> None:
    executor = SlowExecutor()
    agent = Agent(executor)
    agent.run(timeout_seconds=0.05)
    frame = await agent.exit()
    assert (frame.status, frame.exit_code, frame.error) == ("timeout", None, "Not done within 0.05 s")
    assert frame.execution_time_ms >= 50
    assert executor.cancelled == 1
    await agent.quiet()


async def test_no_time_at_all() -> None:
    agent = Agent(SlowExecutor())
    agent.run(timeout_seconds=0)
    assert (await agent.exit()).status == "timeout"


async def test_a_cancel() -> None:
    executor = SlowExecutor()
    agent = Agent(executor)
    agent.run()
    await executor.started.acquire()
    agent.dispatcher.take(Cancel("res_1", "session closed"))
    agent.dispatcher.take(Cancel("res_1", "again"))
    frame = await agent.exit()
    assert (frame.status, frame.error) == ("cancelled", "session closed")
    assert executor.cancelled == 1
    await agent.quiet()


async def test_a_cancel_before_the_command_has_begun() -> None:
    agent = Agent(SlowExecutor())
    agent.run()
    agent.dispatcher.take(Cancel("res_1", "at once"))
    assert (await agent.exit()).status == "cancelled"
    await agent.quiet()


async def test_a_cancel_that_comes_too_late() -> None:
    executor = SlowExecutor()
    agent = Agent(executor)
    agent.run()
    await executor.started.acquire()
    executor.release.set()
    await until(lambda: executor.running == 0)
    agent.dispatcher.take(Cancel("res_1", "too late"))
    assert (await agent.exit()).status == "completed"
    agent.dispatcher.take(Cancel("res_1", "later still"))
    await agent.quiet()


async def test_a_fault_of_an_executor(caplog: pytest.LogCaptureFixture) -> None:
    agent = Agent(BrokenExecutor())
    with caplog.at_level(logging.ERROR):
        agent.run()
        frame = await agent.exit()
    assert (frame.status, frame.exit_code, frame.error) == ("failed", None, "internal error of the agent")
    assert [chunk.data for chunk in frame.chunks] == ["so far\n"]
    assert "ZeroDivisionError" in caplog.text
    await agent.quiet()


async def test_an_executor_that_does_not_end_is_left_behind() -> None:
    executor = NeverExecutor()
    agent = Agent(executor)
    agent.run()
    await executor.started.wait()
    began = time.monotonic()
    agent.dispatcher.take(Cancel("res_1", "enough"))
    assert (await agent.exit()).status == "cancelled"
    assert time.monotonic() - began < 5
    await agent.quiet()
    executor.release.set()
    await until(lambda: not any(task.get_name().startswith("echo ") for task in asyncio.all_tasks()))


async def test_a_flood_is_stopped_and_told() -> None:
    agent = Agent(FloodingExecutor())
    agent.dispatcher.take(Run("res_1", "get", ["pods"], 30.0, 100_000))
    frame = await agent.exit()
    assert (frame.status, frame.exit_code) == ("failed", None)
    assert "Stopped after" in str(frame.error)
    assert frame.omitted_bytes > 1_000_000
    await agent.quiet()


async def test_a_command_that_comes_twice_runs_once() -> None:
    executor = SlowExecutor()
    agent = Agent(executor)
    agent.run()
    agent.run()
    await executor.started.acquire()
    agent.run()
    executor.release.set()
    assert (await agent.exit()).status == "completed"
    await agent.quiet()
    assert executor.most_running == 1


async def test_a_result_that_is_not_acknowledged_is_not_run_again() -> None:
    agent = Agent(EchoExecutor())
    agent.run()
    async with asyncio.timeout(5):
        first = await agent.outbox.next()
    agent.run()
    await agent.dispatcher.idle()
    assert [held.result_id for held in agent.outbox.held()] == ["res_1"]
    agent.dispatcher.take(Ack({"res_1": first.seq + 1}))
    await agent.quiet()


async def test_no_more_run_at_once_than_agreed() -> None:
    executor = SlowExecutor()
    agent = Agent(executor, limit=3)
    for number in range(10):
        agent.run(result_id=f"res_{number}")
    for _ in range(3):
        await executor.started.acquire()
    assert executor.most_running == 3
    executor.release.set()
    assert {(await agent.exit()).status for _ in range(10)} == {"completed"}
    assert executor.most_running == 3
    await agent.quiet()


async def test_waiting_for_a_turn_counts_as_time() -> None:
    executor = SlowExecutor()
    agent = Agent(executor, limit=1)
    agent.run(result_id="res_1")
    await executor.started.acquire()
    agent.run(result_id="res_2", timeout_seconds=0.05)
    frame = await agent.exit()
    assert (frame.result_id, frame.status) == ("res_2", "timeout")
    executor.release.set()
    await agent.exit()
    await agent.quiet()


async def test_a_hub_that_sends_without_end_is_told_off() -> None:
    agent = Agent(SlowExecutor(), limit=2)
    for number in range(24):  # four times two commands and four streams, whichever they are
        agent.run(result_id=f"res_{number}", is_stream=number % 2 == 0)
    with pytest.raises(TooManyCommands, match="24 commands at once, 6 were agreed"):
        agent.run(result_id="res_24")
    assert agent.dispatcher.running == 24
    await agent.dispatcher.abandon("the test is over")


async def test_a_lost_link_ends_its_commands_without_a_word() -> None:
    slow, flood = SlowExecutor(), FloodingExecutor()
    for executor in (slow, flood):
        agent = Agent(executor)
        for number in range(3):
            agent.run(result_id=f"res_{number}")
        await until(lambda agent=agent: agent.dispatcher.running == 3)  # type: ignore[misc]
        await agent.dispatcher.abandon("the test is over")
        assert agent.dispatcher.running == 0
        await agent.quiet()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await agent.outbox.next()


async def test_a_slow_link_stops_the_executor_and_memory_is_bounded() -> None:
    executor = FloodingExecutor()
    agent = Agent(executor)
    for number in range(3):
        agent.dispatcher.take(Run(f"res_{number}", "get", ["pods"], 30.0, 1 << 30))
    written = -1
    while written != (written := executor.written):
        await asyncio.sleep(0.05)
    # A window of 1 MiB for each, and what each holds for its next frame.
    assert agent.outbox.held_bytes <= 3 * 1024 * 1024
    assert executor.written < 4 * 1024 * 1024
    frame = await agent.outbox.next()
    assert isinstance(frame, Output)
    agent.dispatcher.take(Ack({frame.result_id: frame.seq}))
    await until(lambda: executor.written > written)
    await agent.dispatcher.abandon("the test is over")


async def test_a_hub_that_acknowledges_nothing_is_told_off() -> None:
    agent = Agent(EchoExecutor(), limit=1024)
    for number in range(2048):
        agent.run(result_id=f"res_{number}")
    await agent.dispatcher.idle()
    with pytest.raises(TooManyCommands, match="2048 results are not acknowledged"):
        agent.run(result_id="res_late")
    hello = Hello("alpha", "1.2.3", "boot_1", held=[Held("r" * 64, 2**53, is_running=False)] * len(agent.outbox))
    assert len(codec.encode(hello)) < MAX_FRAME_BYTES


async def test_finish_cancels_what_runs() -> None:
    executor = SlowExecutor()
    agent = Agent(executor)
    agent.run(result_id="res_1")
    await executor.started.acquire()
    agent.dispatcher.leave()
    agent.run(result_id="res_late")
    frames = [await agent.exit()]
    assert agent.dispatcher.running == 1, "it has time to end by itself"
    await agent.dispatcher.finish()
    frames.append(await agent.exit())
    assert [(frame.result_id, frame.status, frame.error) for frame in frames] == [
        ("res_late", "cancelled", "The agent is stopping"),
        ("res_1", "cancelled", "The agent is stopping"),
    ]
    await agent.quiet()


async def test_leaving_lets_a_command_end_and_not_a_stream() -> None:
    executor = SlowExecutor(b"so far\n")
    agent = Agent(executor)
    agent.run(result_id="res_plain")
    agent.run("logs", "-f", "web", result_id="res_stream", is_stream=True)
    for _ in range(2):
        await executor.started.acquire()
    agent.dispatcher.leave()
    frame = await agent.exit()
    assert (frame.result_id, frame.status, frame.error) == ("res_stream", "cancelled", "The agent is stopping")
    assert agent.output["res_stream"] == "so far\n"
    executor.release.set()
    assert (await agent.exit()).status == "completed"
    await agent.quiet()


async def test_a_lost_link_ends_nothing() -> None:
    executor = SlowExecutor()
    agent = Agent(executor)
    agent.run(result_id="res_runs")
    agent.run("delete", "pods", result_id="res_ended")
    await executor.started.acquire()
    await agent.dispatcher.end_link(is_final=False)
    assert (executor.running, executor.cancelled) == (1, 0)
    assert [(held.result_id, held.is_running) for held in agent.outbox.held()] == [
        ("res_runs", True),
        ("res_ended", False),
    ]
    executor.release.set()
    await agent.dispatcher.idle()
    agent.begin(resume={"res_runs": 0, "res_ended": 0})
    assert {(await agent.exit()).status for _ in range(2)} == {"completed", "refused"}
    await agent.quiet()


async def test_the_deadline_comes_without_a_link_too() -> None:
    executor = SlowExecutor()
    agent = Agent(executor)
    agent.run(timeout_seconds=0.05)
    await agent.dispatcher.end_link(is_final=False)
    await agent.dispatcher.idle()
    assert executor.cancelled == 1
    agent.begin(resume={"res_1": 0})
    assert (await agent.exit()).status == "timeout"


@pytest.mark.parametrize("resume", [{}, {"res_1": None}, {"res_2": 5}])
async def test_what_the_hub_does_not_want_is_ended_without_a_word(resume: dict[str, int | None]) -> None:
    executor = SlowExecutor()
    agent = Agent(executor)
    agent.run()
    await executor.started.acquire()
    await agent.dispatcher.end_link(is_final=False)
    agent.begin(resume=resume)
    assert agent.outbox.held() == []
    agent.run()  # the hub may even send it again at once
    await executor.started.acquire()
    await until(lambda: executor.cancelled == 1)
    executor.release.set()
    assert (await agent.exit()).status == "completed"
    await agent.quiet()


@pytest.mark.parametrize(("version", "is_final"), [(1, False), (2, True)])
async def test_a_hub_that_will_not_resume(version: int, is_final: bool) -> None:
    executor = SlowExecutor()
    agent = Agent(executor)
    agent.begin(protocol_version=version)
    agent.run()
    await executor.started.acquire()
    await agent.dispatcher.end_link(is_final=is_final)
    assert executor.cancelled == 1
    await agent.quiet()


async def test_a_hub_of_version_1_resumes_nothing_of_version_2() -> None:
    executor = SlowExecutor()
    agent = Agent(executor)
    agent.run()
    await executor.started.acquire()
    await agent.dispatcher.end_link(is_final=False)
    agent.begin(protocol_version=1, resume={"res_1": 0})
    await until(lambda: executor.cancelled == 1)
    await agent.quiet()


async def test_commands_and_streams_do_not_take_each_others_places() -> None:
    executor = SlowExecutor()
    agent = Agent(executor, limit=1)
    for number in range(6):
        agent.run(result_id=f"res_{number}", is_stream=True)
    for _ in range(4):
        await executor.started.acquire()
    assert executor.running == 4
    agent.run(result_id="res_plain")
    await executor.started.acquire()
    assert executor.running == 5
    executor.release.set()
    for _ in range(7):
        await agent.exit()
    await agent.quiet()


async def test_another_limit_counts_what_runs_already() -> None:
    executor = SlowExecutor()
    agent = Agent(executor, limit=2)
    for number in range(9):
        agent.run(result_id=f"res_{number}")
    for _ in range(2):
        await executor.started.acquire()
    for limit in (2, 1, 3, 2):  # with each link; what runs beyond a smaller number goes on
        await agent.dispatcher.end_link(is_final=False)
        agent.begin(limit, resume={f"res_{number}": 0 for number in range(9)})
        await breathe()
    assert executor.running == 3
    agent.dispatcher.take(Cancel("res_0", "enough"))
    await agent.exit()
    assert executor.running == 2, "the limit is two now"
    agent.dispatcher.take(Cancel("res_8", "it waits for its turn"))
    await agent.exit()
    executor.release.set()
    for _ in range(7):
        await agent.exit()
    assert executor.most_running == 3
    await agent.quiet()


async def test_a_stream_with_all_it_was_to_have_has_completed() -> None:
    executor = FloodingExecutor(b"line\n")
    agent = Agent(executor)
    agent.run("logs", "-f", "web", is_stream=True, contract=Contract(max_lines=3))
    frame = await agent.exit()
    assert (frame.status, frame.exit_code) == ("completed", 0)
    assert "Stopped" in str(frame.error)
    assert agent.output["res_1"] == "line\n" * 3
    assert executor.written < 10_000_000
    await agent.quiet()


async def test_a_contract_that_cannot_be_kept() -> None:
    agent = Agent(EchoExecutor())
    agent.run(contract=Contract(grep="(web"))
    frame = await agent.exit()
    assert (frame.status, frame.exit_code, frame.chunks) == ("refused", None, [])
    assert str(frame.error).startswith("contract.grep does not compile")
    await agent.quiet()


async def test_a_contract_is_kept() -> None:
    agent = Agent(EchoExecutor())
    agent.run("get", "pods", contract=Contract(grep="pods$"))
    assert (await agent.exit()).chunks[0].data == "get -- pods\n"
    agent.run("get", "nodes", contract=Contract(grep="pods$"))
    assert (await agent.exit()).chunks == []
    await agent.quiet()


async def test_an_error_that_is_no_text_is_sent_all_the_same() -> None:
    agent = Agent(DecliningExecutor("caf\udce9"))
    agent.run()
    frame = await agent.exit()
    assert (frame.status, frame.error) == ("refused", "caf?: not this one")
    assert codec.encode(frame)


async def test_every_race_has_one_end() -> None:
    for turns in range(12):
        executor = SlowExecutor()
        agent = Agent(executor)
        agent.run()
        executor.release.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        agent.dispatcher.take(Cancel("res_1", "race"))
        assert (await agent.exit()).status in ("completed", "cancelled")
        await agent.quiet()
