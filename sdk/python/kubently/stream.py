"""One command's output as it comes, over connections that may break: it goes on behind the last piece it has."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from types import TracebackType
from typing import Final, Self

from kubently import retries
from kubently.errors import (
    ConnectionFailed,
    Draining,
    HubError,
    KubentlyError,
    NotTrusted,
    SubscriberLagging,
    hub_error,
)
from kubently.models import Json, Piece, Result
from kubently.transport import Transport

_log = logging.getLogger(__name__)

# A hub that is away may come back for so long; then the stream gives up, and says where to go on.
_AWAY_SECONDS: Final = 120.0

Start = Callable[[], Awaitable[str]]


class Stream:
    """An async iterator of `Piece`s of one command's output; `for` it once.

        async for piece in session.stream("logs", ["-f", "deploy/web"]):
            print(piece, end="")

    Leaving the loop, however, cancels the command in the cluster; leaving one of `follow` does not. Where it is to be
    cancelled by the time the next line runs, use `async with session.stream(...) as stream`. A connection that breaks
    is made again and no piece is lost or doubled.

    Raises HubError, and ConnectionFailed when the hub stays away for two minutes; that has where to go on.
    """

    def __init__(self, transport: Transport, start: Start, *, after_seq: int = 0, is_owner: bool) -> None:
        self._transport = transport
        self._start = start
        self._is_owner = is_owner
        self._is_read = False
        self._heard_at = 0.0  # the loop's time of the last line, a heartbeat too
        self.result_id: str | None = None
        """The command's result, None until it is accepted."""
        self.last_seq = after_seq
        """The number of the last piece that was handed out; `follow(result_id, last_seq)` goes on behind it."""
        self.result: Result | None = None
        """How the command ended, without its output; None before."""

    def __aiter__(self) -> AsyncGenerator[Piece]:
        if self._is_read:
            raise RuntimeError("A stream is read once; follow(result_id) reads it again")
        self._is_read = True
        return self._read()  # kept by the loop alone: when it lets go, the generator ends, and with it the command

    async def aclose(self) -> None:
        """Cancel the command, if it is the stream's own and has not ended. May be called again."""
        await self._leave()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _read(self) -> AsyncGenerator[Piece]:
        try:
            async with self._transport:
                if self.result_id is None:
                    self.result_id = await self._start()
                async with aclosing(self._through_breaks(self.result_id)) as pieces:
                    async for piece in pieces:
                        yield piece
        finally:
            await self._leave()

    async def _through_breaks(self, result_id: str) -> AsyncGenerator[Piece]:
        loop = asyncio.get_running_loop()
        self._heard_at = loop.time()
        attempt = 0
        while True:
            heard_at = self._heard_at
            try:
                async with aclosing(self._one_connection(result_id)) as pieces:
                    async for piece in pieces:
                        yield piece
                if self.result is not None:
                    return
                why: KubentlyError = ConnectionFailed("The connection broke off")
            except (ConnectionFailed, HubError) as error:
                why = error
            attempt = attempt + 1 if self._heard_at == heard_at else 1
            wait = self._wait_after(why, attempt)
            if wait is None:
                raise why
            if loop.time() + wait > self._heard_at + _AWAY_SECONDS:
                message = f"The hub stayed away: {why}; follow {result_id} from piece {self.last_seq}"
                raise ConnectionFailed(message, result_id=result_id, last_seq=self.last_seq) from why
            _log.info("the stream of %s goes on in %.1f s: %s", result_id, wait, why)
            await asyncio.sleep(wait)

    @staticmethod
    def _wait_after(why: KubentlyError, attempt: int) -> float | None:
        """How long to wait before the next connection; None: there is none."""
        if isinstance(why, ConnectionFailed) and not isinstance(why, NotTrusted):
            return retries.wait_before(attempt, why, is_repeatable=True)
        if isinstance(why, Draining | SubscriberLagging):
            return retries.wait_before(attempt, ConnectionFailed(str(why)), is_repeatable=True)
        if isinstance(why, HubError) and why.status is not None:  # in the answer's place, not in the middle of it
            return retries.wait_before(attempt, why, is_repeatable=True)
        return None

    async def _one_connection(self, result_id: str) -> AsyncGenerator[Piece]:
        path, query = f"/debug/result/{result_id}/stream", {"after_seq": self.last_seq}
        async with self._transport.lines("GET", path, query=query) as lines:
            async for message in lines:
                self._heard_at = asyncio.get_running_loop().time()
                kind = message.get("type")
                if kind == "output":
                    piece = _piece(message)
                    if piece.seq > self.last_seq:
                        self.last_seq = piece.seq
                        yield piece
                elif kind == "completed":
                    self.result = _ending(message)
                    return
                elif kind == "error":
                    raise hub_error(message)

    async def _leave(self) -> None:
        """Cancel the command if it is ours and has not ended. Raises nothing of the hub's: it cannot be mended here."""
        if not self._is_owner or self.result is not None or self.result_id is None:
            return
        self._is_owner = False
        await cancel(self._transport, self.result_id)


def _piece(message: Json) -> Piece:
    match message:
        case {"seq": int(seq), "stream": str(stream), "data": str(data)}:
            return Piece(seq, stream, data)
    raise ConnectionFailed("The hub sent output that is none; is something on the way changing it?")


def _ending(message: Json) -> Result:
    match message:
        case {"result": {"status": str()} as result}:
            return Result.parse(result)
    raise ConnectionFailed("The hub sent an end that is none; is something on the way changing it?")


async def cancel(transport: Transport, result_id: str) -> None:
    """Cancel a command, whatever becomes of the caller meanwhile. Raises nothing of the hub's."""
    await transport.finish(_cancel(transport, result_id), f"cancel {result_id}")


async def _cancel(transport: Transport, result_id: str) -> None:
    try:
        await transport.request("DELETE", f"/debug/result/{result_id}", is_repeatable=True, tries=2)
    except KubentlyError as error:
        _log.warning("%s could not be cancelled: %s", result_id, error)
