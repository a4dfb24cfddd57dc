"""`rollout status` following a rollout that goes on, on a real API server, side by side with kubectl."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
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

_DEADLINE_SECONDS: Final = 30.0


def deployment(state: str, replicas: int) -> dict[str, Any]:
    """A deployment whose pods are in a state that the stand-in for the kubelet knows."""
    metadata = {"labels": {"app": "web"}, "annotations": {"kubently.dev/state": state}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": metadata, "spec": {"containers": [{"name": "web", "image": "example.com/web:1"}]}},
        },
    }


class Rollout:
    """The deployment `web` in a namespace of its own, and what a controller makes of it."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.namespace = namespace
        self._cluster = cluster
        self._has_controllers = (cluster.folder / "kube-controller-manager.log").exists()

    def start(self) -> None:
        """Deploy pods that do not get ready, and wait until that is known."""
        apply(self._cluster, self.namespace, deployment("Pending", 2))
        self._control(observedGeneration=1, replicas=2, updatedReplicas=2, unavailableReplicas=2)
        self._until(lambda status: status.get("unavailableReplicas") == 2 and status.get("updatedReplicas") == 2)

    def go_on(self) -> None:
        """Scale up, and deploy pods that do get ready."""
        apply(self._cluster, self.namespace, deployment("Running", 3))
        generation = self._get()["metadata"]["generation"]
        self._control(observedGeneration=generation, replicas=4, updatedReplicas=2)
        self._control(observedGeneration=generation, replicas=3, updatedReplicas=3, availableReplicas=3)
        self._until(lambda status: status.get("availableReplicas") == status.get("replicas") == 3)

    def _control(self, **status: int) -> None:
        """Do the controller's part where there is none."""
        if not self._has_controllers:
            words = ("patch", "deployment", "web", "--subresource=status", "--type=merge", "-p")
            self._cluster.kubectl("-n", self.namespace, *words, json.dumps({"status": status}))

    def _until(self, condition: Callable[[dict[str, Any]], bool]) -> None:
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while not condition(self._get().get("status", {})):
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def _get(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self._cluster.kubectl("-n", self.namespace, "get", "deployment", "web", "-o", "json")
        )
        return found


@pytest.fixture
def rollout(cluster: Cluster) -> Iterator[Rollout]:
    with own_namespace(cluster, "rollout") as namespace:
        yield Rollout(cluster, namespace)


@pytest.fixture
async def executor(cluster: Cluster) -> AsyncIterator[NativeExecutor]:
    running = NativeExecutor(environment(cluster.kubeconfig), Execution())
    yield running
    await running.close()


@pytest.fixture
def oracle(cluster: Cluster) -> Iterator[Kubectl]:
    real = Kubectl(kubectl_binary(), cluster.kubeconfig)
    yield real
    real.close()


async def test_following_a_deployment_that_scales(
    cluster: Cluster, rollout: Rollout, executor: NativeExecutor, oracle: Kubectl
) -> None:
    await asyncio.to_thread(rollout.start)
    words = ["status", "deploy/web", "-n", rollout.namespace, "--timeout=60s"]
    sink = Collected()
    real = await asyncio.create_subprocess_exec(
        *(kubectl_binary(), f"--kubeconfig={cluster.kubeconfig}", "rollout", *words), stdout=asyncio.subprocess.PIPE
    )
    assert real.stdout is not None
    try:
        native = asyncio.create_task(executor.run(kubectl.parse("rollout", words), sink))
        await until(lambda: sink.stdout.count(b"\n") == 1)
        first = await real.stdout.readline()
        await asyncio.to_thread(rollout.go_on)
        outcome = await native
        rest, _ = await real.communicate()
    finally:
        if real.returncode is None:
            real.kill()
            await real.wait()
    assert first.endswith(b"0 of 2 updated replicas are available...\n")
    assert sink.stdout.endswith(b'deployment "web" successfully rolled out\n')
    assert (sink.stdout, sink.stderr, outcome.exit_code) == (first + rest, b"", real.returncode)
    wanted, got = await compare(oracle, executor, ["rollout", "history", "deploy/web", "-n", rollout.namespace])
    assert got == wanted
