"""What kubectl describes, line by line: what only the line before shows to be a credential. Pure.

The rest of a description is names and values on one line each, which `text.py` can read.
"""

from typing import Final

from agent.redaction.markers import bare, is_marker
from agent.redaction.names import is_credential
from agent.redaction.patterns import Counts

_MAX_LINE_BYTES: Final = 64 * 1024


class Description:
    """One description. An argument `--token` on a line of its own has its value on the next."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._held = b""
        self._has_flag = False

    def feed(self, data: bytes) -> bytes:
        """Take bytes; give the whole lines there are."""
        *lines, self._held = (self._held + data).split(b"\n")
        gone = [self._line(line) + b"\n" for line in lines]
        if len(self._held) > _MAX_LINE_BYTES:
            gone.append(self.finish())
        return b"".join(gone)

    def finish(self) -> bytes:
        """The end: what was held."""
        held, self._held = self._held, b""
        return self._line(held)

    def _line(self, line: bytes) -> bytes:
        word = line.strip().decode(errors="replace")
        is_value = self._has_flag and bool(word) and not word.startswith("-") and not is_marker(word)
        self._has_flag = word.startswith("-") and "=" not in word and is_credential(word.lstrip("-"))
        if not is_value:
            return line
        self._counts["credential"] = self._counts.get("credential", 0) + 1
        return line[: len(line) - len(line.lstrip())] + bare("credential").encode()
