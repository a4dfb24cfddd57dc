"""The command lines that are kubectl's but for a few words of ours: `exec` and the short forms. Pure.

They are read here and not by typer, which would have to be talked out of reading kubectl's own flags, and which takes
longer to start than such a command takes. app.py declares the same options once more, for `--help` and completion.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from kubently.cli.failures import UsageError
from kubently.cli.kubectl import REFUSED, VERBS

EXEC: Final = "exec"
# Ours, and whether each takes a value. All are long, and none is one of kubectl's that may be used here.
_OPTIONS: Final = {
    "--cluster": True,
    "--profile": True,
    "--time-limit": True,
    "--agent-wait": True,
    "--json": False,
}


@dataclass(slots=True)
class Asked:
    """What was asked for: `words` go to kubectl. `cluster` and `profile` None: not said; `time_limit` in seconds."""

    words: list[str] = field(default_factory=list)
    cluster: str | None = None
    profile: str | None = None
    time_limit: int | None = None
    agent_wait: int = 0
    as_json: bool = False


def read(arguments: Sequence[str]) -> Asked | None:
    """Read a command line, behind `kubently`; None for one that is typer's. Raises UsageError."""
    if not arguments or arguments[0] not in {EXEC, *VERBS, *REFUSED}:
        return None
    asked = Asked()
    found = _take_ours(arguments[1:], asked)
    if found is None:
        return None
    ours, theirs = found
    if arguments[0] != EXEC:
        asked.words = [arguments[0], *ours, *(["--", *theirs] if theirs else [])]
        return asked
    if not ours or ours[0].startswith("-"):
        raise UsageError("exec on which cluster? Write: kubently exec CLUSTER -- get pods -A")
    if asked.cluster is not None:
        raise UsageError("exec takes the cluster by itself: kubently exec CLUSTER -- get pods -A")
    asked.cluster, asked.words = ours[0], [*ours[1:], *theirs]
    return asked


def _take_ours(arguments: Sequence[str], asked: Asked) -> tuple[list[str], list[str]] | None:
    """Put our options where they belong; what is left before `--`, and what is behind it. None: help is wanted."""
    left: list[str] = []
    position = 0
    while position < len(arguments):
        word = arguments[position]
        position += 1
        if word == "--":
            return left, list(arguments[position:])
        name, equals, value = word.partition("=")
        if word == "--help":
            return None
        if name not in _OPTIONS:
            left.append(word)
            continue
        if not _OPTIONS[name]:
            if equals:
                raise UsageError(f"{name} takes no value")
        elif not equals:
            if position == len(arguments):
                raise UsageError(f"{name} wants a value")
            value = arguments[position]
            position += 1
        _put(asked, name, value)
    return left, []


def _put(asked: Asked, name: str, value: str) -> None:
    match name:
        case "--cluster":
            asked.cluster = value
        case "--profile":
            asked.profile = value
        case "--json":
            asked.as_json = True
        case _:
            if not (value.isascii() and value.isdecimal()):
                raise UsageError(f"{name} {value}: wants a whole number of seconds")
            if name == "--time-limit":
                asked.time_limit = int(value)
            else:
                asked.agent_wait = int(value)
