"""What an executor is: it runs one command at a time per call, writes its output to a sink, says how it ended."""

from dataclasses import dataclass
from typing import Protocol

from agent.redaction.screen import NO_SCREEN, Screen
from schemas.frames import Stream
from schemas.kubectl import KubectlCommand


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended by itself. A non-zero exit is an outcome like any other, not an error.

    `exit_code` None: it was stopped by a bound of ours, or never began; `error` then says why in one sentence.
    """

    exit_code: int | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Versions:
    """What an executor is and reaches, None where it could not be found out: `Versions("v1.33.1", "v1.32.4")`."""

    executor: str | None = None
    kubernetes: str | None = None


class NotTaken(Exception):
    """An executor does not run this command, and has written nothing. The message is a sentence for whoever asked."""


class Sink(Protocol):
    """Where output goes."""

    async def write(self, stream: Stream, data: bytes) -> None:
        """Take some bytes; returns when there is room for more, so a slow hub slows the command.

        May raise, to have the command stopped; the executor lets that pass.
        """


class Executor(Protocol):
    """One way to run commands."""

    @property
    def name(self) -> str:
        """The name it has in frames and results, for example "kubectl"."""

    async def run(self, command: KubectlCommand, sink: Sink, screen: Screen = NO_SCREEN) -> Outcome:
        """Run a command to its end. Cancelling ends it, with all it has started, within a second. Raises NotTaken.

        What an executor makes of objects it makes of those that `screen` gives it. Its output is screened once more,
        as text, whatever it is, behind the sink.
        """

    async def probe(self) -> Versions:
        """Find out the versions; returns within a few seconds whatever the cluster does. Raises nothing."""
