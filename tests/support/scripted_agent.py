"""An agent with a script: a real link to a real hub, on which each command gets the answer the test wrote for it.

`raw_agent.py` is the link; here are the answers.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from schemas.frames import MAX_DATA_BYTES, Cancel, Chunk, Exit, ExitStatus, Heartbeat, HubFrame, Output, Run
from tests.support.raw_agent import RawAgent, connected

# Well within the 2.5 intervals after which a hub with default settings takes an agent for dead.
HEARTBEAT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Reply:
    """How a command ends. `is_endless`: it runs until it is cancelled."""

    stdout: str = ""
    stderr: str = ""
    exit_code: int = 0
    is_endless: bool = False


@dataclass(slots=True)
class ScriptedAgent:
    """A link that is up. `replies` maps a command's words to its answer, `"get --output=wide -- pods"`; others get
    `default`. `received` is every frame the hub sent.
    """

    link: RawAgent
    replies: dict[str, Reply]
    default: Reply
    _endless: set[str] = field(default_factory=set)

    @property
    def received(self) -> list[HubFrame]:
        """Every frame the hub sent."""
        return self.link.received

    async def serve(self) -> None:
        """Answer until the hub closes the link."""
        while (frame := await self.link.receive(3600)) is not None:
            match frame:
                case Run():
                    await self._answer(frame)
                case Cancel(result_id=result_id, reason=reason) if result_id in self._endless:
                    self._endless.discard(result_id)
                    await self._exit(result_id, 1, "cancelled", error=reason)
                case _:
                    pass

    async def beat(self) -> None:
        """Say that the agent lives, until cancelled."""
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            await self.link.send(Heartbeat())

    async def _answer(self, run: Run) -> None:
        reply = self.replies.get(" ".join([run.command_type, *run.args]), self.default)
        if reply.is_endless:
            self._endless.add(run.result_id)
            return
        pieces = [Chunk("stdout", text) for text in _split(reply.stdout)]
        pieces += [Chunk("stderr", text) for text in _split(reply.stderr)]
        for seq, piece in enumerate(pieces[:-1], start=1):
            await self.link.send(Output(run.result_id, seq, piece.stream, piece.data))
        await self._exit(
            run.result_id,
            max(1, len(pieces)),
            "completed" if reply.exit_code == 0 else "failed",
            exit_code=reply.exit_code,
            chunks=pieces[-1:],
            output_bytes=len(reply.stdout.encode()),
        )

    async def _exit(
        self,
        result_id: str,
        seq: int,
        status: ExitStatus,
        *,
        exit_code: int | None = None,
        chunks: list[Chunk] | None = None,
        output_bytes: int = 0,
        error: str | None = None,
    ) -> None:
        frame = Exit(
            result_id=result_id,
            seq=seq,
            status=status,
            exit_code=exit_code,
            chunks=chunks or [],
            output_bytes=output_bytes,
            execution_time_ms=1,
            executor="scripted",
            error=error,
        )
        await self.link.send(frame)


def _split(text: str) -> list[str]:
    """Pieces that fit a frame, whatever their characters are."""
    step = MAX_DATA_BYTES // 4
    return [text[start : start + step] for start in range(0, len(text), step)]


@contextlib.asynccontextmanager
async def scripted_agent(
    url: str,
    token: str,
    cluster_id: str = "alpha",
    *,
    replies: Mapping[str, Reply] | None = None,
    default: Reply | None = None,
) -> AsyncIterator[ScriptedAgent]:
    """An agent that is connected for as long as the context is open."""
    hello = {"kubernetes_version": "v1.33.1", "executors": {"scripted": None}}
    async with connected(url, token, cluster_id, **hello) as link:
        agent = ScriptedAgent(link, dict(replies or {}), default or Reply("done\n"))
        tasks = [asyncio.create_task(agent.serve(), name="serve"), asyncio.create_task(agent.beat(), name="beat")]
        try:
            yield agent
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
