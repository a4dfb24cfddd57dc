"""One command's output as numbered frames: decoded, cut and split. Pure.

Output is held back until it no longer fits one frame, so that a command with little of it costs its exit frame alone.
"""

import codecs
from typing import Final

from agent.errors import TooMuchOutput
from schemas.frames import MAX_DATA_BYTES, Chunk, Exit, ExitStatus, Output, Stream

# Output beyond the cut is read and counted, so that `output_bytes` is true, up to this many times the bound; a command
# that would go on from there is stopped.
STOP_FACTOR: Final = 16


class Chunker:
    """Takes one command's bytes as they come and gives frames; numbers start at 1.

    Bytes are UTF-8, each wrong one becomes U+FFFD. stdout over `max_output_bytes` is cut at a line end (a line longer
    than a frame: at a character); stderr keeps its first `max_stderr_bytes` and ends with a line that says how many
    were left out. All counts are bytes of the text as UTF-8.
    """

    def __init__(self, result_id: str, max_output_bytes: int, max_stderr_bytes: int) -> None:
        self._result_id = result_id
        self._next_seq = 1
        self._streams: dict[Stream, _Text] = {
            "stdout": _Text(max_output_bytes),
            "stderr": _Text(max_stderr_bytes),
        }

    @property
    def last_seq(self) -> int:
        """The number of the newest frame, 0 before the first."""
        return self._next_seq - 1

    def feed(self, stream: Stream, data: bytes) -> list[Output]:
        """Take bytes; return the frames that are now full. Raises TooMuchOutput."""
        text = self._streams[stream]
        text.feed(data, is_last=False)
        if text.total_bytes > STOP_FACTOR * max(text.max_bytes, MAX_DATA_BYTES):
            raise TooMuchOutput(
                f"Stopped after {text.total_bytes} bytes of {stream}, far beyond the bound of {text.max_bytes}"
            )
        return self._full_frames()

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
        stdout, stderr = self._streams["stdout"], self._streams["stderr"]
        for text in (stdout, stderr):
            text.feed(b"", is_last=True)
        if stderr.omitted_bytes:
            stderr.note(f"\n[{stderr.omitted_bytes} bytes of stderr left out]\n")
        frames: list[Output | Exit] = [*self._full_frames()]
        chunks = [
            Chunk(stream, text.take(MAX_DATA_BYTES)) for stream, text in self._streams.items() if text.pending_bytes
        ]
        frames.append(
            Exit(
                result_id=self._result_id,
                seq=self._next_seq,
                status=status,
                exit_code=exit_code,
                chunks=chunks,
                output_bytes=stdout.total_bytes,
                omitted_bytes=stdout.omitted_bytes,
                execution_time_ms=execution_time_ms,
                executor=executor,
                error=error,
            )
        )
        self._next_seq += len(chunks) + 1  # the chunks' numbers, then the exit's own
        return frames

    def _full_frames(self) -> list[Output]:
        frames: list[Output] = []
        while sum(text.pending_bytes for text in self._streams.values()) > MAX_DATA_BYTES:
            stream = max(self._streams, key=lambda name: self._streams[name].pending_bytes)
            data = self._streams[stream].take(MAX_DATA_BYTES)
            frames.append(Output(self._result_id, self._next_seq, stream, data))
            self._next_seq += 1
        return frames


class _Text:
    """One stream: decoded, counted, cut, and waiting to be taken."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.total_bytes = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = bytearray()
        self._taken_bytes = 0
        self._is_cut = False
        self._has_open_line = False  # what was taken last ends amid a line

    @property
    def pending_bytes(self) -> int:
        return len(self._pending)

    @property
    def omitted_bytes(self) -> int:
        return self.total_bytes - self._taken_bytes - len(self._pending) if self._is_cut else 0

    def feed(self, data: bytes, *, is_last: bool) -> None:
        encoded = self._decoder.decode(data, is_last).encode()
        self.total_bytes += len(encoded)
        if self._is_cut:
            return
        self._pending += encoded
        room = self.max_bytes - self._taken_bytes
        if len(self._pending) > room:
            self._is_cut = True
            line_end = self._pending.rfind(b"\n", 0, room) + 1
            if line_end or (self._taken_bytes and not self._has_open_line):
                del self._pending[line_end:]
            else:
                del self._pending[_character_end(self._pending, room) :]

    def note(self, text: str) -> None:
        """Append a remark of ours behind the cut; it counts as kept."""
        encoded = text.encode()
        self.total_bytes += len(encoded)
        self._pending += encoded

    def take(self, max_bytes: int) -> str:
        """Remove up to `max_bytes`, to the end of a line where there is one, and never half a character."""
        end = len(self._pending)
        if end > max_bytes:
            # Behind the last line end the cut of `feed` may still be needed.
            end = self._pending.rfind(b"\n", 0, max_bytes) + 1 or _character_end(self._pending, max_bytes)
        taken = bytes(self._pending[:end])
        del self._pending[:end]
        self._taken_bytes += end
        self._has_open_line = not taken.endswith(b"\n")
        return taken.decode()


def _character_end(text: bytearray, end: int) -> int:
    """The last character boundary at or before `end`, which lies within `text`."""
    while end > 0 and end < len(text) and text[end] & 0xC0 == 0x80:
        end -= 1
    return end
