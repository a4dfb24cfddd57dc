"""A hub process and an agent process on the real test cluster, connected."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.cluster.cluster import Cluster
from tests.support.kubectl import kubectl_binary
from tests.support.program import Client, agent_program, hub_program


@contextlib.asynccontextmanager
async def real_road(folder: Path, cluster: Cluster, cluster_id: str, **fields: Any) -> AsyncIterator[Client]:
    """The hub's API; the cluster is registered under this name, with these fields."""
    env = {"KUBECONFIG": str(cluster.agent_kubeconfig), "KUBENTLY_AGENT_KUBECTL": kubectl_binary()}
    async with hub_program(folder) as (_, hub):
        made = await hub.call("POST", "/admin/clusters", {"cluster_id": cluster_id} | fields)
        async with agent_program(hub.url, made.body["agent_token"], cluster_id=cluster_id, env=env):
            async with asyncio.timeout(20):
                while (await hub.call("GET", f"/clusters/{cluster_id}/status")).body["status"] != "connected":
                    await asyncio.sleep(0.05)
            yield hub
