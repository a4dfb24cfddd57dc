"""An agent spoken by hand: a WebSocket client whose every frame the test chooses."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import aiohttp

from schemas import codec
from schemas.frames import CONNECT_PATH, SUBPROTOCOL, AgentFrame, Chunk, Exit, Hello, HubFrame, Run, Welcome

T = TypeVar("T")
Answer = Callable[["RawAgent", Run], Awaitable[None]]


class RawAgent:
    """One link. `received` holds every frame the hub sent."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.received: list[HubFrame] = []

    async def send(self, frame: AgentFrame) -> None:
        """Send a frame."""
        await self.socket.send_str(codec.encode(frame))

    async def receive(self, timeout_seconds: float = 5.0) -> HubFrame | None:
        """The next frame; None once the hub has closed the link, see `socket.close_code`."""
        async with asyncio.timeout(timeout_seconds):
            message = await self.socket.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            return None
        frame = codec.decode_hub(message.data)
        if frame is not None:
            self.received.append(frame)
        return frame

    async def expect(self, kind: type[T], timeout_seconds: float = 5.0) -> T:
        """The next frame of one kind, passing over others."""
        async with asyncio.timeout(timeout_seconds):
            while True:
                frame = await self.receive(timeout_seconds)
                if isinstance(frame, kind):
                    return frame
                if frame is None:
                    raise ConnectionError(f"the link was closed with {self.socket.close_code}")

    async def serve(self, answer: Answer) -> None:
        """Answer every run until the hub closes the link."""
        while (frame := await self.receive(3600)) is not None:
            if isinstance(frame, Run):
                await answer(self, frame)

    async def exit(self, run: Run, stdout: str = "", stderr: str = "", **fields: object) -> None:
        """End a command in one frame; `seq` where output came before."""
        chunks = [Chunk("stdout", stdout)] if stdout else []
        chunks += [Chunk("stderr", stderr)] if stderr else []
        values: dict[str, object] = {"seq": 1, "status": "completed", "exit_code": 0, "executor": "kubectl"}
        values |= {"output_bytes": len(stdout.encode())} | fields
        await self.send(Exit(result_id=run.result_id, chunks=chunks, **values))  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def dialled(url: str, token: str, **headers: str) -> AsyncIterator[RawAgent]:
    """A socket to the hub's agent endpoint, before any frame."""
    sent = {"Authorization": f"Bearer {token}", **{name.replace("_", "-"): value for name, value in headers.items()}}
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(url + CONNECT_PATH, headers=sent, protocols=[SUBPROTOCOL]) as socket,
    ):
        yield RawAgent(socket)


@contextlib.asynccontextmanager
async def connected(url: str, token: str, cluster_id: str = "alpha", **hello: object) -> AsyncIterator[RawAgent]:
    """A link that has been welcomed."""
    async with dialled(url, token) as agent:
        fields: dict[str, object] = {"agent_version": "0.0-test", "boot_id": "boot-1"} | hello
        await agent.send(Hello(cluster_id=cluster_id, **fields))  # type: ignore[arg-type]
        await agent.expect(Welcome)
        yield agent


@contextlib.asynccontextmanager
async def serving(url: str, token: str, answer: Answer, cluster_id: str = "alpha") -> AsyncIterator[RawAgent]:
    """A link that answers every run."""
    async with connected(url, token, cluster_id) as agent:
        task = asyncio.create_task(agent.serve(answer), name="scripted agent")
        try:
            yield agent
        finally:
            task.cancel()
            await asyncio.wait([task])


async def canned(agent: RawAgent, run: Run) -> None:
    """Answer with the command's own words."""
    await agent.exit(run, stdout=" ".join([run.command_type, *run.args]) + "\n")
