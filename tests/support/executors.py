"""Executors that behave as the test needs, badly for the most part."""

import asyncio

from agent.executors.base import NotTaken, Outcome, Sink, Versions
from agent.redaction.screen import NO_SCREEN, Screen
from schemas.kubectl import KubectlCommand


class EchoExecutor:
    """Writes the command's argv and ends with exit code 0."""

    name = "echo"

    async def run(self, command: KubectlCommand, sink: Sink, screen: Screen = NO_SCREEN) -> Outcome:
        """Write one line."""
        await sink.write("stdout", (" ".join(command.argv()) + "\n").encode())
        return Outcome(0)

    async def probe(self) -> Versions:
        """Made-up versions."""
        return Versions("v0.0.1", "v1.99.0")


class DecliningExecutor(EchoExecutor):
    """Takes nothing, and says so with its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def run(self, command: KubectlCommand, sink: Sink, screen: Screen = NO_SCREEN) -> Outcome:
        """Decline."""
        raise NotTaken(f"{self.name}: not this one")


class SlowExecutor(EchoExecutor):
    """Writes its `first` bytes and waits until it is released; counts what runs at once and what was cancelled."""

    def __init__(self, first: bytes = b"") -> None:
        self._first = first
        self.release = asyncio.Event()
        self.started = asyncio.Semaphore(0)
        self.running = 0
        self.most_running = 0
        self.cancelled = 0

    async def run(self, command: KubectlCommand, sink: Sink, screen: Screen = NO_SCREEN) -> Outcome:
        """Wait, then echo."""
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            if self._first:
                await sink.write("stdout", self._first)
            self.started.release()
            await self.release.wait()
            return await super().run(command, sink)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1


class NeverExecutor(EchoExecutor):
    """Never ends, and takes no notice of being cancelled until it is released."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.release = asyncio.Event()

    async def run(self, command: KubectlCommand, sink: Sink, screen: Screen = NO_SCREEN) -> Outcome:
        """Wait, whatever comes."""
        self.started.set()
        while not self.release.is_set():
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                continue
        return Outcome(0)


class FloodingExecutor(EchoExecutor):
    """Writes without end; `written` counts the bytes its sink has taken."""

    def __init__(self, stream_line: bytes = b"x" * 1023 + b"\n") -> None:
        self.written = 0
        self._block = stream_line * 64

    async def run(self, command: KubectlCommand, sink: Sink, screen: Screen = NO_SCREEN) -> Outcome:
        """Flood."""
        while True:
            await sink.write("stdout", self._block)
            self.written += len(self._block)
            await asyncio.sleep(0)


class LinesExecutor(EchoExecutor):
    """Writes so many lines, `line 000000` first, each by itself; others get a turn after `rests_every` of them."""

    def __init__(self, count: int, rests_every: int = 100) -> None:
        self._count = count
        self._rests_every = rests_every

    async def run(self, command: KubectlCommand, sink: Sink, screen: Screen = NO_SCREEN) -> Outcome:
        """Write."""
        for number in range(self._count):
            await sink.write("stdout", f"line {number:06}\n".encode())
            if number % self._rests_every == 0:
                await asyncio.sleep(0)
        return Outcome(0)


class BrokenExecutor(EchoExecutor):
    """Raises what no executor should."""

    async def run(self, command: KubectlCommand, sink: Sink, screen: Screen = NO_SCREEN) -> Outcome:
        """Raise."""
        await sink.write("stdout", b"so far\n")
        raise ZeroDivisionError("a fault of the executor")
