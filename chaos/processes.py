"""Hub and agents as processes that may be killed and started again. What they log goes to files."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Final

_STOP_SECONDS: Final = 40.0
_LAST_WORDS: Final = 5
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class ProcessFailed(Exception):
    """A process that ended by itself or did not do what it was waited for; the message holds its last words."""


class Process:
    """One program, run any number of times. Its log gathers all runs."""

    def __init__(self, name: str, argv: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._argv = argv
        self._environment = {key: value for key, value in os.environ.items() if not key.startswith("KUBENTLY_")} | dict(
            environment
        )
        self._child: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The id of the run there is. Raises ProcessFailed when there is none."""
        self.check()
        assert self._child is not None
        return self._child.pid

    @property
    def is_running(self) -> bool:
        """Whether there is a run that has not ended."""
        return self._child is not None and self._child.returncode is None

    async def start(self) -> None:
        """Start a run."""
        with self.log.open("ab") as log:
            self._child = await asyncio.create_subprocess_exec(
                *self._argv,
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def kill(self) -> None:
        """Send SIGKILL, and wait until it is gone."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """Send SIGTERM, and wait for the end; its exit code. One that does not end is killed: ProcessFailed."""
        return await self._end(signal.SIGTERM)

    def check(self) -> None:
        """Raise ProcessFailed unless it runs."""
        if not self.is_running:
            words = self.log.read_text(errors="replace").splitlines()[-_LAST_WORDS:] if self.log.exists() else []
            raise ProcessFailed(f"{self.name} does not run; its last words:\n" + "\n".join(words))

    def open_files(self) -> int:
        """How many descriptors it holds (proc(5): /proc/pid/fd)."""
        return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())

    def rss_bytes(self) -> int:
        """Memory it holds now (proc(5): /proc/pid/statm, second field)."""
        return int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES

    async def _end(self, number: signal.Signals) -> int:
        child = self._child
        if child is None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(number)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                return await child.wait()
        except TimeoutError:
            child.kill()
            await child.wait()
            raise ProcessFailed(f"{self.name} did not stop within {_STOP_SECONDS:g} s; see {self.log}") from None


class Port:
    """A port of loopback that stays ours while nobody listens on it."""

    def __init__(self) -> None:
        self._reserved = socket.socket()
        # Who listens with the same option may take it over and leave it again; nobody else is given it.
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind(("127.0.0.1", 0))
        self.number = int(self._reserved.getsockname()[1])

    def close(self) -> None:
        """Give it back."""
        self._reserved.close()


@contextlib.asynccontextmanager
async def together() -> AsyncIterator[asyncio.TaskGroup]:
    """A task group out of which a ProcessFailed comes alone."""
    try:
        async with asyncio.TaskGroup() as tasks:
            yield tasks
    except BaseExceptionGroup as group:
        failed, others = group.split(ProcessFailed)
        if failed is None or others is not None:
            raise
        raise ProcessFailed("; ".join(map(str, _leaves(failed)))) from None


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


def program(name: str) -> str:
    """The path of one of our console scripts, beside the Python that runs us."""
    return str(Path(sys.executable).with_name(name))
