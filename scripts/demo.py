"""The demo behind `scripts/demo`: real processes, a real cluster, four commands, then what to try, to paste."""

import argparse
import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from agent.executors.kubectl import find as find_kubectl

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
CLUSTER_ID = "demo"
PORT = 8080
TIMES = 5  # each way that is compared


def say(text: str = "") -> None:
    """Print a line of progress at once, also into a pipe."""
    print(text, flush=True)


async def find_cluster() -> tuple[dict[str, str], str]:
    """The agent's environment for a cluster that answers, and what cluster it is.

    The current kubectl context if it answers within three seconds, else the test cluster.
    """
    kubectl = shutil.which("kubectl")
    if kubectl is not None:
        probe = await asyncio.create_subprocess_exec(
            kubectl, "get", "--raw", "/version", "--request-timeout=3s",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, stdin=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        if await probe.wait() == 0:
            kubeconfig = os.environ.get("KUBECONFIG", str(Path.home() / ".kube" / "config"))
            return {"KUBECONFIG": kubeconfig}, "your kubectl context"
    say("No cluster answers kubectl here; starting a test cluster (the first time on a machine takes some minutes).")
    up = await asyncio.create_subprocess_exec(
        ROOT / "scripts" / "testcluster", "up", stdout=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL
    )
    output, _ = await up.communicate()
    if up.returncode != 0:
        raise SystemExit("scripts/demo: no cluster; point KUBECONFIG at one, or see the lines above")
    kubeconfig = Path(output.decode().strip().removeprefix("KUBECONFIG="))
    which = "the test cluster (scripts/testcluster down ends it)"
    return {"KUBECONFIG": str(kubeconfig.with_name("agent.kubeconfig"))}, which


@contextlib.asynccontextmanager
async def running(*argv: str | Path, log: Path, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of ours with its log in a file; asked to stop, then made to."""
    with log.open("wb") as sink:
        process = await asyncio.create_subprocess_exec(
            *argv, env={**os.environ, **environment}, stdout=sink, stderr=sink, stdin=asyncio.subprocess.DEVNULL
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), 35)
        except TimeoutError:
            process.kill()
            await process.wait()


async def listening(process: asyncio.subprocess.Process, log: Path) -> str:
    """The URL the hub says it listens on."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for word in log.read_text().split():
            if word.startswith("url="):
                return word.removeprefix("url=")
        if process.returncode is not None:
            break
        await asyncio.sleep(0.05)
    raise SystemExit(f"scripts/demo: the hub did not start:\n{log.read_text()}")


class Hub:
    """The REST API with the demo's key."""

    def __init__(self, http: aiohttp.ClientSession, url: str, key: str) -> None:
        self.url = url
        self._http = http
        self._headers = {"Authorization": f"Bearer {key}"}

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One request; leaves with the hub's own words when it says no."""
        async with self._http.request(method, self.url + path, json=body, headers=self._headers) as response:
            content: dict[str, Any] = await response.json()
            if response.status >= 400:
                raise SystemExit(f"scripts/demo: {method} {path}: {response.status} {content}")
            return content

    async def run(self, session_id: str, command_type: str, *args: str) -> dict[str, Any]:
        """Run a command and show its answer with its time."""
        result, took_ms = await self.timed(session_id, command_type, *args)
        how = f"{result['status']}, {took_ms:.0f} ms through the hub, by {result['executor']}"
        say(f"\n$ kubectl {command_type} {' '.join(args)}    [{how}]")
        lines = result["output"].rstrip("\n").split("\n")
        say("\n".join(lines[:30]))
        if len(lines) > 30:
            say(f"... ({len(lines) - 30} more lines)")
        if result["error"]:
            say(result["error"].rstrip("\n"))
        return result

    async def timed(self, session_id: str, command_type: str, *args: str) -> tuple[dict[str, Any], float]:
        """Run a command; its result and how many milliseconds that took here."""
        body = {"cluster_id": CLUSTER_ID, "session_id": session_id, "command_type": command_type, "args": args}
        started = time.perf_counter()
        result = await self.call("POST", "/debug/execute", body)
        return result, (time.perf_counter() - started) * 1000


async def compare(hub: Hub, session_id: str, environment: dict[str, str]) -> None:
    """The same question to kubectl on this machine and through the hub, in turn; prints the median of each."""
    kubectl = find_kubectl(None, os.environ.get("PATH"))
    if kubectl is None:
        return
    alone_ms, hub_ms = [], []
    for _ in range(TIMES):
        started = time.perf_counter()
        spawned = await asyncio.create_subprocess_exec(
            kubectl, "get", "pods", "-A", env={**os.environ, **environment},
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, stdin=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        await spawned.wait()
        alone_ms.append((time.perf_counter() - started) * 1000)
        result, took_ms = await hub.timed(session_id, "get", "pods", "-A")
        hub_ms.append(took_ms)
    say(
        f"\n`get pods -A`, median of {TIMES}: {statistics.median(alone_ms):.0f} ms for kubectl on this machine,"
        f" {statistics.median(hub_ms):.1f} ms through hub and agent ({result['executor']})."
    )


def broken_pod(table: str) -> tuple[str, str]:
    """Namespace and name of the first pod in a `get pods -A` table that is not well, else of the first one."""
    rows = [line.split() for line in table.split("\n")[1:] if line.strip()]
    if not rows:
        raise SystemExit("scripts/demo: the cluster has no pods to look at")
    sick = [row for row in rows if row[3] not in ("Running", "Completed")]
    namespace, name = (sick or rows)[0][:2]
    return namespace, name


def show_ways_in(url: str, key: str, session_id: str) -> None:
    """Print what to try, ready to paste: the command line, the Python library, curl."""
    say(f"""
The hub is at {url}, its API documentation at {url}/docs. In another terminal, the command line:

export PATH={BIN}:$PATH
export KUBENTLY_ENDPOINT={url} KUBENTLY_API_KEY={key} KUBENTLY_CLUSTER={CLUSTER_ID}

kubently get pods -A
kubently clusters
kubently fleet get pods -A
kubently shell
kubently doctor {CLUSTER_ID}

The Python library, there too:

python - <<'PROGRAM'
import kubently
with kubently.sync.Client() as client, client.debug_session("{CLUSTER_ID}") as session:
    print(session.execute("get", ["pods", "-A"]).output)
PROGRAM

Or curl:

export HUB={url} KEY={key} SESSION={session_id}

curl -X POST $HUB/debug/session -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" \\
  -d '{{"cluster_id": "{CLUSTER_ID}"}}'

curl -X POST $HUB/debug/execute -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" \\
  -d '{{"cluster_id": "{CLUSTER_ID}", "session_id": "'$SESSION'", "command_type": "get", "args": ["pods", "-A"]}}'

curl -X DELETE $HUB/debug/session/$SESSION -H "Authorization: Bearer $KEY"
""")


async def connected(hub: Hub, agent: asyncio.subprocess.Process, log: Path) -> None:
    """Wait for the agent's link."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        state = await hub.call("GET", f"/clusters/{CLUSTER_ID}/status")
        if state["status"] == "connected":
            say(f"Agent {state['agent_version']} connected, Kubernetes {state['kubernetes_version']}.")
            return
        if agent.returncode is not None:
            break
        await asyncio.sleep(0.1)
    raise SystemExit(f"scripts/demo: the agent did not connect:\n{log.read_text()}")


def free_port() -> str:
    """8080 when nobody listens there, else any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", PORT))
        except OSError:
            return "0"
    return str(PORT)


async def demo(*, once: bool) -> None:
    """Everything, in order."""
    started = time.monotonic()
    environment, which = await find_cluster()
    say(f"Cluster: {which}.")
    key = secrets.token_urlsafe(32)
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kubently-demo-")))
        hub_process = await stack.enter_async_context(
            running(
                BIN / "kubently-hub", "serve", "--port", free_port(), "--database", f"sqlite:///{folder}/kubently.db",
                log=folder / "hub.log", KUBENTLY_HUB_ADMIN_KEY=key,
            )
        )  # fmt: skip
        url = await listening(hub_process, folder / "hub.log")
        http = await stack.enter_async_context(aiohttp.ClientSession())
        hub = Hub(http, url, key)
        cluster = await hub.call("POST", "/admin/clusters", {"cluster_id": CLUSTER_ID, "name": "Demo"})
        agent = await stack.enter_async_context(
            running(
                BIN / "kubently-agent", "--hub-url", url.replace("http", "ws", 1), "--cluster-id", CLUSTER_ID,
                log=folder / "agent.log", KUBENTLY_AGENT_TOKEN=cluster["agent_token"], **environment,
            )
        )  # fmt: skip
        await connected(hub, agent, folder / "agent.log")
        session = await hub.call("POST", "/debug/session", {"cluster_id": CLUSTER_ID})
        session_id = session["session_id"]
        pods = await hub.run(session_id, "get", "pods", "-A")
        namespace, name = broken_pod(pods["output"])
        await hub.run(session_id, "describe", "pod", name, "-n", namespace)
        await hub.run(session_id, "explain", "pod.spec.containers.livenessProbe")
        await hub.run(session_id, "version")
        await compare(hub, session_id, environment)
        say(f"\nDone in {time.monotonic() - started:.1f} s.")
        if once:
            return
        show_ways_in(url, key, session_id)
        say("Ctrl-C ends the demo.")
        stopped = asyncio.Event()
        for name_of_signal in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name_of_signal, stopped.set)
        await stopped.wait()


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="leave after the four answers")
    try:
        asyncio.run(demo(once=parser.parse_args().once))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
