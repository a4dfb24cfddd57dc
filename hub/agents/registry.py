"""Who is here: the connections of this replica, one per cluster, and the heartbeat that keeps and ends them."""

import asyncio
import logging
import random
import time
import weakref
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping
from typing import Any, Final, Protocol

import msgspec

from hub.agents.connection import Connection
from hub.bus.base import Bus, Presence
from hub.settings import Agents
from hub.store.base import Store
from schemas import labels
from schemas.frames import (
    HEARTBEATS_MISSED,
    RESUMING_VERSION,
    Cancel,
    CloseCode,
    Credit,
    Drain,
    Heartbeat,
    Hello,
    HubFrame,
    Welcome,
)
from schemas.policy import announced

_log = logging.getLogger(__name__)

# Agents of a stopping hub are sent away spread over this time.
_DRAIN_SPREAD_SECONDS: Final = 5.0
# How stale `last_seen` in the store may be when the hub is killed.
_SEEN_INTERVAL_SECONDS: Final = 30.0
# A stopping hub waits so long for what came over its links to be stored.
_CLOSE_SECONDS: Final = 10.0
# A replaced agent's commands end within a second of being cancelled; then their frames are stored.
_CANCEL_SECONDS: Final = 3.0


class Commands(Protocol):
    """Who knows what runs on a cluster: the dispatcher."""

    async def resume(self, hello: Hello, connected: Collection[str]) -> dict[str, int | None]:
        """Decide what becomes of the commands; the welcome's `resume`."""

    def agent_came(self, cluster_id: str, resumed: Collection[str]) -> None:
        """Send what has been waiting."""

    def link_ended(self, cluster_id: str, bytes_left: Mapping[str, int]) -> None:
        """Keep how much output each command that a link carried may still send, for the next link."""

    def bytes_left(self, cluster_id: str) -> dict[str, int]:
        """What `link_ended` kept."""

    async def agent_lost(self, cluster_id: str, boot_id: str, reason: str) -> None:
        """End what an agent process ran that will not take it up again."""


class Registry:
    """The connections, by cluster. The newest of a cluster wins; liveness is the socket's, nothing else's.

    A replaced connection gets no new commands. It is kept until what runs on it has ended, though not for long.
    """

    def __init__(self, store: Store, bus: Bus, commands: Commands, settings: Agents) -> None:
        self._store = store
        self._bus = bus
        self._commands = commands
        self._settings = settings
        self._connections: dict[str, Connection] = {}
        self._retiring: dict[str, list[Connection]] = {}
        self._parting: dict[str, list[Connection]] = {}  # closed, and what came over them is being dealt with
        self._tasks: set[asyncio.Task[None]] = set()
        self._admissions: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._departed: dict[str, float] = {}
        bus.serve(self.deliver, self.post)

    def __len__(self) -> int:
        return len(self._connections)

    def find(self, cluster_id: str) -> Connection | None:
        """The cluster's connection to this replica."""
        return self._connections.get(cluster_id)

    async def deliver(self, cluster_id: str, frame: HubFrame) -> bool:
        """Send a frame to the cluster's agent; False: it is not here, or its link is broken."""
        connection = self._addressee(cluster_id, frame)
        return connection is not None and await connection.send(frame)

    def post(self, cluster_id: str, frame: HubFrame) -> None:
        """Send a frame to the cluster's agent, if it is here, from a task of its connection's."""
        connection = self._addressee(cluster_id, frame)
        if connection is not None:
            connection.send_soon(frame)

    async def admit(self, connection: Connection, make_welcome: Callable[[dict[str, int | None]], Welcome]) -> bool:
        """Welcome an agent that has said hello; its cluster's commands go to it from now on. False: its link broke."""
        cluster_id, hello = connection.cluster_id, connection.hello
        async with self._admissions.setdefault(cluster_id, asyncio.Lock()):
            await self._end_links_left(connection)
            older = self._connections.get(cluster_id)
            others = [*self._retiring.get(cluster_id, ()), *([older] if older is not None else [])]
            resume = await self._commands.resume(hello, [other.boot_id for other in others])
            resumed = {result_id: seq for result_id, seq in resume.items() if seq is not None}
            connection.take_up(resumed, self._commands.bytes_left(cluster_id))
            if not await connection.send(make_welcome(resume)):
                return False
            has_gone = older is not None and self._connections.get(cluster_id) is not older
            gone, older = (older, None) if has_gone else (None, older)
            self._connections[cluster_id] = connection
            self._bus.announce(cluster_id, Presence(connection.boot_id, time.time()))
            if older is not None:
                self._retire(older)
            if gone is not None:  # `resume` left it what it ran
                self._own(self._lose_soon(gone), f"lose {cluster_id}")
        connection.forget_held()
        _log.info(
            "agent connected",
            extra={"cluster_id": cluster_id, "agent_version": hello.agent_version, "resumed": len(resumed)},
        )
        self._commands.agent_came(cluster_id, resumed)
        return True

    async def hold(self, connection: Connection) -> None:
        """Keep an admitted connection for as long as its socket lives."""
        cluster_id = connection.cluster_id
        try:
            await self._record(connection)
            await connection.read(self._on_leaving, self._record_policy)
        finally:
            # In a task of its own: aiohttp cancels whoever holds a socket that breaks, and this must not be cut short.
            await asyncio.shield(self._own(self._let_go(connection), f"let go {cluster_id}"))

    async def _record(self, connection: Connection) -> None:
        hello = connection.hello
        try:
            await self._store.record_agent(
                connection.cluster_id,
                agent_version=hello.agent_version,
                kubernetes_version=hello.kubernetes_version,
                policy=_understood(connection, connection.policy),
                labels=_announced_labels(connection),
                now=time.time(),
            )
        except Exception:  # noqa: BLE001 - a border: an agent is not sent away because a disk is full
            _log.exception("last_seen could not be stored")
        connection.policy, connection.labels = {}, {}

    async def _record_policy(self, connection: Connection, policy: dict[str, msgspec.Raw]) -> None:
        told = _understood(connection, policy)
        if told is None:
            return
        try:
            await self._store.record_policy(connection.cluster_id, told, time.time())
        except Exception:  # noqa: BLE001 - a border: an agent is not sent away because a disk is full
            _log.exception("a cluster's policy could not be stored")

    async def _end_links_left(self, connection: Connection) -> None:
        """Before a cluster's agent is admitted: be done with the links that are over.

        A process that says hello has left its other links, whether or not we have noticed. What came over them is
        stored first, so that it need not come again, and so that nothing is lost that has ended.
        """
        cluster_id = connection.cluster_id
        older = self._connections.get(cluster_id)
        retiring = self._retiring.get(cluster_id, [])
        left = [other for other in (older, *retiring) if other is not None and other.boot_id == connection.boot_id]
        for other in left:
            if other in retiring:
                self._unretire(other)  # its process is back, and goes on
            other.cut()
            await other.ended()
        for other in tuple(self._parting.get(cluster_id, ())):
            await other.ended()

    async def _let_go(self, connection: Connection) -> None:
        """Forget a connection whose socket is closed. What ran on it waits for its agent, if that can come back."""
        parting = self._parting.setdefault(connection.cluster_id, [])
        parting.append(connection)
        try:
            await self._part(connection)
        except Exception:  # noqa: BLE001 - a border: logged, and life goes on
            _log.exception(
                "commands of a closed link end at their deadline", extra={"cluster_id": connection.cluster_id}
            )
        finally:
            parting.remove(connection)
            if not parting:
                self._parting.pop(connection.cluster_id, None)
            connection.end()

    async def _part(self, connection: Connection) -> None:
        cluster_id = connection.cluster_id
        self._departed[cluster_id] = connection.last_seen
        if self._connections.get(cluster_id) is connection:
            del self._connections[cluster_id]
            self._bus.announce(cluster_id, None)
        _log.info("agent disconnected", extra={"cluster_id": cluster_id})
        await connection.settle()
        self._commands.link_ended(cluster_id, connection.bytes_left())
        if connection in self._retiring.get(cluster_id, ()):
            self._unretire(connection)
            await self._lose(connection)
        elif connection.hello.protocol_version < RESUMING_VERSION:
            reason = "The agent's connection broke while the command ran"
            await self._commands.agent_lost(cluster_id, connection.boot_id, reason)

    async def _lose(self, connection: Connection) -> None:
        reason = "Another agent of the cluster took over before the command had ended"
        await self._commands.agent_lost(connection.cluster_id, connection.boot_id, reason)

    async def _lose_soon(self, connection: Connection) -> None:
        """Lose what a process ran that went while another was admitted, unless it is back already."""
        try:
            await connection.ended()
            if all(other.boot_id != connection.boot_id for other in self._all()):
                await self._lose(connection)
        except Exception:  # noqa: BLE001 - a border: logged, and life goes on
            _log.exception(
                "commands of a closed link end at their deadline", extra={"cluster_id": connection.cluster_id}
            )

    def _unretire(self, connection: Connection) -> None:
        retiring = self._retiring[connection.cluster_id]
        retiring.remove(connection)
        if not retiring:
            del self._retiring[connection.cluster_id]

    def _addressee(self, cluster_id: str, frame: HubFrame) -> Connection | None:
        """The cluster's connection, or the replaced one that still carries the command a frame is about."""
        if isinstance(frame, Cancel | Credit) and cluster_id in self._retiring:
            result_ids = [frame.result_id] if isinstance(frame, Cancel) else list(frame.results)
            for connection in self._retiring[cluster_id]:
                if any(map(connection.carries, result_ids)):
                    return connection
        return self._connections.get(cluster_id)

    def _retire(self, connection: Connection) -> None:
        self._retiring.setdefault(connection.cluster_id, []).append(connection)
        self._own(self._drain_replaced(connection), f"retire {connection.cluster_id}")

    async def _drain_replaced(self, connection: Connection) -> None:
        """Close a replaced connection once what runs on it has ended; what takes too long is cancelled."""
        if not await connection.idle(self._settings.replaced_seconds):
            connection.cancel_all("another agent of the cluster took over")
            await connection.idle(_CANCEL_SECONDS)
        await connection.close(CloseCode.REPLACED)

    def _own(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _all(self) -> Iterator[Connection]:
        """Every connection, replaced ones too; safe while they come and go."""
        yield from tuple(self._connections.values())
        for retiring in tuple(self._retiring.values()):
            yield from tuple(retiring)

    def last_seen(self, cluster_id: str) -> float | None:
        """When the cluster's agent was last heard here, if the store does not know it yet."""
        connection = self._connections.get(cluster_id)
        return connection.last_seen if connection else self._departed.get(cluster_id)

    def close_token(self, token_id: str) -> None:
        """Cut the link that was opened with a token that has just been revoked."""
        for connection in self._all():
            if connection.token.token_id == token_id:
                connection.close_soon(CloseCode.TOKEN_REVOKED)

    def close_cluster(self, cluster_id: str) -> None:
        """Cut the link of a cluster that has just been removed."""
        for connection in self._all():
            if connection.cluster_id == cluster_id:
                connection.close_soon(CloseCode.TOKEN_REVOKED)

    def drain(self) -> None:
        """Tell every agent to look for another hub, spread over some seconds."""
        for connection in self._connections.values():
            delay = random.uniform(0.5, _DRAIN_SPREAD_SECONDS)  # noqa: S311 - spreads load, hides nothing
            connection.send_soon(Drain(delay, "the hub is stopping"))

    async def close(self) -> None:
        """Close every link with 1001."""
        closing = [connection.close(CloseCode.GOING_AWAY) for connection in self._all()]
        await asyncio.gather(*closing, return_exceptions=True)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSE_SECONDS)
        for task in self._tasks:
            task.cancel()

    async def beat(self) -> None:
        """Keep the links alive and cut the dead ones, until cancelled; also keeps `last_seen` in the store."""
        interval = self._settings.heartbeat_interval_seconds
        seen_at = time.monotonic()
        while True:
            await asyncio.sleep(min(1.0, interval / 4))
            now = time.time()
            for connection in self._all():
                expires_at = connection.token.expires_at
                if expires_at is not None and expires_at <= now:
                    connection.close_soon(CloseCode.TOKEN_REVOKED)
                elif connection.silent_seconds > interval * HEARTBEATS_MISSED:
                    connection.close_soon(CloseCode.SILENT_PEER)
                elif connection.unsaid_seconds >= interval * 0.75:
                    connection.send_soon(Heartbeat())
            is_due = time.monotonic() - seen_at >= _SEEN_INTERVAL_SECONDS
            if is_due or self._departed:
                seen_at = time.monotonic() if is_due else seen_at
                await self._record_seen(is_due=is_due)

    async def record_seen(self) -> None:
        """Write down when each agent was last heard; the last thing a stopping hub does."""
        await self._record_seen(is_due=True)

    async def _record_seen(self, *, is_due: bool) -> None:
        departed, self._departed = self._departed, {}
        seen = {cluster_id: link.last_seen for cluster_id, link in self._connections.items()} if is_due else {}
        try:
            await self._store.record_seen(departed | seen)
        except Exception:  # noqa: BLE001 - a border: logged, and life goes on
            _log.exception("last_seen could not be stored")

    def _on_leaving(self, connection: Connection) -> None:
        if self._connections.get(connection.cluster_id) is connection:
            self._bus.announce(connection.cluster_id, None)


def _understood(connection: Connection, policy: dict[str, msgspec.Raw]) -> str | None:
    """What an agent tells of its cluster's policy, as JSON of our own making; None, and a warning: it is none."""
    told = announced(policy)
    if told is None:
        _log.warning("an agent's policy is not understood", extra={"cluster_id": connection.cluster_id})
        return None
    return msgspec.json.encode(told).decode()


def _announced_labels(connection: Connection) -> dict[str, str]:
    """The labels that an agent announces; none, and a warning, where they are not labels."""
    announced = connection.labels
    try:
        labels.check(announced)
    except labels.LabelError as error:
        _log.warning(
            "an agent's labels are not understood",
            extra={"cluster_id": connection.cluster_id, "reason": str(error)},
        )
        return {}
    return announced
