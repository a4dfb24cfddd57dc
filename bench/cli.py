"""What the command line costs beside what it is made of: Python with aiohttp, and the requests themselves."""

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import kubently
from bench.hub import BenchHub, running_hub
from bench.processes import module, program, started

_CLUSTER: Final = "bench"
_WORDS: Final = ("get", "pods")


@dataclass(frozen=True, slots=True)
class CommandLine:
    """Medians of processes started in turn. `import_ms` is `python -c 'import aiohttp'`, `requests_ms` a session with
    its one command by a client that runs already, `exec_ms` the same by `kubently exec`.
    """

    import_ms: float
    requests_ms: float
    exec_ms: float

    @property
    def over_ms(self) -> float:
        """What is kubently's own."""
        return self.exec_ms - self.import_ms - self.requests_ms


async def measure_command_line(rounds: int, say: Callable[[str], None]) -> CommandLine:
    """Start each in turn, so many times, on a hub whose agent answers at once."""
    imports, requests, execs = [], [], []
    async with running_hub() as hub:
        token = await hub.register(_CLUSTER)
        argv = module("scripted_agent", hub.link_url, _CLUSTER)
        async with started("the agent", argv, environment={"KUBENTLY_AGENT_TOKEN": token}) as agent:
            await agent.find(r"(connected)")
            for number in range(rounds):
                imports.append(await _took(sys.executable, "-c", "import aiohttp"))
                requests.append(await _asked(hub))
                environment = {"KUBENTLY_ENDPOINT": hub.url, "KUBENTLY_API_KEY": hub.key}
                execs.append(await _took(program("kubently"), "exec", _CLUSTER, "--", *_WORDS, **environment))
                say(f"  round {number + 1}: {imports[-1]:.0f} ms, {requests[-1]:.1f} ms, {execs[-1]:.0f} ms")
    return CommandLine(*(statistics.median(each) for each in (imports, requests, execs)))


async def _asked(hub: BenchHub) -> float:
    """Milliseconds that a client takes which has its connections."""
    async with kubently.Client(hub.url, hub.key) as client:
        await client.health()
        begun = time.perf_counter()
        async with client.debug_session(_CLUSTER) as session:
            async for _ in session.stream(_WORDS[0], _WORDS[1:]):
                pass
        return (time.perf_counter() - begun) * 1000


async def _took(*argv: str, **environment: str) -> float:
    """Milliseconds from the start of a process to its end. Raises RuntimeError when it fails."""
    begun = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *argv,
        env=os.environ | environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{argv[0]} ended with {process.returncode}: {said.decode()}")
    return (time.perf_counter() - begun) * 1000
