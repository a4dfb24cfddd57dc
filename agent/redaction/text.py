"""A stream of output on its way to the hub: credentials hidden, control characters shown. Pure.

Line by line: what has no line end yet is held, since half of a token looks like nothing. A line of over WINDOW_BYTES is
taken in pieces, cut where no credential is. So the pieces in which the bytes come make no difference.
"""

from typing import Final

import re2

from agent.redaction.markers import bare
from agent.redaction.patterns import SUSPICION, Counts, hide

# Longer than any line that a person reads or a container runtime passes on whole (16 KiB).
WINDOW_BYTES: Final = 64 * 1024
# A key's block that does not end is hidden this far: an RSA key of 16,384 bits has 13 KB.
MAX_KEY_BYTES: Final = 64 * 1024
# A long line is cut behind a blank or comma in the last so many bytes of a piece, if there is one that will do.
_CUT_BYTES: Final = 4096
_BEFORE_CUT_BYTES: Final = 256

_LATIN1: Final = re2.Options()
_LATIN1.encoding = re2.Options.Encoding.LATIN1  # bytes stand for themselves
_BEGIN: Final = re2.compile(rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----", _LATIN1)
_END: Final = re2.compile(rb"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----", _LATIN1)
# C0 without tab and line feed, DEL, C1, and what turns the direction of writing (UAX 9).
_CONTROL_CODES: Final = (
    *range(9),
    *range(0x0B, 0x20),
    *range(0x7F, 0xA0),
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
)
_CONTROLS: Final = re2.compile(
    rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]|\xe2\x81[\xa6-\xa9]", _LATIN1
)
# Either, in one pass: most output has nothing of both.
_ANYTHING: Final = re2.compile(SUSPICION.pattern + b"|" + _CONTROLS.pattern, _LATIN1)
_SHOWN: Final = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _CONTROL_CODES}
_LEFT_OUT: Final = dict.fromkeys(_CONTROL_CODES)


class Text:
    """One stream of one command. `counts` is added to, by the names of the rules."""

    def __init__(self, counts: Counts, *, hides: bool = True, shows_controls: bool = True) -> None:
        self._counts = counts
        self._hides = hides
        self._shows_controls = shows_controls
        self._held = bytearray()
        self._key_bytes: int | None = None  # how much of a private key was hidden so far; None: we are in none

    def feed(self, data: bytes) -> bytes:
        """Take bytes; give what may go on."""
        if not (self._hides or self._shows_controls):
            return data
        end = data.rfind(b"\n") + 1
        if not end and len(self._held) + len(data) < 2 * WINDOW_BYTES:
            self._held += data
            return b""
        whole = bytes(self._held) + data
        end = end and len(self._held) + end
        if end and self._key_bytes is None and _ANYTHING.search(whole, 0, end) is None:
            self._held = bytearray(whole[end:])
            return whole[:end]
        gone: list[bytes] = []
        start = 0
        while start < end or len(whole) - start >= 2 * WINDOW_BYTES:
            stop = self._piece(whole, start, end)
            gone.append(self._pass(whole[start:stop]))
            start = stop
        self._held = bytearray(whole[start:])
        return b"".join(gone)

    def finish(self) -> bytes:
        """The end: what was held."""
        held, self._held = bytes(self._held), bytearray()
        gone: list[bytes] = []
        start = 0
        while start < len(held):
            stop = self._piece(held, start, len(held))
            gone.append(self._pass(held[start:stop]))
            start = stop
        return b"".join(gone)

    def _piece(self, text: bytes, start: int, end: int) -> int:
        """Where the next piece ends: lines as they are, a long one cut. `end`: up to where there are whole lines."""
        line_end = text.find(b"\n", start, end) + 1 or max(end, start)
        if line_end == start or line_end - start > WINDOW_BYTES:
            return _cut(text, start)
        # As many lines as there are up to the next long one: it is cut from its own beginning, wherever pieces begin.
        limit = min(end, start + WINDOW_BYTES)
        return max(line_end, text.rfind(b"\n", start, limit) + 1)

    def _pass(self, piece: bytes) -> bytes:
        if self._hides:
            piece = self._hide(piece)
        return self._show(piece) if self._shows_controls else piece

    def _hide(self, piece: bytes) -> bytes:
        gone: list[bytes] = []
        while piece:
            if self._key_bytes is not None:
                piece = self._skip_key(piece)
                continue
            begin = _BEGIN.search(piece) if b"-----BEGIN" in piece else None
            gone.append(self._hide_lines(piece if begin is None else piece[: begin.start()]))
            if begin is None:
                break
            gone.append(bare("private_key").encode())
            self._counts["private_key"] = self._counts.get("private_key", 0) + 1
            self._key_bytes = 0
            piece = piece[begin.end() :]
        return b"".join(gone)

    def _skip_key(self, piece: bytes) -> bytes:
        """What follows the key, b"" while it goes on."""
        assert self._key_bytes is not None
        left = MAX_KEY_BYTES - self._key_bytes
        end = _END.search(piece[:left])
        if end is not None:
            self._key_bytes = None
            return piece[end.end() :]
        self._key_bytes += len(piece)
        if len(piece) >= left:
            self._key_bytes = None
        return piece[left:]

    def _hide_lines(self, piece: bytes) -> bytes:
        """Look closer at the lines that are suspicious, which in most output are few."""
        gone: list[bytes] = []
        start = 0
        while (found := SUSPICION.search(piece, start)) is not None:
            line_start = piece.rfind(b"\n", start, found.start()) + 1 or start
            line_end = piece.find(b"\n", found.end()) + 1 or len(piece)
            gone += [piece[start:line_start], hide(piece[line_start:line_end], self._counts)]
            start = line_end
        return b"".join([*gone, piece[start:]]) if gone else piece

    def _show(self, piece: bytes) -> bytes:
        if _CONTROLS.search(piece) is None:
            return piece
        shown: list[str] = []
        for text in piece.decode(errors="surrogateescape").split("\r\n"):  # a carriage return that ends a line is none
            shown.append(text.translate(_SHOWN))
            if len(shown[-1]) > len(text):
                count = len(text) - len(text.translate(_LEFT_OUT))
                self._counts["control_characters"] = self._counts.get("control_characters", 0) + count
        return "\r\n".join(shown).encode(errors="surrogateescape")


def _cut(text: bytes, start: int) -> int:
    """Where to cut a long line: WINDOW_BYTES on, or a little before, where nothing suspicious stands just before."""
    limit = min(start + WINDOW_BYTES, len(text))
    position = limit
    while position > limit - _CUT_BYTES and position > start + 1:
        position = max(text.rfind(b" ", start + 1, position), text.rfind(b",", start + 1, position))
        if position < limit - _CUT_BYTES:
            break
        if SUSPICION.search(text[max(start, position - _BEFORE_CUT_BYTES) : position + 1]) is None:
            return position + 1
    while limit > start + 1 and limit < len(text) and text[limit] & 0xC0 == 0x80:  # amid a character
        limit -= 1
    return limit
