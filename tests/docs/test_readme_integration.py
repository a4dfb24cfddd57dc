"""README's three ways in, run as they are shown, with the endpoint and the key of a hub that runs."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.support.documents import ROOT, blocks
from tests.support.hub import ADMIN_KEY
from tests.support.kubectl import kubectl_binary
from tests.support.kubently_cli import BIN, Cli
from tests.support.program import agent_program, hub_program


@pytest.mark.timeout(300)
async def test_the_three_ways_in(cluster: Cluster, tmp_path: Path) -> None:
    env = {"KUBECONFIG": str(cluster.agent_kubeconfig), "KUBENTLY_AGENT_KUBECTL": kubectl_binary()}
    async with hub_program(tmp_path) as (_, hub):
        token = (await hub.call("POST", "/admin/clusters", {"cluster_id": "production-cluster"})).body["agent_token"]
        async with agent_program(hub.url, token, cluster_id="production-cluster", env=env):
            async with asyncio.timeout(20):
                while (await hub.call("GET", "/clusters/production-cluster/status")).body["status"] != "connected":
                    await asyncio.sleep(0.05)
            shown = [block for block in blocks(ROOT / "README.md") if block.heading == "Three ways in"]
            assert [block.language for block in shown] == ["sh", "python", "sh"]
            environment = Cli(tmp_path, {"KUBENTLY_ENDPOINT": hub.url, "KUBENTLY_API_KEY": ADMIN_KEY}).environment
            environment["PATH"] = f"{BIN.parent}:{environment['PATH']}"
            for block in shown:
                # It is installed already, and the hub is another one.
                lines = [line for line in block.content.splitlines() if not line.startswith("pip install")]
                source = "\n".join(lines).replace("http://127.0.0.1:8080", hub.url).replace("=... ", f"={ADMIN_KEY} ")
                program = (
                    (sys.executable, "-c") if block.language == "python" else ("bash", "-e", "-o", "pipefail", "-c")
                )
                process = await asyncio.create_subprocess_exec(
                    *(*program, source),
                    env=environment,
                    cwd=tmp_path,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.STDOUT,
                )
                said, _ = await asyncio.wait_for(process.communicate(), 60)
                assert process.returncode == 0, said.decode()
                assert b"CrashLoopBackOff" in said
