"""Lines of JSON over plain HTTP, as they come from a source, until it ends or the reader leaves, or does not read.

One result is such a source (`result_lines`), a fleet's answers are another (`fleet_lines`).
"""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Sequence
from typing import Any, Final, Protocol, TypeVar

import msgspec
from aiohttp import web

from hub import keys, logs
from hub.api.stream_watch import Watch
from hub.errors import Draining, HubError, Unauthorized
from hub.services.caller import Caller
from schemas.stream import HEARTBEAT_SECONDS, CloseCode, Heartbeat, encode

_log = logging.getLogger(__name__)

T = TypeVar("T")

LINES_TYPE: Final = "application/x-ndjson"
# Nothing on the way may keep lines for later, or hold them back to gather more.
LINES_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "X-Content-Type-Options": "nosniff"}

# Whether the place to begin is one that is held shows within moments. The answer waits for that, and no longer.
_BEGIN_SECONDS: Final = 0.25
# A reader of a stopping hub has so long to read where it is to go on.
_DRAIN_SECONDS: Final = 2.0


class Batch(msgspec.Struct, frozen=True, gc=False):
    """Some messages; `is_last`: there are no more behind them."""

    messages: Sequence[msgspec.Struct]
    is_last: bool


class Source(Protocol):
    """Where lines come from. `name` is for logs: a result's id, or the like."""

    name: str

    async def next(self) -> Batch:
        """What comes next. Raises HubError, which is then the last line, or before the first line the answer."""

    def refusal(self, error: HubError, sent: msgspec.Struct | None) -> msgspec.Struct:
        """The last line, which says why there is no more; `sent`: the last of its messages that was, None: none."""


class Lines:
    """`serve` it; see OpenStream for `drain`."""

    def __init__(self, app: web.Application, caller: Caller, source: Source) -> None:
        self._app = app
        self._caller = caller
        self._source = source
        self._sent: msgspec.Struct | None = None
        self._transport: asyncio.Transport | None = None
        self._stopped: asyncio.Future[HubError] = asyncio.get_running_loop().create_future()
        self._has_ended = asyncio.Event()
        self._response = web.StreamResponse(headers=LINES_HEADERS)
        self._response.content_type = LINES_TYPE
        self._tasks: set[asyncio.Task[Any]] = set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer with lines until the source has ended; less when the reader is gone, or does not read any more.

        Raises HubError before the first line only.
        """
        self._coming = self._own(self._source.next(), "next lines")
        try:
            await self._wait(_BEGIN_SECONDS)
            if self._coming.done():
                self._coming.result()
            with contextlib.suppress(ConnectionError):
                await self._response.prepare(request)
                assert request.transport is not None  # else prepare raises
                self._transport = request.transport
                stall_seconds = self._app[keys.SETTINGS].streams.stall_seconds
                watch = Watch(request.transport, self._app[keys.API_KEYS], self._caller.key, stall_seconds)
                self._own(self._keep(request.transport, watch), "watch")
                await self._write_all(watch)
                await self._response.write_eof()
        finally:
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)
            if not self._coming.cancelled():
                self._coming.exception()  # read, though the stream ended for another reason
            self._has_ended.set()
        return self._response

    async def drain(self) -> None:
        """See OpenStream."""
        self._stop(Draining())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                await self._has_ended.wait()
        if self._transport is not None and not self._has_ended.is_set():
            self._transport.abort()

    async def _wait(self, seconds: float) -> None:
        """Wait for more output, or for a reason to stop, so long at most."""
        await asyncio.wait((self._coming, self._stopped), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)

    async def _write_all(self, watch: Watch) -> None:
        while True:
            await self._wait(HEARTBEAT_SECONDS)
            if self._stopped.done():
                await self._write(self._refusal(self._stopped.result()), watch)
                return
            if not self._coming.done():
                await self._write(Heartbeat(), watch)
                continue
            try:
                batch = self._coming.result()
            except HubError as error:
                await self._write(self._refusal(error), watch)
                return
            except Exception:  # noqa: BLE001 - a border: the status has been sent, so it is said in a line
                _log.exception("a stream of lines broke off", extra={"stream": self._source.name})
                await self._write(self._refusal(self._fault()), watch)
                return
            for message in batch.messages:
                await self._write(message, watch)
                self._sent = message
            if batch.is_last:
                return
            self._coming = self._own(self._source.next(), "next lines")

    async def _write(self, message: msgspec.Struct, watch: Watch) -> None:
        """Write one line; waits while the reader does not read, until `_keep` has had enough."""
        line = encode(message) + b"\n"
        watch.wrote(len(line))
        await self._response.write(line)

    async def _keep(self, transport: asyncio.Transport, watch: Watch) -> None:
        while (code := await watch.look()) is None:
            pass
        if code == CloseCode.KEY_REVOKED:
            self._stop(Unauthorized())
        else:
            _log.warning("a reader that does not read was cut off", extra={"stream": self._source.name})
            transport.abort()

    def _stop(self, why: HubError) -> None:
        if not self._stopped.done():
            self._stopped.set_result(why)

    def _refusal(self, error: HubError) -> msgspec.Struct:
        return self._source.refusal(error, self._sent)

    @staticmethod
    def _fault() -> HubError:
        return HubError("An unexpected error occurred", details={"request_id": logs.request_id.get()})

    def _own(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        task = asyncio.create_task(work, name=f"{name} of {self._source.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
