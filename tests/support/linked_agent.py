"""The agent's link, dispatcher and outbox in the test's own loop, with an executor of the test's choice."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from random import Random

from agent.dispatcher import Dispatcher
from agent.executors.base import Executor
from agent.link.backoff import Backoff
from agent.link.link import Link
from agent.outbox import Outbox
from agent.policy import Policy
from agent.settings import Link as LinkSettings
from agent.settings import Settings
from schemas.frames import Hello
from tests.support.executors import EchoExecutor
from tests.support.scripted_hub import ScriptedHub
from tests.support.waiting import until


class QuickBackoff(Backoff):
    """Keeps what the rule says in `delays`, and asks for a thousandth of it."""

    def __init__(self) -> None:
        super().__init__(Random(7))
        self.delays: list[float] = []

    def after_failure(self, now: float, retry_after_seconds: float | None = None) -> float:
        """A thousandth."""
        return self._quick(super().after_failure(now, retry_after_seconds))

    def after_loss(self, now: float, lived_seconds: float, code: int) -> float:
        """A thousandth, once."""
        before = len(self.delays)
        delay = super().after_loss(now, lived_seconds, code)
        return delay if len(self.delays) > before else self._quick(delay)

    def after_rejection(self) -> float:
        """A thousandth."""
        return self._quick(super().after_rejection())

    def _quick(self, delay: float) -> float:
        self.delays.append(delay)
        return delay / 1000


class LinkedAgent:
    """A link with its dispatcher. `link.run` is for the test to call."""

    def __init__(self, hub_url: str, executor: Executor, backoff: Backoff | None = None, **fields: object) -> None:
        values: dict[str, object] = {
            "hub_url": hub_url,
            "cluster_id": "alpha",
            "link": LinkSettings(open_timeout_seconds=5.0, welcome_timeout_seconds=5.0),
        } | fields
        settings = Settings(**values)  # type: ignore[arg-type]
        self.outbox = Outbox(settings.output)
        self.dispatcher = Dispatcher([executor], Policy(), self.outbox)
        self.backoff = QuickBackoff()
        self.link = Link(settings, lambda: "t0ken", self.hello, self.dispatcher, self.outbox, backoff or self.backoff)

    async def hello(self) -> Hello:
        """What the application knows."""
        return Hello("alpha", "1.2.3", "boot_1")


@contextlib.asynccontextmanager
async def linked_agent(
    hub: ScriptedHub | str, executor: Executor | None = None, backoff: Backoff | None = None, **fields: object
) -> AsyncIterator[LinkedAgent]:
    """A running agent. Raises RuntimeError or TimeoutError when anything of it is left afterwards."""
    before = asyncio.all_tasks()
    url = hub if isinstance(hub, str) else hub.url
    agent = LinkedAgent(url, executor or EchoExecutor(), backoff, **fields)
    task = asyncio.create_task(agent.link.run(), name="link")
    try:
        yield agent
    finally:
        task.cancel()
        await asyncio.wait([task])
        await agent.dispatcher.abandon("the test is over")
        if agent.dispatcher.running or agent.outbox.held() or agent.outbox.held_bytes:
            raise RuntimeError(f"{agent.dispatcher.running} commands, {agent.outbox.held_bytes} bytes are left")
        await until(lambda: {one for one in asyncio.all_tasks() - before if "link" in one.get_name()} == set(), 2.0)
