"""One live stream as a client follows it: left at random, taken up again behind the last number it has."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import aiohttp

from chaos.rest import Rest

PATH: Final = "/debug/result/{result_id}/stream"

# How long it stays at most before it leaves on its own.
_STAYS_SECONDS: Final = (0.05, 3.0)
_SILENCE_SECONDS: Final = 30.0
_AGAIN_SECONDS: Final = (0.0, 0.3)
_MAX_LINE_BYTES: Final = 1024 * 1024
# Errors that end a visit and not the stream: the next visit goes on where this one was.
_COME_AGAIN: Final = frozenset({"subscriber_lagging", "draining", "service_unavailable", "rate_limited"})


@dataclass(slots=True)
class Followed:
    """What came: stdout in `pieces`, the highest number, the result once it was told. `visits` counts connections."""

    pieces: list[str] = field(default_factory=list)
    last_seq: int = 0
    visits: int = 0
    completed: dict[str, Any] | None = None
    faults: list[str] = field(default_factory=list)

    @property
    def output(self) -> str:
        """All of stdout."""
        return "".join(self.pieces)

    def take(self, message: dict[str, Any]) -> None:
        """One line of the stream."""
        match message["type"]:
            case "output":
                seq = message["seq"]
                if seq != self.last_seq + 1:
                    self.faults.append(f"number {seq} came after {self.last_seq}")
                self.last_seq = max(seq, self.last_seq)
                if message["stream"] == "stdout":
                    self.pieces.append(message["data"])
            case "completed":
                self.completed = message["result"]
            case "error" if message["error"] not in _COME_AGAIN:
                self.faults.append(f"the stream said {message}")
            case _:
                pass


async def follow(rest: Rest, result_id: str, random: Random, until: float) -> Followed:
    """Follow to the end, or to `until` on the monotonic clock."""
    followed = Followed()
    while followed.completed is None and not followed.faults and time.monotonic() < until:
        followed.visits += 1
        try:
            async with asyncio.timeout(random.uniform(*_STAYS_SECONDS)):
                await _visit(rest, result_id, followed)
        except (aiohttp.ClientError, TimeoutError):
            pass  # it left, or the hub did
        await asyncio.sleep(random.uniform(*_AGAIN_SECONDS))
    return followed


async def _visit(rest: Rest, result_id: str, followed: Followed) -> None:
    url = rest.url + PATH.format(result_id=result_id)
    timeout = aiohttp.ClientTimeout(total=None, sock_read=_SILENCE_SECONDS)
    async with rest.http.get(url, params={"after_seq": followed.last_seq}, timeout=timeout) as response:
        if response.status == 200:
            async for line in _lines(response.content):
                followed.take(json.loads(line))
        elif response.status not in (429, 503):
            followed.faults.append(f"the stream was answered with {response.status}: {await response.text()}")


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Whole lines only: what was cut off comes again."""
    buffer = bytearray()
    async for piece in content.iter_any():
        buffer += piece
        *whole, rest = buffer.split(b"\n")
        for line in whole:
            yield bytes(line)
        buffer = rest
        if len(buffer) > _MAX_LINE_BYTES:
            raise ValueError(f"a line of the stream is over {_MAX_LINE_BYTES} bytes")
