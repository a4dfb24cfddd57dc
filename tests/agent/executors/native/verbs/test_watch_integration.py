"""`get --watch` on a real cluster: kubectl and native watch the same objects while these come, change and go."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest
import pytest_asyncio

from agent.executors.native.executor import NativeExecutor
from agent.settings import Execution
from schemas import kubectl
from tests.cluster.cluster import Cluster
from tests.differential.harness import environment
from tests.support.kubectl import kubectl_binary
from tests.support.namespaces import apply, own_namespace
from tests.support.sinks import Collected
from tests.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Ages are the server's, of the moment it tells a watch: two watches may see different seconds.
_AGE = re.compile(rb"\b\d+s\b")
_LAST = b"last"  # the object whose coming ends a watch here

FORMS = (
    "widgets -w",
    "widgets -w --output-watch-events",
    "widgets -w -o wide --show-labels -L tier",
    "widgets -w --show-kind --no-headers",
    "widgets -w -o name",
    "widgets -w -o json",
    "widgets -w -o yaml --output-watch-events",
    "widgets -w -o jsonpath={.metadata.name}:{.spec.colour}{';'}",
    "widgets -w -o custom-columns=NAME:.metadata.name,COLOUR:.spec.colour",
    "widgets -w --server-print=false",
    "widgets -w -l tier!=hidden",
    "widgets -w --chunk-size=1",
)


def widget(name: str, colour: str, **labels: str) -> dict[str, object]:
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "samples.kubently.dev/v1", "kind": "Widget", "metadata": metadata, "spec": {"colour": colour}}


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    with own_namespace(cluster, "watch") as name:
        yield name


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def native(cluster: Cluster) -> AsyncIterator[NativeExecutor]:
    executor = NativeExecutor(environment(cluster.kubeconfig), Execution())
    yield executor
    await executor.close()


class Watch:
    """One command line, watched by both."""

    def __init__(self, line: str, namespace: str) -> None:
        self.argv = [*line.split(), "-n", namespace]
        self.native = Collected()
        self.kubectl = b""
        self._process: asyncio.subprocess.Process | None = None
        self._tasks: list[asyncio.Task[object]] = []

    async def start(self, executor: NativeExecutor, cluster: Cluster) -> None:
        command = kubectl.parse("get", self.argv)
        self._process = await asyncio.create_subprocess_exec(
            kubectl_binary(),
            *command.kubectl_argv(),
            env={"KUBECONFIG": str(cluster.kubeconfig), "HOME": str(cluster.folder / "home"), "PATH": "/nonexistent"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        self._tasks = [
            asyncio.create_task(executor.run(command, self.native)),
            asyncio.create_task(self._collect(self._process)),
        ]

    def both_have(self, text: bytes) -> bool:
        return text in self.native.stdout and text in self.kubectl

    def printed(self) -> tuple[bytes, bytes]:
        """What kubectl and native have printed, with all ages as if of the same second."""
        return _AGE.sub(b"0s", self.kubectl), _AGE.sub(b"0s", self.native.stdout)

    def is_alike(self) -> bool:
        wanted, got = self.printed()
        return wanted == got

    async def stop(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        if self._tasks:
            running, reading = self._tasks
            running.cancel()
            await asyncio.wait({running, reading})

    async def _collect(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while data := await process.stdout.read(65536):
            self.kubectl += data


async def test_watches_alike(cluster: Cluster, native: NativeExecutor, namespace: str) -> None:
    apply(cluster, namespace, widget("first", "red", tier="front"), widget("second", "blue"))
    watches = [Watch(form, namespace) for form in FORMS]
    try:
        for watch in watches:
            await watch.start(native, cluster)
        await until(lambda: all(watch.both_have(b"second") for watch in watches), 30)
        await asyncio.to_thread(_change, cluster, namespace)
        await until(lambda: all(watch.both_have(_LAST) for watch in watches), 30)
        # The name of the last object is not the end of what is printed of it.
        with suppress(TimeoutError):
            await until(lambda: all(watch.is_alike() for watch in watches), 5)
    finally:
        await asyncio.gather(*(watch.stop() for watch in watches))
    assert {form: watch.printed() for form, watch in zip(FORMS, watches, strict=True) if not watch.is_alike()} == {}
    assert {form: watch.native.stderr for form, watch in zip(FORMS, watches, strict=True) if watch.native.stderr} == {}


def _change(cluster: Cluster, namespace: str) -> None:
    """Make, change and remove objects, one after another."""
    apply(cluster, namespace, widget("third-with-a-longer-name", "green"))
    cluster.kubectl("-n", namespace, "label", "widget", "first", "tier=back", "--overwrite")
    cluster.kubectl("-n", namespace, "label", "widget", "second", "tier=hidden")
    apply(cluster, namespace, widget("first", "a-long-colour-name", tier="back"))
    cluster.kubectl("-n", namespace, "delete", "widget", "third-with-a-longer-name")
    apply(cluster, namespace, widget(_LAST.decode(), "white"))


@pytest.mark.parametrize("form", ["-w", "-w -o name", "--watch-only -o name", "-w --output-watch-events"])
async def test_one_object(cluster: Cluster, native: NativeExecutor, namespace: str, form: str) -> None:
    apply(cluster, namespace, widget("single", "red"))
    watch = Watch(f"widget single {form}", namespace)
    try:
        await watch.start(native, cluster)
        shown = b"single"
        if "only" in form:
            # Nothing shows that these watch; they show the first change they see.
            for colour in range(100):
                apply(cluster, namespace, widget("single", f"red-{colour}"))
                if watch.both_have(shown):
                    break
                await asyncio.sleep(0.05)
            assert watch.both_have(shown)
            return
        await until(lambda: watch.both_have(shown), 30)
        counts = [text.count(shown) for text in (watch.kubectl, watch.native.stdout)]
        assert counts == [1, 1]
        await asyncio.to_thread(apply, cluster, namespace, widget("single", f"blue-{abs(hash(form))}"))
        await until(lambda: watch.kubectl.count(shown) == watch.native.stdout.count(shown) == 2, 30)
        await until(watch.is_alike)
    finally:
        await watch.stop()
