"""A namespace of a test's own in the test cluster."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.cluster.cluster import Cluster, ClusterFailed

_SECONDS: Final = 30.0


@contextmanager
def own_namespace(cluster: Cluster, name: str) -> Iterator[str]:
    """Make a namespace called `name` and the test's process id; it goes, with all in it, when the context is left."""
    namespace = f"{name}-{os.getpid()}"
    cluster.kubectl("create", "namespace", namespace)
    try:
        # Where no controller manager runs nobody else makes it.
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        cluster.kubectl("-n", namespace, "apply", "-f", "-", text=json.dumps(account))
        yield namespace
    finally:
        cluster.kubectl("delete", "namespace", namespace, "--wait=false")


def apply(cluster: Cluster, namespace: str, *objects: object) -> None:
    """Apply objects, again for a while when the namespace is too new for them. Raises ClusterFailed."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            cluster.kubectl("-n", namespace, "apply", "-f", "-", text=text)
            return
        except ClusterFailed:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)
