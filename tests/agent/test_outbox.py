"""agent/outbox.py: order, fairness, bounds, acknowledgement."""

import asyncio
from collections.abc import Awaitable

import pytest

from agent.outbox import Lane, Outbox
from agent.settings import Output as OutputSettings
from schemas.frames import MAX_DATA_BYTES, Exit, Output

KIB = 1024
SETTINGS = OutputSettings(window_bytes=256 * KIB, budget_bytes=1024 * KIB)
FRAME = b"x" * (MAX_DATA_BYTES - 1) + b"\n"


def outbox() -> Outbox:
    return Outbox(SETTINGS)


def started(work: Awaitable[None]) -> asyncio.Task[None]:
    async def run() -> None:
        await work

    return asyncio.create_task(run(), name="writer of a test")


async def breathe() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def flood(lane: Lane) -> None:
    while True:
        await lane.write("stdout", FRAME)


async def test_a_short_command_is_its_exit_alone() -> None:
    box = outbox()
    lane = box.open("res_1", 1000)
    await lane.write("stdout", b"hello\n")
    await lane.end("completed", exit_code=0)
    frame = await box.next()
    assert isinstance(frame, Exit)
    assert (frame.seq, frame.status, [chunk.data for chunk in frame.chunks]) == (1, "completed", ["hello\n"])


async def test_a_second_end_does_nothing() -> None:
    box = outbox()
    lane = box.open("res_1", 1000)
    await lane.end("completed", exit_code=0)
    await lane.end("cancelled")
    await lane.write("stdout", b"late\n")
    first = await box.next()
    assert isinstance(first, Exit)
    assert first.status == "completed"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await box.next()


async def test_a_command_waits_when_it_is_a_window_ahead() -> None:
    box = outbox()
    lane = box.open("res_1", 100_000_000)
    writer = started(flood(lane))
    await breathe()
    assert 128 * KIB < box.held_bytes <= 256 * KIB
    sent = [await box.next() for _ in range(3)]
    await breathe()
    assert box.held_bytes <= 256 * KIB, "sent is not acknowledged"
    assert isinstance(sent[0], Output)
    box.acknowledge({"res_1": 2})
    await breathe()
    assert [frame.seq for frame in [await box.next(), await box.next()]] == [4, 5]
    writer.cancel()
    await asyncio.wait([writer])


async def test_all_commands_together_keep_to_the_budget() -> None:
    box = outbox()
    writers = [started(flood(box.open(f"res_{number}", 100_000_000))) for number in range(20)]
    await breathe()
    assert box.held_bytes <= 1024 * KIB
    for writer in writers:
        writer.cancel()
    await asyncio.wait(writers)


async def test_a_neighbour_is_not_behind_a_flood() -> None:
    box = outbox()
    writer = started(flood(box.open("res_flood", 100_000_000)))
    await breathe()
    short = box.open("res_short", 1000)
    await short.end("completed", exit_code=0)
    first, second = await box.next(), await box.next()
    assert {first.result_id, second.result_id} == {"res_flood", "res_short"}
    writer.cancel()
    await asyncio.wait([writer])


async def test_numbers_have_no_gap_when_a_writer_is_cancelled_while_it_waits() -> None:
    box = outbox()
    lane = box.open("res_1", 100_000_000)
    writer = started(flood(lane))
    await breathe()
    writer.cancel()
    await asyncio.wait([writer])
    ending = started(lane.end("cancelled", error="enough"))
    seqs: list[int] = []
    while True:
        frame = await box.next()
        seqs.append(frame.seq)
        if isinstance(frame, Exit):
            break
        box.acknowledge({"res_1": frame.seq})
        await breathe()
    await ending
    assert seqs == list(range(1, len(seqs) + 1))


async def test_both_streams_keep_their_numbers_in_order_while_they_wait() -> None:
    box = outbox()
    lane = box.open("res_1", 100_000_000)

    async def write(stream: str) -> None:
        for _ in range(20):
            await lane.write(stream, FRAME[: 40 * KIB])  # type: ignore[arg-type]

    writers = [started(write("stdout")), started(write("stderr"))]
    seqs: list[int] = []
    while not all(writer.done() for writer in writers):
        await breathe()
        try:
            async with asyncio.timeout(0.05):
                frame = await box.next()
        except TimeoutError:
            continue
        seqs.append(frame.seq)
        box.acknowledge({"res_1": frame.seq})
    assert len(seqs) > 10
    assert seqs == sorted(seqs)


async def test_what_is_acknowledged_is_forgotten() -> None:
    box = outbox()
    lane = box.open("res_1", 1000)
    await lane.write("stdout", b"hello\n")
    await lane.end("completed", exit_code=0)
    assert [(held.result_id, held.is_running) for held in box.held()] == [("res_1", False)]
    frame = await box.next()
    box.acknowledge({"res_1": frame.seq + 1, "res_unknown": 7})
    assert (box.held_bytes, box.held(), "res_1" in box) == (0, [], False)
    async with asyncio.timeout(1):
        await box.settled()


async def test_an_acknowledgement_of_what_was_not_sent_frees_nothing() -> None:
    box = outbox()
    lane = box.open("res_1", 1000)
    await lane.end("completed", exit_code=0)
    box.acknowledge({"res_1": 99})
    assert "res_1" in box
    assert isinstance(await box.next(), Exit)


async def test_an_early_acknowledgement_does_not_lose_an_exit_that_waits() -> None:
    box = outbox()
    lane = box.open("res_1", 100_000_000)
    writer = started(flood(lane))
    await breathe()
    writer.cancel()
    await asyncio.wait([writer])
    ending = started(lane.end("timeout"))
    await breathe()
    while not ending.done() or lane.has_unsent:
        box.acknowledge({"res_1": (await box.next()).seq})
        await breathe()
    box.acknowledge({"res_1": lane.last_seq})
    assert box.held_bytes == 0


async def test_dropping_lets_a_waiting_writer_go() -> None:
    box = outbox()
    lane = box.open("res_1", 2_000_000)

    async def write() -> None:
        for _ in range(100):
            await lane.write("stdout", FRAME)

    writer = started(write())
    await breathe()
    assert not writer.done()
    box.drop("res_1")
    await writer
    await lane.end("cancelled")
    assert (box.held_bytes, box.held()) == (0, [])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await box.next()


async def test_taking_can_be_cancelled_without_loss() -> None:
    box = outbox()
    taker = asyncio.create_task(box.next(), name="taker")
    await breathe()
    lane = box.open("res_1", 1000)
    await lane.end("completed", exit_code=0)
    taker.cancel()
    await asyncio.wait([taker])
    assert taker.cancelled()
    assert (await box.next()).result_id == "res_1"


async def test_a_running_command_is_held_although_all_it_sent_is_acknowledged() -> None:
    box = outbox()
    lane = box.open("res_1", 100_000_000)
    await lane.write("stdout", FRAME + b"more\n")
    frame = await box.next()
    box.acknowledge({"res_1": frame.seq})
    assert [(held.result_id, held.last_seq, held.is_running) for held in box.held()] == [("res_1", 1, True)]
    assert box.held_bytes == 0
    await lane.end("completed", exit_code=0)
    assert (await box.next()).seq == 2
