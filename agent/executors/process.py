"""One child process: spawned without a shell, read with back-pressure, ended as a group.

asyncio's own event loop is used on purpose: it spawns with vfork (1.1 ms), uvloop 0.23 with fork (2.7 ms, of which
the whole agent stands still for most).
"""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process, SubprocessStreamProtocol
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.executors.base import Sink
from schemas.frames import Stream

_READ_BYTES: Final = 64 * 1024
# From SIGTERM to SIGKILL; a cancelled command is to be gone within a second.
_GRACE_SECONDS: Final = 0.3
# How long the kernel may take to end a process that was killed.
_REAP_SECONDS: Final = 0.5
# The largest file a child may write: its discovery cache has some of a few MiB.
_MAX_FILE_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Spawn:
    """How to start a child. `env` is all of its environment; `max_memory_bytes` 0 sets no bound."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    max_memory_bytes: int = 0


async def run(spawn: Spawn, sink: Sink) -> int:
    """Run a child to its end; returns its exit code, -N when signal N ended it.

    Its group (it leads one of its own) is gone when this returns, raises or is cancelled, within a second. Raises
    OSError when it cannot be spawned, and what the sink raises.
    """
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.subprocess_exec(
        lambda: SubprocessStreamProtocol(limit=_READ_BYTES, loop=loop),
        *spawn.argv,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        env=spawn.env,
        cwd=spawn.cwd,
        start_new_session=True,
    )
    process = Process(transport, protocol, loop)
    pumps: list[asyncio.Task[None]] = []
    try:
        _limit(process.pid, spawn.max_memory_bytes)
        assert process.stdout is not None
        assert process.stderr is not None
        pumps.append(asyncio.create_task(_pump(process.stdout, "stdout", sink), name=f"stdout of {process.pid}"))
        pumps.append(asyncio.create_task(_pump(process.stderr, "stderr", sink), name=f"stderr of {process.pid}"))
        await asyncio.gather(*pumps)
        return await process.wait()
    finally:
        try:
            await _end(process)
        finally:
            for pump in pumps:
                pump.cancel()
            transport.close()
            if pumps:
                await asyncio.wait(pumps)


async def _pump(reader: asyncio.StreamReader, stream: Stream, sink: Sink) -> None:
    while data := await reader.read(_READ_BYTES):
        await sink.write(stream, data)


async def _end(process: Process) -> None:
    """End the child's group, and wait until the child is reaped."""
    try:
        if process.returncode is None:
            _signal_group(process.pid, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _GRACE_SECONDS)
    finally:
        _signal_group(process.pid, signal.SIGKILL)
    if process.returncode is None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _REAP_SECONDS)


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _limit(pid: int, max_memory_bytes: int) -> None:
    """Bound a child that has just started. A race it may win for a moment, but unlike preexec_fn it allows vfork.

    RLIMIT_DATA counts what is written to, unlike RLIMIT_AS, which counts the gigabyte a Go program only reserves.
    """
    if sys.platform != "linux":
        return
    import resource

    limits = {resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: _MAX_FILE_BYTES}
    if max_memory_bytes:
        limits[resource.RLIMIT_DATA] = max_memory_bytes
    with contextlib.suppress(ProcessLookupError, PermissionError):
        for limit, value in limits.items():
            hard = resource.prlimit(pid, limit)[1]
            lower = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.prlimit(pid, limit, (lower, lower))
