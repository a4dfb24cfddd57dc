"""One command on its way through a verb: what was asked, the server to ask, where the answer goes."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agent.executors.base import Sink
from agent.executors.native.discovery import Discovery
from agent.executors.native.printers.objects import load
from agent.executors.native.transport import Transport
from agent.redaction.screen import NO_SCREEN, Screen
from schemas.kubectl import KubectlCommand


@dataclass(slots=True)
class Call:
    """What a verb is given. A verb is `async def run(call: Call) -> int`: it writes, and returns the exit code.

    `clock` gives seconds since the epoch: ages are counted from it, and tests stop it. `is_last`: no executor follows
    that could do better, so what only kubectl prints exactly is answered as well as may be. `screen` hides what the
    cluster keeps to itself.
    """

    command: KubectlCommand
    transport: Transport
    discovery: Discovery
    sink: Sink
    clock: Callable[[], float] = field(default=time.time)
    is_last: bool = False
    screen: Screen = NO_SCREEN

    def load(self, body: bytes) -> Any:
        """A body as JSON values, with what is hidden hidden: before anything is chosen, sorted or printed of it.

        Raises ValueError for what is no JSON.
        """
        return self.screen.objects(load(body))

    @property
    def namespace(self) -> str:
        """The namespace of this command: its flag's, else the agent's default."""
        return self.command.namespace or self.transport.namespace

    async def out(self, text: str | bytes) -> None:
        """Write to stdout; returns when there is room for more. The server's warnings so far go out before it."""
        await self._warn()
        await self.sink.write("stdout", text.encode() if isinstance(text, str) else text)

    async def err(self, text: str) -> None:
        """Write to stderr, behind the server's warnings so far; "" writes only those."""
        await self._warn()
        if text:
            await self.sink.write("stderr", text.encode())

    async def _warn(self) -> None:
        warnings = self.transport.take_warnings()
        if warnings:
            await self.sink.write("stderr", "".join(f"Warning: {warning}\n" for warning in warnings).encode())
