"""What goes to the hub: each command's frames in their order, kept until the hub has acknowledged them.

They outlive the link: what was not acknowledged when it broke goes out again on the next one, behind what the hub says
it has. Memory is bounded: a command that is a window ahead of the acknowledgements waits, and so do all once the budget
is spent. The link takes frames from the commands in turn, so a neighbour is never behind more than one frame of each. A
command whose output does not go on from the hub (its credit) holds its next frames, and only its own.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

from agent.chunker import Chunker
from agent.errors import Satisfied
from agent.redaction.screen import NO_SCREEN, Screen
from agent.settings import Output as OutputSettings
from schemas.codec import utf8_bytes
from schemas.frames import (
    FRAME_OVERHEAD_BYTES,
    MAX_DATA_BYTES,
    RESUMING_VERSION,
    Exit,
    ExitStatus,
    Held,
    Output,
    Run,
    Stream,
    Welcome,
)

# A command that holds something already leaves this part of the budget to those that hold nothing: whatever the others
# do, each can have a frame under way.
_RESERVED_PART: Final = 4
# A stream's output goes out at once, unless some went so short a time before: then it gathers. Nobody sees the delay,
# and each frame costs the hub a write.
_FLUSH_INTERVAL_SECONDS: Final = 0.01
# What a flush may come to: stdout and stderr hold back less than a frame each.
_MAX_FLUSH_BYTES: Final = 2 * (MAX_DATA_BYTES + FRAME_OVERHEAD_BYTES)
# So much is matched at once in a thread: at the worst under a second, which is how long a cancel may take.
_SLOW_BYTES: Final = 64 * 1024


class Outbox:
    """The frames of all commands. Belongs to one event loop.

    Commands write and end whether or not there is a link; `next` is called only between `begin` and `pause`.
    """

    def __init__(self, settings: OutputSettings) -> None:
        self._settings = settings
        self._lanes: dict[str, Lane] = {}
        self._ready: deque[Lane] = deque()
        self._has_frames = asyncio.Event()
        self._has_room = asyncio.Event()
        self._is_settled = asyncio.Event()
        self._is_settled.set()
        self._held_bytes = 0
        self._is_linked = False
        self._window_bytes: int | None = None  # how far a lane may be ahead of its credit; None: the hub gives none

    def __contains__(self, result_id: str) -> bool:
        return result_id in self._lanes

    def __len__(self) -> int:
        return len(self._lanes)

    @property
    def held_bytes(self) -> int:
        """Bytes of frames that are not sent or not acknowledged."""
        return self._held_bytes

    @property
    def is_settled(self) -> bool:
        """Whether no command is left: all have ended, and everything is acknowledged."""
        return not self._lanes

    def open(self, run: Run, screen: Screen = NO_SCREEN) -> "Lane":
        """Begin a command's output. It is held from now until its exit frame is acknowledged."""
        lane = Lane(self, Chunker(run, self._settings.max_stderr_bytes, screen), is_stream=run.is_stream)
        self._lanes[run.result_id] = lane
        self._is_settled.clear()
        return lane

    def held(self) -> list[Held]:
        """Everything the hub has not acknowledged, for the next hello."""
        return [Held(result_id, lane.last_seq, not lane.is_ended) for result_id, lane in self._lanes.items()]

    def begin(self, welcome: Welcome) -> list[str]:
        """A link was welcomed: go on behind what the hub has, by the terms of this link.

        Returns the results the hub does not want; they are dropped with all their frames.
        """
        self._is_linked = True
        is_resuming = welcome.protocol_version >= RESUMING_VERSION
        self._window_bytes = welcome.window_bytes if is_resuming else None
        unwanted: list[str] = []
        for result_id, lane in list(self._lanes.items()):
            seq = welcome.resume.get(result_id) if is_resuming else None
            if seq is None:
                unwanted.append(result_id)
                self.drop(result_id)
            else:
                self._forget(result_id, lane, seq)
        self._has_room.set()
        return unwanted

    def pause(self) -> None:
        """The link is gone: what is not acknowledged is to be sent again."""
        self._is_linked = False
        self._ready.clear()
        for lane in self._lanes.values():
            lane.rewind()

    async def next(self) -> Output | Exit:
        """Wait for the next frame to send. Cancelling loses none; one taker at a time."""
        while True:
            while not self._ready:
                self._has_frames.clear()
                await self._has_frames.wait()
            lane = self._ready.popleft()
            lane.is_ready = False
            if lane.may_send(self._window_bytes):  # else it was acknowledged before it was sent again
                frame = lane.pop()
                lane.flush()
                self.offer(lane)
                return frame

    def acknowledge(self, results: Mapping[str, int]) -> None:
        """Forget what the hub has stored: of each result, what was ever sent up to a number. Others are passed over."""
        for result_id, seq in results.items():
            lane = self._lanes.get(result_id)
            if lane is not None:
                self._forget(result_id, lane, seq)
        self._has_room.set()

    def credit(self, results: Mapping[str, int]) -> None:
        """Let each result be ahead of a number. One it does not hold, and one that was not sent, are passed over."""
        for result_id, seq in results.items():
            lane = self._lanes.get(result_id)
            if lane is not None:
                lane.credit(seq)
                lane.flush()
                self.offer(lane)

    def drop(self, result_id: str) -> None:
        """Forget a command with all its frames: nobody will ask for them."""
        lane = self._lanes.get(result_id)
        if lane is not None:
            self._held_bytes -= lane.held_bytes
            if lane.is_ready:
                self._ready.remove(lane)
            lane.close()
            self._remove(result_id)
            self._has_room.set()

    async def settled(self) -> None:
        """Wait until everything is sent and acknowledged."""
        await self._is_settled.wait()

    async def admit(self, lane: "Lane", frame: Output | Exit, last_seq: int) -> None:
        """Queue a frame of `lane`, when there is room for it."""
        size = _size(frame)
        while not lane.is_closed and not self._has_room_for(lane, size):
            self._has_room.clear()
            await self._has_room.wait()
        if not lane.is_closed:
            self._queue(lane, _Entry(frame, last_seq, size))

    def may_flush(self, lane: "Lane") -> bool:
        """Whether what a flush gives may be queued at once: it would go out, and there is room."""
        return (
            self._is_linked and not lane.is_held_back(self._window_bytes) and self._has_room_for(lane, _MAX_FLUSH_BYTES)
        )

    def queue(self, lane: "Lane", frames: list[Output]) -> None:
        """Queue what a flush gave that was allowed."""
        for frame in frames:
            self._queue(lane, _Entry(frame, frame.seq, _size(frame)))

    def offer(self, lane: "Lane") -> None:
        """Let the link take a lane's next frame, if it has one that may go."""
        if self._is_linked and not lane.is_ready and lane.may_send(self._window_bytes):
            lane.is_ready = True
            self._ready.append(lane)
            self._has_frames.set()

    def _queue(self, lane: "Lane", entry: "_Entry") -> None:
        self._held_bytes += entry.size
        lane.push(entry)
        self.offer(lane)

    def _has_room_for(self, lane: "Lane", size: int) -> bool:
        settings = self._settings
        if not lane.held_bytes:
            return self._held_bytes + size <= settings.budget_bytes
        budget_bytes = settings.budget_bytes - settings.budget_bytes // _RESERVED_PART
        return lane.held_bytes + size <= settings.window_bytes and self._held_bytes + size <= budget_bytes

    def _forget(self, result_id: str, lane: "Lane", seq: int) -> None:
        self._held_bytes -= lane.forget(seq)
        if self._window_bytes is None:
            lane.credit(seq)
        if lane.is_empty:
            self._remove(result_id)
        else:
            lane.flush()
            self.offer(lane)

    def _remove(self, result_id: str) -> None:
        del self._lanes[result_id]
        if not self._lanes:
            self._is_settled.set()


class _Entry(NamedTuple):
    """A frame that is held. An exit's `last_seq` comes behind those of its chunks."""

    frame: Output | Exit
    last_seq: int
    size: int


class Lane:
    """One command's output: the executor writes to it, the dispatcher ends it, the outbox sends from it."""

    def __init__(self, outbox: Outbox, chunker: Chunker, *, is_stream: bool) -> None:
        self._outbox = outbox
        self._chunker = chunker
        self._is_stream = is_stream
        self._loop = asyncio.get_running_loop()
        self._unsent: deque[_Entry] = deque()
        self._sent: deque[_Entry] = deque()  # on this link
        self._ahead: deque[tuple[int, int]] = deque()  # last number and size of each frame sent beyond the credit
        self._ahead_bytes = 0
        self._newest_sent_seq = 0  # on any link
        # Numbered, and not yet admitted: a cancelled `write` leaves its frames here for `end`, so no number is missing.
        self._waiting: deque[tuple[Output | Exit, int]] = deque()
        # Both streams write; without it a frame could overtake one that waits for room, and two be at the chunker.
        self._turn = asyncio.Lock()
        self._flush_at = 0.0  # not before, on the event loop's clock
        self._flush_timer: asyncio.TimerHandle | None = None
        self.held_bytes = 0
        self.has_exit = False  # the terminal frame is queued
        self.is_ready = False  # it stands in the outbox's queue
        self.is_ended = False  # nothing more is taken
        self.is_closed = False  # nobody will ask for what is left

    @property
    def last_seq(self) -> int:
        """The number of the newest frame, 0 before the first."""
        return self._chunker.last_seq

    @property
    def is_empty(self) -> bool:
        """Whether the command has ended and all of it is acknowledged."""
        return self.has_exit and not self._unsent and not self._sent

    def is_held_back(self, window_bytes: int | None) -> bool:
        """Whether it is a window ahead of its credit. An end must come through, and all that stands before it."""
        return window_bytes is not None and self._ahead_bytes >= window_bytes and not self.is_ended

    def may_send(self, window_bytes: int | None) -> bool:
        """Whether there is a frame that may go."""
        return bool(self._unsent) and not self.is_held_back(window_bytes)

    @property
    def refusal(self) -> str | None:
        """Why the command must not be run: its contract cannot be kept. None: it can."""
        return self._chunker.refusal

    async def write(self, stream: Stream, data: bytes) -> None:
        """Take output of the command; returns when there is room for more. Raises TooMuchOutput and Satisfied.

        Cancelling loses nothing that was taken. After the end, and once nobody asks for it, output goes nowhere.
        """
        assert stream != "full"  # it is made of stdout, further on
        async with self._turn:
            if not self._chunker.is_slow(data):
                if not (self.is_ended or self.is_closed):
                    self._waiting.extend(map(self._numbered, self._chunker.feed(stream, data)))
                    await self._pass_on()
                return
            for start in range(0, len(data), _SLOW_BYTES):
                if self.is_ended or self.is_closed:
                    return
                piece = data[start : start + _SLOW_BYTES]
                await self._in_thread(partial(self._chunker.feed, stream, piece))
                await self._pass_on()

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
        self._stop_timer()
        self._outbox.offer(self)  # credit no longer counts
        async with self._turn:
            end = partial(
                self._chunker.end,
                status,
                exit_code=exit_code,
                execution_time_ms=execution_time_ms,
                executor=executor,
                error=error,
            )
            if self._chunker.is_slow(b""):
                await self._in_thread(end)
            else:
                self._waiting.extend(map(self._numbered, end()))
            await self._admit()

    def flush(self) -> None:
        """Send what a stream has gathered, if all before it is sent and nobody is about to write."""
        if not self._turn.locked() and not self._waiting:
            self._flush()

    def push(self, entry: _Entry) -> None:
        """Add a frame to be sent."""
        self._unsent.append(entry)
        self.held_bytes += entry.size
        self.has_exit = isinstance(entry.frame, Exit)

    def pop(self) -> Output | Exit:
        """Take the next frame to be sent; it stays held."""
        entry = self._unsent.popleft()
        self._sent.append(entry)
        self._newest_sent_seq = max(self._newest_sent_seq, entry.last_seq)
        self._ahead.append((entry.last_seq, entry.size))
        self._ahead_bytes += entry.size
        return entry.frame

    def credit(self, seq: int) -> None:
        """Count what was sent up to a number as gone on."""
        while self._ahead and self._ahead[0][0] <= seq:
            self._ahead_bytes -= self._ahead.popleft()[1]

    def forget(self, seq: int) -> int:
        """Let go of frames up to a number that were ever sent; returns their bytes."""
        seq = min(seq, self._newest_sent_seq)
        freed = 0
        while self._sent and self._sent[0].last_seq <= seq:
            freed += self._sent.popleft().size
        while not self._sent and self._unsent and self._unsent[0].last_seq <= seq:
            freed += self._unsent.popleft().size
        self.held_bytes -= freed
        return freed

    def rewind(self) -> None:
        """The link is gone: nothing is sent, and nothing is ahead of what the next one will say."""
        self._unsent.extendleft(reversed(self._sent))
        self._sent.clear()
        self._ahead.clear()
        self._ahead_bytes = 0
        self.is_ready = False

    def close(self) -> None:
        """Take nothing more."""
        self.is_closed = True
        self._stop_timer()
        self._waiting.clear()
        self._unsent.clear()
        self._sent.clear()
        self._ahead.clear()

    def _flush(self) -> None:
        if not self._is_stream or self.is_ended or self.is_closed or self._unsent or not self._outbox.may_flush(self):
            return
        now = self._loop.time()
        if now < self._flush_at:
            if self._flush_timer is None:
                self._flush_timer = self._loop.call_at(self._flush_at, self._on_timer)
            return
        frames = self._chunker.flush()
        if frames:
            self._flush_at = now + _FLUSH_INTERVAL_SECONDS
            self._outbox.queue(self, frames)

    def _on_timer(self) -> None:
        self._flush_timer = None
        self.flush()

    def _stop_timer(self) -> None:
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None

    async def _pass_on(self) -> None:
        if self._chunker.is_satisfied:
            raise Satisfied("Stopped: its output has met its bound (max_lines or max_output_bytes)")
        await self._admit()
        self._flush()

    async def _in_thread(self, work: Callable[[], Sequence[Output | Exit]]) -> None:
        """Do the chunker's work in a thread, and keep what it gives.

        When it is cancelled that work is waited for all the same, at most a second: two at once would be wrong, and
        so would numbers that are missing.
        """
        future = self._loop.run_in_executor(None, work)
        cancelled: asyncio.CancelledError | None = None
        while not future.done():
            try:
                await asyncio.wait({future})
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is None or future.exception() is None:
            self._waiting.extend(map(self._numbered, future.result()))
        if cancelled is not None:
            raise cancelled

    def _numbered(self, frame: Output | Exit) -> tuple[Output | Exit, int]:
        return frame, self._chunker.last_seq if isinstance(frame, Exit) else frame.seq

    async def _admit(self) -> None:
        while self._waiting:
            frame, last_seq = self._waiting[0]
            await self._outbox.admit(self, frame, last_seq)
            if self._waiting:  # not closed meanwhile
                self._waiting.popleft()


def _size(frame: Output | Exit) -> int:
    """What a frame counts, here and in the hub's window: its text as UTF-8, and the objects around it."""
    chunks = frame.chunks if isinstance(frame, Exit) else [frame]
    return FRAME_OVERHEAD_BYTES + sum(utf8_bytes(chunk.data) for chunk in chunks)
