"""Command lines given to kubectl and to the native executor, both on one fake API server."""

import asyncio
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from agent.executors.native.executor import NativeExecutor
from agent.settings import Execution
from schemas import kubectl
from tests.differential.__main__ import difference
from tests.differential.harness import Kubectl, environment, run_native
from tests.support.fake_api_server import FakeApiServer
from tests.support.kubectl import kubectl_binary

_AT_ONCE: Final = 4


async def differences(server: FakeApiServer, folder: Path, lines: Sequence[str]) -> list[str]:
    """What the two answer differently, as diffs; empty when all is alike. `folder` is for a kubeconfig."""
    kubeconfig = server.kubeconfig(folder)
    oracle = Kubectl(kubectl_binary(), kubeconfig)
    executor = NativeExecutor(environment(kubeconfig), Execution())
    slots = asyncio.Semaphore(_AT_ONCE)

    async def differing(line: str) -> str:
        async with slots:
            argv = shlex.split(line)
            wanted = await oracle.run(kubectl.parse(argv[0], argv[1:]).kubectl_argv())
            got = await run_native(executor, argv)
        diff = "".join(difference(wanted, got))
        return f"{line}\n{diff}" if diff else ""

    try:
        return [diff for diff in await asyncio.gather(*map(differing, lines)) if diff]
    finally:
        await executor.close()
        oracle.close()
