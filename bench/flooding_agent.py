"""An agent that writes the pods of `bench.lines` itself, as fast as its credit lets it: for hub and link alone.

`python -m bench.flooding_agent HUB_URL CLUSTER_ID`, the token in KUBENTLY_AGENT_TOKEN. It speaks the real protocol but
keeps nothing: a stream ends with its link.
"""

import asyncio
import contextlib
import os
import secrets
import sys
from collections import deque
from collections.abc import Awaitable, Callable

import aiohttp
import uvloop

from bench.lines import PODS, written
from bench.scripted_agent import beat
from schemas import codec
from schemas.frames import (
    CONNECT_PATH,
    FRAME_OVERHEAD_BYTES,
    SUBPROTOCOL,
    AgentFrame,
    Cancel,
    Chunk,
    Credit,
    Exit,
    ExitStatus,
    Hello,
    HubFrame,
    Output,
    Run,
    Welcome,
)


class Window:
    """How far one command's output may be ahead of its credit, in bytes; None: as far as it likes."""

    def __init__(self, window_bytes: int | None) -> None:
        self._window_bytes = window_bytes
        self._ahead: deque[tuple[int, int]] = deque()  # numbers without credit, with what they count
        self._ahead_bytes = 0
        self._has_moved = asyncio.Event()

    async def enter(self, seq: int, data_bytes: int) -> None:
        """Wait until a frame may go. One that is larger than the window goes when nothing else is ahead."""
        if self._window_bytes is None:
            return
        size = data_bytes + FRAME_OVERHEAD_BYTES
        while self._ahead and self._ahead_bytes + size > self._window_bytes:
            self._has_moved.clear()
            await self._has_moved.wait()
        self._ahead.append((seq, size))
        self._ahead_bytes += size

    def credit(self, seq: int) -> None:
        """Everything up to a number has gone on."""
        while self._ahead and self._ahead[0][0] <= seq:
            self._ahead_bytes -= self._ahead.popleft()[1]
        self._has_moved.set()


class Source:
    """Runs what a hub asks for: `logs POD`, followed or not. `send` writes one frame and waits for room."""

    def __init__(self, send: Callable[[AgentFrame], Awaitable[None]], window_bytes: int | None) -> None:
        self._send = send
        self._window_bytes = window_bytes
        self._running: dict[str, tuple[asyncio.Task[None], Window]] = {}

    def take(self, frame: HubFrame | None) -> None:
        """Do what one frame says; most say nothing to a source."""
        match frame:
            case Run(result_id=result_id):
                window = Window(self._window_bytes)
                task = asyncio.create_task(self._run(frame, window), name=f"run {result_id}")
                self._running[result_id] = task, window
                task.add_done_callback(lambda _: self._running.pop(result_id, None))
            case Cancel(result_id=result_id) if result_id in self._running:
                self._running[result_id][0].cancel()
            case Credit(results=results):
                for result_id in results.keys() & self._running.keys():
                    self._running[result_id][1].credit(results[result_id])
            case _:
                pass

    def end(self) -> None:
        """The link is gone, and so is all that runs on it."""
        for task, _ in self._running.values():
            task.cancel()

    async def _run(self, run: Run, window: Window) -> None:
        pod = next(word for word in run.args if word in PODS)
        status: ExitStatus = "completed"
        chunks: list[Chunk] = []
        seq = 1
        try:
            async for text in written(pod):
                if not run.is_stream:
                    chunks.append(Chunk("stdout", text))
                    continue
                await window.enter(seq, len(text))  # all of it is ASCII
                seq += 1  # first: a frame whose sending is cancelled has gone out all the same
                await self._send(Output(run.result_id, seq - 1, "stdout", text))
        except asyncio.CancelledError:
            status = "cancelled"
        except ConnectionError:
            return
        with contextlib.suppress(ConnectionError):
            await self._send(Exit(run.result_id, seq, status, 0 if status == "completed" else None, chunks))


async def serve(hub_url: str, cluster_id: str, token: str) -> None:
    """Serve until the hub closes the link."""
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(hub_url + CONNECT_PATH, headers=headers, protocols=[SUBPROTOCOL]) as socket,
    ):
        hello = Hello(cluster_id, "0.0-bench", boot_id=secrets.token_hex(8), executors={"scripted": None})
        await socket.send_str(codec.encode(hello))
        source: Source | None = None
        beating: asyncio.Task[None] | None = None

        async def send(frame: AgentFrame) -> None:
            await socket.send_str(codec.encode(frame))

        try:
            async for message in socket:
                frame = codec.decode_hub(message.data)
                if isinstance(frame, Welcome):
                    source = Source(send, frame.window_bytes)
                    beating = asyncio.create_task(beat(socket, frame.heartbeat_interval_seconds), name="heartbeats")
                    print("agent connected", file=sys.stderr, flush=True)
                elif source is not None:
                    source.take(frame)
        finally:
            if source is not None:
                source.end()
            if beating is not None:
                beating.cancel()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], sys.argv[2], os.environ["KUBENTLY_AGENT_TOKEN"]))
