"""Callers: so many connections, each with one request on its way at any time. Cheaper than the server they call.

wrk where it is installed; else `python -m bench.load`, a lean client of ours that sends the same bytes over and over
and reads no more of an answer than its status and length. Either way in a process of its own.
"""

import asyncio
import json
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast
from urllib.parse import urlsplit

import uvloop

from bench.processes import module

Generator = Literal["wrk", "own"]

_EXTRA_SECONDS: Final = 30.0
_LUA: Final = Path(__file__).with_name("load.lua")


class LoadFailed(Exception):
    """Answers that were no success, or a generator that broke; a figure of such a round means nothing."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is called: an URL for POST, the API key (any text for the floor) and the JSON body."""

    url: str
    key: str
    body: str


@dataclass(frozen=True, slots=True)
class Load:
    """What one round showed. Latencies are of one request, as its caller saw them."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Requests answered per second."""
        return self.requests / self.seconds


def pick_generator() -> Generator:
    """Return wrk where it is installed, else our own."""
    return "wrk" if shutil.which("wrk") else "own"


async def call(target: Target, *, callers: int, seconds: float, generator: Generator) -> Load:
    """Keep `callers` connections busy for some time (wrk: whole seconds, at least one). Raises LoadFailed."""
    if generator == "wrk":
        time_limit = f"{max(1, round(seconds))}s"
        argv = ["wrk", "-t1", f"-c{callers}", f"-d{time_limit}", "--timeout", "30s", "-s", str(_LUA), target.url]
    else:
        argv = module("load", target.url, str(callers), str(seconds))
    child = await asyncio.create_subprocess_exec(
        *argv,
        env=os.environ | {"KUBENTLY_BENCH_KEY": target.key, "KUBENTLY_BENCH_BODY": target.body},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(seconds + _EXTRA_SECONDS):
            stdout, stderr = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode != 0:
        raise LoadFailed(f"{argv[0]} failed: {stderr.decode().strip()}")
    said = json.loads(stdout.decode().strip().splitlines()[-1])
    if said["failed"] or not said["requests"]:
        raise LoadFailed(f"{said['failed']} of {said['requests']} requests to {target.url} failed")
    return Load(said["requests"], said["microseconds"] / 1e6, said["p50"] / 1e3, said["p99"] / 1e3)


class _Caller(asyncio.Protocol):
    """One connection. It sends the next request the moment an answer is whole."""

    def __init__(self, request: bytes, latencies: list[float], until: float) -> None:
        self.failed = 0
        self.done = asyncio.get_running_loop().create_future()
        self._request = request
        self._latencies = latencies
        self._until = until
        self._transport: asyncio.Transport | None = None
        self._sent_at = 0.0
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_end = self._received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = self._received[:head_end]
        start = head.find(b"Content-Length: ") + len(b"Content-Length: ")
        length = int(head[start : start + 10].split(b"\r", 1)[0])
        if len(self._received) < head_end + 4 + length:
            return
        now = time.perf_counter()
        self._latencies.append(now - self._sent_at)
        self.failed += not head.startswith(b"HTTP/1.1 200")
        if now < self._until:
            self._send()
        else:
            self._finish()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if not self.done.done():
            self.failed += 1
            self._finish()

    def _send(self) -> None:
        assert self._transport is not None
        self._received = b""
        self._sent_at = time.perf_counter()
        self._transport.write(self._request)

    def _finish(self) -> None:
        assert self._transport is not None
        self.done.set_result(None)
        self._transport.close()


async def _call(url: str, callers: int, seconds: float, key: str, body: bytes) -> dict[str, float]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    latencies: list[float] = []
    started_at = time.perf_counter()
    connections = [_Caller(head.encode() + body, latencies, started_at + seconds) for _ in range(callers)]
    loop = asyncio.get_running_loop()
    for connection in connections:
        await loop.create_connection(lambda connection=connection: connection, parts.hostname, parts.port)  # type: ignore[misc]
    for connection in connections:
        await connection.done
    elapsed = time.perf_counter() - started_at
    latencies.sort()
    return {
        "requests": len(latencies),
        "microseconds": elapsed * 1e6,
        "p50": latencies[len(latencies) // 2] * 1e6,
        "p99": latencies[len(latencies) * 99 // 100] * 1e6,
        "failed": sum(connection.failed for connection in connections),
    }


if __name__ == "__main__":
    _key, _body = os.environ["KUBENTLY_BENCH_KEY"], os.environ["KUBENTLY_BENCH_BODY"]
    print(json.dumps(uvloop.run(_call(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), _key, _body.encode()))))
