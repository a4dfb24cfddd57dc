"""agent/outbox.py against a model of a hub that stores, acknowledges, gives credit, and is cut off at any time."""

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.outbox import Lane, Outbox
from agent.settings import Output as OutputSettings
from schemas.frames import FRAME_OVERHEAD_BYTES, MAX_DATA_BYTES, Chunk, Exit, Output, Run, Stream, Welcome

T = TypeVar("T")

KIB = 1024
SETTINGS = OutputSettings(window_bytes=128 * KIB, budget_bytes=1024 * KIB, max_stderr_bytes=1024 * KIB)
TEXT = b"".join(b"%07d\n" % number for number in range(500_000))
MAX_COMMANDS = 6
NAMES = st.integers(0, MAX_COMMANDS - 1)
SOME = st.integers(1, 8)


class Command:
    """Both ends of one command: what was written here, what the hub has stored there."""

    def __init__(self, lane: Lane, *, is_stream: bool) -> None:
        self.lane = lane
        self.is_stream = is_stream
        self.written: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self.busy: dict[str, asyncio.Task[None]] = {}  # what writes to each stream, and what ends
        self.newest: dict[Stream, int] = {"stdout": 0, "stderr": 0}
        self.is_ended = False
        self.gave_up: dict[Stream, int] = {}  # what was being written when a write was given up, in bytes
        # the hub's
        self.stored: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self.has_seq = 0
        self.exits = 0
        self.credit = 0
        self.ahead: deque[tuple[int, int]] = deque()  # sent on this link beyond the credit

    def is_busy(self, what: str) -> bool:
        return what in self.busy and not self.busy[what].done()

    def give_up(self, stream: Stream) -> None:
        self.busy[stream].cancel()
        self.gave_up[stream] = self.newest[stream]

    def check_whole(self) -> None:
        for stream, written in self.written.items():
            missing = len(written) - len(self.stored[stream])
            assert missing in (0, self.gave_up.get(stream, 0))

    def store(self, frame: Output | Exit) -> None:
        """What the hub does: in order, each number once."""
        if last_seq(frame) <= self.has_seq:
            return
        assert frame.seq == self.has_seq + 1, "a gap"
        assert not self.exits, "output behind the end"
        parts: list[Output | Chunk] = [*frame.chunks] if isinstance(frame, Exit) else [frame]
        for part in parts:
            self.stored[part.stream] += part.data.encode()
        self.exits += isinstance(frame, Exit)
        self.has_seq = last_seq(frame)


class Link(RuleBasedStateMachine):
    """An outbox, a link that holds frames on their way, and the hub behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.box = self.do(self.made())
        self.commands: dict[str, Command] = {}
        self.numbers = 0
        self.is_linked = False
        self.window_bytes = 0
        self.on_their_way: deque[Output | Exit] = deque()
        self.opened = 0

    async def made(self) -> Outbox:
        return Outbox(SETTINGS)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    async def breathe(self) -> None:
        for _ in range(4):
            await asyncio.sleep(0)

    def begin_work(self, command: Command, what: str, work: Coroutine[Any, Any, None]) -> None:
        async def begin() -> None:
            command.busy[what] = asyncio.create_task(work, name="command of a model")
            await self.breathe()

        self.do(begin())

    def pick(self, number: int) -> Command | None:
        return list(self.commands.values())[number % len(self.commands)] if self.commands else None

    @precondition(lambda self: len(self.commands) < MAX_COMMANDS)
    @rule(is_stream=st.booleans())
    def opens(self, *, is_stream: bool) -> None:
        self.opened += 1
        result_id = f"res_{self.opened}"

        async def opened() -> Lane:
            return self.box.open(Run(result_id, "get", ["pods"], 30.0, 1 << 40, is_stream=is_stream))

        self.commands[result_id] = Command(self.do(opened()), is_stream=is_stream)

    @rule(number=NAMES, stream=st.sampled_from(["stdout", "stderr"]), lines=st.sampled_from([1, 9, 4000, 9000, 30_000]))
    def writes(self, number: int, stream: Stream, lines: int) -> None:
        command = self.pick(number)
        if command is None or command.is_ended or command.is_busy(stream) or stream in command.gave_up:
            return
        if stream == "stderr" and len(command.written[stream]) > 700_000:
            return
        start = 8 * (self.numbers % (len(TEXT) // 8 - lines))
        data = TEXT[start : start + 8 * lines]
        self.numbers += lines
        command.written[stream] += data
        command.newest[stream] = len(data)
        self.begin_work(command, stream, command.lane.write(stream, data))

    @rule(number=NAMES, stream=st.sampled_from(["stdout", "stderr"]))
    def gives_a_write_up(self, number: int, stream: Stream) -> None:
        """As when a command is cancelled: it is the last write, and was taken as a whole or not at all."""
        command = self.pick(number)
        if command is not None and command.is_busy(stream):
            command.give_up(stream)
            self.do(self.breathe())

    @rule(number=NAMES)
    def ends(self, number: int) -> None:
        command = self.pick(number)
        if command is not None and not command.is_ended:
            for stream in command.written:  # whoever ends a command has ended what writes for it
                if command.is_busy(stream):
                    command.give_up(stream)
            self.do(self.breathe())
            command.is_ended = True
            self.begin_work(command, "end", command.lane.end("completed", exit_code=0))

    @precondition(lambda self: not self.is_linked)
    @rule(window_bytes=st.sampled_from([64 * KIB, 128 * KIB, 1024 * KIB]), forgotten=st.none() | NAMES)
    def links(self, window_bytes: int, forgotten: int | None) -> None:
        """The hub says what it has; of one command it may know nothing."""
        names = {held.result_id for held in self.box.held()}
        assert names <= set(self.commands)
        for result_id in set(self.commands) - names:  # acknowledged to the end
            assert self.commands.pop(result_id).exits == 1
        resume: dict[str, int | None] = {result_id: command.has_seq for result_id, command in self.commands.items()}
        unwanted = list(self.commands)[forgotten % len(resume)] if forgotten is not None and resume else None
        if unwanted is not None:
            resume[unwanted] = None
        for command in self.commands.values():
            command.credit = command.has_seq
            command.ahead.clear()
        self.is_linked = True
        self.window_bytes = window_bytes
        self.do(self.begun(Welcome("0.0-test", 20.0, 8, window_bytes=window_bytes, resume=resume)))
        if unwanted is not None:
            dropped = self.commands.pop(unwanted)
            assert dropped.lane.is_closed
            assert not any(map(dropped.is_busy, dropped.busy)), "nobody will make room"

    async def begun(self, welcome: Welcome) -> None:
        self.box.begin(welcome)
        await self.breathe()

    @precondition(lambda self: self.is_linked)
    @rule(count=SOME)
    def takes(self, count: int) -> None:
        """The link sends so many frames, or all that may go."""
        self.do(self.taken(count))

    async def taken(self, count: int) -> None:
        for _ in range(count):
            taking = asyncio.create_task(self.box.next(), name="link of a model")
            await self.breathe()
            if not taking.done():
                taking.cancel()
                await asyncio.wait([taking])
                return
            frame = taking.result()
            self.on_their_way.append(frame)
            command = self.commands[frame.result_id]
            if not command.is_ended:
                assert sum(size for _, size in command.ahead) < self.window_bytes, "beyond its credit"
            command.ahead.append((last_seq(frame), size_of(frame)))

    @rule(count=SOME)
    def arrives(self, count: int) -> None:
        for _ in range(min(count, len(self.on_their_way))):
            frame = self.on_their_way.popleft()
            self.commands[frame.result_id].store(frame)

    @precondition(lambda self: self.is_linked)
    @rule(numbers=st.sets(NAMES, min_size=1), is_late=st.booleans())
    def acknowledges(self, numbers: set[int], *, is_late: bool) -> None:
        results = {"res_unknown": 7}
        for number in numbers & set(range(len(self.commands))):
            result_id = list(self.commands)[number]
            seq = self.commands[result_id].has_seq
            results[result_id] = max(0, seq - 1) if is_late else seq
        self.do(self.acknowledged(results))

    async def acknowledged(self, results: dict[str, int]) -> None:
        self.box.acknowledge(results)
        await self.breathe()
        for result_id in results:
            command = self.commands.get(result_id)
            if command is not None and result_id not in self.box:
                assert command.exits == 1
                del self.commands[result_id]

    @precondition(lambda self: self.is_linked)
    @rule(number=NAMES, back=st.sampled_from([0, 0, 1, 5]), is_nonsense=st.booleans())
    def credits(self, number: int, back: int, *, is_nonsense: bool) -> None:
        command = self.pick(number)
        results = {"res_unknown": 7}
        if command is not None:
            result_id = next(name for name, each in self.commands.items() if each is command)
            results[result_id] = max(0, command.has_seq - back)
            command.credit = max(command.credit, results[result_id])
            if is_nonsense and not command.ahead:
                results[result_id] = 2**53  # nothing was sent that it could speak of
            while command.ahead and command.ahead[0][0] <= command.credit:
                command.ahead.popleft()
        self.do(self.credited(results))

    async def credited(self, results: dict[str, int]) -> None:
        self.box.credit(results)
        await self.breathe()

    @precondition(lambda self: self.is_linked)
    @rule()
    def is_cut(self) -> None:
        self.is_linked = False
        self.on_their_way.clear()
        self.do(self.paused())

    async def paused(self) -> None:
        self.box.pause()
        await self.breathe()

    @invariant()
    def nothing_but_what_was_written_is_stored(self) -> None:
        for command in self.commands.values():
            for stream, stored in command.stored.items():
                assert command.written[stream].startswith(stored)

    @invariant()
    def memory_is_bounded(self) -> None:
        lanes = [command.lane for command in self.commands.values()]
        assert self.box.held_bytes == sum(lane.held_bytes for lane in lanes) <= SETTINGS.budget_bytes
        # A flush of both streams may be a little more than so small a window.
        most = max(SETTINGS.window_bytes, 2 * (MAX_DATA_BYTES + FRAME_OVERHEAD_BYTES))
        assert all(lane.held_bytes <= most for lane in lanes)

    def teardown(self) -> None:
        """With a hub that works, everything comes to its end."""
        try:
            if not self.is_linked:
                self.links(64 * KIB, None)
            self.do(self.drained())
            for number in range(len(self.commands)):
                self.ends(number)
            self.do(self.drained())
            assert self.box.is_settled
            assert self.box.held_bytes == 0
            assert self.commands == {}
            assert asyncio.all_tasks(self.loop) == set()
        finally:
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.do(self.breathe())
            self.loop.close()

    async def drained(self) -> None:
        """Carry on until nothing comes any more and nobody waits."""
        quiet = 0
        while quiet < 2:
            await self.taken(8)
            moved = bool(self.on_their_way)
            while self.on_their_way:
                frame = self.on_their_way.popleft()
                self.commands[frame.result_id].store(frame)
            seqs = {result_id: command.has_seq for result_id, command in self.commands.items()}
            for command in self.commands.values():
                command.ahead.clear()
                if command.is_ended and command.exits:
                    command.check_whole()
            self.box.credit(seqs)
            await self.acknowledged(seqs)
            if not moved:
                quiet += 1
                await asyncio.sleep(0.03)  # a stream's timer
        for command in self.commands.values():
            assert not any(map(command.is_busy, command.busy)), "it waits for room that is there"
            if command.is_stream and not command.gave_up:
                unsent = sum(map(len, command.written.values())) - sum(map(len, command.stored.values()))
                assert not unsent, "a stream holds nothing back"


def last_seq(frame: Output | Exit) -> int:
    return frame.seq + len(frame.chunks) if isinstance(frame, Exit) else frame.seq


def size_of(frame: Output | Exit) -> int:
    parts: list[Output | Chunk] = [*frame.chunks] if isinstance(frame, Exit) else [frame]
    size = sum(len(part.data.encode()) for part in parts)
    assert size <= MAX_DATA_BYTES
    return FRAME_OVERHEAD_BYTES + size


TestLink = Link.TestCase
TestLink.settings = settings(max_examples=400, stateful_step_count=60, deadline=None)
