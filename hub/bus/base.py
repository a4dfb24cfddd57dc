"""What a bus does: carry frames to the replica that holds an agent, and tell everybody what happened.

One process uses it as well (`local.py`): there is one path, not two.
`tests/contract/test_bus.py` holds every bus to it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Literal, Protocol

import msgspec

from hub.records import OutputChunk, Result, Session
from schemas.frames import HubFrame


class Presence(msgspec.Struct, frozen=True, gc=False):
    """A cluster's agent that is connected: which process of it, and since when, in seconds since the epoch."""

    boot_id: str
    since: float


class Stored(msgspec.Struct, frozen=True, gc=False):
    """Output that was just stored, in order. `is_last`: it came with the command's end, and its Ended follows."""

    cluster_id: str
    result_id: str
    chunks: Sequence[OutputChunk]
    is_last: bool = False


class Ended(msgspec.Struct, frozen=True, gc=False):
    """A command that just ended, as it is in the store.

    `chunks` is its whole output when it came in one frame; None: it is in the store.
    """

    result: Result
    chunks: Sequence[OutputChunk] | None


class SessionEvent(msgspec.Struct, frozen=True, gc=False):
    """What became of a session."""

    kind: Literal["created", "closed", "expired"]
    session: Session


class ClusterEvent(msgspec.Struct, frozen=True, gc=False):
    """A cluster's agent came, or the last of its connections went."""

    kind: Literal["connected", "disconnected"]
    cluster_id: str


Event = SessionEvent | ClusterEvent
Deliver = Callable[[str, HubFrame], Awaitable[bool]]
Post = Callable[[str, HubFrame], None]
OnEnded = Callable[[Ended], None]
OnStored = Callable[[Stored], None]
OnEvent = Callable[[Event], None]


class Bus(Protocol):
    """The hub's inner post. Callbacks must not block; none is ever waited for."""

    def serve(self, deliver: Deliver, post: Post) -> None:
        """Name who takes frames to the agents of this replica; `deliver` returns False when the agent is not here."""

    def announce(self, cluster_id: str, presence: Presence | None) -> None:
        """Tell all replicas that a cluster's agent is connected to this one, or no longer is; listeners hear of it."""

    def presence(self, cluster_id: str) -> Presence | None:
        """The cluster's agent, None while no replica holds it."""

    async def deliver(self, cluster_id: str, frame: HubFrame) -> bool:
        """Hand a frame to the agent's connection. False: no replica holds it, or the connection broke."""

    def post(self, cluster_id: str, frame: HubFrame) -> None:
        """Hand a frame to the agent's connection without waiting; nobody hears whether it arrived."""

    def publish(self, ended: Ended) -> None:
        """Tell everyone who watches that a command ended. Never blocks, never raises for a slow watcher."""

    def on_ended(self, callback: OnEnded) -> None:
        """Have every ending told to `callback`."""

    def publish_output(self, stored: Stored) -> None:
        """Tell everyone that output was stored."""

    def on_output(self, callback: OnStored) -> None:
        """Have all stored output told to `callback`."""

    def publish_event(self, event: Event) -> None:
        """Tell everyone who listens what happened to a session."""

    def listen(self, callback: OnEvent) -> AbstractContextManager[None]:
        """Have every event told to `callback`, for as long as the context is open."""

    def watch(self, result_id: str) -> AbstractContextManager[asyncio.Future[Ended]]:
        """A future of the command's ending, for as long as the context is open. Open it before reading the store."""
