"""The blocking client: as the other, from plain functions, threads, notebooks, and under Ctrl-C."""

import asyncio
import signal
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import kubently
from tests.support.hub import ADMIN_KEY
from tests.support.program import started
from tests.support.sdk_world import CLUSTER_ID, LOG, OFFLINE_ID, SdkWorld, sdk_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[SdkWorld]:
    async with sdk_world(tmp_path) as made:
        yield made


async def test_the_same_without_async(world: SdkWorld) -> None:
    def work() -> None:
        with kubently.sync.Client(world.url, ADMIN_KEY) as client:
            with client.debug_session(CLUSTER_ID) as session:
                assert session.execute("get", ["pods", "-o", "name"]).output == "pod/quiet\npod/talker\npod/web-0\n"
                stream = session.stream("logs", ["-f", "web-0"])
                assert "".join(piece.data for piece in stream) == "".join(f"{line}\n" for line in LOG)
                assert stream.result is not None
                left = session.stream("logs", ["-f", "talker"])
                for _ in left:
                    break
                assert left.result_id is not None
                assert client.result(left.result_id, wait=10).status == "cancelled"
                with session.stream("logs", ["-f", "quiet"]) as scoped:
                    next(iter(scoped))
                assert client.result(scoped.result_id or "").status == "cancelled"
            assert client.session(session.session_id).status == "closed"
            with pytest.raises(kubently.ClusterOffline), client.debug_session(OFFLINE_ID):
                pass
            assert [row.cluster_id for row in client.clusters()] == [CLUSTER_ID, OFFLINE_ID]
            assert client.admin.cluster(CLUSTER_ID).is_connected
        with pytest.raises(RuntimeError):
            client.clusters()
        client.close()

    await asyncio.to_thread(work)
    assert not [thread for thread in threading.enumerate() if thread.name == "kubently"]


async def test_a_client_that_is_let_go_ends_its_thread(world: SdkWorld) -> None:
    def work() -> None:
        assert kubently.sync.Client(world.url, ADMIN_KEY).health().status == "healthy"

    await asyncio.to_thread(work)
    assert not [thread for thread in threading.enumerate() if thread.name == "kubently"]


async def test_many_threads_share_a_client(world: SdkWorld) -> None:
    def work() -> list[str]:
        with kubently.sync.Client(world.url, ADMIN_KEY) as client, client.debug_session(CLUSTER_ID) as session:
            with ThreadPoolExecutor(8) as pool:
                results = pool.map(lambda _: session.execute("get", ["pods", "-o", "name"]).output, range(40))
                return list(results)

    assert set(await asyncio.to_thread(work)) == {"pod/quiet\npod/talker\npod/web-0\n"}


async def test_ctrl_c_cancels_in_the_cluster(world: SdkWorld) -> None:
    program = (
        "import sys\n"
        "import kubently\n"
        "with kubently.sync.Client() as client, client.debug_session('alpha') as session:\n"
        "    print('open', file=sys.stderr)\n"
        "    session.execute('logs', ['-f', 'quiet'], timeout=60)\n"
    )
    environment = {"KUBENTLY_ENDPOINT": world.url, "KUBENTLY_API_KEY": ADMIN_KEY}
    async with started("python", "-c", program, env=environment) as process:
        await process.find("open")
        client = kubently.Client(world.url, ADMIN_KEY)
        async with asyncio.timeout(10):
            while not (await client.audit(kind="accepted")):
                await asyncio.sleep(0.02)
        begun = time.monotonic()
        process.process.send_signal(signal.SIGINT)
        assert await process.ended() != 0
        assert time.monotonic() - begun < 5
    assert [row.status for row in await client.audit(kind="ended")] == ["cancelled"]
    assert await client.sessions() == []
