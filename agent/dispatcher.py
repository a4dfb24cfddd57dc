"""From a frame of the hub to one task per command, and from its end to exactly one terminal frame.

A command's task watches over a second one that does the work, so that whatever that does (return, raise, hang, ignore
its cancellation) there is one place where the command ends. Commands do not depend on the link: they go on without it,
until the hub says on the next one that it does not want them.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from agent import logs
from agent.errors import Satisfied, TooMuchOutput
from agent.executors.base import Executor, NotTaken, Outcome
from agent.outbox import Lane, Outbox
from agent.policy import Policy
from agent.redaction.screen import Redaction, Screen
from schemas import kubectl
from schemas.frames import RESUMING_VERSION, Ack, Cancel, Credit, ExitStatus, Run, Welcome

_log = logging.getLogger(__name__)

# The hub keeps to the welcome's limit; a few may overlap while exits are under way. Beyond this it does not keep to it.
_OVERLAP_FACTOR: Final = 4
# Results that are not acknowledged; the next hello names them all and must fit one frame (130 bytes each at most).
_MAX_HELD_RESULTS: Final = 2048
# An executor has a second to end what it runs; one that has not by then is reported and left behind.
_STOP_SECONDS: Final = 2.0
_MAX_ERROR_CHARACTERS: Final = 4096  # half of what a frame may carry
_STOPPING: Final = "The agent is stopping"


class TooManyCommands(Exception):
    """The hub sends far more commands at once than its welcome said, or acknowledges none."""


@dataclass(frozen=True, slots=True)
class _Ending:
    status: ExitStatus
    exit_code: int | None = None
    error: str | None = None
    executor: str | None = None


class _Slots:
    """How many commands of one kind run at once; they wait for a slot in turn. The number may change meanwhile."""

    def __init__(self) -> None:
        self.limit = 1
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def resize(self, limit: int) -> None:
        """Let so many run from now on; what runs beyond a smaller number goes on."""
        self.limit = limit
        self._admit()

    async def __aenter__(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                with contextlib.suppress(ValueError):
                    self._waiting.remove(turn)
            else:  # it was given in the same moment
                self._release()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._release()

    def _admit(self) -> None:
        while self._waiting and self._taken < self.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._taken += 1

    def _release(self) -> None:
        self._taken -= 1
        self._admit()


@dataclass(slots=True, eq=False)
class _Command:
    """One command from its `run` frame to its terminal frame. `stop` resolves to how it is ended from outside.

    `executor` is the name of the one that runs it, and `parsed` what the grammar made of it; None before.
    """

    run: Run
    lane: Lane
    screen: Screen
    stop: asyncio.Future[_Ending]
    slots: _Slots
    deadline: float
    started_at: float
    task: asyncio.Task[None] | None = field(default=None)
    executor: str | None = None
    parsed: kubectl.KubectlCommand | None = None

    def end_early(self, ending: _Ending) -> None:
        if not self.stop.done():
            self.stop.set_result(ending)


class Dispatcher:
    """Runs the hub's commands, each with the first of `executors` that takes it. Without any, all are refused."""

    def __init__(self, executors: Sequence[Executor], policy: Policy, outbox: Outbox) -> None:
        self._executors = tuple(executors)
        self._redaction = Redaction()
        self._outbox = outbox
        self._loop = asyncio.get_running_loop()
        self._commands: set[_Command] = set()
        self._by_result: dict[str, _Command] = {}
        self._strays: set[asyncio.Task[Outcome]] = set()
        self._is_leaving = False
        self._can_resume = False
        self._slots = _Slots()
        self._stream_slots = _Slots()
        self._agreed = (1, 1)  # commands, streams: how many at once, by the welcome
        self.adopt(policy)

    def adopt(self, policy: Policy) -> None:
        """Let another policy hold from now on. What runs and could not begin under it ends."""
        self._policy = policy
        hides = policy.redaction == "on"
        is_stricter = hides and not self._redaction.hides
        self._redaction.hides = hides
        self._redaction.shows_controls = policy.control_characters == "neutralise"
        self._resize()
        for command in self._commands:
            because = "its output is to be redacted now" if is_stricter else None
            try:
                if command.parsed is not None:
                    policy.admit(command.parsed)
            except kubectl.Refusal as refusal:
                because = refusal.reason
            if because is not None:
                command.end_early(_Ending("cancelled", error=f"This cluster's policy has changed: {because}"))

    def _resize(self) -> None:
        limits = self._policy.limits
        commands, streams = self._agreed
        self._slots.resize(min(commands, limits.max_commands or commands))
        self._stream_slots.resize(min(streams, limits.max_streams or streams))

    def begin(self, welcome: Welcome) -> None:
        """A link was welcomed: its terms hold from now on, and what the hub does not want is ended."""
        self._can_resume = welcome.protocol_version >= RESUMING_VERSION
        self._agreed = (welcome.max_concurrent_commands, welcome.max_concurrent_streams)
        self._resize()
        unwanted = self._outbox.begin(welcome)
        for result_id in unwanted:
            command = self._by_result.get(result_id)
            if command is not None:
                command.end_early(_Ending("cancelled", error="The hub does not want it any more"))
        if unwanted:
            _log.info("the hub does not want what is held", extra={"commands": len(unwanted)})

    def take(self, frame: Run | Cancel | Ack | Credit) -> None:
        """Act on one frame, without waiting for anything. Raises TooManyCommands."""
        match frame:
            case Run():
                self._accept(frame)
            case Cancel(result_id=result_id, reason=reason):
                command = self._by_result.get(result_id)
                if command is not None:
                    command.end_early(_Ending("cancelled", error=reason))
            case Ack(results=results):
                self._outbox.acknowledge(results)
            case Credit(results=results):
                self._outbox.credit(results)

    @property
    def running(self) -> int:
        """How many commands have not ended."""
        return len(self._commands)

    async def idle(self) -> None:
        """Wait until no command is left; those that come meanwhile are waited for too."""
        while self._commands:
            await asyncio.wait([command.task for command in self._commands if command.task is not None])

    async def end_link(self, *, is_final: bool) -> None:
        """The link has ended. Its commands go on, unless the hub cannot resume them or (`is_final`) will not."""
        self._outbox.pause()
        if is_final or not self._can_resume:
            await self.abandon("The agent's link to the hub broke")

    async def abandon(self, reason: str) -> None:
        """End what runs, within seconds, and forget everything with all its frames: no hub will ask for it."""
        if self._commands:
            _log.warning("commands are ended and forgotten", extra={"commands": len(self._commands), "reason": reason})
        for held in self._outbox.held():
            self._outbox.drop(held.result_id)
        await self._end_all(reason)

    def leave(self) -> None:
        """Take no more commands, and end the streams: they have no end to wait for."""
        self._is_leaving = True
        for command in self._commands:
            if command.run.is_stream:
                command.end_early(_Ending("cancelled", error=_STOPPING))

    async def finish(self) -> None:
        """After `leave`: end what still runs, within seconds; the terminal frames are in the outbox."""
        await self._end_all(_STOPPING)

    async def _end_all(self, reason: str) -> None:
        for command in self._commands:
            command.end_early(_Ending("cancelled", error=reason))
        try:
            async with asyncio.timeout(_STOP_SECONDS * 1.5):
                await self.idle()
        except TimeoutError:
            # Only a terminal frame that finds no room in the outbox can still wait.
            _log.warning("commands end slowly", extra={"commands": len(self._commands)})

    def _accept(self, run: Run) -> None:
        if run.result_id in self._outbox:
            _log.info("a command came twice and is run once", extra={"result_id": run.result_id})
            return
        agreed = sum(self._agreed)
        if len(self._commands) >= _OVERLAP_FACTOR * agreed:
            raise TooManyCommands(f"{len(self._commands)} commands at once, {agreed} were agreed")
        if len(self._outbox) >= _MAX_HELD_RESULTS:
            raise TooManyCommands(f"{len(self._outbox)} results are not acknowledged")
        now = self._loop.time()
        run = self._policy.limited(run)
        screen = self._redaction.screen()
        command = _Command(
            run=run,
            lane=self._outbox.open(run, screen),
            screen=screen,
            stop=self._loop.create_future(),
            slots=self._stream_slots if run.is_stream else self._slots,
            deadline=now + run.timeout_seconds,
            started_at=now,
        )
        self._commands.add(command)
        self._by_result[run.result_id] = command
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
                error=ending.error and _sendable(ending.error),
            )
            _log.info(
                "command ended",
                extra={"command_type": run.command_type, "status": ending.status, "execution_time_ms": elapsed_ms},
            )
        finally:
            self._commands.discard(command)
            # A hub that did not want a result may send it again before the old command is gone.
            if self._by_result.get(run.result_id) is command:
                del self._by_result[run.result_id]

    async def _end_of(self, command: _Command) -> _Ending:
        run = command.run
        if self._is_leaving:
            return _Ending("cancelled", error=_STOPPING)
        try:
            parsed = kubectl.parse(run.command_type, run.args)
        except kubectl.Refusal as refusal:
            _log.warning("the hub sent a command that the grammar refuses", extra={"reason": refusal.reason})
            at = f"{refusal.argument}: " if refusal.argument is not None else ""
            return _Ending("refused", error=at + refusal.reason)
        try:
            command.parsed = parsed = self._policy.admit(parsed)
        except kubectl.Refusal as refusal:
            return _Ending("refused", error=refusal.reason)
        if command.lane.refusal is not None:
            return _Ending("refused", error=command.lane.refusal)
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
        # What was left of the command's time when it came here is a little less than what was asked for.
        seconds = round(run.timeout_seconds, 1 if run.timeout_seconds > 0.5 else 2)
        return _Ending("timeout", None, f"Not done within {seconds:g} s", command.executor)

    async def _execute(self, parsed: kubectl.KubectlCommand, command: _Command) -> Outcome:
        """Run it with the first executor that takes it. Raises the last one's NotTaken when none does."""
        refusal = NotTaken("this agent has no executor: it found no kubectl when it started")
        async with command.slots:
            command.started_at = self._loop.time()
            for executor in self._executors:
                command.executor = executor.name
                try:
                    return await executor.run(parsed, command.lane, command.screen)
                except NotTaken as error:
                    refusal = error
                except Satisfied as error:
                    return Outcome(0, str(error))
                except TooMuchOutput as error:
                    return Outcome(None, str(error))
        raise refusal


def _sendable(error: str) -> str:
    """What of a message fits a frame and has a form in UTF-8, which a file name in it need not have."""
    return error[:_MAX_ERROR_CHARACTERS].encode(errors="replace").decode()
