"""What the cluster holds for a run, in a namespace of its own: every output is known before it is asked for."""

import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from tests.cluster.cluster import Cluster, ClusterFailed

# ConfigMaps by their size in bytes; Kubernetes takes 1 MiB each.
TEXT_BYTES: Final = {"small": 2_000, "medium": 100_000, "large": 800_000}
ROWS: Final = 150
# Pods by the lines of their logs, about 80 bytes each.
LOG_LINES: Final = (200, 5_000, 20_000)
# Pods whose followed logs go on, by the milliseconds between their lines; 0: as fast as they are read.
TALKERS: Final = {"talker": 10, "flooder": 0}
TALKER_LINES: Final = 20

_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz0123456789 .,;-_äöü漢字🙂"
_READY_SECONDS: Final = 60.0
# One kubectl apply takes so many bytes at most; each object costs a request anyway.
_APPLY_OBJECTS: Final = 60


class Samples:
    """The namespace's name and what is in it."""

    def __init__(self, namespace: str, seed: int) -> None:
        self.namespace = namespace
        source = random.Random(seed)
        self.texts = {name: _text(source, size) for name, size in TEXT_BYTES.items()}
        self.rows = {f"row-{number:03}": f"{source.getrandbits(256):064x}" for number in range(ROWS)}

    @property
    def pods(self) -> list[str]:
        """The pods' names, in the order of a list."""
        return sorted([log_pod(lines) for lines in LOG_LINES] + list(TALKERS))

    def objects(self) -> Iterator[dict[str, Any]]:
        """Everything there is to make."""
        for name, text in self.texts.items():
            yield {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": f"text-{name}"},
                "data": {"text": text},
            }
        for name, sum_ in self.rows.items():
            metadata = {"name": name, "labels": {"chaos": "row"}}
            yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"sum": sum_}}
        for lines in LOG_LINES:
            yield _pod(log_pod(lines), {"kubently.dev/numbered-lines": str(lines)})
        for name, interval_ms in TALKERS.items():
            annotations = {
                "kubently.dev/numbered-lines": str(TALKER_LINES),
                "kubently.dev/emit-interval-ms": str(interval_ms),
            }
            yield _pod(name, annotations)


def log_pod(lines: int) -> str:
    """The pod whose log has so many lines."""
    return f"lines-{lines}"


@contextmanager
def samples_in(cluster: Cluster, name: str, seed: int) -> Iterator[Samples]:
    """Make the namespace `name` and all in it; it goes when the context is left. Blocks. Raises ClusterFailed."""
    samples = Samples(name, seed)
    cluster.kubectl("create", "namespace", name)
    try:
        # Where no controller manager runs nobody else makes it.
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        cluster.kubectl("-n", name, "apply", "-f", "-", text=json.dumps(account))
        objects = list(samples.objects())
        for first in range(0, len(objects), _APPLY_OBJECTS):
            _make(cluster, name, objects[first : first + _APPLY_OBJECTS])
        _until_running(cluster, samples)
        yield samples
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false")


def _make(cluster: Cluster, namespace: str, objects: list[dict[str, Any]]) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            # By the server: the client's apply puts the whole object into an annotation, where large ones do not fit.
            cluster.kubectl("-n", namespace, "apply", "--server-side", "-f", "-", text=text)
            return
        except ClusterFailed:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)


def _until_running(cluster: Cluster, samples: Samples) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        rows = cluster.kubectl("-n", samples.namespace, "get", "pods", "--no-headers").splitlines()
        if len(rows) == len(samples.pods) and all(row.split()[2] == "Running" for row in rows):
            return
        if time.monotonic() > deadline:
            raise ClusterFailed(f"the pods of namespace {samples.namespace} do not run: {rows}")
        time.sleep(0.2)


def _pod(name: str, annotations: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"containers": [{"name": "app", "image": "example.com/app:1"}]},
    }


def _text(source: random.Random, size: int) -> str:
    """Text of about so many bytes in lines of different lengths, one of them very long."""
    parts = ["".join(source.choices(_ALPHABET, k=size // 3))]
    written = len(parts[0].encode())
    while written < size:
        parts.append("\n" + "".join(source.choices(_ALPHABET, k=source.randint(0, 200))))
        written += len(parts[-1].encode())
    return "".join(parts)
