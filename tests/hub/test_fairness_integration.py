"""Who runs when many want to: keys in turn, each with a bound, and streams apart from other commands."""

import asyncio
from pathlib import Path

from hub.settings import Agents
from schemas.frames import Run
from tests.support.hub import TestHub, running_hub, settings
from tests.support.raw_agent import connected

BACKGROUND = {"Prefer": "respond-async"}


async def start(hub: TestHub, session_id: str, key: str, *args: str, command_type: str = "get") -> None:
    answered = await hub.execute(session_id, command_type, args, key=key, headers=BACKGROUND)
    assert answered.status == 202


async def test_keys_are_served_in_turn(tmp_path: Path) -> None:
    async with running_hub(settings(tmp_path, agents=Agents(max_concurrent_commands=1))) as hub:
        token = await hub.register("alpha")
        greedy, modest = await hub.make_key(), await hub.make_key()
        async with connected(hub.url, token) as agent:
            sessions = {key: await hub.open_session("alpha", key=key) for key in (greedy, modest)}
            for number in range(5):
                await start(hub, sessions[greedy], greedy, "pods", f"greedy-{number}")
            for number in range(2):
                await start(hub, sessions[modest], modest, "pods", f"modest-{number}")
            order = []
            for _ in range(7):
                run = await agent.expect(Run)
                order.append(run.args[-1])
                await agent.exit(run)
    assert order == ["greedy-0", "greedy-1", "modest-0", "greedy-2", "modest-1", "greedy-3", "greedy-4"]


async def test_one_key_leaves_room_for_others(tmp_path: Path) -> None:
    agents = Agents(max_concurrent_commands=4, max_concurrent_per_key=2)
    async with running_hub(settings(tmp_path, agents=agents)) as hub:
        token = await hub.register("alpha")
        greedy, modest = await hub.make_key(), await hub.make_key()
        async with connected(hub.url, token) as agent:
            sessions = {key: await hub.open_session("alpha", key=key) for key in (greedy, modest)}
            for number in range(4):
                await start(hub, sessions[greedy], greedy, "pods", f"greedy-{number}")
            await start(hub, sessions[modest], modest, "pods", "modest")
            runs = [await agent.expect(Run) for _ in range(3)]
            assert [run.args[-1] for run in runs] == ["greedy-0", "greedy-1", "modest"]
            assert (await hub.call("GET", "/clusters/alpha/status")).body["queue_depth"] == 2
            await agent.exit(runs[2])
            await agent.exit(runs[0])
            assert (await agent.expect(Run)).args[-1] == "greedy-2"


async def test_streams_do_not_stand_in_the_way_of_commands(tmp_path: Path) -> None:
    agents = Agents(max_concurrent_commands=1, max_concurrent_streams=2)
    async with running_hub(settings(tmp_path, agents=agents)) as hub:
        token = await hub.register("alpha")
        key = await hub.make_key()
        async with connected(hub.url, token) as agent:
            session_id = await hub.open_session("alpha", key=key)
            for number in range(3):
                await start(hub, session_id, key, f"web-{number}", "-f", command_type="logs")
            streams = [await agent.expect(Run) for _ in range(2)]
            assert all(run.is_stream for run in streams)
            waiting = asyncio.create_task(hub.execute(session_id, key=key))
            run = await agent.expect(Run)
            assert not run.is_stream
            await agent.exit(run, "at once\n")
            assert (await waiting).body["output"] == "at once\n"
            await agent.exit(streams[0])
            assert "web-2" in (await agent.expect(Run)).args
