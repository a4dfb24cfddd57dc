"""The pattern of a contract's `grep`: checked by the hub when it is asked for, matched by the agent.

RE2 looks at each byte once, whatever the pattern, so nothing a client writes makes it hang. A large pattern costs more
for each byte, and memory: both are bounded here.
"""

import re
from typing import Any, Final

import re2

# Bytes RE2 may take for one pattern, with all it learns while it matches. Patterns that people write need a tenth; one
# that would need more goes on without learning, and slower.
_MAX_MEMORY_BYTES: Final = 1024 * 1024
# RE2 compiles a pattern into so many steps. 512 characters of four bytes, as many as a frame takes, are 2,052; `\pL` is
# 1,200, `.` 8, and `x{50}` fifty times x.
_MAX_STEPS: Final = 2500

# What tells the start or end of a text from that of a line, or matches a line's end as a byte: \A, \z, \C, (?-m).
_NEEDS_LINES: Final = re.compile(r"\\[AzC]|\(\?[a-zA-Z-]*m")


class GrepError(ValueError):
    """A pattern that cannot be used; the message says why, and is to follow the name of the pattern's field."""


class Matcher:
    """A compiled pattern: "error|timed? out" is found anywhere in a line. Raises GrepError.

    `steps` is its size: at the very worst a byte of a line costs 5 ns for each of them. RE2 lets go of the interpreter
    while it matches, so a thread may do it.
    """

    def __init__(self, pattern: str) -> None:
        compiled = _compile(pattern)
        self.steps: int = compiled.programsize
        if self.steps > _MAX_STEPS:
            raise GrepError(f"is too large: {self.steps} steps, {_MAX_STEPS} at most; repeat less, or shorter things")
        # Many lines are searched at once where that is the same as one by one.
        self._takes_text = not _NEEDS_LINES.search(pattern)
        self._search = (_compile("(?m)" + pattern) if self._takes_text else compiled).search

    def select(self, text: bytes) -> bytes:
        """The lines of a text that match, with their ends; the last one may have none."""
        if not self._takes_text:
            return self._select_each(text)
        lines: list[bytes] = []
        start, end = 0, len(text) - text.endswith(b"\n")
        while start <= end < len(text) or start < end:
            match = self._search(text, start, end)
            if match is None:
                break
            at = match.start()
            start = text.rfind(b"\n", start, at) + 1 or start
            behind = text.find(b"\n", at) + 1 or len(text)
            lines.append(text[start:behind])
            start = behind
        return b"".join(lines)

    def _select_each(self, text: bytes) -> bytes:
        lines = text.split(b"\n")
        rest = lines.pop()
        selected = b"".join([line + b"\n" for line in lines if self._search(line)])
        return selected + rest if rest and self._search(rest) else selected


def _compile(pattern: str) -> Any:
    if "\n" in pattern:
        raise GrepError("has a line end, which no line has in it; write | between alternatives")
    options = re2.Options()
    options.max_mem = _MAX_MEMORY_BYTES
    options.never_capture = True
    options.never_nl = True
    options.log_errors = False  # it would write to stderr, past our log
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise GrepError(_explain(error)) from None
    except UnicodeEncodeError:
        raise GrepError("has half of a surrogate pair, which is no character") from None
    finally:
        re2.purge()  # it would keep the last 128 patterns, each with its memory


def _explain(error: Exception) -> str:
    reason = error.args[0] if error.args else b""
    said = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
    if said.startswith("pattern too large"):
        return f"is too large: far over {_MAX_STEPS} steps; repeat less, or shorter things"
    return f"does not compile: {said} (it is RE2, without look-around and back-references)"
