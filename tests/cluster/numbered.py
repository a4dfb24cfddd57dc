"""Lines that show whether any was lost, doubled, changed or moved, or is of another reading. Pure.

    000000042 1f0c9a4b aé漢🙂aé漢🙂 5d3c29f1

The number; a tag, the same in all lines of one reading and another in the next, so that two are not taken for one; a
filler, whose length varies and whose characters take one to four bytes, so that cuts fall everywhere; a checksum.
"""

import re
import zlib
from typing import Final

_FILLER: Final = "aé漢🙂" * 12
_HEAD: Final = re.compile(r"(\d{9}) ([0-9a-f]{8}) ")


def line(number: int, tag: str = "00000000") -> str:
    """One line with its end. `tag` is eight hexadecimal digits."""
    text = f"{number:09} {tag} {_FILLER[: number * 7 % len(_FILLER)]}"
    return f"{text} {zlib.crc32(text.encode()):08x}\n"


def lines(first: int, count: int, tag: str = "00000000") -> str:
    """So many lines from a number on."""
    return "".join(line(number, tag) for number in range(first, first + count))


def first_number(text: str) -> int | None:
    """The number of the line a text begins with; None when it does not begin with one."""
    head = _HEAD.match(text)
    return None if head is None else int(head[1])


def fault(text: str, first: int = 0, count: int | None = None) -> str | None:
    """What is wrong with a text that should be `count` lines of one reading from `first` on; None when nothing is.

    Without a `count` it may have any length, and its last line may have been cut anywhere.
    """
    head = _HEAD.match(text)
    tag = "00000000" if head is None else head[2]
    *whole, last = text.split("\n")
    if count is not None and (len(whole) != count or last):
        return f"{len(whole)} lines and {last[:80]!r} are not {count} lines"
    for number, found in enumerate(whole, start=first):
        if found + "\n" != line(number, tag):
            return f"line {number} of {first}.., tag {tag}, reads {found[:80]!r}"
    # Of a text without a whole line not even the tag is known.
    number = first + len(whole)
    wanted = line(number, tag) if head is not None else f"{number:09} "
    if not wanted.startswith(last) and not (head is None and last.startswith(wanted)):
        return f"line {number} of {first}.., tag {tag}, begins {last[:80]!r}"
    return None
