"""What can stop the agent, and the exit codes that tell it.

    AgentError
    ├── StartError          exit 2: a bad setting, no token, no cluster, nowhere to write
    └── Rejected            exit 3, 4 or 5, only with --exit-on-rejection

    TooMuchOutput           from a command's sink to its executor: stop, that is far too much
    Satisfied               from a command's sink to its executor: stop, its caller wants no more

How a command ended is no error but a value: `executors/base.py` has it.
"""

from typing import Final

EXIT_OK: Final = 0
EXIT_BAD_SETTINGS: Final = 2
# The hub's no, by its HTTP status: the token is not valid, it is another cluster's, the agent is too old.
EXIT_REJECTED: Final[dict[int, int]] = {401: 3, 403: 4, 426: 5}


class AgentError(Exception):
    """The agent cannot go on; the message is one line for its operator."""


class StartError(AgentError):
    """The agent cannot start as it is set up."""


class Rejected(AgentError):
    """The hub refused this agent with HTTP `status` (401, 403 or 426) and would refuse it again."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class TooMuchOutput(Exception):
    """A command writes so far beyond its bound that it is to be stopped; the message says so to its caller."""


class Satisfied(Exception):
    """A stream has all that its contract asks for and is to be stopped; the message says so to its caller."""
