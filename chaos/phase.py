"""One phase: load on every cluster, one fault or killing meanwhile, then rest, and every result read back."""

import asyncio
import time
from collections import Counter
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from chaos import ledger
from chaos.caller import Caller
from chaos.faults import FAULTS
from chaos.kills import Killed, Victims, kill_in_a_loop
from chaos.ledger import Balance, Entry
from chaos.levels import Levels
from chaos.processes import together
from chaos.scene import Scene

# More than run at once on a cluster (agents.max_concurrent_commands is 8), so that some wait.
_CALLERS: Final = 10
# After the load, until what is still open must have ended.
_SETTLE_SECONDS: Final = 60.0
_WATCH_SECONDS: Final = 0.5
_PART_BYTES: Final = 1_000_000
_READ_AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True)
class Phase:
    """What one phase showed. `levels` are those at its end, None where they were not measured."""

    name: str
    balance: Balance
    entries: list[Entry]
    seconds: float
    links_cut: int
    killed: Killed = field(default_factory=Killed)
    levels: Levels | None = None


async def under_fault(scene: Scene, name: str, commands: int, seed: str) -> Phase:
    """So many commands while the links are ill-treated; `name` is one of FAULTS, or "none"."""
    fault = FAULTS.get(name)

    async def disturb() -> None:
        async with together() as tasks:
            tasks.create_task(_watch(scene))
            if fault is not None:
                for place in scene.places:
                    tasks.create_task(fault(place.proxy, Random(f"{seed} {place.cluster_id}")))

    return await _phase(scene, name, iter(range(commands)), disturb(), Killed(), seed, ends_by_itself=False)


async def under_kills(scene: Scene, victims: Victims, seconds: float, seed: str) -> Phase:
    """Commands for as long as processes are killed."""
    killed = Killed()
    until = time.monotonic() + seconds
    disturb = kill_in_a_loop(scene, victims, Random(seed), killed, until)
    return await _phase(scene, f"kill {victims}", _while_before(until), disturb, killed, seed, ends_by_itself=True)


async def _phase(
    scene: Scene,
    name: str,
    tickets: Iterator[int],
    disturb: Coroutine[Any, Any, None],
    killed: Killed,
    seed: str,
    *,
    ends_by_itself: bool,
) -> Phase:
    """`disturb` is cancelled when the tickets are used up, unless it `ends_by_itself`; then it is waited for."""
    started_at = time.monotonic()
    cuts = sum(place.proxy.cuts for place in scene.places)
    entries: list[Entry] = []
    try:
        async with together() as tasks:
            disturbing = tasks.create_task(disturb)
            callers = [
                tasks.create_task(
                    Caller(
                        scene.rest, place.cluster_id, scene.mix, Random(f"{seed} {place.cluster_id} {number}"), entries
                    ).run(tickets)
                )
                for place in scene.places
                for number in range(_CALLERS)
            ]
            await asyncio.wait(callers)
            if ends_by_itself:
                await disturbing
            disturbing.cancel()
    finally:
        await scene.heal()
    await scene.until_connected()
    await _read_all_back(scene, entries)
    found = ledger.balance(entries, killed.agents)
    found.faults.extend(await _count_sessions(scene, entries))
    cuts = sum(place.proxy.cuts for place in scene.places) - cuts
    return Phase(name, found, entries, time.monotonic() - started_at, cuts, killed)


async def _watch(scene: Scene) -> None:
    """See that every process runs, for ever. Raises ProcessFailed."""
    while True:
        for process in scene.processes:
            process.check()
        await asyncio.sleep(_WATCH_SECONDS)


def _while_before(until: float) -> Iterator[int]:
    number = 0
    while time.monotonic() < until:
        yield number
        number += 1


async def _read_all_back(scene: Scene, entries: list[Entry]) -> None:
    until = time.monotonic() + _SETTLE_SECONDS
    waiting = iter([entry for entry in entries if entry.is_accepted])

    async def work() -> None:
        for entry in waiting:
            await _read_back(scene, entry, until)

    await asyncio.gather(*(work() for _ in range(_READ_AT_ONCE)))


async def _read_back(scene: Scene, entry: Entry, until: float) -> None:
    """Read one result whole once it has ended; one that does not end stays open in the ledger."""
    if entry.result_id is None:
        return
    while True:
        # One byte of output, and all there is beside it.
        wait = max(0, min(20, int(until - time.monotonic())))
        path = f"/debug/result/{entry.result_id}"
        answer = await scene.rest.call("GET", f"{path}?limit=1&wait={wait}")
        if answer is not None and answer.status == 200 and answer.body["status"] in ledger.STATUSES:
            break
        if time.monotonic() > until:
            entry.faults.append(f"read back in vain: {answer}")
            return
        await asyncio.sleep(0.2)
    parts = []
    offset = ledger.expired_bytes(answer.body)
    end = offset + ledger.kept_bytes(answer.body)
    while offset < end:
        part = await scene.rest.demand("GET", f"{path}?offset={offset}&limit={_PART_BYTES}")
        if not part["output"]:
            break
        parts.append(part["output"])
        offset += len(part["output"].encode())
    ledger.read_back(entry, {**answer.body, "output": "".join(parts)}, time.monotonic())


async def _count_sessions(scene: Scene, entries: list[Entry]) -> list[str]:
    """The hub counts the commands of each session; nothing may have run that nobody was told of."""
    named = Counter(entry.session_id for entry in entries for _ in entry.result_ids)
    unanswered = Counter(entry.session_id for entry in entries if entry.is_unanswered)
    found = []
    for session_id in {entry.session_id for entry in entries}:
        session: Any = await scene.rest.demand("GET", f"/debug/session/{session_id}")
        least, most = named[session_id], named[session_id] + unanswered[session_id]
        if not least <= session["commands_executed"] <= most:
            found.append(
                f"{session_id}: the hub counts {session['commands_executed']} commands, {least} are known"
                f" and {unanswered[session_id]} calls were not answered"
            )
    return found
