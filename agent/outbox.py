"""What goes to the hub: each command's frames in their order, kept until the hub has acknowledged them.

Memory is bounded: a command that is a window ahead of the acknowledgements waits, and so do all once the budget is
spent. The link takes frames from the commands in turn, so a neighbour is never behind more than one frame of each.
"""

import asyncio
from collections import deque
from collections.abc import Mapping

from agent.chunker import Chunker
from agent.settings import Output as OutputSettings
from schemas.frames import Exit, ExitStatus, Held, Output, Stream

# What a frame costs beside its text: the objects around it.
_FRAME_OVERHEAD_BYTES = 512


class Outbox:
    """The frames of all commands. Belongs to one event loop."""

    def __init__(self, settings: OutputSettings) -> None:
        self._settings = settings
        self._lanes: dict[str, Lane] = {}
        self._ready: deque[Lane] = deque()
        self._has_frames = asyncio.Event()
        self._has_room = asyncio.Event()
        self._is_settled = asyncio.Event()
        self._is_settled.set()
        self._held_bytes = 0

    def __contains__(self, result_id: str) -> bool:
        return result_id in self._lanes

    @property
    def held_bytes(self) -> int:
        """Bytes of frames that are not sent or not acknowledged."""
        return self._held_bytes

    def open(self, result_id: str, max_output_bytes: int) -> "Lane":
        """Begin a command's output. It is held from now until its exit frame is acknowledged."""
        lane = Lane(self, Chunker(result_id, max_output_bytes, self._settings.max_stderr_bytes))
        self._lanes[result_id] = lane
        self._is_settled.clear()
        return lane

    def held(self) -> list[Held]:
        """Everything the hub has not acknowledged, for the next hello."""
        return [Held(result_id, lane.last_seq, not lane.has_exit) for result_id, lane in self._lanes.items()]

    async def next(self) -> Output | Exit:
        """Wait for the next frame to send. Cancelling loses none; one taker at a time."""
        while not self._ready:
            self._has_frames.clear()
            await self._has_frames.wait()
        lane = self._ready.popleft()
        frame = lane.pop()
        if lane.has_unsent:
            self._ready.append(lane)
        return frame

    def acknowledge(self, results: Mapping[str, int]) -> None:
        """Forget what the hub has stored: of each result, what was sent up to a number."""
        for result_id, seq in results.items():
            lane = self._lanes.get(result_id)
            if lane is None:
                continue
            self._held_bytes -= lane.forget(seq)
            if lane.is_empty:
                self._remove(result_id)
        self._make_room()

    def drop(self, result_id: str) -> None:
        """Forget a command with all its frames: nobody will ask for them."""
        lane = self._lanes.get(result_id)
        if lane is not None:
            self._held_bytes -= lane.held_bytes
            if lane in self._ready:
                self._ready.remove(lane)
            lane.close()
            self._remove(result_id)
            self._make_room()

    async def settled(self) -> None:
        """Wait until everything is sent and acknowledged."""
        await self._is_settled.wait()

    async def admit(self, lane: "Lane", frame: Output | Exit, last_seq: int) -> None:
        """Queue a frame of `lane`, when there is room for it."""
        size = _size(frame)
        while not lane.is_closed and (
            (lane.held_bytes and lane.held_bytes + size > self._settings.window_bytes)
            or (self._held_bytes and self._held_bytes + size > self._settings.budget_bytes)
        ):
            self._has_room.clear()
            await self._has_room.wait()
        if lane.is_closed:
            return
        self._held_bytes += size
        if not lane.has_unsent:
            self._ready.append(lane)
        lane.push(frame, last_seq, size)
        self._has_frames.set()

    def _remove(self, result_id: str) -> None:
        del self._lanes[result_id]
        if not self._lanes:
            self._is_settled.set()

    def _make_room(self) -> None:
        self._has_room.set()


class Lane:
    """One command's output: the executor writes to it, the dispatcher ends it, the outbox sends from it."""

    def __init__(self, outbox: Outbox, chunker: Chunker) -> None:
        self._outbox = outbox
        self._chunker = chunker
        self._unsent: deque[tuple[Output | Exit, int, int]] = deque()  # frame, its last number, its size
        self._sent: deque[tuple[Output | Exit, int, int]] = deque()
        # Both streams write; without it a frame could overtake one that waits for room.
        self._turn = asyncio.Lock()
        # Numbered, and not yet admitted: a cancelled `write` leaves its frames here for `end`, so no number is missing.
        self._waiting: deque[tuple[Output | Exit, int]] = deque()
        self.held_bytes = 0
        self.has_exit = False  # the terminal frame is queued
        self.is_ended = False  # nothing more is taken
        self.is_closed = False  # nobody will ask for what is left

    @property
    def last_seq(self) -> int:
        """The number of the newest frame, 0 before the first."""
        return self._chunker.last_seq

    @property
    def has_unsent(self) -> bool:
        """Whether frames wait to be sent."""
        return bool(self._unsent)

    @property
    def is_empty(self) -> bool:
        """Whether the command has ended and all of it is acknowledged."""
        return self.has_exit and not self._unsent and not self._sent

    async def write(self, stream: Stream, data: bytes) -> None:
        """Take output of the command; returns when there is room for more. Raises TooMuchOutput.

        Cancelling loses nothing. After the end, and on a lost link, output goes nowhere.
        """
        if self.is_ended or self.is_closed:
            return
        async with self._turn:
            self._waiting.extend((frame, frame.seq) for frame in self._chunker.feed(stream, data))
            await self._admit()

    async def end(
        self,
        status: ExitStatus,
        *,
        exit_code: int | None = None,
        execution_time_ms: int = 0,
        executor: str | None = None,
        error: str | None = None,
    ) -> None:
        """Queue the terminal frame, once: a second call does nothing."""
        if self.is_ended or self.is_closed:
            return
        self.is_ended = True
        async with self._turn:
            frames = self._chunker.end(
                status, exit_code=exit_code, execution_time_ms=execution_time_ms, executor=executor, error=error
            )
            self._waiting.extend(
                (frame, self._chunker.last_seq if isinstance(frame, Exit) else frame.seq) for frame in frames
            )
            await self._admit()

    def push(self, frame: Output | Exit, last_seq: int, size: int) -> None:
        """Add a frame to be sent."""
        self._unsent.append((frame, last_seq, size))
        self.held_bytes += size
        self.has_exit = isinstance(frame, Exit)

    def pop(self) -> Output | Exit:
        """Take the next frame to be sent; it stays held."""
        entry = self._unsent.popleft()
        self._sent.append(entry)
        return entry[0]

    def forget(self, seq: int) -> int:
        """Let go of sent frames up to a number; returns their bytes."""
        freed = 0
        while self._sent and self._sent[0][1] <= seq:
            freed += self._sent.popleft()[2]
        self.held_bytes -= freed
        return freed

    def close(self) -> None:
        """Take nothing more."""
        self.is_closed = True
        self._waiting.clear()
        self._unsent.clear()
        self._sent.clear()

    async def _admit(self) -> None:
        while self._waiting:
            frame, last_seq = self._waiting[0]
            await self._outbox.admit(self, frame, last_seq)
            if self._waiting:  # not closed meanwhile
                self._waiting.popleft()


def _size(frame: Output | Exit) -> int:
    """What a frame weighs in memory, about: its text, a byte for each ASCII character."""
    chunks = frame.chunks if isinstance(frame, Exit) else [frame]
    return _FRAME_OVERHEAD_BYTES + sum(len(chunk.data) for chunk in chunks)
