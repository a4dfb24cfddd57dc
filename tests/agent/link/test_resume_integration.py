"""What becomes of commands when the link breaks, over real sockets: every cut, every answer a hub may give."""

import asyncio
import logging
from random import Random
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed

from agent.executors.base import Outcome, Sink
from agent.link.backoff import Backoff
from agent.redaction.screen import NO_SCREEN, Screen
from agent.settings import Output as OutputSettings
from schemas.frames import Ack, Cancel, CloseCode, Credit, Exit, Held, Leaving, Output
from schemas.kubectl import KubectlCommand
from tests.support.executors import EchoExecutor, FloodingExecutor, LinesExecutor, SlowExecutor
from tests.support.linked_agent import linked_agent
from tests.support.relay import relay
from tests.support.scripted_hub import Answer, HubLink, ScriptedHub, Shelf, last_seq, scripted_hub
from tests.support.waiting import until

LINES = 40_000
EXPECTED = "".join(f"line {number:06}\n" for number in range(LINES))


async def welcomed(hub: ScriptedHub, **fields: object) -> HubLink:
    link = await hub.link()
    await link.welcome(**fields)  # type: ignore[arg-type]
    return link


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("cuts", [[0], [1], [7], [30_000], [66_000], [200_000], [479_000], [66_000, 0, 1, 200_000, 5]])
async def test_a_cut_anywhere_loses_nothing(cuts: list[int], *, is_stream: bool) -> None:
    """So many bytes of the agent's come through, then the link breaks; and again."""
    shelf = Shelf()
    async with scripted_hub() as hub, relay(urlsplit(hub.url).port or 0) as way:
        async with linked_agent(f"ws://127.0.0.1:{way.port}", LinesExecutor(LINES)) as agent:
            link = await hub.link()
            await link.resume(shelf)
            for number, cut in enumerate(cuts):
                way.cut_after(cut)
                if number == 0:
                    await link.run("logs", "-f", "web", is_stream=is_stream)
                with pytest.raises(ConnectionClosed):
                    await link.store(shelf, "res_1")
                link.done.set()
                link = await hub.link()
                await link.resume(shelf)
            await link.store(shelf, "res_1")
            assert way.cuts == len(cuts)
            await until(lambda: agent.outbox.is_settled)
    assert shelf["res_1"].text["stdout"] == EXPECTED
    last = shelf["res_1"].exit
    assert last is not None
    assert (last.status, last.exit_code, last.output_bytes) == ("completed", 0, len(EXPECTED))


async def test_a_cut_before_the_acknowledgement() -> None:
    """The hub has stored it all, and says so when it is asked; the agent forgets it then."""
    shelf = Shelf()
    async with scripted_hub() as hub, linked_agent(hub, LinesExecutor(1000)) as agent:
        link = await hub.link()
        await link.resume(shelf)
        await link.run("get", "pods")
        shelf["res_1"].take(await link.expect(Exit))
        link.cut()
        link = await hub.link()
        assert (await link.resume(shelf)).held == [Held("res_1", 2, is_running=False)]
        await until(lambda: agent.outbox.is_settled)
        assert agent.outbox.held_bytes == 0
        await link.run("get", "pods", result_id="res_2")
        await link.store(shelf, "res_2")
        assert shelf["res_1"].repeated == 0


@pytest.mark.parametrize("times", [1, 3])
async def test_a_frame_the_hub_did_not_store_comes_again(times: int) -> None:
    async with scripted_hub() as hub, linked_agent(hub, LinesExecutor(1000)):
        link = await welcomed(hub)
        await link.run("get", "pods")
        for _ in range(times):
            await link.expect(Exit)
            link.cut()
            link = await hub.link()
            assert (await link.welcome(resume={"res_1": 0})).held == [Held("res_1", 2, is_running=False)]
        _, last = await link.result()
        assert last.chunks[0].data == EXPECTED[: 12 * 1000]


async def test_a_command_that_ran_while_there_was_no_hub() -> None:
    executor = SlowExecutor()
    async with scripted_hub() as hub, linked_agent(hub, executor) as agent:
        link = await welcomed(hub)
        await link.run("get", "pods")
        await executor.started.acquire()
        hub.hold()
        link.cut()
        await hub.dialled(2)
        executor.release.set()
        await agent.dispatcher.idle()
        hub.let_go()
        again = await hub.link()
        assert (await again.welcome(resume={"res_1": 0})).held == [Held("res_1", 2, is_running=False)], (
            "what has ended while it dialled is said"
        )
        assert (await again.result())[1].status == "completed"
        assert executor.cancelled == 0


async def test_output_stops_at_the_agents_window_while_there_is_no_hub() -> None:
    executor = FloodingExecutor()
    output = OutputSettings(window_bytes=256 * 1024, budget_bytes=1024 * 1024)
    async with scripted_hub() as hub, linked_agent(hub, executor, output=output) as agent:
        link = await welcomed(hub)
        for number in range(5):
            await link.run("get", "pods", result_id=f"res_{number}", max_output_bytes=1 << 40)
        await link.expect(Output)
        hub.hold()
        link.cut()
        await hub.dialled(2)
        written = -1
        while written != (written := executor.written):
            await asyncio.sleep(0.05)
        assert agent.outbox.held_bytes <= 1024 * 1024
        assert executor.written < 3 * 1024 * 1024
        hub.let_go()
        again = await hub.link()
        shelf = Shelf()
        await again.resume(shelf)
        for number in range(5):
            await again.send(Cancel(f"res_{number}", "enough"))
        await again.store(shelf, *(f"res_{number}" for number in range(5)))


@pytest.mark.parametrize("resume", [{}, {"res_1": None, "res_other": 3}])
async def test_a_hub_that_does_not_want_it_any_more(
    resume: dict[str, int | None], caplog: pytest.LogCaptureFixture
) -> None:
    executor = SlowExecutor()
    with caplog.at_level(logging.INFO, "agent"):
        async with scripted_hub() as hub, linked_agent(hub, executor) as agent:
            link = await welcomed(hub)
            await link.run("get", "pods")
            await executor.started.acquire()
            link.cut()
            again = await hub.link()
            await again.welcome(resume=resume)
            await until(lambda: agent.dispatcher.running == 0)
            assert executor.cancelled == 1
            await again.run("get", "pods", result_id="res_2")
            await executor.started.acquire()
            executor.release.set()
            assert (await again.receive()).result_id == "res_2"  # type: ignore[union-attr]
    assert "the hub does not want what is held" in caplog.text


async def test_a_hub_that_goes_back_to_version_1() -> None:
    executor = SlowExecutor()
    async with scripted_hub() as hub, linked_agent(hub, executor) as agent:
        link = await welcomed(hub)
        await link.run("get", "pods")
        await executor.started.acquire()
        link.cut()
        again = await hub.link()
        hello = await again.welcome(protocol_version=1, resume={"res_1": None})
        assert [held.result_id for held in hello.held] == ["res_1"]
        await until(lambda: executor.cancelled == 1)
        await again.run("get", "pods", result_id="res_2")
        await executor.started.acquire()
        again.cut()
        last = await hub.link()
        assert (await last.welcome(protocol_version=1)).held == []
        assert (agent.dispatcher.running, executor.cancelled) == (0, 2)


async def test_a_flood_to_a_hub_of_version_1_goes_on_with_its_acknowledgements() -> None:
    shelf = Shelf()
    async with scripted_hub() as hub, linked_agent(hub, LinesExecutor(4 * LINES)):
        link = await hub.link()
        await link.resume(shelf, protocol_version=1, window_bytes=64 * 1024)
        link.version = 1
        await link.run("get", "pods")
        await link.store(shelf, "res_1")
    assert len(shelf["res_1"].text["stdout"]) == 12 * 4 * LINES


async def test_the_same_command_sent_again_while_it_is_held_runs_once() -> None:
    executor = SlowExecutor()
    async with scripted_hub() as hub, linked_agent(hub, executor):
        link = await welcomed(hub)
        await link.run("get", "pods")
        await executor.started.acquire()
        link.cut()
        again = await hub.link()
        await again.welcome(resume={"res_1": 0})
        await again.run("get", "pods")
        executor.release.set()
        await again.result()
        assert executor.most_running == 1


async def test_without_credit_one_command_waits_and_another_flows() -> None:
    shelf = Shelf()
    executors = Alternating()
    async with scripted_hub() as hub, linked_agent(hub, executors) as agent:
        link = await hub.link()
        await link.resume(shelf, window_bytes=64 * 1024)
        await link.run("logs", "-f", "held", result_id="res_held", is_stream=True, max_output_bytes=1 << 40)
        while len(shelf["res_held"].text["stdout"]) < 63 * 1024:
            await take_without_credit(link, shelf)
        await until(lambda: agent.outbox.held_bytes > 512 * 1024)
        await link.run("get", "pods", result_id="res_flows")
        await link.store(shelf, "res_flows")
        assert len(shelf["res_held"].text["stdout"]) <= 2 * 64 * 1024
        assert shelf["res_flows"].text["stdout"] == EXPECTED
        for _ in range(20):  # and with credit it flows as well
            await link.send(Credit({"res_held": shelf["res_held"].seq}))
            await take_without_credit(link, shelf)
        await link.send(Cancel("res_held", "enough"))  # its end needs no credit
        while (last := shelf["res_held"].exit) is None:
            await take_without_credit(link, shelf)
        assert (last.status, last.error) == ("cancelled", "enough")


async def take_without_credit(link: HubLink, shelf: Shelf) -> None:
    frame = await link.receive()
    assert isinstance(frame, Output | Exit)
    shelf[frame.result_id].take(frame)
    await link.send(Ack({frame.result_id: last_seq(frame)}))


class Alternating(EchoExecutor):
    """Floods when it is asked for logs, writes some lines else."""

    async def run(self, command: KubectlCommand, sink: Sink, screen: Screen = NO_SCREEN) -> Outcome:
        executor = FloodingExecutor() if command.verb == "logs" else LinesExecutor(LINES)
        return await executor.run(command, sink)


async def test_numbers_that_make_no_sense_change_nothing() -> None:
    executor = SlowExecutor(b"so far\n")
    shelf = Shelf()
    async with scripted_hub() as hub, linked_agent(hub, executor) as agent:
        link = await hub.link()
        await link.resume(shelf)
        await link.run("logs", "-f", "web", is_stream=True)
        first = await link.expect(Output)
        shelf["res_1"].take(first)
        nonsense: list[dict[str, int]] = [{"res_1": 0}, {"res_none": 7}, {"x": 2**53}, {}]
        for results in nonsense:
            await link.send(Ack(results))
            await link.send(Credit(results))
        await link.send(Credit({"res_1": 2**53}))
        await link.run("delete", "pods", result_id="res_2")  # the frames before it have been taken
        assert (await link.expect(Exit)).result_id == "res_2"
        assert agent.outbox.held_bytes > 0
        link.cut()
        again = await hub.link()
        await again.welcome(resume={"res_1": 2**53, "res_none": 3, "res_2": 2**53})
        executor.release.set()
        await again.store(shelf, "res_1")
        assert shelf["res_1"].text["stdout"] == "so far\nlogs --follow=true -- web\n"
        await until(lambda: agent.outbox.is_settled)


async def test_a_hub_with_an_old_backup_gets_what_there_is() -> None:
    async with scripted_hub() as hub, linked_agent(hub, FloodingExecutor()):
        link = await welcomed(hub)
        await link.run("get", "pods", max_output_bytes=1 << 40)
        for _ in range(4):
            frame = await link.expect(Output)
            await link.acknowledge(frame)
        await link.run("delete", "pods", result_id="res_2")  # once it is refused, all before it was taken
        await link.expect(Exit)
        link.cut()
        again = await hub.link()
        await again.welcome(resume={"res_1": 1})
        assert (await again.expect(Output)).seq == 5
        await again.send(Cancel("res_1", "its output has a gap"))


async def test_a_quiet_stream_over_a_real_link_needs_no_time() -> None:
    ticks = TickingExecutor()
    async with scripted_hub() as hub, linked_agent(hub, ticks):
        link = await welcomed(hub)
        await link.run("logs", "-f", "web", is_stream=True)
        loop = asyncio.get_running_loop()
        waited = []
        for number in range(20):
            began = loop.time()
            ticks.tick.set()
            frame = await link.expect(Output)
            waited.append(loop.time() - began)
            assert frame.data == f"tick {number}\n"
            await link.acknowledge(frame)
        assert sorted(waited)[len(waited) // 2] < 0.1


class TickingExecutor(EchoExecutor):
    """Writes one line whenever `tick` is set."""

    def __init__(self) -> None:
        self.tick = asyncio.Event()

    async def run(self, command: KubectlCommand, sink: Sink, screen: Screen = NO_SCREEN) -> Outcome:
        number = 0
        while True:
            await self.tick.wait()
            self.tick.clear()
            await sink.write("stdout", f"tick {number}\n".encode())
            number += 1


async def test_a_busy_stream_over_a_real_link_is_full_frames() -> None:
    shelf = Shelf()
    count = 100_000
    async with scripted_hub() as hub, linked_agent(hub, LinesExecutor(count, rests_every=10)) as agent:
        link = await hub.link()
        await link.resume(shelf)
        began = asyncio.get_running_loop().time()
        await link.run("logs", "-f", "web", is_stream=True, max_output_bytes=1 << 40)
        await link.store(shelf, "res_1")
        elapsed = asyncio.get_running_loop().time() - began
        await until(lambda: agent.outbox.is_settled)
    assert len(shelf["res_1"].text["stdout"]) == 12 * count
    outputs = sum(isinstance(frame, Output) for frame in link.received)
    assert outputs < 12 * count / 60_000 + 100 * elapsed + 5


async def test_leaving_without_a_link_dials_until_the_results_are_taken() -> None:
    executor = SlowExecutor()
    async with scripted_hub() as hub:
        async with linked_agent(hub, executor) as agent:
            link = await welcomed(hub)
            await link.run("get", "pods")
            await executor.started.acquire()
            hub.hold()
            link.cut()
            await hub.dialled(2)
            agent.dispatcher.leave()
            await agent.link.leave("told to stop")
            executor.release.set()
            hub.let_go()
            again = await hub.link()
            await again.welcome(resume={"res_1": 0})
            assert (await again.expect(Leaving)).reason == "told to stop"
            await again.run("get", "pods", result_id="res_late")
            ended = {frame.result_id: frame for frame in [await again.expect(Exit) for _ in range(2)]}
            assert (ended["res_1"].status, ended["res_late"].status) == ("completed", "cancelled")
            for frame in ended.values():
                await again.acknowledge(frame)
            await agent.outbox.settled()
            await agent.link.hang_up()
            assert await again.closed() == CloseCode.NORMAL


class PatientBackoff(Backoff):
    """Never dials again by itself."""

    def __init__(self) -> None:
        super().__init__(Random(7))

    def after_failure(self, now: float, retry_after_seconds: float | None = None) -> float:
        return 3600.0

    def after_loss(self, now: float, lived_seconds: float, code: int) -> float:
        return 3600.0


async def test_leaving_cuts_the_wait_for_the_next_dial_short() -> None:
    async with scripted_hub() as hub, linked_agent(hub, SlowExecutor(), PatientBackoff()) as agent:
        link = await welcomed(hub)
        await link.run("get", "pods")
        await until(lambda: agent.dispatcher.running == 1)
        link.cut()
        hub.answers.append(Answer(500))
        await agent.link.leave("told to stop")
        await hub.dialled(2)
        again = await hub.link()  # a second later, not an hour
        await again.welcome(resume={"res_1": 0})
        await again.expect(Leaving)


async def test_leaving_heeds_a_hub_that_asks_for_time() -> None:
    async with scripted_hub() as hub:
        hub.answers.append(Answer(503, {"Retry-After": "300"}))
        async with linked_agent(hub, SlowExecutor(), PatientBackoff()) as agent:
            await hub.dialled(1)
            await agent.link.leave("told to stop")
            await asyncio.sleep(0.2)
            assert len(hub.dials) == 1


@pytest.mark.slow
async def test_nothing_is_left_over_many_commands_and_links() -> None:
    """10,000 commands over 1,000 links that break after any number of frames; the hub sends what did not arrive."""
    shelf = Shelf()
    sent: list[str] = []
    most_tasks = most_held = 0
    async with scripted_hub() as hub, linked_agent(hub) as agent:
        for number in range(1000):
            link = await hub.link()
            hello = await link.resume(shelf)
            held = {each.result_id for each in hello.held}
            sent = [name for name in sent if shelf[name].exit is None]
            new = [f"res_{number}_{count}" for count in range(10)]
            for name in [*sent, *new]:
                if name not in held:
                    await link.run("get", "pods", result_id=name)
            sent += new
            most_held = max(most_held, len(held))
            for _ in range(len(sent) * (number % 5) // 4):
                frame = await link.expect(Exit)
                shelf[frame.result_id].take(frame)
                if number % 2:
                    await link.acknowledge(frame)
            most_tasks = max(most_tasks, len(asyncio.all_tasks()))
            link.cut()
        link = await hub.link()
        held = {each.result_id for each in (await link.resume(shelf)).held}
        for name in sent:
            if shelf[name].exit is None and name not in held:
                await link.run("get", "pods", result_id=name)
        await link.store(shelf, *sent)
        await until(lambda: agent.outbox.is_settled)
        assert (len(shelf.results), agent.dispatcher.running, agent.outbox.held_bytes) == (10_000, 0, 0)
        assert most_held < 60
        assert most_tasks < 120
        await until(lambda: len(asyncio.all_tasks()) < 20)
