"""agent/outbox.py: order, fairness, bounds, acknowledgement."""

import asyncio
from collections.abc import Awaitable

import pytest

from agent.errors import Satisfied
from agent.outbox import Lane, Outbox
from agent.settings import Output as OutputSettings
from schemas.frames import MAX_DATA_BYTES, Chunk, Contract, Exit, Output, Run, Welcome
from tests.support.waiting import until

KIB = 1024
SETTINGS = OutputSettings(window_bytes=256 * KIB, budget_bytes=1024 * KIB)
FRAME = b"x" * (MAX_DATA_BYTES - 1) + b"\n"


def outbox() -> Outbox:
    """One on a link whose window is no less than its own."""
    box = Outbox(SETTINGS)
    box.begin(welcome())
    return box


def welcome(**fields: object) -> Welcome:
    return Welcome("0.0-test", 20.0, 8, **{"window_bytes": 256 * KIB} | fields)  # type: ignore[arg-type]


def opened(box: Outbox, result_id: str = "res_1", max_output_bytes: int = 100_000_000, **fields: object) -> Lane:
    return box.open(Run(result_id, "get", ["pods"], 30.0, max_output_bytes, **fields))  # type: ignore[arg-type]


def started(work: Awaitable[None]) -> asyncio.Task[None]:
    async def run() -> None:
        await work

    return asyncio.create_task(run(), name="writer of a test")


def stored(box: Outbox, seq: int, result_id: str = "res_1") -> None:
    """What a hub says of a frame that it has stored and passed on."""
    box.acknowledge({result_id: seq})
    box.credit({result_id: seq})


async def breathe() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def nothing_comes(box: Outbox) -> bool:
    try:
        async with asyncio.timeout(0.01):
            await box.next()
    except TimeoutError:
        return True
    return False


async def ended(writer: asyncio.Task[None]) -> None:
    writer.cancel()
    await asyncio.wait([writer])


async def flood(lane: Lane) -> None:
    while True:
        await lane.write("stdout", FRAME)


async def test_a_short_command_is_its_exit_alone() -> None:
    box = outbox()
    lane = opened(box, "res_1", 1000)
    await lane.write("stdout", b"hello\n")
    await lane.end("completed", exit_code=0)
    frame = await box.next()
    assert isinstance(frame, Exit)
    assert (frame.seq, frame.status, [chunk.data for chunk in frame.chunks]) == (1, "completed", ["hello\n"])


async def test_a_second_end_does_nothing() -> None:
    box = outbox()
    lane = opened(box, "res_1", 1000)
    await lane.end("completed", exit_code=0)
    await lane.end("cancelled")
    await lane.write("stdout", b"late\n")
    first = await box.next()
    assert isinstance(first, Exit)
    assert first.status == "completed"
    assert await nothing_comes(box)


async def test_a_command_waits_when_it_is_a_window_ahead() -> None:
    box = outbox()
    lane = opened(box, "res_1", 100_000_000)
    writer = started(flood(lane))
    await breathe()
    assert 128 * KIB < box.held_bytes <= 256 * KIB
    sent = [await box.next() for _ in range(3)]
    await breathe()
    assert box.held_bytes <= 256 * KIB, "sent is not acknowledged"
    assert isinstance(sent[0], Output)
    stored(box, 2)
    await breathe()
    assert [frame.seq for frame in [await box.next(), await box.next()]] == [4, 5]
    await ended(writer)


async def test_all_commands_together_keep_to_the_budget() -> None:
    box = outbox()
    writers = [started(flood(opened(box, f"res_{number}", 100_000_000))) for number in range(20)]
    await breathe()
    assert box.held_bytes <= 1024 * KIB
    for writer in writers:
        writer.cancel()
    await asyncio.wait(writers)


async def test_a_neighbour_is_not_behind_a_flood() -> None:
    box = outbox()
    writer = started(flood(opened(box, "res_flood", 100_000_000)))
    await breathe()
    short = opened(box, "res_short", 1000)
    await short.end("completed", exit_code=0)
    first, second = await box.next(), await box.next()
    assert {first.result_id, second.result_id} == {"res_flood", "res_short"}
    await ended(writer)


async def test_numbers_have_no_gap_when_a_writer_is_cancelled_while_it_waits() -> None:
    box = outbox()
    lane = opened(box, "res_1", 100_000_000)
    writer = started(flood(lane))
    await breathe()
    await ended(writer)
    ending = started(lane.end("cancelled", error="enough"))
    seqs: list[int] = []
    while True:
        frame = await box.next()
        seqs.append(frame.seq)
        if isinstance(frame, Exit):
            break
        stored(box, frame.seq)
        await breathe()
    await ending
    assert seqs == list(range(1, len(seqs) + 1))


async def test_both_streams_keep_their_numbers_in_order_while_they_wait() -> None:
    box = outbox()
    lane = opened(box, "res_1", 100_000_000)

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
        stored(box, frame.seq)
    assert len(seqs) > 10
    assert seqs == sorted(seqs)


async def test_what_is_acknowledged_is_forgotten() -> None:
    box = outbox()
    lane = opened(box, "res_1", 1000)
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
    lane = opened(box, "res_1", 1000)
    await lane.end("completed", exit_code=0)
    box.acknowledge({"res_1": 99})
    assert "res_1" in box
    assert isinstance(await box.next(), Exit)


async def test_an_early_acknowledgement_does_not_lose_an_exit_that_waits() -> None:
    box = outbox()
    lane = opened(box, "res_1", 100_000_000)
    writer = started(flood(lane))
    await breathe()
    await ended(writer)
    ending = started(lane.end("timeout"))
    await breathe()
    frame: Output | Exit = await box.next()
    while isinstance(frame, Output):
        stored(box, frame.seq)
        await breathe()
        frame = await box.next()
    await ending
    box.acknowledge({"res_1": lane.last_seq})
    assert box.held_bytes == 0


async def test_dropping_lets_a_waiting_writer_go() -> None:
    box = outbox()
    lane = opened(box, "res_1", 2_000_000)

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
    assert await nothing_comes(box)


async def test_taking_can_be_cancelled_without_loss() -> None:
    box = outbox()
    taker = asyncio.create_task(box.next(), name="taker")
    await breathe()
    lane = opened(box, "res_1", 1000)
    await lane.end("completed", exit_code=0)
    taker.cancel()
    await asyncio.wait([taker])
    assert taker.cancelled()
    assert (await box.next()).result_id == "res_1"


async def test_a_running_command_is_held_although_all_it_sent_is_acknowledged() -> None:
    box = outbox()
    lane = opened(box, "res_1", 100_000_000)
    await lane.write("stdout", FRAME + b"more\n")
    frame = await box.next()
    box.acknowledge({"res_1": frame.seq})
    assert [(held.result_id, held.last_seq, held.is_running) for held in box.held()] == [("res_1", 1, True)]
    assert box.held_bytes == 0
    await lane.end("completed", exit_code=0)
    assert (await box.next()).seq == 2


async def test_a_broken_link_loses_nothing() -> None:
    box = outbox()
    lane = opened(box)
    for _ in range(3):
        await lane.write("stdout", FRAME)
    assert [(await box.next()).seq for _ in range(2)] == [1, 2]
    box.acknowledge({"res_1": 1})
    for _ in range(2):
        box.pause()
        await lane.write("stdout", FRAME)
        assert await nothing_comes(box), "there is no link"
        box.begin(welcome(resume={"res_1": 1}))
        assert (await box.next()).seq == 2
    ending = started(lane.end("completed", exit_code=0))
    seqs = []
    while True:
        await breathe()
        frame = await box.next()
        seqs.append(frame.seq)
        box.acknowledge({"res_1": frame.seq})
        if isinstance(frame, Exit):
            break
    await ending
    assert seqs == [3, 4, 5]
    box.acknowledge({"res_1": lane.last_seq})
    assert box.is_settled


@pytest.mark.parametrize(
    ("resume", "expected"),
    [
        (0, [2, 3, 4]),  # what is acknowledged is gone, whatever an old backup says
        (1, [2, 3, 4]),
        (2, [3, 4]),
        (3, [4]),
        (2**53, [4]),  # it was never sent, so the hub cannot have it
    ],
)
async def test_a_resume_says_what_is_sent_again(resume: int, expected: list[int]) -> None:
    box = outbox()
    lane = opened(box)
    for _ in range(4):
        await lane.write("stdout", FRAME)
    for _ in range(3):
        await box.next()
    box.acknowledge({"res_1": 1})
    await lane.end("completed")
    box.pause()
    assert box.begin(welcome(resume={"res_1": resume, "res_unknown": 7})) == []
    assert [(await box.next()).seq for _ in expected] == expected
    assert await nothing_comes(box)


@pytest.mark.parametrize("terms", [{}, {"resume": {"res_1": None}}, {"resume": {"res_1": 1}, "protocol_version": 1}])
async def test_what_is_not_resumed_is_dropped(terms: dict[str, object]) -> None:
    box = outbox()
    lane = opened(box)
    writer = started(flood(lane))
    await breathe()
    await box.next()
    box.pause()
    assert box.begin(welcome(**terms)) == ["res_1"]
    assert (box.held_bytes, box.held(), lane.is_closed) == (0, [], True)
    await ended(writer)
    assert await nothing_comes(box)


async def test_an_exit_whose_acknowledgement_was_lost() -> None:
    box = outbox()
    lane = opened(box)
    await lane.write("stdout", b"hello\n")
    await lane.end("completed", exit_code=0)
    await box.next()
    box.pause()
    box.begin(welcome(resume={"res_1": lane.last_seq}))
    assert box.is_settled
    assert await nothing_comes(box)


async def test_an_acknowledgement_may_speak_of_an_earlier_link() -> None:
    """The hub was still storing when it said how far it was."""
    box = outbox()
    lane = opened(box)
    for _ in range(3):
        await lane.write("stdout", FRAME)
    for _ in range(2):
        await box.next()
    box.pause()
    box.begin(welcome(resume={"res_1": 0}))
    box.acknowledge({"res_1": 99})
    await lane.end("completed")
    assert (await box.next()).seq == 3, "what was sent before is stored, what was not cannot be"
    box.pause()
    box.begin(welcome(resume={"res_1": 0}))
    box.acknowledge({"res_1": lane.last_seq})
    assert box.is_settled
    assert await nothing_comes(box)


async def test_without_credit_a_command_waits_and_its_neighbour_does_not() -> None:
    box = outbox()
    box.begin(welcome(window_bytes=128 * KIB))
    writer = started(flood(opened(box, "res_slow")))
    await breathe()
    for seq in (1, 2):
        assert (await box.next()).seq == seq
        box.acknowledge({"res_slow": seq})
    await breathe()
    assert await nothing_comes(box), "it is a window ahead, though all of that is stored"
    assert box.held_bytes > 128 * KIB, "and has its own window full again"
    quick = started(flood(opened(box, "res_quick")))
    await breathe()
    for seq in range(1, 20):
        frame = await box.next()
        assert (frame.result_id, frame.seq) == ("res_quick", seq)
        stored(box, seq, "res_quick")
        await breathe()
    box.credit({"res_slow": 1})
    assert {(await box.next()).result_id for _ in range(2)} == {"res_slow", "res_quick"}
    await ended(writer)
    await ended(quick)


async def test_credit_that_makes_no_sense_gives_nothing() -> None:
    box = outbox()
    box.begin(welcome(window_bytes=128 * KIB))
    writer = started(flood(opened(box)))
    await breathe()
    box.credit({"res_1": 50, "res_unknown": 2**53})  # of nothing that was sent
    assert [(await box.next()).seq for _ in range(2)] == [1, 2]
    box.acknowledge({"res_1": 2})
    await breathe()
    assert await nothing_comes(box)
    box.credit({"res_1": 1})
    box.credit({"res_1": 0})
    box.credit({"res_1": 1})
    assert (await box.next()).seq == 3
    assert await nothing_comes(box)
    box.credit({"res_1": 99})
    assert [(await box.next()).seq] == [4]
    await ended(writer)


@pytest.mark.parametrize("is_full", [True, False])
async def test_an_end_comes_through_without_credit(*, is_full: bool) -> None:
    """What stands before it goes too: a window of the agent's own at most."""
    box = outbox()
    box.begin(welcome(window_bytes=64 * KIB))
    lane = opened(box)
    if is_full:
        writer = started(flood(lane))
        await breathe()
        await ended(writer)
    else:
        await lane.write("stdout", FRAME * 2 + b"more\n")
    await box.next()
    assert await nothing_comes(box)
    ending = started(lane.end("cancelled"))
    seqs = [1]
    while True:
        box.acknowledge({"res_1": seqs[-1]})
        await breathe()
        frame = await box.next()
        seqs.append(frame.seq)
        if isinstance(frame, Exit):
            break
    await ending
    assert seqs == list(range(1, len(seqs) + 1))


async def test_a_new_link_is_a_new_window() -> None:
    box = outbox()
    box.begin(welcome(window_bytes=128 * KIB))
    writer = started(flood(opened(box)))
    await breathe()
    for seq in (1, 2):
        await box.next()
        box.acknowledge({"res_1": seq})
    assert await nothing_comes(box)
    box.pause()
    box.begin(welcome(window_bytes=64 * KIB, resume={"res_1": 2}))
    assert (await box.next()).seq == 3
    assert await nothing_comes(box)
    await ended(writer)


async def test_a_hub_of_version_1_gives_no_credit() -> None:
    box = outbox()
    box.begin(welcome(protocol_version=1, window_bytes=64 * KIB))
    writer = started(flood(opened(box)))
    for seq in range(1, 30):
        await breathe()
        assert (await box.next()).seq == seq
        box.acknowledge({"res_1": seq})
    await ended(writer)


async def test_a_full_budget_still_has_a_frame_for_each() -> None:
    """Commands that hold all they may, and whose clients do not read, cannot stop the others."""
    box = outbox()
    writers = [started(flood(opened(box, f"res_{number}"))) for number in range(5)]
    await breathe()
    assert box.held_bytes > 768 * KIB
    lane = opened(box, "res_late")
    async with asyncio.timeout(1):
        await lane.write("stdout", FRAME * 2)
    assert box.held_bytes <= 1024 * KIB
    for writer in writers:
        await ended(writer)


async def test_text_counts_as_it_is_on_the_wire() -> None:
    box = outbox()
    await opened(box).write("stdout", "ä".encode() * MAX_DATA_BYTES)
    frame = await box.next()
    assert isinstance(frame, Output)
    assert box.held_bytes == len(frame.data.encode()) + 512


def streamed(box: Outbox, result_id: str = "res_1") -> Lane:
    return opened(box, result_id, is_stream=True)


async def texts(box: Outbox, count: int) -> list[str]:
    frames = [await box.next() for _ in range(count)]
    return [frame.data for frame in frames if isinstance(frame, Output)]


async def test_a_quiet_stream_is_sent_line_by_line() -> None:
    box = outbox()
    lane = streamed(box)
    for number in range(5):
        await lane.write("stdout", b"%d\n" % number)
        async with asyncio.timeout(1):
            assert await texts(box, 1) == [f"{number}\n"]
        stored(box, number + 1)


async def test_a_line_of_a_stream_goes_at_once() -> None:
    box = outbox()
    lane = streamed(box)
    await lane.write("stdout", b"first\n")
    taken = asyncio.create_task(box.next(), name="taker")
    await asyncio.sleep(0)
    assert taken.done(), "without waiting for a timer"


async def test_what_a_busy_stream_writes_gathers() -> None:
    box = outbox()
    lane = streamed(box)
    for number in range(1000):
        await lane.write("stdout", b"%03d\n" % number)
    assert await texts(box, 2) == ["000\n", "".join(f"{number:03}\n" for number in range(1, 1000))]
    assert await nothing_comes(box)


async def test_a_flood_of_lines_is_not_a_flood_of_frames() -> None:
    """However fast the link is: it takes each frame in the moment in which it is there."""
    box = outbox()
    lane = streamed(box)
    frames: list[Output | Exit] = []

    async def link() -> None:
        while True:
            frames.append(await box.next())
            stored(box, frames[-1].seq)

    taking = started(link())
    began = asyncio.get_running_loop().time()
    for number in range(100_000):
        await lane.write("stdout", b"line %06d\n" % number)
        await asyncio.sleep(0)
    elapsed = asyncio.get_running_loop().time() - began
    await lane.end("cancelled")
    await until(lambda: isinstance(frames[-1], Exit))
    await ended(taking)
    assert len(frames) < 1_200_000 / MAX_DATA_BYTES + elapsed * 100 + 5
    parts = [part for frame in frames for part in (frame.chunks if isinstance(frame, Exit) else [frame])]
    assert "".join(part.data for part in parts) == "".join(f"line {number:06}\n" for number in range(100_000))


async def test_a_stream_without_a_link_gathers_and_goes_on() -> None:
    box = outbox()
    lane = streamed(box)
    box.pause()
    for number in range(50):
        await lane.write("stdout", b"%d\n" % number)
    box.begin(welcome(resume={"res_1": 0}))
    assert await texts(box, 1) == ["".join(f"{number}\n" for number in range(50))]


async def test_a_stream_without_credit_gathers_and_goes_on() -> None:
    box = outbox()
    box.begin(welcome(window_bytes=64 * KIB))
    lane = streamed(box)
    await lane.write("stdout", FRAME + b"a\n")
    await box.next()
    box.acknowledge({"res_1": 1})
    await lane.write("stdout", b"b\n")
    assert await nothing_comes(box)
    box.credit({"res_1": 1})
    assert await texts(box, 1) == ["a\nb\n"]


async def test_a_stream_flushes_nothing_past_a_writer_that_waits() -> None:
    box = outbox()
    lane = streamed(box)
    writer = started(flood(lane))
    seen = 0
    for _ in range(60):
        await breathe()
        frame = await box.next()
        seen += 1
        assert frame.seq == seen
        stored(box, frame.seq)
        assert box.held_bytes <= 256 * KIB
    await ended(writer)
    ending = started(lane.end("cancelled"))
    while not ending.done():
        await breathe()
        frame = await box.next()
        seen += 1
        assert frame.seq == seen
        stored(box, frame.seq)


async def test_the_end_of_a_stream_leaves_no_timer() -> None:
    box = outbox()
    for drop in (True, False):
        lane = streamed(box)
        await lane.write("stdout", b"first\n")
        await box.next()
        await lane.write("stdout", b"second\n")
        if drop:
            box.drop("res_1")
            continue
        await lane.end("cancelled")
        frame = await box.next()
        assert isinstance(frame, Exit)
        assert [chunk.data for chunk in frame.chunks] == ["second\n"]
    await asyncio.sleep(0.05)  # the timer would have come
    assert await nothing_comes(box)


async def test_a_satisfied_stream_stops_its_writer() -> None:
    box = outbox()
    lane = opened(box, is_stream=True, contract=Contract(max_lines=2))
    with pytest.raises(Satisfied, match="Stopped"):
        await lane.write("stdout", b"1\n2\n3\n")
    await lane.end("completed", exit_code=0)
    frame = await box.next()
    assert isinstance(frame, Exit)
    assert [chunk.data for chunk in frame.chunks] == ["1\n2\n"]


SLOW = ".{250}z|line"  # a pattern that is matched in a thread


async def test_slow_matching_stops_nobody_and_loses_nothing() -> None:
    box = outbox()
    lane = opened(box, contract=Contract(grep=SLOW))
    text = b"".join(b"line %06d\nother\n" % number for number in range(20_000))
    expected = "".join(f"line {number:06}\n" for number in range(20_000))
    writing = started(lane.write("stdout", text))
    turns = 0
    parts: list[Output | Exit] = []
    while not writing.done():
        try:
            async with asyncio.timeout(0.002):
                frame = await box.next()
        except TimeoutError:
            turns += 1
            continue
        parts.append(frame)
        stored(box, frame.seq)
    await lane.end("completed")
    while not isinstance(frame := await box.next(), Exit):
        parts.append(frame)
    assert [frame.seq for frame in parts] == list(range(1, len(parts) + 1))
    chunks: list[Output | Chunk] = [part for part in parts if isinstance(part, Output)]
    chunks += frame.chunks
    assert "".join(chunk.data for chunk in chunks) == expected
    assert turns > 3


async def test_a_cancel_waits_for_what_is_being_matched() -> None:
    box = outbox()
    lane = opened(box, contract=Contract(grep=SLOW))
    text = b"line\n" * 300_000
    writing = started(lane.write("stdout", text))
    await breathe()
    loop = asyncio.get_running_loop()
    began = loop.time()
    writing.cancel()
    writing.cancel()
    await asyncio.wait([writing])
    assert writing.cancelled()
    assert loop.time() - began < 1.0
    await lane.end("cancelled")
    frames = [await box.next()]
    while not isinstance(frames[-1], Exit):
        frames.append(await box.next())
    assert [frame.seq for frame in frames] == list(range(1, len(frames) + 1))
    assert frames[-1].output_bytes <= 2 * 64 * KIB, "what was not begun is not matched"
