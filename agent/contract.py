"""What of a command's stdout the hub asked for: lines that match, the last ones, the first ones. Pure.

Text goes in as it comes, in any pieces, and what is to be sent comes out; the pieces make no difference. How much of
that is sent in the end is the chunker's to cut.
"""

from collections import deque
from typing import Final

from schemas.frames import MAX_DATA_BYTES, Contract
from schemas.grep import Matcher

# A line is held until all of it is there to be matched. Of a longer one each piece of so many bytes is matched by
# itself, and the first that matches goes out with the rest of its line.
MAX_LINE_BYTES: Final = MAX_DATA_BYTES
# What `tail_lines` holds of one command at most: as much as a hub takes of a command by default.
MAX_TAIL_BYTES: Final = 8 * 1024 * 1024

# What grep takes at the worst, as measured: for a line that matches, and for a byte and each step of the pattern.
_LINE_SECONDS: Final = 3e-6
_STEP_SECONDS: Final = 5e-9
# An event loop may stand still for so long without anyone noticing.
_PATIENCE_SECONDS: Final = 0.01


class Selection:
    """The rules of a contract that are about lines; `matcher` is its compiled `grep`, None without one.

    `tail_lines` keeps the end of at most `max_output_bytes` and MAX_TAIL_BYTES: whole lines, or the end of one that is
    longer.
    """

    def __init__(self, contract: Contract, matcher: Matcher | None, max_output_bytes: int) -> None:
        self._grep = _Grep(matcher) if matcher is not None else None
        self._tail = (
            _Tail(contract.tail_lines, min(max_output_bytes, MAX_TAIL_BYTES))
            if contract.tail_lines is not None
            else None
        )
        self._head = _Head(contract.max_lines) if contract.max_lines is not None else None

    @property
    def is_satisfied(self) -> bool:
        """Whether `max_lines` lines have come out: nothing more will."""
        return self._head is not None and self._head.is_full

    @property
    def is_truncated(self) -> bool:
        """Whether `tail_lines` or `max_lines` left something out; of `tail_lines` known behind the end."""
        return (self._tail is not None and self._tail.is_truncated) or (
            self._head is not None and self._head.is_truncated
        )

    def is_slow(self, data: bytes) -> bool:
        """Whether `push` of so much may take longer than an event loop should stand still."""
        return self._grep is not None and self._grep.seconds(data) > _PATIENCE_SECONDS

    def push(self, text: bytes) -> bytes:
        """Take some text, whole characters of UTF-8; return what is to be sent now."""
        if self._head is not None and self._head.is_truncated:
            return b""
        if self._grep is not None:
            text = self._grep.push(text)
        if self._tail is not None:
            self._tail.push(text)
            return b""
        return self._head.push(text) if self._head is not None else text

    def end(self) -> bytes:
        """Return the last of what is to be sent; nothing more comes in."""
        text = self._grep.end() if self._grep is not None else b""
        if self._tail is not None:
            self._tail.push(text)
            text = self._tail.end()
        return self._head.push(text) if self._head is not None else text


class _Grep:
    """The lines that match, each with its end."""

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher
        self._held = bytearray()  # of the line that has not ended, what is not matched yet
        self._is_passing = False  # a piece of that line has matched

    def seconds(self, data: bytes) -> float:
        """How long `push` may take at the worst."""
        size = len(self._held) + len(data)
        return size * self._matcher.steps * _STEP_SECONDS + data.count(b"\n") * _LINE_SECONDS

    def push(self, text: bytes) -> bytes:
        # A command may give all its output at once; as lines it takes many times its size.
        return b"".join(
            self._push(text[start : start + MAX_LINE_BYTES]) for start in range(0, len(text), MAX_LINE_BYTES)
        )

    def end(self) -> bytes:
        return self._matcher.select(self._take())

    def _push(self, text: bytes) -> bytes:
        first = text.find(b"\n") + 1
        if not first:
            return self._go_on(text)
        last = text.rfind(b"\n") + 1
        passed = self._go_on(text[: first - 1]) + self._end_line()
        return passed + self._matcher.select(text[first:last]) + self._go_on(text[last:])

    def _go_on(self, part: bytes) -> bytes:
        if self._is_passing:
            return part
        self._held += part
        while len(self._held) > MAX_LINE_BYTES:
            piece = bytes(self._held[: character_end(self._held, MAX_LINE_BYTES)])
            if self._matcher.select(piece):
                self._is_passing = True
                return self._take()
            del self._held[: len(piece)]
        return b""

    def _end_line(self) -> bytes:
        if self._is_passing:
            self._is_passing = False
            return b"\n"
        return self._matcher.select(self._take() + b"\n")

    def _take(self) -> bytes:
        held = bytes(self._held)
        self._held.clear()
        return held


class _Tail:
    """The last lines: at most `max_lines` of them and `max_bytes`.

    They are held in blocks, so that what falls out costs no look at each line.
    """

    def __init__(self, max_lines: int, max_bytes: int) -> None:
        self._max_lines = max_lines
        self._max_bytes = max_bytes
        self._blocks: deque[bytearray] = deque()
        self._line_ends: deque[int] = deque()  # of each block, how many it has
        self._held_bytes = 0
        self._held_line_ends = 0
        self.is_truncated = False

    def push(self, text: bytes) -> None:
        for start in range(0, len(text), MAX_DATA_BYTES):
            self._push(text[start : start + MAX_DATA_BYTES])

    def end(self) -> bytes:
        text = bytearray().join(self._blocks)
        self._blocks.clear()
        lines = self._held_line_ends + (not text.endswith(b"\n") and len(text) > 0)
        start = after_lines(text, max(0, lines - self._max_lines)) if self._max_lines else len(text)
        window = len(text) - self._max_bytes
        if start < window:
            start = self._line_start(text, window)
        self.is_truncated |= start > 0
        return bytes(memoryview(text)[start:])

    def _push(self, text: bytes) -> None:
        line_ends = text.count(b"\n")
        if self._blocks and len(self._blocks[-1]) + len(text) <= MAX_DATA_BYTES:
            self._blocks[-1] += text
            self._line_ends[-1] += line_ends
        else:
            self._blocks.append(bytearray(text))
            self._line_ends.append(line_ends)
        self._held_bytes += len(text)
        self._held_line_ends += line_ends
        # A block goes once what is behind it has all that may be asked for, and the byte before that.
        while (
            self._held_bytes - len(self._blocks[0]) > self._max_bytes
            or self._held_line_ends - self._line_ends[0] > self._max_lines
        ):
            self._held_bytes -= len(self._blocks.popleft())
            self._held_line_ends -= self._line_ends.popleft()
            self.is_truncated = True

    @staticmethod
    def _line_start(text: bytearray, start: int) -> int:
        """The first start of a line at or behind `start`; within the last line, the first character there."""
        line_end = text.find(b"\n", start - 1, len(text) - 1)
        if line_end >= 0:
            return line_end + 1
        while start < len(text) and text[start] & 0xC0 == 0x80:
            start += 1
        return start


class _Head:
    """The first `max_lines` lines."""

    def __init__(self, max_lines: int) -> None:
        self._lines_left = max_lines
        self.is_truncated = False

    @property
    def is_full(self) -> bool:
        return not self._lines_left

    def push(self, text: bytes) -> bytes:
        line_ends = text.count(b"\n")
        if line_ends < self._lines_left:
            self._lines_left -= line_ends
            return text
        end = after_lines(text, self._lines_left)
        self._lines_left = 0
        self.is_truncated |= end < len(text)
        return text[:end]


def after_lines(text: bytes | bytearray, lines: int) -> int:
    """Where the line behind the first `lines` lines begins; the text has so many line ends."""
    end = 0
    for _ in range(lines):
        end = text.find(b"\n", end) + 1
    return end


def character_end(text: bytearray, end: int) -> int:
    """The last character boundary at or before `end`, which lies within `text`."""
    while end > 0 and end < len(text) and text[end] & 0xC0 == 0x80:
        end -= 1
    return end
