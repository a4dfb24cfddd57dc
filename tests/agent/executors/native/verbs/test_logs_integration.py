"""`logs` of pods with several containers, and followed logs, on a real API server, side by side with kubectl."""

import asyncio
import re
import shlex
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from agent.executors.native.executor import NativeExecutor
from agent.settings import Execution
from schemas import kubectl
from tests.cluster.cluster import Cluster
from tests.differential.harness import Kubectl, compare, environment
from tests.support.kubectl import kubectl_binary
from tests.support.namespaces import apply, own_namespace
from tests.support.sinks import Collected
from tests.support.waiting import until

_DEFAULT: Final = "kubectl.kubernetes.io/default-container"


def pod(name: str, containers: str, init: str = "", **annotations: str) -> dict[str, Any]:
    """A pod that the stand-in for the kubelet runs; its containers have the names given, separated by blanks."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}, "annotations": annotations},
        "spec": {
            "containers": [{"name": one, "image": "example.com/x:1"} for one in containers.split()],
            "initContainers": [{"name": one, "image": "example.com/x:1"} for one in init.split()],
        },
    }


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace with a few pods, all of them running."""
    talks = {"kubently.dev/emit-interval-ms": "20"}
    pods = (
        pod("plain", "a b", "i"),
        pod("annotated", "a b", **{_DEFAULT: "b"}),
        pod("misled", "a b", **{_DEFAULT: "z"}),
        pod("talker", "a b", **talks),
        pod("brief", "a b", **{"kubently.dev/state": "Succeeded"}),
    )
    with own_namespace(cluster, "logs") as name:
        apply(cluster, name, *pods)
        deadline = time.monotonic() + 30
        while (
            cluster.kubectl("-n", name, "get", "pods", "-o", "jsonpath={.items[*].status.phase}")
            .split()
            .count("Running")
            < len(pods) - 1
        ):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield name


@pytest.fixture
async def executor(cluster: Cluster) -> AsyncIterator[NativeExecutor]:
    running = NativeExecutor(environment(cluster.kubeconfig), Execution())
    yield running
    await running.close()


@pytest.fixture(scope="module")
def oracle(cluster: Cluster) -> Iterator[Kubectl]:
    real = Kubectl(kubectl_binary(), Path(cluster.kubeconfig))
    yield real
    real.close()


@pytest.mark.parametrize(
    "line",
    [
        "plain --tail=2",
        "plain i --tail=2",
        "plain -c b --prefix --timestamps --tail=2",
        "plain -c z",
        "annotated --tail=1",
        "annotated -c a --tail=1",
        "annotated --all-pods --tail=1",
        "misled --tail=1",
        "misled --all-pods --tail=1",
        "-l app=annotated",
        "-l app=plain --tail=1",
        "-l app=plain -f --all-containers --max-log-requests=2",
        "brief -f --tail=3",
    ],
)
async def test_the_same_as_kubectl(oracle: Kubectl, executor: NativeExecutor, namespace: str, line: str) -> None:
    wanted, got = await compare(oracle, executor, shlex.split(f"logs -n {namespace} {line}"))
    assert got == wanted


@pytest.mark.parametrize(
    "line", ["plain --all-containers --prefix --tail=2", "brief -f --all-containers --prefix --tail=2"]
)
async def test_the_same_lines_as_kubectl_in_our_order(
    oracle: Kubectl, executor: NativeExecutor, namespace: str, line: str
) -> None:
    wanted, got = await compare(oracle, executor, shlex.split(f"logs -n {namespace} {line}"))
    assert sorted(got.stdout.splitlines()) == sorted(wanted.stdout.splitlines())
    assert (got.stderr, got.exit_code) == (wanted.stderr, wanted.exit_code)


async def test_following_several_containers(executor: NativeExecutor, namespace: str) -> None:
    sink = Collected()
    words = ["-n", namespace, "talker", "-f", "--all-containers", "--prefix", "--tail=0"]
    running = asyncio.create_task(executor.run(kubectl.parse("logs", words), sink))
    await until(lambda: all(sink.stdout.count(f"/{name}] ".encode()) >= 5 for name in "ab"))
    began = time.monotonic()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert time.monotonic() - began < 1.0
    lines = sink.stdout.decode().splitlines(keepends=True)
    assert all(re.fullmatch(r"\[pod/talker/([ab])\] \1 line \d+\n", line) for line in lines)
    for name in "ab":
        numbers = [int(line.split()[-1]) for line in lines if f"/{name}]" in line]
        assert numbers == list(range(20, 20 + len(numbers)))


async def test_a_followed_log_that_reaches_its_limit_ends(executor: NativeExecutor, namespace: str) -> None:
    sink = Collected()
    words = ["-n", namespace, "talker", "-c", "a", "-f", "--tail=0", "--limit-bytes=50"]
    outcome = await executor.run(kubectl.parse("logs", words), sink)
    assert outcome.exit_code == 0
    assert len(sink.stdout) == 50
