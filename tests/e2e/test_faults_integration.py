"""Hub and agent as real processes that are killed, stopped and started again."""

import asyncio
import sqlite3
import ssl
import subprocess
import time
from pathlib import Path

import aiohttp
import pytest

from tests.support.hub import ADMIN_KEY
from tests.support.kubectls import kubeconfig, stub_kubectl
from tests.support.program import Client, agent_program, hub_program, started

# Its logs say so once the file `go` is there.
SLEEPY = """
    if args[:1] == ['logs']:
        print('started', flush=True)
        go = pathlib.Path(__file__).with_name('go')
        for _ in range(6000):
            if go.exists():
                break
            time.sleep(0.01)
        print('line\\n' * 20_000 + 'done')
    print('args', *args)
"""
LOG = "started\n" + "line\n" * 20_000 + "done\nargs logs -- web\n"


def agent_env(folder: Path) -> dict[str, str]:
    return {
        "KUBECONFIG": str(kubeconfig(folder)),
        "KUBENTLY_AGENT_EXECUTORS": "kubectl",
        "KUBENTLY_AGENT_KUBECTL": str(stub_kubectl(folder, SLEEPY)),
    }


async def is_connected(client: Client, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while (await client.call("GET", "/clusters/alpha/status")).body["status"] != "connected":
            await asyncio.sleep(0.02)


async def open_session(client: Client) -> str:
    return str((await client.call("POST", "/debug/session", {"cluster_id": "alpha"})).body["session_id"])


def command(session_id: str, command_type: str = "get", *args: str, timeout: int = 30) -> dict[str, object]:
    return {
        "cluster_id": "alpha",
        "session_id": session_id,
        "command_type": command_type,
        "args": list(args),
        "timeout": timeout,
    }


async def test_a_hub_killed_and_restarted_has_everything_and_its_agent_back(tmp_path: Path) -> None:
    async with hub_program(tmp_path) as (hub, client):
        port = int(client.url.rpartition(":")[2])
        token = (await client.call("POST", "/admin/clusters", {"cluster_id": "alpha"})).body["agent_token"]
        async with agent_program(client.url, token, env=agent_env(tmp_path)):
            await is_connected(client, 15)
            session_id = await open_session(client)
            done = (await client.call("POST", "/debug/execute", command(session_id, "get", "pods"))).body
            assert (done["status"], done["output"]) == ("completed", "args get -- pods\n")
            body = command(session_id, "logs", "web")
            waiting = asyncio.create_task(client.call("POST", "/debug/execute", body, Idempotency_Key="once"))
            async with asyncio.timeout(5):
                while (await client.call("GET", f"/debug/session/{session_id}")).body["commands_executed"] < 2:
                    await asyncio.sleep(0.01)
            hub.kill()
            await hub.ended()
            with pytest.raises(aiohttp.ClientError):
                await waiting
            (tmp_path / "go").touch()  # it ends while there is no hub
            async with hub_program(tmp_path, port=port) as (_, again):
                killed_at = time.monotonic()
                assert (await again.call("GET", f"/debug/result/{done['result_id']}")).body == done
                assert (await again.call("GET", f"/debug/session/{session_id}")).body["status"] == "active"
                finished = (await again.call("POST", "/debug/execute", body, Idempotency_Key="once")).body
                assert (finished["status"], finished["output"]) == ("completed", LOG)
                assert time.monotonic() - killed_at < 10
                after = await again.call("POST", "/debug/execute", command(session_id, "get", "pods"))
                assert after.body["status"] == "completed"


async def test_an_agent_killed_and_restarted_works_within_five_seconds(tmp_path: Path) -> None:
    async with hub_program(tmp_path) as (_, client):
        token = (await client.call("POST", "/admin/clusters", {"cluster_id": "alpha"})).body["agent_token"]
        async with agent_program(client.url, token, env=agent_env(tmp_path)) as agent:
            await is_connected(client, 15)
            session_id = await open_session(client)
            running = asyncio.create_task(client.call("POST", "/debug/execute", command(session_id, "logs", "web")))
            async with asyncio.timeout(5):
                while not (await client.call("GET", f"/debug/session/{session_id}")).body["commands_executed"]:
                    await asyncio.sleep(0.01)
            agent.kill()
        async with agent_program(client.url, token, env=agent_env(tmp_path)):
            assert (await running).body["status"] == "lost"
            async with asyncio.timeout(5):
                while (await client.call("POST", "/debug/execute", command(session_id, "get", "pods"))).status != 200:
                    await asyncio.sleep(0.02)


async def test_a_timeout_and_a_cancel_reach_the_process(tmp_path: Path) -> None:
    async with hub_program(tmp_path) as (_, client):
        token = (await client.call("POST", "/admin/clusters", {"cluster_id": "alpha"})).body["agent_token"]
        async with agent_program(client.url, token, env=agent_env(tmp_path)):
            await is_connected(client, 15)
            session_id = await open_session(client)
            late = (await client.call("POST", "/debug/execute", command(session_id, "logs", "web", timeout=1))).body
            assert (late["status"], late["output"]) == ("timeout", "started\n")
            accepted = await client.call(
                "POST", "/debug/execute", command(session_id, "logs", "web"), Prefer="respond-async"
            )
            async with asyncio.timeout(5):
                while not _runs(tmp_path / "kubectl"):
                    await asyncio.sleep(0.01)
            begun = time.monotonic()
            cancelled = await client.call("DELETE", f"/debug/result/{accepted.body['result_id']}")
            assert cancelled.body["status"] == "cancelled"
            while _runs(tmp_path / "kubectl"):
                await asyncio.sleep(0.01)
            assert time.monotonic() - begun < 1  # nothing is left in the cluster within a second


def _runs(program: Path) -> bool:
    """Whether some process still has the program in its command line."""
    return str(program).encode() in b"".join(_command_lines())


def _command_lines() -> list[bytes]:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes())
        except OSError:
            continue
    return [line for line in lines if b"logs" in line]


async def test_a_stopping_hub_drains(tmp_path: Path) -> None:
    async with hub_program(tmp_path) as (hub, client):
        token = (await client.call("POST", "/admin/clusters", {"cluster_id": "alpha"})).body["agent_token"]
        async with agent_program(client.url, token, env=agent_env(tmp_path)) as agent:
            await is_connected(client, 15)
            session_id = await open_session(client)
            running = asyncio.create_task(
                client.call("POST", "/debug/execute", command(session_id, "logs", "web", timeout=2))
            )
            async with asyncio.timeout(5):
                while not (await client.call("GET", f"/debug/session/{session_id}")).body["commands_executed"]:
                    await asyncio.sleep(0.01)
            hub.terminate()
            await agent.find("the hub is stopping")
            refused = await client.call("POST", "/debug/execute", command(session_id, "get", "pods"))
            assert (refused.status, refused.body["error"]) == (503, "draining")
            assert (await client.call("GET", "/ready")).status == 503
            assert (await running).body["status"] == "timeout"
            assert await hub.ended() == 0


async def test_a_stopping_agent_says_so_and_leaves_with_zero(tmp_path: Path) -> None:
    async with hub_program(tmp_path) as (hub, client):
        token = (await client.call("POST", "/admin/clusters", {"cluster_id": "alpha"})).body["agent_token"]
        async with agent_program(client.url, token, env=agent_env(tmp_path)) as agent:
            await is_connected(client, 15)
            agent.terminate()
            assert await agent.ended() == 0
            await hub.find("agent leaving")
            assert token not in "\n".join(agent.lines + hub.lines)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--port", "99999"), "server.port"),
        (("--database", "mysql://x"), "names no database file"),
        (("--database", "sqlite:////proc/nonexistent/x.db"), "/proc/nonexistent"),
        (("--tls-cert", "x.pem"), "server.tls_key"),
        (("--config", "/nonexistent.toml"), "/nonexistent.toml"),
        (("--log-level", "loud"), "log.level"),
    ],
)
async def test_what_cannot_start_says_why_and_exits_2(tmp_path: Path, args: tuple[str, ...], says: str) -> None:
    database = () if "--database" in args else ("--database", f"sqlite:///{tmp_path}/x.db")
    async with started("kubently-hub", "serve", *args, *database) as hub:
        assert await hub.ended() == 2
        assert says in hub.lines[-1]
        assert len(hub.lines) == 1


async def test_unknown_settings_are_errors(tmp_path: Path) -> None:
    env = {"KUBENTLY_HUB_RATELIMIT_STANDART_PER_MINUTE": "1"}
    async with started("kubently-hub", "serve", "--database", f"sqlite:///{tmp_path}/x.db", env=env) as hub:
        assert await hub.ended() == 2
        assert "did you mean KUBENTLY_HUB_RATELIMIT_STANDARD_PER_MINUTE?" in hub.lines[-1]


async def test_a_taken_port_and_a_database_in_use(tmp_path: Path) -> None:
    async with hub_program(tmp_path) as (_, client):
        port = client.url.rpartition(":")[2]
        other = f"sqlite:///{tmp_path}/other.db"
        async with started("kubently-hub", "serve", "--port", port, "--database", other) as second:
            assert await second.ended() == 2
            assert "address already in use" in second.lines[-1].lower()
        same = f"sqlite:///{tmp_path}/hub.db"
        async with started("kubently-hub", "serve", "--port", "0", "--database", same) as third:
            assert await third.ended() == 2
            assert "in use by another hub" in third.lines[-1]


async def test_the_first_admin_key_is_printed_once(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/x.db"
    for is_first in (True, False):
        async with started("kubently-hub", "serve", "--port", "0", "--database", database) as hub:
            await hub.find("listening")
            hub.terminate()
            assert await hub.ended() == 0
            assert (len(hub.printed) == 1) is is_first
            assert "kubently_key_" not in "\n".join(hub.lines)


async def test_a_short_admin_key_is_refused(tmp_path: Path) -> None:
    env = {"KUBENTLY_HUB_ADMIN_KEY": "short"}
    database = f"sqlite:///{tmp_path}/x.db"
    async with started("kubently-hub", "serve", "--port", "0", "--database", database, env=env) as hub:
        assert await hub.ended() == 2
        assert "32 at least" in hub.lines[-1]


async def test_a_hub_that_serves_tls_and_an_agent_that_trusts_its_ca(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert),
        ],
        check=True,
        capture_output=True,
    )
    env = {"KUBENTLY_HUB_ADMIN_KEY": ADMIN_KEY}
    options = (
        "--port",
        "0",
        "--database",
        f"sqlite:///{tmp_path}/x.db",
        "--tls-cert",
        str(cert),
        "--tls-key",
        str(key),
    )
    trust = ssl.create_default_context(cafile=cert)
    async with (
        started("kubently-hub", "serve", *options, env=env) as hub,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as http,
    ):
        client = Client(http, (await hub.find(r"listening url=(https://\S+)"))[1])
        token = (await client.call("POST", "/admin/clusters", {"cluster_id": "alpha"})).body["agent_token"]
        async with agent_program(client.url, token, env=agent_env(tmp_path)) as stranger:
            await stranger.find("(?i)certificate")
        async with agent_program(client.url, token, "--ca-file", str(cert), env=agent_env(tmp_path)):
            await is_connected(client, 15)


async def test_a_database_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_text("not a database, but somebody's letters\n" * 10)
    newer = tmp_path / "newer.db"
    async with started("kubently-hub", "serve", "--port", "0", "--database", f"sqlite:///{newer}") as hub:
        await hub.find("listening")
        hub.terminate()
        await hub.ended()
    with sqlite3.connect(newer) as db:
        row = ("kubently", "m999_from_the_future", "2030-01-01")
        db.execute("INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES (?, ?, ?)", row)
    db.close()
    for path, says in ((text, "not an SQLite database"), (newer, "newer version"), (tmp_path, "not a file")):
        before = path.read_bytes() if path.is_file() else b""
        async with started("kubently-hub", "serve", "--port", "0", "--database", f"sqlite:///{path}") as hub:
            assert await hub.ended() == 2
            assert says in hub.lines[-1], hub.lines
        assert (path.read_bytes() if path.is_file() else b"") == before
