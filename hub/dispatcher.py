"""OUT on the road: a stored command waits for its turn on its cluster, then goes over the bus to the agent.

Each cluster has two lanes, one for streams, which stay long, and one for all other commands. In a lane so many run at
once, so many more wait, the next is refused. A place is reserved before the command is stored, so that a command that
was accepted has one. Those that wait are served key by key in turn.

A command keeps its place while its agent is away. What becomes of it the agent's next hello says, see `resume`.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

from hub.bus.base import Bus, Ended, SessionEvent
from hub.errors import ClusterOffline, Draining, QueueFull
from hub.records import EndedSession, Ending, Result
from hub.settings import Agents, Commands
from hub.store.base import Store
from schemas.frames import RESUMING_VERSION, Cancel, Contract, Hello, Run

_log = logging.getLogger(__name__)

# A drain looks so often whether those it waits for are still connected.
_LOOK_SECONDS: Final = 0.5

End = Callable[[str, Ending], Awaitable[bool]]


@dataclass(slots=True)
class _Place:
    """A place among the running. `result` is None until the command is stored, `sent_to` the agent process that was
    sent it, None before. `sendings` tells a sending that failed whether there was another one since. `bytes_left` is
    how much output it may still send, as the link before left it; None: there was none in this process of the hub.
    """

    key_id: str
    result: Result | None = None
    sent_to: str | None = None
    sendings: int = 0
    bytes_left: int | None = None


class _Queue(dict[str, Result | None]):
    """One key's waiting commands in their order, by id; None until the command is stored."""


@dataclass(slots=True)
class _Lane:
    """Commands of one kind on one cluster. `waiting` has a queue per key, the next key's first, and no empty one."""

    max_running: int
    max_running_per_key: int
    running: dict[str, _Place] = field(default_factory=dict)
    running_per_key: Counter[str] = field(default_factory=Counter)
    waiting: dict[str, _Queue] = field(default_factory=dict)

    def has_room(self, key_id: str) -> bool:
        """Whether one more of this key's may run."""
        return len(self.running) < self.max_running and self.running_per_key[key_id] < self.max_running_per_key

    def enter(self, result_id: str, place: _Place) -> None:
        """Take a place among the running."""
        self.running[result_id] = place
        self.running_per_key[place.key_id] += 1

    def leave(self, result_id: str) -> None:
        """Give up a place, running or waiting."""
        place = self.running.pop(result_id, None)
        if place is not None:
            self.running_per_key[place.key_id] -= 1
            if not self.running_per_key[place.key_id]:
                del self.running_per_key[place.key_id]
            return
        for key_id, queue in self.waiting.items():
            if result_id in queue:
                del queue[result_id]
                if not queue:
                    del self.waiting[key_id]
                return

    def wait(self, key_id: str, result_id: str, result: Result | None) -> None:
        """Take a place behind the key's others, or give one that was taken its command."""
        self.waiting.setdefault(key_id, _Queue())[result_id] = result

    def is_waiting(self, key_id: str, result_id: str) -> bool:
        """Whether this command waits."""
        return result_id in self.waiting.get(key_id, ())

    @property
    def depth(self) -> int:
        """How many wait."""
        return sum(map(len, self.waiting.values()))

    def take(self) -> Result | None:
        """Remove the command whose turn it is and for which there is room; its key goes behind the others."""
        for key_id, queue in self.waiting.items():
            if not self.has_room(key_id):
                continue
            for result_id, result in queue.items():
                if result is not None:
                    del self.waiting[key_id], queue[result_id]
                    if queue:
                        self.waiting[key_id] = queue
                    return result
        return None


class Dispatcher:
    """Sends commands to agents, a bounded number at a time."""

    def __init__(self, store: Store, bus: Bus, end: End, agents: Agents, commands: Commands) -> None:
        self._store = store
        self._bus = bus
        self._end = end
        self._agents = agents
        self._commands = commands
        self._lanes: dict[tuple[str, bool], _Lane] = {}  # by cluster and whether it is the one for streams
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_draining = False
        self._changed = asyncio.Event()
        bus.on_ended(self._on_ended)

    def reserve(
        self, cluster_id: str, key_id: str, result_id: str, *, is_stream: bool
    ) -> tuple[Literal["running", "queued"], str | None]:
        """Take a place in the cluster's lane: the status the command is to be stored with, and the agent's boot id.

        Raises Draining, ClusterOffline, QueueFull. Give the place back with `release` when the command is not stored.
        """
        if self._is_draining:
            raise Draining
        presence = self._bus.presence(cluster_id)
        if presence is None:
            raise ClusterOffline("Cluster agent is not connected", details={"cluster_id": cluster_id})
        lane = self._lane(cluster_id, is_stream=is_stream)
        if key_id not in lane.waiting and lane.has_room(key_id):
            lane.enter(result_id, _Place(key_id))
            return "running", presence.boot_id
        depth = lane.depth
        if depth >= self._agents.max_queued_commands:
            self._forget_if_empty(cluster_id, is_stream=is_stream)
            raise QueueFull(
                f"{depth} commands wait for cluster {cluster_id}, no more may",
                details={"cluster_id": cluster_id, "queue_depth": depth},
            )
        lane.wait(key_id, result_id, None)
        return "queued", None

    def release(self, cluster_id: str, result_id: str, *, is_stream: bool) -> None:
        """Give a reserved place back."""
        lane = self._lanes.get((cluster_id, is_stream))
        if lane is not None:
            lane.leave(result_id)
            self._advance(cluster_id, lane)
            self._forget_if_empty(cluster_id, is_stream=is_stream)

    async def dispatch(self, result: Result) -> None:
        """Send a stored command that has a place, now or when its turn comes. A cancelled one is passed over."""
        lane = self._lanes.get((result.cluster_id, result.is_stream))
        if lane is None:
            return
        place = lane.running.get(result.result_id)
        if place is not None:
            place.result = result
            await self._send(place, result)
        elif lane.is_waiting(result.key_id, result.result_id):
            lane.wait(result.key_id, result.result_id, result)
            self._advance(result.cluster_id, lane)

    def restore(self, result: Result) -> None:
        """Put an open command of an earlier hub process back in its lane; it waits there for the agent's hello."""
        lane = self._lane(result.cluster_id, is_stream=result.is_stream)
        if result.status == "queued":
            lane.wait(result.key_id, result.result_id, result)
        else:
            lane.enter(result.result_id, _Place(result.key_id, result, result.boot_id))

    async def resume(self, hello: Hello, connected: Collection[str]) -> dict[str, int | None]:
        """Decide what becomes of a cluster's commands, by its agent's hello; what the welcome is to say of those held.

        What the agent holds goes on. What was sent to this process of the agent, and is not held, never arrived: it is
        sent again by `agent_came`. What was sent to another process has died with it and is lost, unless that process
        is still connected (`connected` has its boot id).
        """
        held = {each.result_id for each in hello.held}
        answer: dict[str, int | None] = dict.fromkeys(held)
        going_on: list[str] = []
        for result_id, place in self._running(hello.cluster_id):
            if result_id in held:
                place.sent_to = hello.boot_id
                going_on.append(result_id)
            elif place.sent_to is None or (place.sent_to != hello.boot_id and place.sent_to in connected):
                continue
            elif place.sent_to == hello.boot_id and hello.protocol_version >= RESUMING_VERSION:
                place.sent_to = None
            else:
                reason = "The agent was restarted while the command ran"
                await self._end(result_id, Ending("lost", time.time(), reason=reason))
        if going_on:
            answer |= await self._store.last_seqs(going_on)
        return answer

    def agent_came(self, cluster_id: str, resumed: Collection[str]) -> None:
        """Send what has been waiting for this agent; what of the `resumed` has ended here since is ended there too."""
        running = dict(self._running(cluster_id))
        for result_id in resumed:
            if result_id not in running:
                self._bus.post(cluster_id, Cancel(result_id, "it ended while the link was down"))
        for result_id, place in running.items():
            if place.result is not None and place.sent_to is None:
                self._own(self._start(place, place.result), f"start {result_id}")
        for is_stream in (False, True):
            lane = self._lanes.get((cluster_id, is_stream))
            if lane is not None:
                self._advance(cluster_id, lane)

    def link_ended(self, cluster_id: str, bytes_left: Mapping[str, int]) -> None:
        """Keep how much output each command that a link carried may still send, for the next link."""
        for result_id, place in self._running(cluster_id):
            if result_id in bytes_left:
                place.bytes_left = bytes_left[result_id]

    def bytes_left(self, cluster_id: str) -> dict[str, int]:
        """What `link_ended` kept."""
        running = self._running(cluster_id)
        return {result_id: place.bytes_left for result_id, place in running if place.bytes_left is not None}

    async def agent_lost(self, cluster_id: str, boot_id: str, reason: str) -> None:
        """An agent process is gone that will not take up its commands again: they are lost."""
        for result_id, place in self._running(cluster_id):
            if place.sent_to == boot_id:
                await self._end(result_id, Ending("lost", time.time(), reason=reason))

    def waits_for_agent(self, result: Result, now: float) -> bool:
        """Whether an overdue command may still end by itself: its agent has it, is away, or has only just come back."""
        lane = self._lanes.get((result.cluster_id, result.is_stream))
        place = lane.running.get(result.result_id) if lane is not None else None
        if place is None or place.sent_to is None:
            return False
        presence = self._bus.presence(result.cluster_id)
        if presence is not None:
            return now < presence.since + self._commands.grace_seconds
        return now < result.deadline_at + self._agents.resume_window_seconds

    async def cancel(self, cluster_id: str, result_id: str, reason: str) -> None:
        """End a command early: at once when it was not sent yet or its agent is away, else through the agent.

        An agent that has not ended it `grace_seconds` later is not waited for any longer.
        """
        place = dict(self._running(cluster_id)).get(result_id)
        was_sent = place is not None and place.sent_to is not None
        if was_sent and await self._bus.deliver(cluster_id, Cancel(result_id, reason)):
            self._own(self._end_later(cluster_id, result_id, reason), f"cancel {result_id}")
            return
        await self._end(result_id, Ending("cancelled", time.time(), reason=reason))
        if not was_sent and place is not None and place.sent_to is not None:  # it was sent while the store ended it
            self._bus.post(cluster_id, Cancel(result_id, reason))

    async def end_session(self, ended: EndedSession, reason: str) -> None:
        """Tell of a session that has just ended, and cancel the commands that were open in it."""
        session = ended.session
        self._bus.publish_event(SessionEvent("expired" if session.status == "expired" else "closed", session))
        for result_id in ended.open_results:  # each by itself: an agent that does not read must hold up nobody else
            self._own(self.cancel(session.cluster_id, result_id, reason), f"cancel {result_id}")

    def queue_depth(self, cluster_id: str) -> int:
        """How many commands wait for a place among the running ones."""
        lanes = (self._lanes.get((cluster_id, is_stream)) for is_stream in (False, True))
        return sum(lane.depth for lane in lanes if lane is not None)

    async def drain(self, timeout_seconds: float) -> bool:
        """Take no more commands and wait for those there are; False: some were left at the end of the time.

        Streams are not waited for, nor are commands whose agent is away: they go on with the next hub process.
        """
        self._is_draining = True
        try:
            async with asyncio.timeout(timeout_seconds):
                while self._is_waited_for():
                    self._changed.clear()
                    with contextlib.suppress(TimeoutError):  # an agent's going is not told here
                        await asyncio.wait_for(self._changed.wait(), _LOOK_SECONDS)
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

    def _lane(self, cluster_id: str, *, is_stream: bool) -> _Lane:
        lane = self._lanes.get((cluster_id, is_stream))
        if lane is None:
            agents = self._agents
            most = agents.max_concurrent_streams if is_stream else agents.max_concurrent_commands
            lane = self._lanes[cluster_id, is_stream] = _Lane(most, min(most, agents.max_concurrent_per_key))
        return lane

    def _running(self, cluster_id: str) -> Iterator[tuple[str, _Place]]:
        for is_stream in (False, True):
            lane = self._lanes.get((cluster_id, is_stream))
            if lane is not None:
                yield from tuple(lane.running.items())

    def _is_waited_for(self) -> bool:
        return any(
            not is_stream and (lane.running or lane.waiting) and self._bus.presence(cluster_id) is not None
            for (cluster_id, is_stream), lane in self._lanes.items()
        )

    def _on_ended(self, ended: Ended) -> None:
        result = ended.result
        self.release(result.cluster_id, result.result_id, is_stream=result.is_stream)

    def _advance(self, cluster_id: str, lane: _Lane) -> None:
        """Move waiting commands up while there is room."""
        if not lane.waiting or self._bus.presence(cluster_id) is None:
            return
        while (result := lane.take()) is not None:
            place = _Place(result.key_id, result)
            lane.enter(result.result_id, place)
            self._own(self._start(place, result), f"start {result.result_id}")

    def _forget_if_empty(self, cluster_id: str, *, is_stream: bool) -> None:
        lane = self._lanes.get((cluster_id, is_stream))
        if lane is not None and not lane.running and not lane.waiting:
            del self._lanes[cluster_id, is_stream]
        self._changed.set()

    async def _start(self, place: _Place, result: Result) -> None:
        """Send a command whose row does not name the agent process it goes to."""
        presence = self._bus.presence(result.cluster_id)
        if presence is None or place.sent_to is not None:
            return
        await self._store.mark_running(result.result_id, presence.boot_id)
        if not self._is_open(place, result):  # cancelled meanwhile
            return
        place.result = msgspec.structs.replace(result, status="running", boot_id=presence.boot_id)
        await self._send(place, place.result)

    async def _send(self, place: _Place, result: Result) -> None:
        """Send a command, unless it was; one that cannot be sent keeps its place for the agent's next hello."""
        # No more than was asked for, though the clock be set back.
        remaining = min(result.timeout_seconds, result.accepted_at + result.timeout_seconds - time.time())
        if remaining <= 0:
            reason = f"Not started within its timeout of {result.timeout_seconds:g} s"
            await self._end(result.result_id, Ending("timeout", time.time(), reason=reason))
            return
        presence = self._bus.presence(result.cluster_id)
        if presence is None or place.sent_to is not None:
            return
        if presence.boot_id != result.boot_id:  # another process of the agent came since
            await self._start(place, result)
            return
        frame = Run(
            result_id=result.result_id,
            command_type=result.command_type,
            args=list(result.args),
            timeout_seconds=remaining,
            max_output_bytes=result.max_output_bytes,
            correlation_id=result.correlation_id,
            is_stream=result.is_stream,
            contract=None if result.contract is None else msgspec.json.decode(result.contract, type=Contract),
        )
        place.sent_to = presence.boot_id
        place.sendings += 1
        sending = place.sendings
        if not await self._bus.deliver(result.cluster_id, frame) and place.sendings == sending:
            place.sent_to = None

    def _is_open(self, place: _Place, result: Result) -> bool:
        """Whether a command still has its place."""
        lane = self._lanes.get((result.cluster_id, result.is_stream))
        return lane is not None and lane.running.get(result.result_id) is place

    async def _end_later(self, cluster_id: str, result_id: str, reason: str) -> None:
        with self._bus.watch(result_id) as ended:
            if result_id not in dict(self._running(cluster_id)):  # it ended while its agent was told
                return
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
