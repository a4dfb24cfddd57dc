"""What every bus must do, run against each there is."""

import asyncio

import pytest

from hub.bus.base import Bus, Ended
from hub.bus.local import LocalBus
from hub.records import Result
from schemas.frames import Cancel, Heartbeat, HubFrame


@pytest.fixture(params=["local"])
def bus(request: pytest.FixtureRequest) -> Bus:
    return {"local": LocalBus}[request.param]()


def ended(result_id: str) -> Ended:
    result = Result(result_id, "sess_1", "alpha", "key_1", "get", (), 30, 0, 35, "completed")
    return Ended(result, None)


async def test_frames_go_to_who_delivers_for_the_cluster(bus: Bus) -> None:
    delivered: list[tuple[str, HubFrame]] = []

    async def deliver(cluster_id: str, frame: HubFrame) -> bool:
        delivered.append((cluster_id, frame))
        return cluster_id == "alpha"

    assert not await bus.deliver("alpha", Heartbeat())
    bus.serve(deliver)
    frame = Cancel("res_1", "why")
    assert await bus.deliver("alpha", frame)
    assert not await bus.deliver("beta", frame)
    assert delivered == [("alpha", frame), ("beta", frame)]


async def test_presence(bus: Bus) -> None:
    assert not bus.is_connected("alpha")
    bus.announce("alpha", is_connected=True)
    assert bus.is_connected("alpha")
    assert not bus.is_connected("beta")
    bus.announce("alpha", is_connected=False)
    bus.announce("alpha", is_connected=False)
    assert not bus.is_connected("alpha")


async def test_every_watcher_hears_of_the_ending(bus: Bus) -> None:
    heard: list[Ended] = []
    bus.on_ended(heard.append)
    bus.publish(ended("res_0"))
    with bus.watch("res_1") as first, bus.watch("res_1") as second, bus.watch("res_2") as other:
        bus.publish(ended("res_1"))
        bus.publish(ended("res_1"))
        assert (await first).result.result_id == (await second).result.result_id == "res_1"
        assert not other.done()
    assert other.cancelled()
    bus.publish(ended("res_1"))
    assert [one.result.result_id for one in heard] == ["res_0", "res_1", "res_1", "res_1"]


async def test_a_watcher_that_leaves_takes_nobody_along(bus: Bus) -> None:
    with bus.watch("res_1") as stays:
        with bus.watch("res_1"):
            pass
        bus.publish(ended("res_1"))
        async with asyncio.timeout(1):
            await stays
