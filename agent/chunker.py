"""One command's output as numbered frames: decoded, chosen by its contract, cut and split. Pure.

Output is held back until it no longer fits one frame, so that a command with little of it costs its exit frame alone.
"""

import codecs
from typing import Final, Literal

from agent.contract import Selection, character_end
from agent.errors import TooMuchOutput
from agent.redaction.screen import NO_SCREEN, Screen
from schemas.frames import MAX_DATA_BYTES, Chunk, Contract, Exit, ExitStatus, Output, Run, Stream
from schemas.grep import GrepError, Matcher

# What a command writes; stream "full" is made of its stdout here.
Source = Literal["stdout", "stderr"]

# Output beyond the cut is read and counted, so that `output_bytes` is true, up to this many times the bound; a command
# that would go on from there is stopped.
STOP_FACTOR: Final = 16
# Of stdout at least this much is read, what a hub's default bound comes to: a caller may want little of a lot.
MIN_STOP_BYTES: Final = STOP_FACTOR * 8 * 1024 * 1024

_DECODER: Final = codecs.getincrementaldecoder("utf-8")


class Chunker:
    """Takes one command's bytes as they come and gives frames; numbers start at 1.

    Bytes are UTF-8, each wrong one becomes U+FFFD. stdout is what the run's contract lets through. Over
    `max_output_bytes` it is cut at a line end; a line that has more than a frame before the cut, or nothing before
    itself, is cut at a character. stderr keeps its first `max_stderr_bytes` and ends with a line that says how many
    were left out. Stream "full" is cut like stdout, and dropped when stdout has it all and none of it was sent. Counts
    are bytes of the text as UTF-8; a line of which some was sent is not among the omitted ones.

    All passes `screen` first, so that neither a contract nor a cut has ever seen what is hidden.

    In which pieces the bytes come makes no difference to the text, except that a cut takes nothing back that `flush`
    has given. No two calls at once.

    `refusal` is None, or why the command must not be run: "contract.grep does not compile: missing ): (a …".
    """

    def __init__(self, run: Run, max_stderr_bytes: int, screen: Screen = NO_SCREEN) -> None:
        self.refusal: str | None = None
        self._result_id = run.result_id
        self._is_stream = run.is_stream
        self._screen = screen
        self._next_seq = 1
        self._is_stopped = False
        self._stdout = _Text(run.max_output_bytes)
        self._stderr = _Text(max_stderr_bytes)
        self._full: _Text | None = None
        self._selection: Selection | None = None
        self._stop_bytes: dict[Source, int] = {
            "stdout": max(STOP_FACTOR * run.max_output_bytes, MIN_STOP_BYTES),
            "stderr": STOP_FACTOR * max(max_stderr_bytes, MAX_DATA_BYTES),
        }
        if run.contract is not None:
            self._agree(run.contract, run.max_output_bytes)

    @property
    def last_seq(self) -> int:
        """The number of the newest frame, 0 before the first."""
        return self._next_seq - 1

    @property
    def is_satisfied(self) -> bool:
        """Whether this is a stream that has met its bound: stop it, and `end` it as completed."""
        return self._is_stream and (
            self._stdout.is_filled or (self._selection is not None and self._selection.is_satisfied)
        )

    def is_slow(self, data: bytes) -> bool:
        """Whether to `feed` this, or to `end` (b""), may take over some milliseconds. In a thread that stops nobody."""
        return self._screen.is_slow(data) or (self._selection is not None and self._selection.is_slow(data))

    def feed(self, stream: Source, data: bytes) -> list[Output]:
        """Take bytes; return the frames that are now full. Raises TooMuchOutput, unless this is a stream."""
        text = self._stdout if stream == "stdout" else self._stderr
        self._take_in(text, data, is_last=False)
        if text.total_bytes > self._stop_bytes[stream] and not self._is_stream:
            self._is_stopped = True
            raise TooMuchOutput(
                f"Stopped after {text.total_bytes} bytes of {stream}, far beyond the bound of {text.max_bytes}"
            )
        return self._full_frames()

    def flush(self) -> list[Output]:
        """Return as frames what is held back to fill one, maybe amid a line.

        What stays: half a character, a line that `grep` has not seen whole, all of stdout with `tail_lines`, and stream
        "full", which nobody watches.
        """
        frames: list[Output] = []
        streams: tuple[tuple[Stream, _Text], ...] = (("stdout", self._stdout), ("stderr", self._stderr))
        for stream, text in streams:
            while text.pending_bytes:
                frames.append(self._output(stream, text, text.frame_bytes))
        return frames

    def end(
        self,
        status: ExitStatus,
        *,
        exit_code: int | None,
        execution_time_ms: int,
        executor: str | None,
        error: str | None,
    ) -> list[Output | Exit]:
        """Return the last frames: the exit frame, and before it what does not fit into it."""
        has_met_bound = self.is_satisfied
        stdout, stderr = self._stdout, self._stderr
        for text in (stdout, stderr):
            self._take_in(text, b"", is_last=True)
        if stderr.omitted_bytes:
            stderr.note(f"\n[{stderr.omitted_bytes} bytes of stderr left out]\n")
        omitted_bytes, omitted_lines = stdout.omitted_bytes, stdout.omitted_lines
        is_truncated = (
            has_met_bound
            or self._is_stopped
            or stdout.is_cut
            or (self._selection is not None and self._selection.is_truncated)
        )
        frames: list[Output | Exit] = [*self._full_frames()]
        texts: list[tuple[Stream, _Text]] = [("stdout", stdout), ("stderr", stderr)]
        if self._full is not None and (omitted_bytes or self._full.taken_bytes):
            texts.append(("full", self._full))
        while sum(text.pending_bytes for _, text in texts) > MAX_DATA_BYTES:
            stream, text = max(texts, key=lambda pair: pair[1].pending_bytes)
            frames.append(self._output(stream, text, text.frame_bytes))
        chunks = [Chunk(stream, text.take(text.pending_bytes)) for stream, text in texts if text.pending_bytes]
        frames.append(
            Exit(
                result_id=self._result_id,
                seq=self._next_seq,
                status=status,
                exit_code=exit_code,
                chunks=chunks,
                output_bytes=stdout.total_bytes,
                omitted_bytes=omitted_bytes,
                omitted_lines=omitted_lines,
                is_truncated=is_truncated,
                execution_time_ms=execution_time_ms,
                executor=executor,
                error=error and self._screen.sentence(error),
                redactions=dict(self._screen.counts),
            )
        )
        self._next_seq += len(chunks) + 1  # the chunks' numbers, then the exit's own
        return frames

    def _agree(self, contract: Contract, max_output_bytes: int) -> None:
        if contract.max_full_bytes:
            self._full = _Text(contract.max_full_bytes)
        try:
            matcher = Matcher(contract.grep) if contract.grep is not None else None
        except GrepError as error:
            self.refusal = f"contract.grep {error}"
            return
        if matcher is not None or contract.tail_lines is not None or contract.max_lines is not None:
            self._selection = Selection(contract, matcher, max_output_bytes)

    def _take_in(self, text: "_Text", data: bytes, *, is_last: bool) -> None:
        stream: Source = "stdout" if text is self._stdout else "stderr"
        data = self._screen.feed(stream, data)
        if is_last:
            data += self._screen.finish(stream)
        decoded = text.decode(data, is_last=is_last)
        if text is self._stdout:
            if self._full is not None:
                self._full.keep(decoded)
            if self._selection is not None:
                decoded = self._select(self._selection, decoded, is_last=is_last)
        if decoded:
            text.keep(decoded)

    def _select(self, selection: Selection, decoded: bytes, *, is_last: bool) -> bytes:
        selected = b""
        if not self._stdout.is_cut:
            selected = selection.push(decoded)
            if is_last:
                selected += selection.end()
        self._stdout.omitted_line_ends += decoded.count(b"\n") - selected.count(b"\n")
        return selected

    def _full_frames(self) -> list[Output]:
        frames: list[Output] = []
        stdout, stderr = self._stdout, self._stderr
        while stdout.pending_bytes + stderr.pending_bytes > MAX_DATA_BYTES:
            # A line that may yet have to be cut off is not begun; so each stream may be left with one, below a frame.
            out_bytes, err_bytes = stdout.lines_bytes, stderr.lines_bytes
            if not (out_bytes or err_bytes):
                break
            if out_bytes >= err_bytes:
                frames.append(self._output("stdout", stdout, out_bytes))
            else:
                frames.append(self._output("stderr", stderr, err_bytes))
        # By itself: as long as it fits one frame it may turn out not to be needed.
        while self._full is not None and self._full.pending_bytes > MAX_DATA_BYTES:
            frames.append(self._output("full", self._full, self._full.lines_bytes))
        return frames

    def _output(self, stream: Stream, text: "_Text", size: int) -> Output:
        frame = Output(self._result_id, self._next_seq, stream, text.take(size))
        self._next_seq += 1
        return frame


class _Text:
    """One stream: decoded, counted, cut, and waiting to be taken."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.total_bytes = 0
        self.taken_bytes = 0
        self.omitted_line_ends = 0
        self.is_cut = False
        self._decoder = _DECODER("replace")
        self._pending = bytearray()
        self._is_total_open = False  # what was decoded ends amid a line
        self._is_taken_open = False  # what was taken ends amid a line

    @property
    def pending_bytes(self) -> int:
        return len(self._pending)

    @property
    def omitted_bytes(self) -> int:
        return self.total_bytes - self.taken_bytes - len(self._pending)

    @property
    def omitted_lines(self) -> int:
        return self.omitted_line_ends + self._is_total_open - self._is_kept_open

    @property
    def is_filled(self) -> bool:
        """Whether nothing more will be kept. Full amid a line, it may still be cut back to the line's start."""
        return self.is_cut or (self.taken_bytes + len(self._pending) == self.max_bytes and not self._is_kept_open)

    @property
    def lines_bytes(self) -> int:
        """How much of what is pending makes a frame of whole lines, or of a line longer than one; 0: nothing yet."""
        end = self._pending.rfind(b"\n", 0, MAX_DATA_BYTES) + 1
        if not end and len(self._pending) > MAX_DATA_BYTES:
            return character_end(self._pending, MAX_DATA_BYTES)
        return end

    @property
    def frame_bytes(self) -> int:
        """How much of what is pending goes in a frame, when no more of the last line is waited for."""
        return self.lines_bytes if len(self._pending) > MAX_DATA_BYTES else len(self._pending)

    @property
    def _is_kept_open(self) -> bool:
        return not self._pending.endswith(b"\n") if self._pending else self._is_taken_open

    def decode(self, data: bytes, *, is_last: bool) -> bytes:
        """Take bytes of the stream and return the text they complete, as UTF-8."""
        decoded = self._decoder.decode(data, is_last).encode()
        if decoded:
            self.total_bytes += len(decoded)
            self._is_total_open = not decoded.endswith(b"\n")
        return decoded

    def keep(self, text: bytes) -> None:
        """Append some text, up to the bound."""
        if self.is_cut:
            self.omitted_line_ends += text.count(b"\n")
            return
        self._pending += text
        room = self.max_bytes - self.taken_bytes
        if len(self._pending) > room:
            self.is_cut = True
            end = self._cut(room)
            self.omitted_line_ends += self._pending.count(b"\n", end)
            del self._pending[end:]

    def note(self, text: str) -> None:
        """Append a remark of ours behind the cut; it counts as kept."""
        encoded = text.encode()
        self.total_bytes += len(encoded)
        self._pending += encoded

    def take(self, size: int) -> str:
        """Remove the first `size` bytes, which end at a character."""
        taken = bytes(self._pending[:size])
        del self._pending[:size]
        self.taken_bytes += size
        self._is_taken_open = not taken.endswith(b"\n")
        return taken.decode()

    def _cut(self, room: int) -> int:
        line_start = self._pending.rfind(b"\n", 0, room) + 1
        is_line_begun = not line_start and (self._is_taken_open or not self.taken_bytes)
        if is_line_begun or room - line_start > MAX_DATA_BYTES:
            return character_end(self._pending, room)
        return line_start
