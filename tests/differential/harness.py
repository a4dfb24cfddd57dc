"""Runs one command line through kubectl and through the native executor.

Ages tick between two calls: where the two differ, kubectl is run once more behind native. When its two answers are the
same, native's must be too; when they are not, all is run again.
"""

import asyncio
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.executors.base import Executor
from schemas import kubectl
from tests.support.sinks import Collected

_ATTEMPTS: Final = 5
_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Printed:
    """What a command printed and how it ended."""

    stdout: bytes
    stderr: bytes
    exit_code: int | None


class Kubectl:
    """A real kubectl on one cluster, as the agent would spawn it."""

    def __init__(self, binary: str, kubeconfig: Path) -> None:
        self._binary = binary
        self._home = tempfile.TemporaryDirectory(prefix="kubently-kubectl-")
        self._env = {
            "HOME": self._home.name,
            "PATH": "/nonexistent",
            "KUBECONFIG": str(kubeconfig),
            "KUBECTL_KUBERC": "false",
            "LC_ALL": "C",
            "TZ": "UTC",
            "TERM": "dumb",
        }

    async def run(self, argv: Sequence[str]) -> Printed:
        """Run kubectl with these words."""
        # argv[0] shows in one of kubectl's error texts, and there it is to be "kubectl".
        child = await asyncio.create_subprocess_exec(
            "kubectl",
            *argv,
            executable=self._binary,
            env=self._env,
            cwd=self._home.name,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(_SECONDS):
                stdout, stderr = await child.communicate()
        except TimeoutError:
            child.kill()
            stdout, stderr = await child.communicate()
        return Printed(stdout, stderr, child.returncode)

    def close(self) -> None:
        """Remove its folder."""
        self._home.cleanup()


async def run_native(executor: Executor, argv: Sequence[str]) -> Printed:
    """Run the command natively: through the grammar, as the agent does."""
    sink = Collected()
    outcome = await executor.run(kubectl.parse(argv[0], argv[1:]), sink)
    return Printed(sink.stdout, sink.stderr, outcome.exit_code)


async def compare(oracle: Kubectl, executor: Executor, argv: Sequence[str]) -> tuple[Printed, Printed]:
    """What kubectl and native print, in that order."""
    # What kubectl is handed is what the grammar makes of the words, as in the kubectl executor.
    parsed = kubectl.parse(argv[0], argv[1:]).kubectl_argv()
    for _ in range(_ATTEMPTS):
        before = await oracle.run(parsed)
        native = await run_native(executor, argv)
        if native == before or await oracle.run(parsed) == before:
            break
    return before, native


def environment(kubeconfig: Path) -> dict[str, str]:
    """The environment an executor finds its cluster in."""
    return {"KUBECONFIG": str(kubeconfig), "PATH": os.environ.get("PATH", "")}
