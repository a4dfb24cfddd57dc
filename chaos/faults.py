"""What is done to an agent's link while commands run: each fault goes on and off for ever, as its seed has it.

A fault is cancelled to end it; whoever does that heals the proxy.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping
from random import Random
from typing import Any, Final

from tests.support.chaos_proxy import DIRECTIONS, ChaosProxy, Cut, Direction

Fault = Callable[[ChaosProxy, Random], Coroutine[Any, Any, None]]

_CUTS: Final[tuple[Cut, Cut]] = ("rst", "fin")
_POLL_SECONDS: Final = 0.02


async def delay(proxy: ChaosProxy, random: Random) -> None:
    """Each way has a delay of its own, changed every few seconds."""
    while True:
        for way in proxy.ways.values():
            way.delay_seconds = random.uniform(0, 0.5)
        await asyncio.sleep(random.uniform(0.5, 3))


async def cut(proxy: ChaosProxy, random: Random) -> None:
    """Links end in the middle of a frame, reset or closed, soon after they are there or later."""
    while True:
        await _linked(proxy)
        await asyncio.sleep(random.choice((0, random.uniform(0, 3))))
        size = random.choice((50, 1_000, 20_000, 200_000))
        proxy.cut_after(random.randint(1, size), random.choice(DIRECTIONS), random.choice(_CUTS))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                await _unlinked(proxy)
        proxy.cut(random.choice(_CUTS))  # where so many bytes do not come


async def half_open(proxy: ChaosProxy, random: Random) -> None:
    """Links go deaf in one or both directions and are not closed."""
    while True:
        await _linked(proxy)
        await asyncio.sleep(random.uniform(0.1, 2))
        proxy.half_open(*_some_directions(random))
        before = proxy.opened
        while proxy.opened == before:
            await asyncio.sleep(_POLL_SECONDS)


async def refuse(proxy: ChaosProxy, random: Random) -> None:
    """Links end, and for a while nobody listens."""
    while True:
        await _linked(proxy)
        await asyncio.sleep(random.uniform(0.2, 3))
        proxy.refuse()
        proxy.cut(random.choice(_CUTS))
        await asyncio.sleep(random.uniform(0.1, 2))
        await proxy.accept()


async def drop(proxy: ChaosProxy, random: Random) -> None:
    """Links end, and for a while new ones are accepted and get no answer."""
    while True:
        await _linked(proxy)
        await asyncio.sleep(random.uniform(0.2, 3))
        proxy.hold()
        proxy.cut(random.choice(_CUTS))
        await asyncio.sleep(random.uniform(0.5, 3))
        await proxy.heal()


async def slow(proxy: ChaosProxy, random: Random) -> None:
    """Little bandwidth, changed every few seconds."""
    while True:
        for way in proxy.ways.values():
            way.bytes_per_second = random.choice((50_000, 200_000, 1_000_000))
        await asyncio.sleep(random.uniform(1, 3))


async def stall(proxy: ChaosProxy, random: Random) -> None:
    """Nothing passes for a while in one or both directions; then all of it does."""
    while True:
        ways = [proxy.ways[direction] for direction in _some_directions(random)]
        for way in ways:
            way.stall()
        await asyncio.sleep(random.choice((random.uniform(0.1, 2), random.uniform(2, 8))))
        for way in ways:
            way.go_on()
        await asyncio.sleep(random.uniform(0.5, 3))


async def dribble(proxy: ChaosProxy, random: Random) -> None:
    """Every byte is a segment of its own, for a while."""
    while True:
        for way in proxy.ways.values():
            way.piece_bytes, way.bytes_per_second = 1, random.choice((5_000, 20_000))
        await asyncio.sleep(random.uniform(0.5, 2))
        for way in proxy.ways.values():
            way.heal()
        await asyncio.sleep(random.uniform(0.5, 1.5))


async def mix(proxy: ChaosProxy, random: Random) -> None:
    """All of them, two at a time, for a few seconds each."""
    while True:
        picked = random.sample([fault for fault in FAULTS.values() if fault is not mix], 2)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(random.uniform(2, 8)), asyncio.TaskGroup() as tasks:
                for fault in picked:
                    tasks.create_task(fault(proxy, random))
        await proxy.heal()
        await asyncio.sleep(random.uniform(0, 2))


FAULTS: Final[Mapping[str, Fault]] = {
    "delay": delay,
    "slow": slow,
    "dribble": dribble,
    "stall": stall,
    "cut": cut,
    "half-open": half_open,
    "refuse": refuse,
    "drop": drop,
    "mix": mix,
}


async def _linked(proxy: ChaosProxy) -> None:
    while not proxy.links:
        await asyncio.sleep(_POLL_SECONDS)


async def _unlinked(proxy: ChaosProxy) -> None:
    """Until the links there are have ended."""
    before = list(proxy.links)
    while any(link in proxy.links for link in before):
        await asyncio.sleep(_POLL_SECONDS)


def _some_directions(random: Random) -> tuple[Direction, ...]:
    return random.choice((("up",), ("down",), DIRECTIONS))
