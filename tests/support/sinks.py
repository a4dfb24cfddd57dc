"""Sinks for executors."""

import asyncio

from schemas.frames import Stream


class Collected:
    """Keeps everything; `wrote` is set with the first bytes."""

    def __init__(self) -> None:
        self.stdout = b""
        self.stderr = b""
        self.wrote = asyncio.Event()

    async def write(self, stream: Stream, data: bytes) -> None:
        """Keep."""
        if stream == "stdout":
            self.stdout += data
        else:
            self.stderr += data
        self.wrote.set()


class StalledSink(Collected):
    """Takes the first bytes, then nothing until `release` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.release = asyncio.Event()
        self.taken = 0

    async def write(self, stream: Stream, data: bytes) -> None:
        """Wait before the second write."""
        if self.taken:
            await self.release.wait()
        self.taken += len(data)
        self.wrote.set()


class FullSink(Collected):
    """Raises with the first bytes."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    async def write(self, stream: Stream, data: bytes) -> None:
        """Raise."""
        raise self._error
