"""The command `kubently` as its users run it: a process, with a configuration of its own."""

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

BIN = Path(sys.executable).parent / "kubently"


@dataclass(frozen=True, slots=True)
class Ran:
    """What a process printed, and its exit code, which is negative for a signal."""

    code: int
    stdout: str
    stderr: str


class Cli:
    """Runs it for one hub. `environment` is all that it sees of this process's, PATH aside."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.environment = {
            "HOME": str(folder),
            "PATH": os.environ["PATH"],
            "KUBENTLY_CONFIG": str(folder / "config" / "profiles.json"),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
            "TZ": "UTC",
            "LANG": "C.UTF-8",
            **environment,
        }

    async def __call__(self, *words: str, stdin: str | None = None, **more: str) -> Ran:
        process = await self.start(*words, stdin=stdin is not None, **more)
        content = None if stdin is None else stdin.encode()
        stdout, stderr = await asyncio.wait_for(process.communicate(content), 60)
        assert process.returncode is not None
        return Ran(process.returncode, stdout.decode(), stderr.decode())

    async def start(self, *words: str, stdin: bool = False, **more: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            BIN,
            *words,
            env=self.environment | more,
            cwd=self.folder,
            stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
