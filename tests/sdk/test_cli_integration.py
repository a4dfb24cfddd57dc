"""The command `kubently` in pipes: its answers, its errors, its exit codes; hub and agent are real."""

import asyncio
import json
import signal
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.hub import ADMIN_KEY
from tests.support.kubently_cli import BIN, Cli
from tests.support.sdk_world import CLUSTER_ID, LOG, OFFLINE_ID, SdkWorld, linked, sdk_world

# A keyring as desktops have one, with a file in place of the desktop.
KEYRING = """
import json, os, pathlib
import keyring.backend

FILE = pathlib.Path(__file__).with_name("desktop.json")

class Keyring(keyring.backend.KeyringBackend):
    priority = 1

    def _all(self):
        if os.environ.get("KEYRING_IS_LOCKED"):
            raise RuntimeError("locked")
        return json.loads(FILE.read_text()) if FILE.exists() else {}

    def get_password(self, service, username):
        return self._all().get(username)

    def set_password(self, service, username, password):
        FILE.write_text(json.dumps(self._all() | {username: password}))

    def delete_password(self, service, username):
        FILE.write_text(json.dumps({name: key for name, key in self._all().items() if name != username}))
"""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[SdkWorld]:
    async with sdk_world(tmp_path) as made:
        yield made


@pytest.fixture
def cli(world: SdkWorld, tmp_path: Path) -> Cli:
    return Cli(tmp_path, {"KUBENTLY_ENDPOINT": world.url, "KUBENTLY_API_KEY": ADMIN_KEY})


async def ends(world: SdkWorld) -> list[str]:
    rows = (await world.hub.call("GET", "/audit?kind=ended")).body["rows"]
    return [row["status"] for row in rows]


async def test_commands_are_kubectls(world: SdkWorld, cli: Cli) -> None:
    table = "NAME     READY   STATUS    RESTARTS   AGE\nquiet    1/1     Running   0          5m\n"
    table += "talker   1/1     Running   0          5m\nweb-0    1/1     Running   0          5m\n"
    for words in (("exec", CLUSTER_ID, "--", "get", "pods"), ("get", "pods", "--cluster", CLUSTER_ID)):
        ran = await cli(*words)
        assert (ran.code, ran.stdout, ran.stderr) == (0, table, "")
    assert (await cli("get", "pods", KUBENTLY_CLUSTER=CLUSTER_ID)).stdout == table
    log = await cli("logs", "web-0", "--cluster", CLUSTER_ID)
    assert log.stdout == "".join(f"{line}\n" for line in LOG)
    as_json = json.loads((await cli("get", "pods", "--cluster", CLUSTER_ID, "--json")).stdout)
    assert (as_json["status"], as_json["output"]) == ("completed", table)
    missing = await cli("get", "pod", "nobody", "--cluster", CLUSTER_ID)
    assert (missing.code, missing.stdout) == (1, "")
    assert missing.stderr == "Error from server (NotFound): the server could not find the requested resource\n"
    assert not (await world.hub.call("GET", "/debug/sessions")).body["sessions"]


async def test_each_failure_has_its_code_and_its_remedy(world: SdkWorld, cli: Cli) -> None:
    for words, environment, code, said in (
        (("get", "pods"), {}, 2, "which cluster? Say --cluster NAME"),
        (("exec", CLUSTER_ID), {}, 2, "which command?"),
        (("get", "pods", "--cluster", OFFLINE_ID), {}, 69, f"`kubently doctor {OFFLINE_ID}` says why"),
        (("get", "pods", "--cluster", "nowhere"), {}, 1, "`kubently clusters` lists"),
        (("delete", "pod", "x", "--cluster", CLUSTER_ID), {}, 1, "`delete` would change the cluster"),
        (("get", "pods", "--cluster", CLUSTER_ID), {"KUBENTLY_API_KEY": "wrong"}, 77, "`kubently login`"),
        (("clusters",), {"KUBENTLY_ENDPOINT": "http://127.0.0.1:9"}, 69, "cannot be reached"),
        (("clusters",), {"KUBENTLY_ENDPOINT": "nonsense"}, 2, "is no address of a hub"),
        (("clusters",), {"KUBENTLY_ENDPOINT": "", "KUBENTLY_API_KEY": ""}, 2, "kubently login"),
        (("clusters", "--profile", "other"), {}, 2, "there is no profile other"),
        (("result", "res_nothing"), {}, 1, "Result not found"),
        (("audit", "--since", "yesterday"), {}, 2, "write 30m, 2h, 7d"),
        (("nonsense",), {}, 2, "No such command"),
        (("logs", "-f", "quiet", "--cluster", CLUSTER_ID, "--time-limit", "1"), {}, 124, "Not done within 1 s"),
    ):
        ran = await cli(*words, **environment)
        assert (ran.code, said in ran.stderr) == (code, True), (words, ran)
        assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_here_and_in_the_cluster(world: SdkWorld, cli: Cli, number: signal.Signals) -> None:
    running = await cli.start("logs", "-f", "talker", "--cluster", CLUSTER_ID)
    assert running.stdout is not None
    assert (await running.stdout.readline()).startswith(b"tick 0")
    running.send_signal(number)
    _, stderr = await asyncio.wait_for(running.communicate(), 10)
    assert running.returncode == 128 + number
    assert stderr == b""
    assert await ends(world) == ["cancelled"]
    assert not (await world.hub.call("GET", "/debug/sessions")).body["sessions"]


async def test_a_reader_that_leaves_ends_it_in_the_cluster(world: SdkWorld, cli: Cli) -> None:
    script = f"{BIN} logs -f talker --cluster {CLUSTER_ID} | head -n 2; echo ${{PIPESTATUS[0]}}"
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", script, env=cli.environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    stdout, stderr = await asyncio.wait_for(process.communicate(), 20)
    assert stdout.decode() == "tick 0\ntick 1\n141\n"  # by SIGPIPE, as kubectl ends
    assert stderr == b""
    assert await ends(world) == ["cancelled"]


async def test_fleets(world: SdkWorld, cli: Cli, tmp_path: Path) -> None:
    kubernetes = {"KUBECONFIG": str(world.server.kubeconfig(tmp_path)), "KUBENTLY_AGENT_EXECUTORS": "native"}
    async with linked(world.hub, "beta", kubernetes):
        ran = await cli("fleet", "get", "pods")
        assert ran.code == 1
        lines = ran.stdout.splitlines()
        assert lines[0] == "CLUSTER   NAME        READY   STATUS    RESTARTS   AGE"
        assert [line.split()[:2] for line in lines[1:]] == [
            *(["alpha", name] for name in ("quiet", "talker", "web-0")),
            *(["beta", name] for name in ("quiet", "talker", "web-0")),
            [OFFLINE_ID, "<offline>"],
        ]
        assert f"kubently: {OFFLINE_ID}: Cluster agent is not connected" in ran.stderr
        both = await cli("fleet", "get", "pods", "-o", "json", "--clusters", "alpha,b*")
        document = json.loads(both.stdout)
        assert (both.code, [item["cluster"] for item in document["items"]]) == (0, ["alpha", "beta"])
        assert [pod["metadata"]["name"] for pod in document["items"][1]["output"]["items"]] == [
            "quiet",
            "talker",
            "web-0",
        ]
        names = await cli("fleet", "get", "pods", "-o", "name", "--clusters", "*a", "--concurrency", "1")
        assert names.stdout == (
            "==> alpha <==\npod/quiet\npod/talker\npod/web-0\n\n==> beta <==\npod/quiet\npod/talker\npod/web-0\n"
        )
        lines = (await cli("fleet", "get", "pods", "--json", "--clusters", "alpha,dark")).stdout.splitlines()
        assert {json.loads(line)["cluster_id"] for line in lines} == {"alpha", "dark"}
        refused = await cli("fleet", "delete", "pods")
        assert (refused.code, "would change the cluster" in refused.stderr) == (1, True)
        await world.hub.call("PATCH", "/admin/clusters/beta", {"labels": {"env": "prod"}})
        chosen = await cli("fleet", "get", "pods", "--cluster-selector", "env=prod")
        assert {line.split()[0] for line in chosen.stdout.splitlines()} == {"CLUSTER", "beta"}
        nobody = await cli("fleet", "get", "pods", "--cluster-selector", "env=test")
        assert (nobody.code, nobody.stdout) == (1, "")


async def test_profiles(world: SdkWorld, tmp_path: Path) -> None:
    cli = Cli(tmp_path, {})
    wrong = await cli("login", world.url, stdin="kubently_key_wrong\n")
    assert (wrong.code, "valid" in wrong.stderr) == (77, True)
    made = await cli("login", f"{world.url}/", "--cluster", CLUSTER_ID, stdin=f"{ADMIN_KEY}\n")
    assert (made.code, ADMIN_KEY in made.stdout + made.stderr) == (0, False)
    folder = tmp_path / "config"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert ADMIN_KEY not in (folder / "profiles.json").read_text()
    assert (await cli("get", "pods", "-o", "name")).stdout.startswith("pod/quiet\n")
    limited = await world.hub.make_key(clusters=[OFFLINE_ID])
    assert (await cli("login", world.url, "--profile", "limited", stdin=f"{limited}\n")).code == 0
    listed = json.loads((await cli("profiles", "list", "--json")).stdout)
    assert [(row["name"], row["is_current"]) for row in listed] == [("default", False), ("limited", True)]
    assert (await cli("get", "pods", "--cluster", CLUSTER_ID)).code == 1
    assert (await cli("get", "pods", "--cluster", CLUSTER_ID, "--profile", "default")).code == 0
    assert json.loads((await cli("profiles", "use", "default", "--json")).stdout)["profile"] == "default"
    again = await cli("login", world.url, "--profile", "third", "--json", stdin=f"{ADMIN_KEY}\n")
    assert json.loads(again.stdout)["key"]["role"] == "admin"
    assert ADMIN_KEY not in again.stdout
    assert json.loads((await cli("logout", "--profile", "third", "--json")).stdout)["removed"]
    assert (await cli("profiles", "use", "default")).code == 0
    assert (await cli("get", "pods", KUBENTLY_PROFILE="limited", KUBENTLY_CLUSTER=CLUSTER_ID)).code == 1
    # A key that was kept goes to no other hub than its own.
    stolen = await cli("clusters", KUBENTLY_ENDPOINT="http://127.0.0.1:9")
    assert (stolen.code, "api_key" in stolen.stderr) == (2, True)
    assert (await cli("logout")).code == 0
    assert (await cli("logout", "--profile", "limited")).code == 0
    assert (await cli("clusters")).code == 2
    assert json.loads((folder / "keys.json").read_text()) == {}
    (folder / "profiles.json").write_text("nonsense")
    broken = await cli("clusters")
    assert (broken.code, "cannot be read" in broken.stderr) == (2, True)


async def test_keys_in_the_keyring(world: SdkWorld, tmp_path: Path) -> None:
    (tmp_path / "desktop.py").write_text(KEYRING, encoding="utf-8")
    cli = Cli(tmp_path, {"PYTHONPATH": str(tmp_path), "PYTHON_KEYRING_BACKEND": "desktop.Keyring"})
    made = await cli("login", world.url, stdin=f"{ADMIN_KEY}\n")
    assert (made.code, made.stdout.endswith("key in the keyring.\n")) == (0, True)
    assert ADMIN_KEY in (tmp_path / "desktop.json").read_text()
    assert not any(ADMIN_KEY in file.read_text() for file in (tmp_path / "config").iterdir())
    assert (await cli("get", "pods", "-o", "name", "--cluster", CLUSTER_ID)).code == 0
    locked = await cli("clusters", KEYRING_IS_LOCKED="1")
    assert (locked.code, "the keyring does not give the key" in locked.stderr) == (2, True)
    assert (await cli("logout")).code == 0
    assert (tmp_path / "desktop.json").read_text() == "{}"
    refused = await cli("login", world.url, stdin=f"{ADMIN_KEY}\n", KEYRING_IS_LOCKED="1")
    assert (refused.code, refused.stdout.endswith("keys.json.\n")) == (0, True)


async def test_what_the_hub_remembers(world: SdkWorld, cli: Cli) -> None:
    as_json = json.loads((await cli("logs", "web-0", "--tail=2", "--cluster", CLUSTER_ID, "--json")).stdout)
    result_id = as_json["result_id"]
    again = await cli("result", result_id)
    assert (again.code, again.stdout) == (0, as_json["output"])
    assert (await cli("result", result_id, "--follow")).stdout == as_json["output"]
    assert json.loads((await cli("result", result_id, "--json")).stdout) == as_json
    failed = json.loads((await cli("get", "pod", "nobody", "--cluster", CLUSTER_ID, "--json")).stdout)
    printed = await cli("result", failed["result_id"])
    assert (printed.code, printed.stderr) == (1, failed["error"])
    assert (await cli("sessions")).stdout == "SESSION   CLUSTER   STATUS   AGE   COMMANDS   CALLER\n"
    closed = (await cli("sessions", "--status", "closed")).stdout.splitlines()
    assert [line.split()[1:3] for line in closed[1:]] == [[CLUSTER_ID, "closed"]] * 2
    assert len(json.loads((await cli("sessions", "--status", "closed", "--json")).stdout)) == 2
    audit = (await cli("audit", "--kind", "accepted", "--since", "1h")).stdout
    assert "logs --tail=2 -- web-0" in audit
    assert len(json.loads((await cli("audit", "--limit", "3", "--json")).stdout)) == 3


async def test_admins(world: SdkWorld, cli: Cli, tmp_path: Path) -> None:
    made = await cli("admin", "clusters", "add", "gamma", "--label", "env=dev")
    assert made.code == 0
    token = made.stdout.split("\n\n")[1].strip()
    assert token.startswith("kubently_agent_")
    (command,) = [block for block in made.stdout.split("\n\n") if "kubently-agent --hub-url" in block]
    hub_url = world.url.replace("http", "ws")
    assert f"KUBENTLY_AGENT_TOKEN={token}" in command
    assert f"--hub-url {hub_url} --cluster-id gamma" in command
    # The command that it prints, run as it is.
    kubeconfig = world.server.kubeconfig(tmp_path)
    line = command.replace("~/.kube/config", str(kubeconfig)).replace(
        "  kubently-agent", f"  {BIN.parent}/kubently-agent"
    )
    agent = await asyncio.create_subprocess_shell(
        f"exec env {line.strip().replace(chr(92) + chr(10), '')}", stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(20):
            while "connected" not in (await cli("clusters", "gamma")).stdout.split():
                await asyncio.sleep(0.1)
    finally:
        agent.terminate()
        await agent.wait()
    labelled = await cli("admin", "clusters", "label", "gamma", "env=prod", "tier=a")
    assert labelled.stdout == "gamma: env=prod,tier=a\n"
    assert "env=prod,tier=a" in (await cli("clusters", "--cluster-selector", "tier=a")).stdout
    second = await cli("admin", "clusters", "add-token", "gamma", "--expires-in", "12h")
    assert (second.code, second.stdout.startswith("kubently_agent_")) == (0, True)
    listed = json.loads((await cli("admin", "clusters", "list", "--json")).stdout)
    tokens = next(row["tokens"] for row in listed if row["cluster_id"] == "gamma")
    assert len(tokens) == 2
    assert (await cli("admin", "clusters", "remove-token", "gamma", tokens[0]["token_id"])).code == 0
    assert (await cli("admin", "clusters", "remove", "gamma")).code == 0
    key = await cli(
        "admin", "keys", "add", "triage", "--clusters", "al*", "--denied-kinds", "cm", "--expires-in", "90d"
    )
    secret, key_id = key.stdout.strip(), key.stderr.split()[1]
    assert secret.startswith("kubently_key_")
    assert (await cli("get", "pods", "--cluster", CLUSTER_ID, KUBENTLY_API_KEY=secret)).code == 0
    assert (await cli("get", "cm", "--cluster", CLUSTER_ID, KUBENTLY_API_KEY=secret)).code == 1
    rotated = (await cli("admin", "keys", "rotate", key_id, "--overlap", "0")).stdout.strip()
    assert (await cli("clusters", CLUSTER_ID, KUBENTLY_API_KEY=secret)).code == 77
    assert (await cli("clusters", CLUSTER_ID, KUBENTLY_API_KEY=rotated)).code == 0
    assert "clusters=al* not=cm" in (await cli("admin", "keys", "list")).stdout
    assert (await cli("admin", "keys", "remove", key_id)).code == 0
    denied = await cli("admin", "clusters", "add", "x", KUBENTLY_API_KEY=await world.hub.make_key())
    assert (denied.code, "role admin" in denied.stderr) == (77, True)


async def test_the_manifest_is_that_of_deploy(world: SdkWorld, cli: Cli) -> None:
    yaml: Any = pytest.importorskip("yaml")
    ran = await cli("admin", "clusters", "add", "gamma", "--manifest")
    documents = list(yaml.safe_load_all(ran.stdout))
    root = Path(__file__).parents[2]
    deployed = (root / "deploy" / "agent.yaml").read_text()
    assert (root / "sdk" / "python" / "kubently" / "cli" / "agent.yaml").read_text() == deployed
    expected = list(yaml.safe_load_all(deployed))
    kinds = [document["kind"] for document in documents]
    assert kinds == ["Namespace", "Secret", *(document["kind"] for document in expected[1:])]
    assert documents[1]["stringData"]["token"].startswith("kubently_agent_")
    args = documents[-1]["spec"]["template"]["spec"]["containers"][0]["args"]
    assert args == ["--hub-url", world.url.replace("http", "ws"), "--cluster-id", "gamma", "--insecure"]
    assert documents[2:-1] == expected[1:-1]


async def test_the_doctor(world: SdkWorld, cli: Cli) -> None:
    dead = await cli("doctor", OFFLINE_ID)
    assert dead.code == 1
    assert "✗ agent      the agent of dark was never here" in dead.stdout
    assert f"kubently admin clusters add-token {OFFLINE_ID}" in dead.stdout
    unknown = json.loads((await cli("doctor", "nowhere", "--json")).stdout)
    assert [(row["name"], row["state"]) for row in unknown][-2:] == [("key", "ok"), ("cluster", "failed")]
    for environment, name in (
        ({"KUBENTLY_API_KEY": "wrong"}, "key"),
        ({"KUBENTLY_ENDPOINT": "http://127.0.0.1:9"}, "tcp"),
        ({"KUBENTLY_ENDPOINT": "http://no-such-host.invalid"}, "dns"),
        ({"KUBENTLY_ENDPOINT": world.url.replace("http", "https")}, "tls"),
        ({"KUBENTLY_ENDPOINT": world.server.url}, "hub"),
        ({"KUBENTLY_ENDPOINT": "", "KUBENTLY_API_KEY": ""}, "profile"),
    ):
        found = json.loads((await cli("doctor", CLUSTER_ID, "--json", **environment)).stdout)
        assert (found[-1]["name"], found[-1]["state"]) == (name, "failed"), found
        assert found[-1]["remedy"]


async def test_a_script_for_the_shell(world: SdkWorld, cli: Cli) -> None:
    script = (
        "# a comment\nget pods -o name\nkubectl get pod 'web-0' -o name\ndelete pod x\nget pods \"\nget pod nobody\n"
    )
    ran = await cli("shell", CLUSTER_ID, stdin=script)
    assert ran.code == 1
    assert ran.stdout == "pod/quiet\npod/talker\npod/web-0\npod/web-0\n"
    assert "`delete` would change the cluster" in ran.stderr
    assert "quotes come in pairs" in ran.stderr
    assert (await cli("shell", CLUSTER_ID, stdin="get pods -o name\nexit\nget nonsense\n")).code == 0


async def test_clusters_are_watched(world: SdkWorld, cli: Cli) -> None:
    running = await cli.start("clusters", "--watch")
    assert running.stdout is not None
    lines = [(await asyncio.wait_for(running.stdout.readline(), 20)).decode().split()[:2] for _ in range(2)]
    assert lines == [[CLUSTER_ID, "connected"], [OFFLINE_ID, "disconnected"]]
    world.agent.kill()
    assert (await asyncio.wait_for(running.stdout.readline(), 20)).decode().split()[:2] == [CLUSTER_ID, "disconnected"]
    running.send_signal(signal.SIGINT)
    assert await running.wait() == 130


@pytest.mark.parametrize(
    ("redirection", "code", "said"),
    [
        ("get pods >&-", 0, ""),
        ("get pod nobody 2>&-", 1, ""),
        ("get pods >/dev/full", 1, "kubently: the output cannot be written: No space left on device\n"),
        ("clusters >/dev/full", 1, "kubently: the output cannot be written: No space left on device\n"),
        ("clusters | true", 0, ""),
        ("get pods <&-", 0, ""),
    ],
)
async def test_odd_places_for_its_output(world: SdkWorld, cli: Cli, redirection: str, code: int, said: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", f"{BIN} {redirection}"),
        env=cli.environment | {"KUBENTLY_CLUSTER": CLUSTER_ID},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, stderr = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, stderr.decode()) == (code, said)


async def test_a_script_that_waits_is_ended_by_ctrl_c(world: SdkWorld, cli: Cli) -> None:
    running = await cli.start("shell", CLUSTER_ID, stdin=True)
    assert running.stdin is not None
    assert running.stdout is not None
    running.stdin.write(b"get pods -o name\n")
    assert await asyncio.wait_for(running.stdout.readline(), 20) == b"pod/quiet\n"
    await asyncio.sleep(0.3)  # the rest of it
    running.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(running.wait(), 10) == 130
    assert not (await world.hub.call("GET", "/debug/sessions")).body["sessions"]


async def test_the_doctor_leaves_the_way_to_a_proxy(world: SdkWorld, cli: Cli) -> None:
    proxy = {"HTTP_PROXY": "http://user:secret@127.0.0.1:9", "KUBENTLY_ENDPOINT": "http://hub.example.com"}
    found = json.loads((await cli("doctor", "--json", **proxy)).stdout)
    assert [(row["name"], row["state"]) for row in found[1:]] == [("proxy", "ok"), ("hub", "failed")]
    assert "secret" not in json.dumps(found)


async def test_without_its_extra_it_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "rich.py").write_text("raise ModuleNotFoundError('no', name='rich')")
    (tmp_path / "typer.py").write_text("raise ModuleNotFoundError('no', name='typer')")
    cli = Cli(tmp_path, {"PYTHONPATH": str(tmp_path)})
    ran = await cli("clusters")
    assert (ran.code, "pip install 'kubently[cli]'" in ran.stderr) == (2, True)
