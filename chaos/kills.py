"""kill -9 of hub, agents or both, again and again, under load."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final, Literal

from chaos.ledger import Kill
from chaos.scene import Place, Scene

Victims = Literal["hub", "agent", "both"]
VICTIMS: Final[tuple[Victims, ...]] = ("hub", "agent", "both")

# What a killed program is to be back within, from its start to the first command it can take.
BACK_SECONDS: Final = 20.0

_LIVES_SECONDS: Final = (1.0, 5.0)
_AWAY_SECONDS: Final = (0.0, 1.5)
# So often a victim is killed once more so soon after it was started.
_AGAIN: Final = 0.25
_SOON_SECONDS: Final = 1.5


@dataclass(slots=True)
class Killed:
    """What was killed: agents with their times, how often the hub, and the longest anyone took to be back."""

    agents: list[Kill] = field(default_factory=list)
    hubs: int = 0
    longest_seconds: float = 0.0


async def kill_in_a_loop(scene: Scene, victims: Victims, random: Random, killed: Killed, until: float) -> None:
    """Kill until `until` on the monotonic clock. Everything runs again when it returns. Raises ProcessFailed."""
    while time.monotonic() < until:
        await asyncio.sleep(random.uniform(*_LIVES_SECONDS))
        place = random.choice(scene.places)
        is_hub, is_agent = victims != "agent", victims != "hub"
        at = time.monotonic()
        await _kill(scene, place, victims)
        starts = {
            name: random.uniform(*_AWAY_SECONDS)
            for name, is_victim in (("hub", is_hub), ("agent", is_agent))
            if is_victim
        }
        if random.random() < _AGAIN:
            # Also while it comes up, and takes up what there was.
            await _start(scene, place, starts)
            await asyncio.sleep(random.uniform(0, _SOON_SECONDS))
            await _kill(scene, place, victims)
            killed.hubs += is_hub
        started_at = await _start(scene, place, starts)
        await scene.until_connected(BACK_SECONDS)
        back_at = time.monotonic()
        killed.longest_seconds = max(killed.longest_seconds, back_at - started_at)
        killed.hubs += is_hub
        if is_agent:
            killed.agents.append(Kill(place.cluster_id, at, back_at))


async def _kill(scene: Scene, place: Place, victims: Victims) -> None:
    kills = [scene.hub.kill()] if victims != "agent" else []
    kills += [place.agent.kill()] if victims != "hub" else []
    await asyncio.gather(*kills)


async def _start(scene: Scene, place: Place, starts: Mapping[str, float]) -> float:
    """Start each after its time; when the last was started."""

    async def start(name: str, after_seconds: float) -> float:
        await asyncio.sleep(after_seconds)
        await (scene.hub if name == "hub" else place.agent).start()
        return time.monotonic()

    return max(await asyncio.gather(*(start(name, after) for name, after in starts.items())))
