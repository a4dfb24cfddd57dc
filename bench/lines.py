"""What the pods of a stream's source write, the same for every source: the bare pipe's, the scripted agent's, and the
log server's behind a real agent.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final

from schemas.frames import MAX_DATA_BYTES

# The pods, by what they write: without a pause; so many lines a second, each with its time; one line and no more.
FLOOD_POD: Final = "flood"
QUIET_POD: Final = "quiet"
LINE_POD: Final = "line"
PODS: Final = (FLOOD_POD, QUIET_POD, LINE_POD)

LINES_PER_SECOND: Final = 50
LINE: Final = "one line of a pod that has no more to say\n"

_LINE_BYTES: Final = 100
_STAMP_DIGITS: Final = 20


def _padded(text: str, size: int = _LINE_BYTES) -> str:
    return f"{text:.<{size - 1}}\n"


def _block() -> str:
    """Numbered lines that fill one frame; the last is longer by what is left over."""
    most = MAX_DATA_BYTES // _LINE_BYTES
    texts = [f"2026-01-20T10:30:45.123456Z INFO shop order {number} taken, 3 items, 41 ms " for number in range(most)]
    return "".join(map(_padded, texts[:-1])) + _padded(texts[-1], _LINE_BYTES + MAX_DATA_BYTES % _LINE_BYTES)


FLOOD: Final = _block()


async def written(pod: str) -> AsyncIterator[str]:
    """What a pod writes, piece by piece; FLOOD_POD repeats FLOOD."""
    if pod == LINE_POD:
        yield LINE
        return
    while pod == QUIET_POD:
        yield _padded(f"{time.monotonic_ns():0{_STAMP_DIGITS}} ")
        await asyncio.sleep(1 / LINES_PER_SECOND)
    while True:
        yield FLOOD
        await asyncio.sleep(0)  # whoever reads a `cancel` has its turn, even where writing never waits


def age_seconds(line: str) -> float:
    """How long ago a line of QUIET_POD was written, by any process of this machine: CLOCK_MONOTONIC is one for all."""
    return (time.monotonic_ns() - int(line[:_STAMP_DIGITS])) / 1e9
