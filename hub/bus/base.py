"""What a bus does: carry frames to the replica that holds an agent, and tell everybody how a command ended.

One process uses it as well (`local.py`): there is one path, not two.
`tests/contract/test_bus.py` holds every bus to it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from hub.records import OutputChunk, Result
from schemas.frames import HubFrame


class Ended(msgspec.Struct, frozen=True, gc=False):
    """A command that just ended, as it is in the store.

    `chunks` is its whole output when it came in one frame; None: it is in the store.
    """

    result: Result
    chunks: Sequence[OutputChunk] | None


Deliver = Callable[[str, HubFrame], Awaitable[bool]]
OnEnded = Callable[[Ended], None]


class Bus(Protocol):
    """The hub's inner post."""

    def serve(self, deliver: Deliver) -> None:
        """Name who delivers frames to the agents of this replica; it returns False when the agent is not here."""

    def announce(self, cluster_id: str, *, is_connected: bool) -> None:
        """Tell all replicas that a cluster's agent came to this one, or left it."""

    def is_connected(self, cluster_id: str) -> bool:
        """Whether any replica holds the cluster's agent."""

    async def deliver(self, cluster_id: str, frame: HubFrame) -> bool:
        """Hand a frame to the agent's connection. False: no replica holds it, or the connection broke."""

    def publish(self, ended: Ended) -> None:
        """Tell everyone who watches that a command ended. Never blocks, never raises for a slow watcher."""

    def on_ended(self, callback: OnEnded) -> None:
        """Have every ending told to `callback`, which must not block."""

    def watch(self, result_id: str) -> AbstractContextManager[asyncio.Future[Ended]]:
        """A future of the command's ending, for as long as the context is open. Open it before reading the store."""
