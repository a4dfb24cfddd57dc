"""The command `kubently` in a real terminal, where it has colours, progress, a prompt and Ctrl-C."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.hub import ADMIN_KEY
from tests.support.kubently_cli import BIN, Cli
from tests.support.sdk_world import CLUSTER_ID, OFFLINE_ID, SdkWorld, linked, sdk_world
from tests.support.terminal import Terminal, terminal


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[SdkWorld]:
    async with sdk_world(tmp_path) as made:
        yield made


@pytest.fixture
async def screen(world: SdkWorld, tmp_path: Path) -> AsyncIterator[Terminal]:
    environment = Cli(tmp_path, {"KUBENTLY_ENDPOINT": world.url, "KUBENTLY_API_KEY": ADMIN_KEY}).environment
    path = f"{BIN.parent}:{environment['PATH']}"
    async with terminal(tmp_path, environment | {"PATH": path, "KUBENTLY_CLUSTER": CLUSTER_ID}) as opened:
        yield opened


async def cancelled(world: SdkWorld, count: int) -> None:
    async with asyncio.timeout(10):
        while True:
            rows = (await world.hub.call("GET", "/audit?kind=ended")).body["rows"]
            if [row["status"] for row in rows].count("cancelled") == count:
                return
            await asyncio.sleep(0.05)


async def test_tables_have_colours_and_commands_have_not(screen: Terminal) -> None:
    await screen.type("kubently clusters", "Enter")
    await screen.find(rf"{OFFLINE_ID} +disconnected")
    assert "\x1b[32mconnected" in await screen.screen(has_colours=True)
    await screen.type("clear; kubently get pods; echo rc $?", "Enter")
    await screen.find(r"rc 0")
    shown = await screen.screen(has_colours=True)
    assert "web-0    1/1     Running   0          5m" in shown


async def test_clusters_are_watched_in_place(world: SdkWorld, screen: Terminal) -> None:
    await screen.type("kubently clusters --watch; echo rc $?", "Enter")
    await screen.find(rf"{CLUSTER_ID} +connected")
    world.agent.kill()
    await screen.find(rf"{CLUSTER_ID} +disconnected")
    assert (await screen.screen()).count("NAME") == 1
    await screen.type("C-c")
    await screen.find(r"rc 130")


async def test_ctrl_c_cancels_in_the_cluster_too(world: SdkWorld, screen: Terminal) -> None:
    await screen.type("kubently logs -f talker; echo rc $?", "Enter")
    await screen.find(r"tick 3")
    await screen.type("C-c")
    await screen.find(r"rc 130")
    assert "Traceback" not in await screen.screen()
    await cancelled(world, 1)


async def test_a_fleet_shows_how_far_it_is_and_then_one_table(
    world: SdkWorld, screen: Terminal, tmp_path: Path
) -> None:
    kubernetes = {"KUBECONFIG": str(world.server.kubeconfig(tmp_path)), "KUBENTLY_AGENT_EXECUTORS": "native"}
    async with contextlib.AsyncExitStack() as stack:
        for name in ("beta", "gamma"):
            await stack.enter_async_context(linked(world.hub, name, kubernetes))
        await screen.type("clear; kubently fleet get pods; echo rc $?", "Enter")
        await screen.find(r"rc 1")
        shown = await screen.screen()
        for name in ("alpha", "beta", "gamma"):
            assert f"✓ {name}  completed in" in shown
        assert f"✗ {OFFLINE_ID}  Cluster agent is not connected" in shown
        assert "CLUSTER   NAME" in shown
        await screen.type(
            "clear; kubently fleet logs talker --tail=-1 --clusters 'a*' | tail -n 1; echo rc $?", "Enter"
        )
        await screen.find(r"rc 0")


async def test_the_doctor_marks_each_step(screen: Terminal) -> None:
    await screen.type(f"kubently doctor {OFFLINE_ID}; echo rc $?", "Enter")
    await screen.find(r"rc 1")
    shown = await screen.screen(has_colours=True)
    assert "\x1b[32m✓" in shown
    assert "\x1b[31m✗" in shown


async def test_a_shell_completes_remembers_and_goes_on_after_ctrl_c(world: SdkWorld, screen: Terminal) -> None:
    await screen.type("kubently shell", "Enter")
    await screen.find(rf"{CLUSTER_ID}>")
    await screen.type("ge", "Tab")
    await screen.find(rf"{CLUSTER_ID}> get")
    await screen.type(" pod", "Tab")
    await screen.find(r"> get pods")
    await screen.type(" we", "Tab")
    await screen.find(r"> get pods web-0")
    await screen.type("Enter")
    await screen.find(r"web-0 +<unknown>")
    await screen.type("logs -f talker", "Enter")
    await screen.find(r"tick 2")
    await screen.type("C-c")
    await cancelled(world, 1)
    await screen.type("namespace default", "Enter")
    await screen.find(rf"{CLUSTER_ID}/default>")
    await screen.type("Up", "Up")
    await screen.find(r"default> logs -f talker")
    await screen.type("C-c")
    await screen.type("exit", "Enter")
    await screen.find(r"\n\$\s*$")
    assert not (await world.hub.call("GET", "/debug/sessions")).body["sessions"]


async def test_login_may_be_declined(screen: Terminal) -> None:
    for key, code in (("C-c", 130), ("C-d", 2)):
        await screen.type("clear; kubently login; echo rc $?", "Enter")
        await screen.find(r"Hub \[")
        await screen.type(key)
        await screen.find(rf"rc {code}")
        assert "Traceback" not in await screen.screen()


async def test_login_asks_and_hides_the_key(world: SdkWorld, screen: Terminal) -> None:
    await screen.type("env -u KUBENTLY_ENDPOINT -u KUBENTLY_API_KEY kubently login; echo rc $?", "Enter")
    await screen.find(r"Hub \[http://127.0.0.1:8080\]:")
    await screen.type(world.url, "Enter")
    await screen.find(r"API key:")
    await screen.type(ADMIN_KEY, "Enter")
    await screen.find(r"Logged in to .* as first admin \(admin\)")
    assert ADMIN_KEY not in await screen.screen()


async def test_completion_of_the_shell_knows_the_clusters(screen: Terminal, tmp_path: Path) -> None:
    await screen.type("source <(_KUBENTLY_COMPLETE=source_bash kubently)", "Enter")
    await screen.type("kubently exec dar", "Tab")
    await screen.find(rf"kubently exec {OFFLINE_ID}")
