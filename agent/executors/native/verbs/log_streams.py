"""How logs get from the server to the sink: one after another, or, of several that are followed, line by line."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from agent.executors.native.call import Call
from agent.executors.native.errors import CommandFailed, StatusError, Unreachable
from agent.executors.native.transport import Query

# How much of a line is kept until its end comes; a longer one is passed on in pieces while the other logs wait.
# Container runtimes cut lines at 16 KiB, kubelets put those of Docker together again.
_MAX_HELD_BYTES: Final = 256 * 1024
# How much may be written at once: prefixes make a hundred times as much of a log that is all empty lines.
_MAX_WRITE_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Source:
    """One container's log: where to GET it, and what stands before each of its lines (b"": nothing)."""

    path: str
    query: Query
    prefix: bytes = b""


class Streams:
    """Copies sources to the sink of one call. With `ignores_errors` a failure becomes a line of the output.

    Raises, from both methods, StatusError, Unreachable, CommandFailed and what the sink raises. When they are left all
    requests are closed.
    """

    def __init__(self, call: Call, *, ignores_errors: bool) -> None:
        self._call = call
        self._ignores_errors = ignores_errors
        self._turn = asyncio.Lock()

    async def one_by_one(self, sources: Sequence[Source]) -> None:
        """Copy one log after the other, bytes as they arrive."""
        for source in sources:
            await self._copy(source, in_lines=False)

    async def at_once(self, sources: Sequence[Source]) -> None:
        """Copy all of them side by side, whole lines. The first failure ends all."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for source in sources:
                    tasks.create_task(self._copy(source, in_lines=True), name=f"log {source.path}")
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _copy(self, source: Source, *, in_lines: bool) -> None:
        writer = _Writer(self._call, self._turn)
        try:
            async with self._call.transport.stream(source.path, source.query) as response:
                pieces = _in_lines(response.chunks()) if in_lines else response.chunks()
                async for piece in _prefixed(pieces, source.prefix):
                    await writer.write(piece)
        except (StatusError, Unreachable, CommandFailed) as error:
            if not self._ignores_errors:
                raise
            await writer.write(f"error: {str(error).removeprefix('error: ')}\n".encode())
        finally:
            writer.close()


class _Writer:
    """Writes one log's part of the output: between two lines it is any log's turn, within a line only this one's."""

    def __init__(self, call: Call, turn: asyncio.Lock) -> None:
        self._call = call
        self._turn = turn
        self._has_turn = False

    async def write(self, data: bytes) -> None:
        """Wait for the turn, write, and give it on when the data ends a line."""
        if not self._has_turn:
            await self._turn.acquire()
            self._has_turn = True
        await self._call.out(data)
        if data.endswith(b"\n"):
            self.close()

    def close(self) -> None:
        """Give the turn on; the last line of a log need not have an end."""
        if self._has_turn:
            self._has_turn = False
            self._turn.release()


async def _prefixed(pieces: AsyncIterator[bytes], prefix: bytes) -> AsyncIterator[bytes]:
    """The same pieces with `prefix` before each line that begins in them."""
    is_at_start = True
    async for piece in pieces:
        if not prefix or not piece:
            yield piece
            continue
        size = len(piece) + piece.count(b"\n") * len(prefix)
        step = len(piece) if size <= _MAX_WRITE_BYTES else _MAX_WRITE_BYTES // (len(prefix) + 1)
        for start in range(0, len(piece), step):
            part = piece[start : start + step]
            body, newline = (part[:-1], b"\n") if part.endswith(b"\n") else (part, b"")
            yield (prefix if is_at_start else b"") + body.replace(b"\n", b"\n" + prefix) + newline
            is_at_start = bool(newline)


async def _in_lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes cut at ends of lines; only the last piece, and pieces of a very long line, end elsewhere."""
    held = bytearray()
    try:
        async for piece in pieces:
            end = piece.rfind(b"\n") + 1
            if end == 0 and len(held) + len(piece) > _MAX_HELD_BYTES:
                end = len(piece)
            if end:
                yield bytes(held) + piece[:end]
                held[:] = piece[end:]
            else:
                held += piece
    except Unreachable:
        if held:
            yield bytes(held)  # what came before the answer broke off counts
        raise
    if held:
        yield bytes(held)
