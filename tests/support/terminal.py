"""A real terminal: a tmux server of its own with one window, typed into and looked at."""

import asyncio
import contextlib
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path


class Terminal:
    """One window of 120 columns and 40 lines. `screen` is what a person sees in it."""

    def __init__(self, tmux: str, socket: Path) -> None:
        self._tmux = tmux
        self._socket = socket

    async def type(self, *keys: str) -> None:
        """Press keys, by tmux's names for them: `"get pods", "Enter"`, `"C-c"`, `"Tab"`."""
        await self.tmux("send-keys", "-t", "it", *keys)

    async def screen(self, *, has_colours: bool = False) -> str:
        """What the window shows, with escapes for the colours if wanted."""
        return await self.tmux("capture-pane", "-p", "-t", "it", *(["-e"] if has_colours else []))

    async def find(self, pattern: str, timeout_seconds: float = 20.0) -> re.Match[str]:
        """Wait until the window shows a text. Raises AssertionError with what it shows instead."""
        shown = ""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while True:
                    shown = await self.screen()
                    if match := re.search(pattern, shown):
                        return match
                    await asyncio.sleep(0.05)
        raise AssertionError(f"{pattern!r} was not on the screen:\n{shown}")

    async def tmux(self, *words: str) -> str:
        """A command to the server; what it prints."""
        process = await asyncio.create_subprocess_exec(
            self._tmux, "-S", self._socket, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        stdout, stderr = await process.communicate()
        if process.returncode:
            raise AssertionError(f"tmux {' '.join(words)}: {stderr.decode()}")
        return stdout.decode()


@contextlib.asynccontextmanager
async def terminal(folder: Path, environment: Mapping[str, str]) -> AsyncIterator[Terminal]:
    """A terminal with a shell in `folder`, whose environment is this one and no more."""
    tmux = shutil.which("tmux")
    assert tmux is not None, "tmux is not installed (on Debian: apt-get install tmux)"
    opened = Terminal(tmux, folder / "tmux")
    words = [f"{name}={value}" for name, value in environment.items()]
    await opened.tmux(
        *("-f", "/dev/null", "new-session", "-d", "-s", "it", "-x", "120", "-y", "40", "-c", str(folder)),
        *("env", "-i", *words, "PS1=$ ", "TERM=tmux-256color", "bash", "--norc", "--noprofile"),
    )
    try:
        await opened.find(r"\$")
        yield opened
    finally:
        await opened.tmux("kill-server")
