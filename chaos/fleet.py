"""A fleet of scripted agents whose hub restarts: when they are back, how they are let in, and REST meanwhile."""

import asyncio
import contextlib
import math
import resource
import secrets
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from chaos.processes import Port, Process, ProcessFailed, together
from chaos.rest import Rest
from chaos.scene import hub_process, until_ready

MAX_BACK_SECONDS: Final = 30.0
MAX_P99_MS: Final = 250.0
# The hub's default.
ADMISSIONS_PER_SECOND: Final = 200

_CHILDREN: Final = 2
# Agents say when the hub's answer reached them; one may take so much longer than another on a busy machine.
_TRAVEL_SECONDS: Final = 0.05
_GIVE_UP_SECONDS: Final = 90.0
_POLL_SECONDS: Final = 0.1
_REGISTER_AT_ONCE: Final = 16
_PROBE_SECONDS: Final = 0.02
# How a cluster is, a session, and now and then the list of clusters.
_PROBE_WEIGHTS: Final = (12, 7, 1)
# Beside one descriptor for each agent: the hub's own, and those who are being refused at the moment.
_SPARE_FILES: Final = 1500
_HUB: Final = {
    f"KUBENTLY_HUB_RATELIMIT_{bucket}_PER_MINUTE": "0" for bucket in ("STANDARD", "EXECUTE", "SESSION", "ADDRESS")
}


@dataclass(frozen=True, slots=True)
class Return:
    """How a fleet came (back). `back_seconds` is from the first moment the hub took work until the last agent was
    welcomed; `most_per_second` links were opened within one second; `unanswered` REST calls had no answer.
    """

    name: str
    agents: int
    back: int
    back_seconds: float
    most_per_second: int
    latencies_ms: Sequence[float]
    unanswered: int

    def percentile_ms(self, percent: int) -> float:
        """So many in a hundred calls took no longer; 0 where none were made."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else 0.0

    def faults(self) -> list[str]:
        """What was missed, a sentence each."""
        found = []
        if self.back < self.agents:
            found.append(
                f"{self.agents - self.back} of {self.agents} agents did not come within {_GIVE_UP_SECONDS:g} s"
            )
        if self.back_seconds > MAX_BACK_SECONDS:
            found.append(f"the last agent came after {self.back_seconds:.1f} s, the bar is {MAX_BACK_SECONDS:g} s")
        if self.most_per_second > ADMISSIONS_PER_SECOND:
            found.append(f"{self.most_per_second} links within a second, the bar is {ADMISSIONS_PER_SECOND}")
        if self.percentile_ms(99) > MAX_P99_MS:
            found.append(f"REST's p99 was {self.percentile_ms(99):.0f} ms, the bar is {MAX_P99_MS:g} ms")
        if self.unanswered:
            found.append(f"{self.unanswered} REST calls had no answer")
        return found


async def measure_fleet(folder: Path, agents: int, seed: str, say: Callable[[str], None]) -> list[Return]:
    """Let a fleet come, kill its hub, and stop its hub. Raises ProcessFailed."""
    raise_file_limit(agents + _SPARE_FILES)
    async with _fleet(folder, agents, seed) as fleet:
        found = []
        for name, end in (("comes", None), ("hub killed", fleet.hub.kill), ("hub stopped", fleet.hub.stop)):
            say(f"a fleet of {agents:,}: {name}")
            if end is not None:
                await end()
            found.append(await fleet.start_hub(name))
        return found


def raise_file_limit(wanted: int) -> None:
    """Raise how many files this process and its children may open. Raises ProcessFailed where it may not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise ProcessFailed(
            f"{wanted} open files are needed and {hard} allowed; raise `ulimit -Hn` or take fewer agents"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


class _Fleet:
    def __init__(self, hub: Process, rest: Rest, children: Sequence[Process], agents: int, random: Random) -> None:
        self.hub = hub
        self._rest = rest
        self._children = children
        self._agents = agents
        self._random = random

    async def start_hub(self, name: str) -> Return:
        """Start the hub, and wait until the fleet is there."""
        events = [_Events(child) for child in self._children]
        await self.hub.start()
        await until_ready(self.hub, self._rest)
        ready_at = time.monotonic()
        latencies_ms: list[float] = []
        unanswered: list[str] = []
        welcomed: dict[str, float] = {}
        admitted: list[float] = []
        async with together() as tasks:
            probing = tasks.create_task(self._probe(latencies_ms, unanswered))
            while len(welcomed) < self._agents and time.monotonic() < ready_at + _GIVE_UP_SECONDS:
                await asyncio.sleep(_POLL_SECONDS)
                for kind, cluster_id, at in (event for one in events for event in one.read()):
                    if kind == "admitted":
                        admitted.append(at)
                    else:
                        welcomed[cluster_id] = at
                for process in (*self._children, self.hub):
                    process.check()
            probing.cancel()
        connected = await self._rest.demand("GET", "/clusters?status=connected&limit=1")
        return Return(
            name,
            self._agents,
            min(len(welcomed), connected["total"]),
            max(welcomed.values(), default=time.monotonic()) - ready_at,
            _most_within(sorted(admitted), 1.0 - _TRAVEL_SECONDS),
            latencies_ms,
            len(unanswered),
        )

    async def _probe(self, latencies_ms: list[float], unanswered: list[str]) -> None:
        """Ask what clients ask, for ever, at a pace of its own: a slow answer holds up no question."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                tasks.create_task(self._ask(latencies_ms, unanswered))
                await asyncio.sleep(_PROBE_SECONDS)

    async def _ask(self, latencies_ms: list[float], unanswered: list[str]) -> None:
        cluster_id = _name(self._random.randrange(self._agents))
        calls = (
            ("GET", f"/clusters/{cluster_id}/status", None),
            ("POST", "/debug/session", {"cluster_id": cluster_id}),
            ("GET", "/clusters?limit=10", None),
        )
        method, path, body = self._random.choices(calls, _PROBE_WEIGHTS)[0]
        started_at = time.perf_counter()
        answer = await self._rest.call(method, path, body)
        latencies_ms.append((time.perf_counter() - started_at) * 1000)
        if answer is None:
            unanswered.append(path)


class _Events:
    """What a child says from here on, line by line."""

    def __init__(self, child: Process) -> None:
        self._log = child.log
        self._offset = self._log.stat().st_size

    def read(self) -> list[tuple[str, str, float]]:
        """What is new: `("welcomed", "fleet-00007", 123.4)`, times of the machine's monotonic clock."""
        with self._log.open("rb") as log:
            log.seek(self._offset)
            text = log.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        lines = [line.split() for line in whole.decode(errors="replace").splitlines()]
        return [(line[0], line[1], float(line[2])) for line in lines if line and line[0] in {"admitted", "welcomed"}]


@contextlib.asynccontextmanager
async def _fleet(folder: Path, agents: int, seed: str) -> AsyncIterator[_Fleet]:
    """A hub that knows the fleet and is killed again, and the agents, who cannot reach it yet."""
    key = secrets.token_hex(32)
    async with contextlib.AsyncExitStack() as stack:
        port = stack.enter_context(contextlib.closing(Port()))
        rest = Rest(f"http://127.0.0.1:{port.number}", key)
        stack.push_async_callback(rest.close)
        hub, _ = hub_process(folder, port.number, key, _HUB)
        stack.push_async_callback(hub.kill)
        await hub.start()
        await until_ready(hub, rest)
        rows = await _register(rest, agents)
        await hub.stop()
        children = []
        for number in range(_CHILDREN):
            tokens = folder / f"fleet-{number}.tokens"
            tokens.touch(mode=0o600)
            tokens.write_text("".join(rows[number::_CHILDREN]))
            argv = [
                sys.executable,
                "-m",
                "chaos.fleet_agents",
                f"ws://127.0.0.1:{port.number}",
                str(tokens),
                f"{seed} {number}",
            ]
            child = Process(f"fleet-{number}", argv, {}, folder)
            stack.push_async_callback(child.kill)
            await child.start()
            children.append(child)
        yield _Fleet(hub, rest, children, agents, Random(seed))


async def _register(rest: Rest, agents: int) -> list[str]:
    """Register every cluster; `cluster_id token` a line."""
    rows: list[str] = []
    names = iter([_name(number) for number in range(agents)])

    async def work() -> None:
        for name in names:
            registered = await rest.demand("POST", "/admin/clusters", {"cluster_id": name})
            rows.append(f"{name} {registered['agent_token']}\n")

    await asyncio.gather(*(work() for _ in range(_REGISTER_AT_ONCE)))
    return rows


def _name(number: int) -> str:
    return f"fleet-{number:05}"


def _most_within(times: Sequence[float], seconds: float) -> int:
    """The most of these (ordered) times that lie within so many seconds of each other."""
    most = first = 0
    for last, at in enumerate(times):
        while times[first] <= at - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most
