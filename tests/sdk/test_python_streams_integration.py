"""Streams of the Python library: nothing is lost or doubled, whatever breaks; leaving ends what runs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

import kubently
from tests.support.chaos_proxy import Cut, chaos_proxy
from tests.support.fake_api_server import fake_api_server, never
from tests.support.hub import ADMIN_KEY
from tests.support.program import agent_program, hub_program
from tests.support.sdk_world import CLUSTER_ID, LOG, SdkWorld, fill, linked, sdk_world

WHOLE = "".join(f"{line}\n" for line in LOG)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[SdkWorld]:
    async with sdk_world(tmp_path) as made:
        yield made


def client_of(url: str, **options: Any) -> kubently.Client:
    return kubently.Client(url, ADMIN_KEY, **options)


async def ended(client: kubently.Client, result_id: str | None) -> str:
    """How a command ended, soon."""
    assert result_id is not None
    return (await client.result(result_id, wait=10)).status


async def read(stream: kubently.Stream, also: Callable[[], object] = lambda: None) -> str:
    """All of it, doing something at each piece."""
    text = ""
    async for piece in stream:
        text += piece.data
        also()
    return text


@pytest.mark.parametrize("how", ["rst", "fin"])
async def test_a_stream_through_a_proxy_that_cuts_it_is_whole(world: SdkWorld, how: Cut) -> None:
    port = int(world.url.rsplit(":", 1)[1])
    async with chaos_proxy(port) as proxy:
        client = client_of(f"http://127.0.0.1:{proxy.port}")
        async with client.debug_session(CLUSTER_ID) as session:
            stream = session.stream("logs", ["-f", "web-0"])
            proxy.down.bytes_per_second = 300_000

            async def cut() -> None:
                # In the middle of whatever passes: 97 bytes into the next ones, again and again.
                while True:
                    proxy.cut_after(97 + 61 * proxy.cuts, "down", how)
                    await asyncio.sleep(0.4)

            cutting = asyncio.create_task(cut())
            pieces = [piece async for piece in stream]
            cutting.cancel()
            assert proxy.cuts >= 3
            assert "".join(piece.data for piece in pieces) == WHOLE
            seqs = [piece.seq for piece in pieces]
            assert seqs == sorted(set(seqs))
            assert stream.result is not None
            assert stream.result.ok
            assert stream.last_seq == seqs[-1]
            await proxy.heal()


async def test_commands_through_a_proxy_that_cuts_run_once(world: SdkWorld) -> None:
    port = int(world.url.rsplit(":", 1)[1])
    async with chaos_proxy(port) as proxy:
        client = client_of(f"http://127.0.0.1:{proxy.port}", retries=20)
        async with client.debug_session(CLUSTER_ID) as session:
            for number in range(12):
                proxy.cut_after(20 + 50 * number, "down", "rst")
                result = await session.execute("get", ["pods", "-o", "name"])
                assert result.output == "pod/quiet\npod/talker\npod/web-0\n"
            assert proxy.cuts >= 10
            assert (await client_of(world.url).session(session.session_id)).commands_executed == 12


@pytest.mark.timeout(120)
@pytest.mark.parametrize("is_killed", [True, False])
async def test_a_stream_goes_on_with_the_next_hub(tmp_path: Path, *, is_killed: bool) -> None:
    async with fake_api_server() as server, contextlib.AsyncExitStack() as stack:
        fill(server)
        env = {"KUBECONFIG": str(server.kubeconfig(tmp_path)), "KUBENTLY_AGENT_EXECUTORS": "native"}
        hub, rest = await stack.enter_async_context(hub_program(tmp_path))
        port = int(rest.url.rsplit(":", 1)[1])
        token = (await rest.call("POST", "/admin/clusters", {"cluster_id": CLUSTER_ID})).body["agent_token"]
        await stack.enter_async_context(agent_program(rest.url, token, cluster_id=CLUSTER_ID, env=env))
        client = client_of(rest.url)
        async with client.debug_session(CLUSTER_ID, wait=20) as session:
            stream = session.stream("logs", ["-f", "web-0"])
            text = ""
            async for piece in stream:
                if not text:
                    (hub.kill if is_killed else hub.terminate)()
                    await hub.ended()
                    _, rest = await stack.enter_async_context(hub_program(tmp_path, port=port))
                text += piece.data
            assert text == WHOLE
            assert stream.result is not None
            assert stream.result.ok


async def test_leaving_a_stream_cancels_it_in_the_cluster(world: SdkWorld) -> None:
    client = client_of(world.url)
    async with client.debug_session(CLUSTER_ID) as session:
        broken = session.stream("logs", ["-f", "talker"])
        async for _ in broken:
            break
        assert await ended(client, broken.result_id) == "cancelled"

        raised = session.stream("logs", ["-f", "talker"])
        with contextlib.suppress(ZeroDivisionError):
            async for _ in raised:
                raise ZeroDivisionError
        assert await ended(client, raised.result_id) == "cancelled"

        scoped = session.stream("logs", ["-f", "talker"])
        async with scoped:
            async for _ in scoped:
                break
        assert (await client.result(scoped.result_id or "")).status == "cancelled"  # already

        given_up = session.stream("logs", ["-f", "quiet"])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await read(given_up)
        assert await ended(client, given_up.result_id) == "cancelled"

        left = await session.start("logs", ["-f", "quiet"], timeout=60)
        with pytest.raises(RuntimeError):
            await read(broken)
    assert await ended(client, left.result_id) == "cancelled"


async def test_what_is_given_up_is_cancelled_in_the_cluster(world: SdkWorld) -> None:
    client = client_of(world.url)
    async with client.debug_session(CLUSTER_ID) as session:
        for seconds in (0.0, 0.001, 0.01, 0.1, 0.4):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(seconds):
                    await session.execute("logs", ["-f", "quiet"], timeout=60)
        rows = await client.audit(kind="ended")
        assert {row.status for row in rows} <= {"cancelled"}
        assert len(rows) == len(await client.audit(kind="accepted"))


async def test_a_session_that_is_given_up_while_it_opens_is_closed(world: SdkWorld) -> None:
    client = client_of(world.url)
    for _ in range(20):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.004):
                async with client.debug_session(CLUSTER_ID):
                    await asyncio.sleep(1)
    assert await client.sessions() == []


async def test_leaving_a_fleet_cancels_it_in_the_clusters(world: SdkWorld, tmp_path: Path) -> None:
    kubernetes = {"KUBECONFIG": str(world.server.kubeconfig(tmp_path)), "KUBENTLY_AGENT_EXECUTORS": "native"}
    world.server.route("/api/v1/namespaces/default/pods/slow", never())
    client = client_of(world.url)
    async with linked(world.hub, "beta", kubernetes):
        async for answer in client.fleet("get", ["pod", "slow"], clusters=["*"]):
            assert (answer.cluster_id, type(answer.error)) == ("dark", kubently.ClusterOffline)
            break
        async with asyncio.timeout(10):
            while [row.status for row in await client.audit(kind="ended")] != ["cancelled"] * 2:
                await asyncio.sleep(0.02)
        assert await client.sessions() == []


async def test_following_leaves_the_command_alone(world: SdkWorld) -> None:
    client = client_of(world.url)
    async with client.debug_session(CLUSTER_ID) as session:
        begun = await session.start("logs", ["-f", "talker"])
        first = session.follow(begun.result_id)
        text = ""
        async for piece in first:
            text += piece.data
            if text.count("\n") > 3:
                break
        assert (await client.result(begun.result_id)).status == "running"
        async for piece in client.follow(begun.result_id, first.last_seq):
            text += piece.data
            if text.count("\n") > 6:
                break
        assert text.splitlines()[:6] == [f"tick {number}" for number in range(6)]
        assert (await client.cancel(begun.result_id)).status == "cancelled"


async def test_a_reader_that_takes_its_time_gets_everything(world: SdkWorld) -> None:
    client = client_of(world.url)
    async with client.debug_session(CLUSTER_ID) as session:
        text = ""
        async for piece in session.stream("logs", ["-f", "web-0"]):
            await asyncio.sleep(0.02)
            text += piece.data
        assert text == WHOLE


async def test_a_hub_that_stays_away_is_an_error_that_says_where_to_go_on(
    world: SdkWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kubently.stream._AWAY_SECONDS", 0.6)
    port = int(world.url.rsplit(":", 1)[1])
    async with chaos_proxy(port) as proxy:
        client = client_of(f"http://127.0.0.1:{proxy.port}")

        def gone() -> None:
            proxy.refuse()
            proxy.cut("rst")

        async with client.debug_session(CLUSTER_ID) as session:
            stream = session.stream("logs", ["-f", "talker"])
            with pytest.raises(kubently.ConnectionFailed) as failed:
                await read(stream, also=gone)
            assert (failed.value.result_id, failed.value.last_seq) == (stream.result_id, stream.last_seq)
            await proxy.heal()
    assert await ended(client_of(world.url), stream.result_id) == "cancelled"
