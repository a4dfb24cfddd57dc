"""One command that native and kubectl must answer alike."""

import shlex
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Case:
    """A command line without the word kubectl: `Case("get pods -A -o wide")`.

    stdout and exit code are always compared, stderr unless `stderr` is False; then `why` says why kubectl's own is not
    the same twice or is not wanted here.
    """

    line: str
    stderr: bool = True
    why: str = ""

    @property
    def argv(self) -> list[str]:
        """The words."""
        return shlex.split(self.line)
