"""OUT on the road: a stored command waits for its turn on its cluster, then goes over the bus to the agent.

Each cluster has a lane: so many commands run at once, so many more wait, the next is refused. A place in the lane is
reserved before the command is stored, so that a command that was accepted has one.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from hub.bus.base import Bus, Ended
from hub.errors import ClusterOffline, Draining, QueueFull
from hub.records import Ending, Result
from hub.settings import Agents, Commands
from hub.store.base import Store
from schemas.frames import Cancel, Run

_log = logging.getLogger(__name__)

End = Callable[[str, Ending], Awaitable[bool]]


@dataclass(slots=True)
class _Lane:
    """A cluster's commands: `running` maps to whether it was sent, `waiting` to the command once it is stored."""

    running: dict[str, bool] = field(default_factory=dict)
    waiting: dict[str, Result | None] = field(default_factory=dict)


class Dispatcher:
    """Sends commands to agents, a bounded number at a time."""

    def __init__(self, store: Store, bus: Bus, end: End, agents: Agents, commands: Commands) -> None:
        self._store = store
        self._bus = bus
        self._end = end
        self._agents = agents
        self._commands = commands
        self._lanes: dict[str, _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_draining = False
        self._idle = asyncio.Event()
        self._idle.set()
        bus.on_ended(self._on_ended)

    def reserve(self, cluster_id: str, result_id: str) -> Literal["running", "queued"]:
        """Take a place in the cluster's lane: the status the command is to be stored with.

        Raises Draining, ClusterOffline, QueueFull. Give the place back with `release` when the command is not stored.
        """
        if self._is_draining:
            raise Draining
        if not self._bus.is_connected(cluster_id):
            raise ClusterOffline("Cluster agent is not connected", details={"cluster_id": cluster_id})
        lane = self._lanes.setdefault(cluster_id, _Lane())
        if len(lane.running) < self._agents.max_concurrent_commands and not lane.waiting:
            lane.running[result_id] = False
            self._idle.clear()
            return "running"
        if len(lane.waiting) >= self._agents.max_queued_commands:
            raise QueueFull(
                f"{len(lane.waiting)} commands wait for cluster {cluster_id}, no more may",
                details={"cluster_id": cluster_id, "queue_depth": len(lane.waiting)},
            )
        lane.waiting[result_id] = None
        self._idle.clear()
        return "queued"

    def release(self, cluster_id: str, result_id: str) -> None:
        """Give a reserved place back."""
        lane = self._lanes.get(cluster_id)
        if lane is None:
            return
        lane.running.pop(result_id, None)
        lane.waiting.pop(result_id, None)
        self._advance(cluster_id, lane)

    async def dispatch(self, result: Result) -> None:
        """Send a stored command that has a place, now or when its turn comes. A cancelled one is passed over."""
        lane = self._lanes.get(result.cluster_id)
        if lane is None:
            return
        if result.result_id in lane.running:
            await self._send(lane, result)
        elif result.result_id in lane.waiting:
            lane.waiting[result.result_id] = result
            self._advance(result.cluster_id, lane)

    def restore(self, result: Result) -> None:
        """Put a queued command of an earlier hub process back in its lane; it goes out when the agent is here."""
        self._lanes.setdefault(result.cluster_id, _Lane()).waiting[result.result_id] = result
        self._idle.clear()

    def agent_came(self, cluster_id: str) -> None:
        """Send what has been waiting for this agent."""
        lane = self._lanes.get(cluster_id)
        if lane is not None:
            self._advance(cluster_id, lane)

    async def cancel(self, cluster_id: str, result_id: str, reason: str) -> None:
        """End a command early: at once when it was not sent yet, else through the agent.

        An agent that has not ended it `grace_seconds` later is not waited for any longer.
        """
        lane = self._lanes.get(cluster_id)
        was_sent = lane is not None and lane.running.get(result_id, False)
        if was_sent and await self._bus.deliver(cluster_id, Cancel(result_id, reason)):
            self._own(self._end_later(result_id, reason), f"cancel {result_id}")
        else:
            await self._end(result_id, Ending("cancelled", time.time(), reason=reason))

    def queue_depth(self, cluster_id: str) -> int:
        """How many commands wait for a place among the running ones."""
        lane = self._lanes.get(cluster_id)
        return len(lane.waiting) if lane else 0

    async def drain(self, timeout_seconds: float) -> bool:
        """Take no more commands and wait for those there are; False: some were left at the end of the time."""
        self._is_draining = True
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    @property
    def is_draining(self) -> bool:
        """Whether the hub is stopping."""
        return self._is_draining

    async def close(self) -> None:
        """Stop what this dispatcher has under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _on_ended(self, ended: Ended) -> None:
        self.release(ended.result.cluster_id, ended.result.result_id)

    def _advance(self, cluster_id: str, lane: _Lane) -> None:
        """Move waiting commands up while there is room, and forget a lane nobody is in."""
        if lane.waiting and self._bus.is_connected(cluster_id):
            ready = [result for result in lane.waiting.values() if result is not None]
            for result in ready[: max(0, self._agents.max_concurrent_commands - len(lane.running))]:
                del lane.waiting[result.result_id]
                lane.running[result.result_id] = False
                self._own(self._start(lane, result), f"start {result.result_id}")
        if not lane.running and not lane.waiting:
            self._lanes.pop(cluster_id, None)
            if not self._lanes:
                self._idle.set()

    async def _start(self, lane: _Lane, result: Result) -> None:
        await self._store.mark_running(result.result_id)
        await self._send(lane, result)

    async def _send(self, lane: _Lane, result: Result) -> None:
        remaining = result.accepted_at + result.timeout_seconds - time.time()
        if remaining <= 0:
            reason = f"Not started within its timeout of {result.timeout_seconds:g} s"
            await self._end(result.result_id, Ending("timeout", time.time(), reason=reason))
            return
        frame = Run(
            result_id=result.result_id,
            command_type=result.command_type,
            args=list(result.args),
            timeout_seconds=remaining,
            max_output_bytes=self._commands.max_output_bytes,
            correlation_id=result.correlation_id,
        )
        lane.running[result.result_id] = True
        if not await self._bus.deliver(result.cluster_id, frame):
            reason = "The agent's connection broke before the command was sent"
            await self._end(result.result_id, Ending("lost", time.time(), reason=reason))

    async def _end_later(self, result_id: str, reason: str) -> None:
        with self._bus.watch(result_id) as ended:
            await asyncio.wait([ended], timeout=self._commands.grace_seconds)
            if not ended.done():
                await self._end(result_id, Ending("cancelled", time.time(), reason=reason))

    def _own(self, work: Awaitable[None], name: str) -> None:
        async def guarded() -> None:
            try:
                await work
            except Exception:  # noqa: BLE001 - a border: logged, and life goes on
                _log.exception("dispatching failed; the command ends at its deadline", extra={"task": name})

        task = asyncio.create_task(guarded(), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
