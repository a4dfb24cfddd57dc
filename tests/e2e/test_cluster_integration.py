"""The whole road to a real API server: REST, hub, link, agent as its ServiceAccount, kubectl, and back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from tests.support.kubectl import kubectl_binary
from tests.support.program import Client, agent_program, hub_program

pytestmark = pytest.mark.timeout(300)


class Road:
    """A hub and an agent on the cluster, and a session."""

    def __init__(self, client: Client, session_id: str) -> None:
        self.client = client
        self.session_id = session_id

    async def run(self, command_type: str, *args: str, timeout: int = 30, **fields: Any) -> dict[str, Any]:
        """Execute; the result, or the error body."""
        body = {
            "cluster_id": "alpha",
            "session_id": self.session_id,
            "command_type": command_type,
            "args": list(args),
            "timeout": timeout,
        }
        result: dict[str, Any] = (await self.client.call("POST", "/debug/execute", body | fields)).body
        return result


@asynccontextmanager
async def road(folder: Path, env: dict[str, str]) -> AsyncIterator[Road]:
    async with hub_program(folder) as (_, client):
        token = (await client.call("POST", "/admin/clusters", {"cluster_id": "alpha"})).body["agent_token"]
        async with agent_program(client.url, token, env={"KUBENTLY_AGENT_KUBECTL": kubectl_binary(), **env}):
            async with asyncio.timeout(20):
                while (await client.call("GET", "/clusters/alpha/status")).body["status"] != "connected":
                    await asyncio.sleep(0.05)
            session = await client.call("POST", "/debug/session", {"cluster_id": "alpha"})
            yield Road(client, session.body["session_id"])


async def test_every_verb_on_a_real_cluster(cluster: Cluster, tmp_path: Path) -> None:
    async with road(tmp_path, {"KUBECONFIG": str(cluster.agent_kubeconfig)}) as way:
        pods = await way.run("get", "pods", "-A")
        assert pods["status"] == "completed"
        for name in ("crashing", "unpullable", "hungry", "talker"):
            assert name in pods["output"]
        expected = cluster.kubectl("-n", "samples", "get", "pods", "-o", "name")
        assert (await way.run("get", "pods", "-n", "samples", "-o", "name"))["output"] == expected
        limited = await way.run("get", "pods", "-A", "--limit=2")
        assert len(limited["output"].splitlines()) == 3
        described = await way.run("describe", "pod", "crashing", "-n", "samples")
        assert "CrashLoopBackOff" in described["output"]
        assert "Back-off restarting failed container" in described["output"]
        assert "KIND:" in (await way.run("explain", "pod.spec.containers"))["output"]
        assert "Server Version" in (await way.run("version"))["output"]
        assert "running at" in (await way.run("cluster-info"))["output"]
        assert "deployments" in (await way.run("api-resources"))["output"]
        assert "apps/v1" in (await way.run("api-versions"))["output"]
        assert "BackOff" in (await way.run("events", "-n", "samples"))["output"]
        logs = await way.run("logs", "crashing", "-n", "samples")
        assert logs["output"] == 'reading /etc/app/config.yaml\npanic: missing key "database.url"\n'
        assert (await way.run("auth", "can-i", "list", "pods"))["output"] == "yes\n"
        assert (
            "successfully rolled out" in (await way.run("rollout", "status", "deploy/web", "-n", "samples"))["output"]
        )
        assert "REVISION" in (await way.run("rollout-history", "deploy/web", "-n", "samples"))["output"]
        widgets = await way.run("get", "widgets", "-n", "samples")
        assert "bolt" in widgets["output"]
        no_metrics = await way.run("top", "pods", "-A")
        assert (no_metrics["status"], no_metrics["exit_code"]) == ("failed", 1)
        assert "Metrics API not available" in no_metrics["error"]
        whoami = await way.run("auth-whoami")  # newer than the 1.20 API server of the Debian build
        assert whoami["status"] in ("completed", "failed")


async def test_what_the_cluster_says_no_to_is_a_failed_command(cluster: Cluster, tmp_path: Path) -> None:
    async with road(tmp_path, {"KUBECONFIG": str(cluster.agent_kubeconfig)}) as way:
        forbidden = await way.run("get", "secrets", "-n", "samples")
        assert (forbidden["status"], forbidden["exit_code"]) == ("failed", 1)
        assert "Forbidden" in forbidden["error"]
        missing = await way.run("get", "pod", "nobody", "-n", "samples")
        assert missing["error"] == 'Error from server (NotFound): pods "nobody" not found\n'
        nothing = await way.run("get", "pods", "-n", "empty")
        assert (nothing["status"], nothing["output"]) == ("completed", "")
        assert nothing["error"] == "No resources found in empty namespace.\n"
        refused = await way.run("get", "secret", "credentials", "-n", "samples", "-o", "yaml")
        assert (refused["status"], "Forbidden" in refused["error"]) == ("failed", True)
        template = await way.run("get", "secret", "credentials", "-n", "samples", "-o", "go-template={{.data}}")
        assert template["error"] == "command_refused"


async def test_a_log_that_goes_on_ends_at_its_timeout_with_what_came(cluster: Cluster, tmp_path: Path) -> None:
    async with road(tmp_path, {"KUBECONFIG": str(cluster.agent_kubeconfig)}) as way:
        followed = await way.run("logs", "-f", "talker", "-n", "samples", timeout=3)
        assert followed["status"] == "timeout"
        assert len(followed["output"].splitlines()) > 25
        flooded = await way.run("logs", "-f", "flooder", "-n", "samples", timeout=3)
        assert flooded["status"] in ("timeout", "failed")
        assert not flooded["truncated"]
        assert flooded["output_bytes"] > len(flooded["output"].encode()) > 8 * 1024 * 1024 - 65_536
        bounded = await way.run("logs", "-f", "flooder", "-n", "samples", timeout=10, max_lines=100)
        assert (bounded["status"], bounded["truncated"]) == ("completed", True)
        assert len(bounded["output"].splitlines()) == 100


async def test_commands_run_side_by_side(cluster: Cluster, tmp_path: Path) -> None:
    async with road(tmp_path, {"KUBECONFIG": str(cluster.agent_kubeconfig)}) as way:
        results = await asyncio.gather(*(way.run("get", "pods", "-n", "samples", "-o", "name") for _ in range(24)))
        assert {result["status"] for result in results} == {"completed"}
        assert len({result["output"] for result in results}) == 1


async def test_the_agent_in_a_pod_s_place(cluster: Cluster, tmp_path: Path) -> None:
    host, port = cluster.host_and_port
    env = {
        "KUBECONFIG": "",
        "KUBERNETES_SERVICE_HOST": host,
        "KUBERNETES_SERVICE_PORT": port,
        "KUBENTLY_AGENT_EXECUTION_SERVICE_ACCOUNT_DIR": str(cluster.service_account),
    }
    async with road(tmp_path, env) as way:
        pods = await way.run("get", "pods", "-n", "samples")
        assert pods["status"] == "completed"
        assert "crashing" in pods["output"]
        # Like kubectl in a pod: the account's own namespace, not "default".
        assert "in kubently namespace" in (await way.run("get", "pods"))["error"]
