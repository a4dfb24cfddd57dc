"""What can go wrong while a command runs natively, and kubectl's words for it. Each ends the command with exit code 1
and its text on stderr, unless a verb makes something else of it.
"""

from collections.abc import Mapping
from typing import Any

from agent.executors.base import NotTaken


class CommandFailed(Exception):
    """A command that ends with a message, as kubectl ends it. `text` goes to stderr as it is, a newline behind it."""

    def __init__(self, text: str, exit_code: int = 1) -> None:
        super().__init__(text)
        self.text = text
        self.exit_code = exit_code


class NotNative(NotTaken):
    """This command cannot be answered exactly here (`go-template`, `explain` without /openapi/v3): kubectl must.

    Raised before anything was printed. `what` goes before "needs kubectl": "go-template output".
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} needs kubectl, which this agent does not have")


class StatusError(Exception):
    """The API server said no. `status` is its Status object (empty when the body was none), `code` the HTTP status."""

    def __init__(self, code: int, status: Mapping[str, Any]) -> None:
        super().__init__(str(status.get("message") or ""))
        self.code = code
        self.status = status

    @property
    def reason(self) -> str:
        """The machine-readable reason, "" when there is none: `NotFound`, `Forbidden`, `Expired`."""
        return str(self.status.get("reason") or "")

    @property
    def message(self) -> str:
        """What the server said, for people."""
        return str(self)


class Unreachable(Exception):
    """No answer from the API server, or not all of it. The message is what kubectl prints for it:
    `Unable to connect to the server: EOF`.
    """
