"""`kubently` beside `kubectl` on a real cluster: the same words give the same output, errors and exit code."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.support.hub import ADMIN_KEY
from tests.support.kubectl import kubectl_binary
from tests.support.kubently_cli import Cli, Ran
from tests.support.real_road import real_road

pytestmark = pytest.mark.timeout(300)

# Ages pass while the two are asked; of all else every byte counts.
LINES = (
    "get pods -n samples -o name",
    "get pods -A --no-headers -o custom-columns=NAME:.metadata.name,NODE:.spec.nodeName",
    "get deploy web -n samples -o jsonpath={.spec.replicas}",
    "get ns default -o yaml",
    "get pods -n empty",
    "get pod nobody -n samples",
    "get nonsense -n samples",
    "get pods -n samples --field-selector=status.phase=Nonsense",
    "get secrets -n samples",
    "get pods nobody web -n samples",
    "logs crashing -n samples",
    "logs nobody -n samples",
    "logs web -n samples -c nothing",
    "rollout status deploy/web -n samples",
    "auth can-i list pods",
    "auth can-i delete pods",
    "explain pod.spec.containers.image",
    "explain nonsense",
    "api-versions",
    "get --raw",
    "get pods -o nonsense",
    "top pods -A",
)


@pytest.fixture
async def cli(cluster: Cluster, tmp_path: Path) -> AsyncIterator[Cli]:
    async with real_road(tmp_path, cluster, "real") as hub:
        yield Cli(tmp_path, {"KUBENTLY_ENDPOINT": hub.url, "KUBENTLY_API_KEY": ADMIN_KEY, "KUBENTLY_CLUSTER": "real"})


async def kubectl(cluster: Cluster, *words: str) -> Ran:
    environment = {"KUBECONFIG": str(cluster.agent_kubeconfig), "HOME": "/nonexistent", "PATH": os.environ["PATH"]}
    process = await asyncio.create_subprocess_exec(
        *(kubectl_binary(), *words),
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    stdout, stderr = await process.communicate()
    return Ran(process.returncode or 0, stdout.decode(), stderr.decode())


async def test_the_same_words_do_the_same(cluster: Cluster, cli: Cli) -> None:
    different = []
    refused = []
    for line in LINES:
        ours, theirs = await cli(*line.split()), await kubectl(cluster, *line.split())
        if ours.stderr.startswith("kubently: "):  # what the grammar refuses, in its own words
            refused.append(line)
            assert (ours.code, ours.stdout) == (1, "")
            assert theirs.code != 0
        elif ours != theirs:
            different.append((line, ours, theirs))
    assert different == []
    assert refused == ["get --raw", "get pods -o nonsense"]


async def test_a_followed_log_ends_with_its_reader(cluster: Cluster, cli: Cli) -> None:
    running = await cli.start("logs", "-f", "talker", "-n", "samples", "--tail=1")
    assert running.stdout is not None
    assert (await asyncio.wait_for(running.stdout.readline(), 20)).startswith(b"app line ")
    running.terminate()
    await running.communicate()
    assert running.returncode == 143
