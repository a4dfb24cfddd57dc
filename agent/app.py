"""Builds the agent from its settings, runs it, and stops it in order. The only file that knows all parts."""

import asyncio
import contextlib
import logging
import os
import platform
import random
import signal
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec

from agent.dispatcher import Dispatcher
from agent.errors import EXIT_OK, EXIT_REJECTED, Rejected
from agent.executors import kubectl
from agent.executors.base import Executor, Versions
from agent.executors.kubectl import KubectlExecutor
from agent.link.backoff import Backoff
from agent.link.dial import ReadToken
from agent.link.link import Link
from agent.outbox import Outbox
from agent.policy import Policy
from agent.policy_file import PolicyFile
from agent.settings import Settings
from schemas import labels
from schemas.frames import Hello
from schemas.ids import new_id

_log = logging.getLogger(__name__)

# Kubernetes kills a pod 30 s after it told it to stop. Commands that run, and the hub that is to have their results,
# have most of 25 s; then there is time to end what is left and for the hub to acknowledge that.
_PATIENCE_SECONDS: Final = 20.0
_FLUSH_SECONDS: Final = 2.0
# The versions take half a second at first, a tenth later; a cluster whose API server is slow is to be reachable still.
_FIRST_PROBE_SECONDS: Final = 2.0
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


async def run(settings: Settings, read_token: ReadToken) -> int:
    """Run the agent until SIGTERM or SIGINT (a second one hurries it); returns the exit code. Raises StartError."""
    file = None if settings.policy_file is None else PolicyFile(Path(settings.policy_file))
    if file is not None:
        file.load()
    async with contextlib.AsyncExitStack() as stack:
        executors = _executors(settings, stack)
        return await _Agent(settings, read_token, file, executors).run()


def _executors(settings: Settings, stack: contextlib.AsyncExitStack) -> list[Executor]:
    """Those that are wanted and can be had, in the order in which they are asked; closed with the stack."""
    executors: list[Executor] = []
    binary = kubectl.find(settings.kubectl, os.environ.get("PATH")) if "kubectl" in settings.executors else None
    for name in settings.executors:
        if name == "native":
            # Not before it is wanted: it brings aiohttp, 25 MB that an agent of kubectl alone has no use for.
            from agent.executors.native.executor import NativeExecutor

            is_last = binary is None or name == settings.executors[-1]
            native = NativeExecutor(os.environ, settings.execution, is_last=is_last)
            stack.push_async_callback(native.close)
            executors.append(native)
        elif binary is not None:
            spawning = KubectlExecutor(binary, os.environ, settings.execution)
            stack.callback(spawning.close)
            executors.append(spawning)
        elif "native" in settings.executors:
            _log.info("no kubectl on PATH: what only kubectl can answer will be refused, such as go-template output")
        else:
            _log.error("no kubectl on PATH: every command will be refused; install it or set KUBENTLY_AGENT_KUBECTL")
    return executors


class _Agent:
    def __init__(
        self, settings: Settings, read_token: ReadToken, file: PolicyFile | None, executors: list[Executor]
    ) -> None:
        self._settings = settings
        self._file = file
        self._executors = executors
        self._version = version("kubently-hub")
        self._boot_id = new_id("boot")
        self._versions: dict[str, Versions] = {executor.name: Versions() for executor in executors}
        self._probe: asyncio.Task[None] | None = None
        self._announcing: asyncio.Task[None] | None = None
        self._outbox = Outbox(settings.output)
        self._dispatcher = Dispatcher(executors, Policy() if file is None else file.policy, self._outbox)
        self._link = Link(
            settings,
            read_token,
            self._hello,
            self._dispatcher,
            self._outbox,
            Backoff(random.Random()),  # noqa: S311 -- spreads dials, guards nothing
        )
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    async def run(self) -> int:
        _log.info(
            "agent started",
            extra={"version": self._version, "boot_id": self._boot_id, "python": platform.python_version()},
        )
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._on_signal)
        link = asyncio.create_task(self._link.run(), name="link")
        leave = asyncio.create_task(self._leave(), name="leave")
        tasks = [link, leave]
        if self._file is not None:  # without it an owner's change would be without effect, and nobody would know
            tasks.append(asyncio.create_task(self._file.watch(self._on_policy), name="policy file"))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            await _end(*tasks)
            for task in tasks:
                if not task.cancelled():
                    task.result()
        except Rejected as rejected:
            return EXIT_REJECTED[rejected.status]
        finally:
            await _end(*(task for task in (*tasks, self._probe, self._announcing) if task is not None))
            await self._dispatcher.abandon("The agent has stopped")
            for number in _SIGNALS:
                loop.remove_signal_handler(number)
        _log.info("agent stopped")
        return EXIT_OK

    def _on_signal(self) -> None:
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    async def _leave(self) -> None:
        """Once told to: let the commands end and the hub take their results, on a new link if need be; then hang up."""
        await self._stop.wait()
        _log.info("stopping", extra={"commands": self._dispatcher.running})
        self._dispatcher.leave()
        await self._link.leave("the agent was told to stop")
        settled = asyncio.create_task(self._settled(), name="settled")
        hurry = asyncio.create_task(self._hurry.wait(), name="second signal")
        try:
            await asyncio.wait({settled, hurry}, timeout=_PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            await self._dispatcher.finish()
            await asyncio.wait({settled}, timeout=_FLUSH_SECONDS)
        finally:
            await _end(settled, hurry)
        if not self._outbox.is_settled:
            _log.warning("the hub has not acknowledged everything", extra={"bytes": self._outbox.held_bytes})
        await self._link.hang_up()

    async def _settled(self) -> None:
        await self._dispatcher.idle()
        await self._outbox.settled()

    async def _hello(self) -> Hello:
        """The hello of the next dial, with what is known of the versions; they are asked for anew for the one after.

        Only the first dial waits for the answer, and not for long.
        """
        is_first = self._probe is None
        if self._probe is None or self._probe.done():
            self._probe = asyncio.create_task(self._refresh(), name="probe")
        if is_first:
            await asyncio.wait({self._probe}, timeout=_FIRST_PROBE_SECONDS)
        versions = self._versions
        return Hello(
            cluster_id=self._settings.cluster_id,
            agent_version=self._version,
            boot_id=self._boot_id,
            kubernetes_version=next((each.kubernetes for each in versions.values() if each.kubernetes), None),
            executors={name: each.executor for name, each in versions.items()},
            policy=self._announced(),
            labels=labels.parse(self._settings.labels),
        )

    def _announced(self) -> dict[str, msgspec.Raw]:
        return Policy().announced() if self._file is None else self._file.policy.announced(self._file.problem)

    def _on_policy(self) -> None:
        assert self._file is not None  # it is what has changed
        self._dispatcher.adopt(self._file.policy)
        if self._announcing is not None:
            self._announcing.cancel()  # it would say what no longer holds
        self._announcing = asyncio.create_task(self._link.announce(self._announced()), name="announce policy")

    async def _refresh(self) -> None:
        async def ask(executor: Executor) -> None:
            self._versions[executor.name] = await executor.probe()

        await asyncio.gather(*map(ask, self._executors))


async def _end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait for their end; what they raise is left to others."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
