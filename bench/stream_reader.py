"""Readers of streams, in a process of their own: they ask for `logs POD -f` on the client stream, and look at it.

`python -m bench.stream_reader URL flood SECONDS READERS`, `... quiet LINES`, `... first TIMES` or `... stall`, the API
key in KUBENTLY_BENCH_KEY; prints what it saw as one JSON object. The bare pipe speaks the same messages.
"""

import asyncio
import json
import os
import statistics
import sys
import time
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import msgspec
import uvloop

from bench.lines import FLOOD, FLOOD_POD, QUIET_POD, age_seconds
from schemas.stream import SUBPROTOCOL

_WAIT_SECONDS: Final = 20.0
# What comes in the first half second is not counted: buffers fill, and the road finds its pace.
_WARM_SECONDS: Final = 0.5
_TWICE: Final = FLOOD + FLOOD


class StreamFailed(Exception):
    """A stream that ended, or gave something else than its pod wrote."""


class _Message(msgspec.Struct):
    """What a hub sends, as far as a reader looks at it; an error's code is in `error`."""

    type: str = ""
    result_id: str = ""
    seq: int = 0
    data: str = ""
    error: str = ""


_decoder: Final = msgspec.json.Decoder(_Message)


class _Reader:
    """One socket with one stream. It checks that numbers have no gap."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self.result_id = ""
        self.last_seq = 0
        self.times_lagging = 0

    async def execute(self, pod: str) -> None:
        """Ask for a pod's log, and wait until it is started."""
        asked = {"type": "execute", "request_id": "1", "command_type": "logs", "args": [pod, "-f"]}
        await self._socket.send_str(json.dumps(asked))
        while (message := await self._next()).type != "started":
            _expect(message, "session", "cluster")
        self.result_id = message.result_id
        self.last_seq = 0

    async def follow(self, result_id: str) -> None:
        """Read a stream another socket asked for, behind what this one has of it."""
        self.result_id = result_id
        await self._socket.send_str(json.dumps({"type": "follow", "result_id": result_id, "after_seq": self.last_seq}))

    async def cancel(self) -> None:
        """End the stream, and wait until it is completed."""
        await self._socket.send_str(json.dumps({"type": "cancel", "result_id": self.result_id}))
        while (message := await self._next()).type != "completed":
            _expect(message, "output", "session", "cluster")

    async def more(self) -> str:
        """The next piece of output. One who lags behind the other readers follows again. Raises StreamFailed."""
        while (message := await self._next()).type != "output":
            if message.error == "subscriber_lagging":
                self.times_lagging += 1
                await self.follow(self.result_id)
            else:
                _expect(message, "started", "session", "cluster")
        if message.seq != self.last_seq + 1:
            raise StreamFailed(f"number {message.seq} came behind {self.last_seq}")
        self.last_seq = message.seq
        return message.data

    async def _next(self) -> _Message:
        try:
            message = await self._socket.receive(_WAIT_SECONDS)
        except TimeoutError:
            raise StreamFailed(f"nothing came for {_WAIT_SECONDS:g} s behind number {self.last_seq}") from None
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise StreamFailed(f"the stream was closed: {message.type.name} {message.data} {message.extra}")
        return _decoder.decode(message.data)


def _expect(message: _Message, *types: str) -> None:
    if message.type not in types:
        raise StreamFailed(f"not expected: {message}")


@dataclass(slots=True)
class _Count:
    """What one reader has seen of a flood, which is checked byte for byte; `all_bytes` with the first moments."""

    all_bytes: int = 0
    data_bytes: int = 0
    lines: int = 0
    frames: int = 0

    async def count(self, reader: _Reader, until: float) -> None:
        """Count until a time of the monotonic clock, but for the first moments."""
        counted_from = time.monotonic() + _WARM_SECONDS
        place = 0
        while (now := time.monotonic()) < until:
            data = await reader.more()
            if data != _TWICE[place : place + len(data)]:
                raise StreamFailed(f"frame {reader.last_seq} is not what the pod wrote")
            place = (place + len(data)) % len(FLOOD)
            self.all_bytes += len(data)
            if now >= counted_from:
                if not self.frames:
                    print("under way", file=sys.stderr, flush=True)
                self.data_bytes += len(data)
                self.lines += data.count("\n")
                self.frames += 1


async def _flood(readers: list[_Reader], seconds: float) -> dict[str, Any]:
    """Read a flood, the first socket as the one who asked for it. All counts are means over the readers."""
    await readers[0].execute(FLOOD_POD)
    for reader in readers[1:]:
        await reader.follow(readers[0].result_id)
    counts = [_Count() for _ in readers]
    until = time.monotonic() + _WARM_SECONDS + seconds
    await asyncio.gather(*(count.count(reader, until) for reader, count in zip(readers, counts, strict=True)))
    if not all(count.frames for count in counts):
        raise StreamFailed(f"a reader saw nothing of a flood in {seconds:g} s")
    means = {
        name: statistics.mean(getattr(count, name) for count in counts)
        for name in ("all_bytes", "data_bytes", "lines", "frames")
    }
    return {"seconds": seconds, **means, "times_lagging": sum(reader.times_lagging for reader in readers)}


async def _quiet(reader: _Reader, lines: int) -> dict[str, Any]:
    """How old each line of a quiet stream is when it is read."""
    await reader.execute(QUIET_POD)
    ages: list[float] = []
    held = ""
    while len(ages) < lines:
        *whole, held = (held + await reader.more()).split("\n")
        ages += map(age_seconds, whole)
    ages.sort()
    return {"p50_ms": ages[len(ages) // 2] * 1e3, "p99_ms": ages[len(ages) * 99 // 100] * 1e3}


async def _first(reader: _Reader, times: int) -> dict[str, Any]:
    """How long after `execute` the first output is there."""
    took: list[float] = []
    for _ in range(times):
        asked_at = time.monotonic()
        await reader.execute(QUIET_POD)
        await reader.more()
        took.append(time.monotonic() - asked_at)
        await reader.cancel()
    took.sort()
    return {"p50_ms": took[len(took) // 2] * 1e3}


async def _stall(reader: _Reader) -> dict[str, Any]:
    """Read the first piece of a flood and nothing more."""
    await reader.execute(FLOOD_POD)
    await reader.more()
    print("under way", file=sys.stderr, flush=True)
    await asyncio.Event().wait()
    return {}


async def _read(url: str, mode: str, *numbers: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {os.environ['KUBENTLY_BENCH_KEY']}"}
    sockets = int(numbers[1]) if mode == "flood" else 1
    async with aiohttp.ClientSession(headers=headers) as http:
        readers = [_Reader(await http.ws_connect(url, protocols=[SUBPROTOCOL])) for _ in range(sockets)]
        match mode:
            case "flood":
                return await _flood(readers, float(numbers[0]))
            case "quiet":
                return await _quiet(readers[0], int(numbers[0]))
            case "first":
                return await _first(readers[0], int(numbers[0]))
            case _:
                return await _stall(readers[0])


if __name__ == "__main__":
    try:
        print(json.dumps(uvloop.run(_read(*sys.argv[1:]))))
    except StreamFailed as failed:
        sys.exit(f"the stream failed: {failed}")
