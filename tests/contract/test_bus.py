"""What every bus must do, run against each there is."""

import asyncio

import pytest

from hub.bus.base import Bus, ClusterEvent, Ended, Event, Presence, SessionEvent, Stored
from hub.bus.local import LocalBus
from hub.records import OutputChunk, Result, Session
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

    def post(cluster_id: str, frame: HubFrame) -> None:
        delivered.append((cluster_id, frame))

    assert not await bus.deliver("alpha", Heartbeat())
    bus.post("alpha", Heartbeat())
    bus.serve(deliver, post)
    frame = Cancel("res_1", "why")
    assert await bus.deliver("alpha", frame)
    assert not await bus.deliver("beta", frame)
    bus.post("alpha", frame)
    assert delivered == [("alpha", frame), ("beta", frame), ("alpha", frame)]


async def test_presence_and_who_hears_of_it(bus: Bus) -> None:
    heard: list[Event] = []
    first, second = Presence("boot_1", 1.0), Presence("boot_2", 2.0)
    with bus.listen(heard.append):
        assert bus.presence("alpha") is None
        bus.announce("alpha", first)
        bus.announce("alpha", second)
        assert bus.presence("alpha") == second
        assert bus.presence("beta") is None
        bus.announce("alpha", None)
        bus.announce("alpha", None)
        assert bus.presence("alpha") is None
    bus.announce("alpha", first)
    assert heard == [ClusterEvent("connected", "alpha"), ClusterEvent("disconnected", "alpha")]


async def test_events_go_to_all_who_listen_for_as_long_as_they_do(bus: Bus) -> None:
    event = SessionEvent("created", Session("sess_1", "alpha", "key_1", 0, 1, 0))
    one: list[Event] = []
    other: list[Event] = []
    with bus.listen(one.append):
        with bus.listen(other.append):
            bus.publish_event(event)
        bus.publish_event(event)
    bus.publish_event(event)
    assert (len(one), len(other)) == (2, 1)


async def test_stored_output_is_told(bus: Bus) -> None:
    heard: list[Stored] = []
    bus.on_output(heard.append)
    stored = Stored("alpha", "res_1", [OutputChunk(1, "stdout", "x")])
    bus.publish_output(stored)
    assert heard == [stored]


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
