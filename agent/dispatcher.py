"""From a frame of the hub to one task per command, and from its end to exactly one terminal frame.

A command's task watches over a second one that does the work, so that whatever that does (return, raise, hang, ignore
its cancellation) there is one place where the command ends.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from agent import logs
from agent.errors import TooMuchOutput
from agent.executors.base import Executor, NotTaken, Outcome
from agent.outbox import Lane, Outbox
from agent.policy import Policy
from schemas import kubectl
from schemas.frames import Ack, Cancel, ExitStatus, Run

_log = logging.getLogger(__name__)

# The hub keeps to the welcome's limit; a few may overlap while exits are under way. Beyond this it does not keep to it.
_OVERLAP_FACTOR: Final = 4
# An executor has a second to end what it runs; one that has not by then is reported and left behind.
_STOP_SECONDS: Final = 2.0
_MAX_ERROR_CHARACTERS: Final = 4096  # half of what a frame may carry


class TooManyCommands(Exception):
    """The hub sends far more commands at once than its welcome said."""


@dataclass(frozen=True, slots=True)
class _Ending:
    status: ExitStatus
    exit_code: int | None = None
    error: str | None = None
    executor: str | None = None


@dataclass(slots=True, eq=False)
class _Command:
    """One command from its `run` frame to its terminal frame. `stop` resolves to how it is ended from outside.

    `executor` is the name of the one that runs it, None before.
    """

    run: Run
    lane: Lane
    stop: asyncio.Future[_Ending]
    slots: asyncio.Semaphore
    deadline: float
    started_at: float
    task: asyncio.Task[None] | None = field(default=None)
    executor: str | None = None

    def end_early(self, ending: _Ending) -> None:
        if not self.stop.done():
            self.stop.set_result(ending)


class Dispatcher:
    """Runs the hub's commands, each with the first of `executors` that takes it. Without any, all are refused."""

    def __init__(self, executors: Sequence[Executor], policy: Policy, outbox: Outbox) -> None:
        self._executors = tuple(executors)
        self._policy = policy
        self._outbox = outbox
        self._loop = asyncio.get_running_loop()
        self._commands: dict[str, _Command] = {}
        self._strays: set[asyncio.Task[Outcome]] = set()
        self._is_leaving = False
        self._max_concurrent = 1
        self._slots = asyncio.Semaphore(1)

    def begin(self, max_concurrent_commands: int) -> None:
        """A link was welcomed: so many commands may run at once."""
        self._max_concurrent = max_concurrent_commands
        self._slots = asyncio.Semaphore(max_concurrent_commands)

    def take(self, frame: Run | Cancel | Ack) -> None:
        """Act on one frame, without waiting for anything. Raises TooManyCommands."""
        match frame:
            case Run():
                self._accept(frame)
            case Cancel(result_id=result_id, reason=reason):
                command = self._commands.get(result_id)
                if command is not None:
                    command.end_early(_Ending("cancelled", error=reason))
            case Ack(results=results):
                self._outbox.acknowledge(results)

    @property
    def running(self) -> int:
        """How many commands have not ended."""
        return len(self._commands)

    async def idle(self) -> None:
        """Wait until no command is left; those that come meanwhile are waited for too."""
        while self._commands:
            await asyncio.wait([command.task for command in self._commands.values() if command.task is not None])

    async def abandon(self) -> None:
        """The link is lost: end what runs, and forget it with all its frames. The hub records it as lost."""
        for held in self._outbox.held():
            self._outbox.drop(held.result_id)
        if self._commands:
            _log.warning("the link is lost and its commands are ended", extra={"commands": len(self._commands)})
        await self._end_all("The agent's link to the hub broke")

    async def finish(self, patience_seconds: float) -> None:
        """Take no more commands, wait for those there are, and cancel what is left when the patience is at its end."""
        self._is_leaving = True
        try:
            async with asyncio.timeout(patience_seconds):
                await self.idle()
        except TimeoutError:
            await self._end_all("The agent is stopping")

    async def _end_all(self, reason: str) -> None:
        for command in self._commands.values():
            command.end_early(_Ending("cancelled", error=reason))
        try:
            async with asyncio.timeout(_STOP_SECONDS * 1.5):
                await self.idle()
        except TimeoutError:
            # Only a terminal frame that finds no room in the outbox can still wait; the link's end lets it go.
            _log.warning("commands end slowly", extra={"commands": len(self._commands)})

    def _accept(self, run: Run) -> None:
        if run.result_id in self._outbox:
            _log.info("a command came twice and is run once", extra={"result_id": run.result_id})
            return
        if len(self._commands) >= _OVERLAP_FACTOR * self._max_concurrent:
            raise TooManyCommands(f"{len(self._commands)} commands at once, {self._max_concurrent} were agreed")
        now = self._loop.time()
        command = _Command(
            run=run,
            lane=self._outbox.open(run.result_id, run.max_output_bytes),
            stop=self._loop.create_future(),
            slots=self._slots,
            deadline=now + run.timeout_seconds,
            started_at=now,
        )
        self._commands[run.result_id] = command
        command.task = asyncio.create_task(self._carry(command), name=f"command {run.result_id}")

    async def _carry(self, command: _Command) -> None:
        """Bring one command to its terminal frame."""
        run = command.run
        logs.result_id.set(run.result_id)
        logs.correlation_id.set(run.correlation_id)
        try:
            try:
                ending = await self._end_of(command)
            except Exception:  # noqa: BLE001 -- whatever an executor raises, its command ends with a frame
                _log.exception("a command failed for a fault of the agent", extra={"command_type": run.command_type})
                ending = _Ending("failed", error="internal error of the agent")
            elapsed_ms = round((self._loop.time() - command.started_at) * 1000)
            await command.lane.end(
                ending.status,
                exit_code=ending.exit_code,
                execution_time_ms=elapsed_ms,
                executor=ending.executor,
                error=ending.error and ending.error[:_MAX_ERROR_CHARACTERS],
            )
            _log.info(
                "command ended",
                extra={"command_type": run.command_type, "status": ending.status, "execution_time_ms": elapsed_ms},
            )
        finally:
            # After `abandon` the hub may send the same result again before the old one is gone.
            if self._commands.get(run.result_id) is command:
                del self._commands[run.result_id]

    async def _end_of(self, command: _Command) -> _Ending:
        run = command.run
        if self._is_leaving:
            return _Ending("cancelled", error="The agent is stopping")
        try:
            parsed = kubectl.parse(run.command_type, run.args)
        except kubectl.Refusal as refusal:
            _log.warning("the hub sent a command that the grammar refuses", extra={"reason": refusal.reason})
            at = f"{refusal.argument}: " if refusal.argument is not None else ""
            return _Ending("refused", error=at + refusal.reason)
        reason = self._policy.refusal(parsed)
        if reason is not None:
            return _Ending("refused", error=reason)
        work = asyncio.create_task(self._execute(parsed, command), name=f"{run.command_type} {run.result_id}")
        timeout = max(0.0, command.deadline - self._loop.time())
        watched: set[asyncio.Future[Any]] = {work, command.stop}
        await asyncio.wait(watched, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            work.cancel()
            await asyncio.wait({work}, timeout=_STOP_SECONDS)
            if not work.done():
                _log.error("a command does not end and is left behind", extra={"task": work.get_name()})
                self._strays.add(work)
                work.add_done_callback(self._strays.discard)
        if work.done() and not work.cancelled():
            try:
                outcome = work.result()
            except NotTaken as refusal:
                return _Ending("refused", error=str(refusal))
            status: ExitStatus = "completed" if outcome.exit_code == 0 else "failed"
            return _Ending(status, outcome.exit_code, outcome.error, command.executor)
        if command.stop.done():
            early = command.stop.result()
            return _Ending(early.status, None, early.error, command.executor)
        return _Ending("timeout", None, f"Not done within {run.timeout_seconds:.3g} s", command.executor)

    async def _execute(self, parsed: kubectl.KubectlCommand, command: _Command) -> Outcome:
        """Run it with the first executor that takes it. Raises the last one's NotTaken when none does."""
        refusal = NotTaken("this agent has no executor: it found no kubectl when it started")
        async with command.slots:
            command.started_at = self._loop.time()
            for executor in self._executors:
                command.executor = executor.name
                try:
                    return await executor.run(parsed, command.lane)
                except NotTaken as error:
                    refusal = error
                except TooMuchOutput as error:
                    return Outcome(None, str(error))
        raise refusal
