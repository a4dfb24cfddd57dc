"""Open files and memory of hub and agents at rest, and whether they are back where they were."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from chaos.processes import Process

# Between two phases: what a load has left open is closed by then, but for what is kept for a next command.
PAUSE_SECONDS: Final = 15.0
# After the last one: an agent keeps idle connections to its API server for 80 s.
LAST_SECONDS: Final = 110.0
# As many connections as an agent may keep after a load: its commands and streams that run at once.
KEPT_CONNECTIONS: Final = 26
# What allocators keep of a load's peaks; a leak of some thousand commands is more.
MAX_GROWTH_BYTES: Final = 16_000_000

_STABLE_SECONDS: Final = 3.0
_POLL_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True)
class Level:
    """What one process holds."""

    open_files: int
    rss_bytes: int


Levels = Mapping[str, Level]


def read(processes: Sequence[Process]) -> dict[str, Level]:
    """What each holds now, by its name."""
    return {process.name: Level(process.open_files(), process.rss_bytes()) for process in processes}


async def stable(processes: Sequence[Process]) -> Levels:
    """What each holds when no files have been opened or closed for a while."""
    levels = read(processes)
    stable_until = time.monotonic() + _STABLE_SECONDS
    give_up_at = time.monotonic() + PAUSE_SECONDS
    while time.monotonic() < min(stable_until, give_up_at):
        await asyncio.sleep(_POLL_SECONDS)
        fresh = read(processes)
        if any(fresh[name].open_files != level.open_files for name, level in levels.items()):
            stable_until = time.monotonic() + _STABLE_SECONDS
        levels = fresh
    return levels


async def fallen(processes: Sequence[Process], before: Levels, *, is_last: bool) -> Levels:
    """What each holds when it is back at `before`, or after waiting long enough."""
    give_up_at = time.monotonic() + (LAST_SECONDS if is_last else PAUSE_SECONDS)
    while True:
        levels = read(processes)
        if not faults(before, levels, is_last=is_last) or time.monotonic() > give_up_at:
            return levels
        await asyncio.sleep(_POLL_SECONDS)


def faults(before: Levels, after: Levels, *, is_last: bool) -> list[str]:
    """What is above the level before, a sentence each. Agents may keep connections until it `is_last`."""
    found = []
    for name, level in before.items():
        now = after[name]
        kept = 0 if is_last or name == "hub" else KEPT_CONNECTIONS
        if now.open_files > level.open_files + kept:
            found.append(f"{name} holds {now.open_files} open files, {level.open_files} before")
        if now.rss_bytes > level.rss_bytes + MAX_GROWTH_BYTES:
            found.append(f"{name} holds {now.rss_bytes / 1e6:.0f} MB, {level.rss_bytes / 1e6:.0f} MB before")
    return found
