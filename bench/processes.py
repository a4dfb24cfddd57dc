"""Processes under measurement: started, waited for, looked at through /proc, stopped."""

import asyncio
import contextlib
import json
import os
import re
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

_START_SECONDS: Final = 20.0
_STOP_SECONDS: Final = 10.0
_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class NotStarted(Exception):
    """A process that did not come up; the message holds its last words."""


class Failed(Exception):
    """A process that ended badly or not at all; the message holds its last words."""


class Process:
    """A running child. What it writes on stderr is read all the time, so that it never blocks on a full pipe."""

    def __init__(self, name: str, child: asyncio.subprocess.Process) -> None:
        self.name = name
        self._child = child
        self._lines: deque[str] = deque(maxlen=50)
        self._heard = asyncio.Event()
        self._reader = asyncio.create_task(self._read(), name=f"stderr of {name}")

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._child.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._child.returncode is None

    @property
    def last_words(self) -> str:
        """The end of what it wrote on stderr."""
        return "\n".join(self._lines)

    async def find(self, pattern: str, timeout_seconds: float = _START_SECONDS) -> str:
        """Wait for a line on stderr that matches, and return its first group. Raises NotStarted."""
        wanted = re.compile(pattern)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while True:
                    self._heard.clear()
                    for line in self._lines:
                        found = wanted.search(line)
                        if found is not None:
                            return found.group(1)
                    if self._reader.done():
                        break
                    await self._heard.wait()
        raise NotStarted(f"{self.name} did not come up:\n{self.last_words}")

    async def write(self, text: str) -> None:
        """Write to its stdin and close that."""
        assert self._child.stdin is not None
        self._child.stdin.write(text.encode())
        await self._child.stdin.drain()
        self._child.stdin.close()

    def cpu_seconds(self) -> float:
        """User and system time it has used, all threads together (proc(5): /proc/pid/stat, fields 14 and 15)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND

    def rss_bytes(self) -> int:
        """Memory it holds now (proc(5): /proc/pid/statm, second field)."""
        return int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES

    def peak_rss_bytes(self) -> int:
        """The most memory it ever held (proc(5): VmHWM of /proc/pid/status, in KiB)."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    async def stop(self) -> None:
        """End it: first by SIGTERM, then, if it does not go, by SIGKILL."""
        with contextlib.suppress(ProcessLookupError):
            self._child.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._child.wait()
        except TimeoutError:
            self._child.kill()
            await self._child.wait()
        await self._reader

    async def _read(self) -> None:
        assert self._child.stderr is not None
        async for line in self._child.stderr:
            self._lines.append(line.decode(errors="replace").rstrip())
            self._heard.set()
        self._heard.set()


@contextlib.asynccontextmanager
async def started(
    name: str, argv: Sequence[str], *, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Process]:
    """Run a child for as long as the context is open. `environment` is added to our own."""
    child = await asyncio.create_subprocess_exec(
        *argv,
        env=os.environ | (environment or {}),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    process = Process(name, child)
    try:
        yield process
    finally:
        await process.stop()


async def said(
    name: str, argv: Sequence[str], timeout_seconds: float, *, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run a child to its end, and return the JSON object it printed. Raises Failed. Cancelling ends the child."""
    child = await asyncio.create_subprocess_exec(
        *argv,
        env=os.environ | (environment or {}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(timeout_seconds):
            stdout, stderr = await child.communicate()
    except TimeoutError:
        raise Failed(f"{name} took more than {timeout_seconds:g} s") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode != 0:
        raise Failed(f"{name} failed: {stderr.decode(errors='replace').strip()}")
    answer: dict[str, Any] = json.loads(stdout)
    return answer


def module(name: str, *arguments: str) -> list[str]:
    """The argv of a module of this package, run by the Python that runs us: `module("floor", "serve")`."""
    return [sys.executable, "-m", f"bench.{name}", *arguments]


def program(name: str) -> str:
    """The path of one of our console scripts, beside the Python that runs us."""
    return str(Path(sys.executable).with_name(name))
