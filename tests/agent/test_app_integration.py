"""The agent as its users start it: a real process, a scripted hub, a stand-in for kubectl."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.frames import Hello, Leaving, PolicyChanged
from tests.support.fake_api_server import fake_api_server
from tests.support.kubectls import is_alive, kubeconfig, stub_kubectl
from tests.support.scripted_hub import Answer, HubLink, ScriptedHub, scripted_hub
from tests.support.waiting import until

TOKEN = "kubently_agent_t0ken"


class Process:
    """A running `python -m agent`; `log` is its stderr so far."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path, folder: Path) -> None:
        self.process = process
        self.folder = folder
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text()

    async def ended(self, timeout_seconds: float = 10.0) -> int:
        async with asyncio.timeout(timeout_seconds):
            return await self.process.wait()

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


@contextlib.asynccontextmanager
async def agent(
    folder: Path, *args: str, stub: str | None = "print(' '.join(args))", **environ: str
) -> AsyncIterator[Process]:
    """Start an agent with an environment of its own; it is ended with the context, and has left nothing behind."""
    (folder / "tmp").mkdir(exist_ok=True)
    env = {
        "PATH": str(folder),
        "TMPDIR": str(folder / "tmp"),
        "KUBECONFIG": str(kubeconfig(folder)),
        "KUBENTLY_AGENT_TOKEN": TOKEN,
        "KUBENTLY_AGENT_EXECUTORS": "kubectl",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    if stub is not None:
        stub_kubectl(folder, stub)
    log = folder / "agent.log"
    with log.open("ab") as file:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "agent", *args),
            env={name: value for name, value in (env | environ).items() if value},
            stderr=file,
            cwd=folder,
        )
    running = Process(process, log, folder)
    try:
        yield running
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def flags(hub: ScriptedHub) -> tuple[str, ...]:
    return ("--hub-url", hub.url, "--cluster-id", "alpha")


def policy(folder: Path, text: str) -> str:
    """A policy file with this text; its path."""
    path = folder / "policy.yaml"
    path.write_text(text)
    return str(path)


async def test_a_policy_file_is_read_again_and_a_broken_one_is_not_taken(tmp_path: Path) -> None:
    path = policy(tmp_path, "verbs: [logs]\nlimits:\n  max_seconds: 5\n")
    async with scripted_hub() as hub, agent(tmp_path, *flags(hub), KUBENTLY_AGENT_POLICY_FILE=path) as running:
        link = await hub.link()
        told = (await link.welcome()).policy
        assert json.loads(bytes(told["verbs"])) == ["logs"]
        assert json.loads(bytes(told["limits"]))["max_seconds"] == 5
        policy(tmp_path, "verbs: [get")
        told = (await link.expect(PolicyChanged)).policy
        assert json.loads(bytes(told["verbs"])) == ["logs"]
        assert json.loads(bytes(told["problem"])).startswith("not YAML")
        assert "the policy before it holds" in running.log
        policy(tmp_path, "verbs: [get]")
        told = (await link.expect(PolicyChanged)).policy
        assert (json.loads(bytes(told["verbs"])), json.loads(bytes(told["problem"]))) == (["get"], None)
        await link.run("get", "pods")
        assert (await link.result())[1].status == "completed"
        await link.close()
        hello = await (await hub.link()).welcome()
        assert json.loads(bytes(hello.policy["verbs"])) == ["get"]


async def test_the_whole_agent(tmp_path: Path) -> None:
    async with scripted_hub() as hub, agent(tmp_path, *flags(hub)) as running:
        link = await hub.link()
        hello = await link.welcome()
        assert hub.dials[0]["Authorization"] == f"Bearer {TOKEN}"
        assert hello.executors == {"kubectl": "v1.33.1"}
        assert hello.kubernetes_version == "v1.32.4"
        assert json.loads(bytes(hello.policy["verbs"])) == ["*"]
        await link.run("get", "pods", "-A", correlation_id="corr_1")
        _, last = await link.result()
        assert last.chunks[0].data == "get --all-namespaces=true -- pods\n"
        assert (last.status, last.executor) == ("completed", "kubectl")
        await link.run("get", "secret", "x", "-o", "yaml", result_id="res_2")
        assert (await link.result("res_2"))[1].status == "refused"
        running.process.send_signal(signal.SIGTERM)
        await link.expect(Leaving)
        assert await link.closed() == 1000
        assert await running.ended() == 0
        assert list((tmp_path / "tmp").iterdir()) == []
        assert TOKEN not in running.log
        assert "result_id=res_1 correlation_id=corr_1" in running.log


async def test_sigterm_lets_a_command_end(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    stub = f"while not os.path.exists({str(gate)!r}): time.sleep(0.01)\nprint('done')"
    async with scripted_hub() as hub, agent(tmp_path, *flags(hub), stub=stub) as running:
        link = await hub.link()
        await link.welcome()
        await link.run("get", "pods")
        await until(lambda: len(children(running.process.pid)) == 1)
        running.process.send_signal(signal.SIGTERM)
        await link.expect(Leaving)
        await link.run("get", "pods", result_id="res_late")
        _, late = await link.result("res_late")
        assert (late.status, late.error) == ("cancelled", "The agent is stopping")
        gate.touch()
        _, last = await link.result()
        assert (last.status, last.chunks[0].data) == ("completed", "done\n")
        assert await link.closed() == 1000
        assert await running.ended() == 0


async def test_a_second_signal_cancels_what_runs(tmp_path: Path) -> None:
    async with scripted_hub() as hub, agent(tmp_path, *flags(hub), stub="time.sleep(600)") as running:
        link = await hub.link()
        await link.welcome()
        await link.run("get", "pods")
        await until(lambda: len(children(running.process.pid)) == 1)
        (child,) = children(running.process.pid)
        running.process.send_signal(signal.SIGINT)
        await link.expect(Leaving)
        began = time.monotonic()
        running.process.send_signal(signal.SIGINT)
        _, last = await link.result()
        assert (last.status, last.error) == ("cancelled", "The agent is stopping")
        assert await link.closed() == 1000
        assert await running.ended() == 0
        assert time.monotonic() - began < 3.0
        assert not is_alive(child)


async def test_sigterm_while_the_hub_is_not_there(tmp_path: Path) -> None:
    async with agent(tmp_path, "--hub-url", "ws://127.0.0.1:1", "--cluster-id", "alpha") as running:
        await until(lambda: "the hub is not reached" in running.log)
        running.process.send_signal(signal.SIGTERM)
        assert await running.ended(3.0) == 0


async def test_no_kubectl(tmp_path: Path) -> None:
    async with scripted_hub() as hub, agent(tmp_path, *flags(hub), stub=None) as running:
        link = await hub.link()
        hello = await link.welcome()
        assert (hello.executors, hello.kubernetes_version) == ({}, None)
        await link.run("get", "pods")
        _, last = await link.result()
        assert last.status == "refused"
        assert "no executor" in str(last.error)
        assert "no kubectl on PATH" in running.log


def subfolder(folder: Path) -> Path:
    """Where `agent` writes no kubeconfig of its own."""
    made = folder / "api"
    made.mkdir()
    return made


async def told(hub: ScriptedHub, executors: set[str]) -> tuple[HubLink, Hello]:
    """The first link whose hello has these executors' versions: a slow machine knows them at a later one."""
    while True:
        link = await hub.link()
        hello = await link.welcome()
        if executors <= {name for name, known in hello.executors.items() if known}:
            return link, hello
        await link.close()


async def test_native_alone(tmp_path: Path) -> None:
    """No kubectl anywhere: what it alone can answer is refused, all else is not."""
    async with fake_api_server() as api, scripted_hub() as hub:
        api.route("/version", {"gitVersion": "v1.32.4"})
        environ = {"KUBENTLY_AGENT_EXECUTORS": "", "KUBECONFIG": str(api.kubeconfig(subfolder(tmp_path)))}
        async with agent(tmp_path, *flags(hub), stub=None, **environ) as running:
            link, hello = await told(hub, {"native"})
            assert (hello.executors, hello.kubernetes_version) == ({"native": "v1.33"}, "v1.32.4")
            await link.run("api-versions")
            _, last = await link.result()
            assert (last.status, last.executor) == ("completed", "native")
            assert last.chunks[0].data == "apps/v1\nautoscaling/v1\nautoscaling/v2\nexample.com/v1\nv1\n"
            await link.run("get", "pods", "-o", "go-template={{.kind}}", result_id="res_2")
            _, last = await link.result("res_2")
            assert (last.status, last.error) == (
                "refused",
                "go-template output needs kubectl, which this agent does not have",
            )
            running.process.send_signal(signal.SIGTERM)
            assert await link.closed() == 1000
            assert await running.ended() == 0
            assert "no kubectl on PATH" in running.log
            assert list((tmp_path / "tmp").iterdir()) == []


async def test_native_and_kubectl(tmp_path: Path) -> None:
    async with fake_api_server() as api, scripted_hub() as hub:
        environ = {"KUBENTLY_AGENT_EXECUTORS": "", "KUBECONFIG": str(api.kubeconfig(subfolder(tmp_path)))}
        off = policy(tmp_path, "redaction: off")
        async with agent(tmp_path, *flags(hub), "--policy-file", off, **environ):
            link, hello = await told(hub, {"native", "kubectl"})
            assert (hello.executors, hello.kubernetes_version) == ({"native": "v1.33", "kubectl": "v1.33.1"}, "v1.32.4")
            await link.run("get", "pods", "-o", "go-template={{.kind}}")
            _, last = await link.result()
            assert (last.status, last.executor) == ("completed", "kubectl")
            assert last.chunks[0].data == "get --output=go-template={{.kind}} -- pods\n"
        async with agent(tmp_path, *flags(hub), **environ):
            link, _ = await told(hub, {"native", "kubectl"})
            await link.run("get", "pods", "-o", "go-template={{.kind}}")
            _, last = await link.result()
            assert last.status == "refused"
            assert "to be hidden" in (last.error or "")


async def test_native_without_an_api_server(tmp_path: Path) -> None:
    async with scripted_hub() as hub, agent(tmp_path, *flags(hub), stub=None, KUBENTLY_AGENT_EXECUTORS="native"):
        link, hello = await told(hub, {"native"})
        assert (hello.executors, hello.kubernetes_version) == ({"native": "v1.33"}, None)
        await link.run("get", "pods")
        _, last = await link.result()
        assert (last.status, last.exit_code, last.executor) == ("failed", 1, "native")
        assert "The connection to the server 127.0.0.1:1 was refused" in last.chunks[0].data


async def test_a_slow_api_server_does_not_keep_the_agent_away(tmp_path: Path) -> None:
    async with scripted_hub() as hub:
        async with agent(tmp_path, *flags(hub), stub=None, KUBENTLY_AGENT_KUBECTL=str(slow_version(tmp_path))):
            link = await hub.link(timeout_seconds=4.0)
            hello = await link.welcome()
            assert hello.executors == {"kubectl": None}
            assert hello.kubernetes_version is None


def slow_version(folder: Path) -> Path:
    path = folder / "slow-kubectl"
    path.write_text("#!/bin/sh\nexec /bin/sleep 600\n")
    path.chmod(0o755)
    return path


async def test_the_token_file_is_read_at_every_dial(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    environ = {"KUBENTLY_AGENT_TOKEN": "", "KUBENTLY_AGENT_TOKEN_FILE": str(file)}
    async with scripted_hub() as hub, agent(tmp_path, *flags(hub), **environ):
        link = await hub.link()
        await link.welcome()
        file.write_text("second\n")
        await link.close()
        await hub.link()
        assert [headers["Authorization"] for headers in hub.dials] == ["Bearer first", "Bearer second"]


async def test_a_cluster_in_a_pod(tmp_path: Path) -> None:
    account = tmp_path / "account"
    account.mkdir()
    for name, content in (("token", "sa-token"), ("ca.crt", "PEM"), ("namespace", "kubently")):
        (account / name).write_text(content)
    environ = {
        "KUBECONFIG": "",
        "KUBERNETES_SERVICE_HOST": "10.96.0.1",
        "KUBENTLY_AGENT_EXECUTION_SERVICE_ACCOUNT_DIR": str(account),
    }
    stub = "print(open(os.environ['KUBECONFIG']).read())"
    async with scripted_hub() as hub, agent(tmp_path, *flags(hub), stub=stub, **environ):
        link = await hub.link()
        await link.welcome()
        await link.run("get", "pods")
        _, last = await link.result()
        config = json.loads(last.chunks[0].data)
        assert config["clusters"][0]["cluster"]["server"] == "https://10.96.0.1:443"
        assert config["users"][0]["user"] == {"tokenFile": str(account / "token")}


async def test_a_settings_file_and_json_logs(tmp_path: Path) -> None:
    async with scripted_hub() as hub:
        file = tmp_path / "agent.toml"
        file.write_text(
            f'hub_url = "{hub.url}"\ncluster_id = "alpha"\npolicy_file = "{policy(tmp_path, "verbs: [logs]")}"\n'
            '[log]\nformat = "json"\n'
        )
        async with agent(tmp_path, "--config", str(file)) as running:
            link = await hub.link()
            hello = await link.welcome()
            assert json.loads(bytes(hello.policy["verbs"])) == ["logs"]
            await link.run("get", "pods")
            error = (await link.result())[1].error
            assert error == "`get` is not allowed: this cluster's policy is limited to logs"
            lines = [json.loads(line) for line in running.log.splitlines()]
            assert {"agent started", "connected to the hub"} <= {line["message"] for line in lines}


@pytest.mark.parametrize(("status", "code"), [(401, 3), (403, 4), (426, 5)])
async def test_exit_on_rejection(tmp_path: Path, status: int, code: int) -> None:
    async with scripted_hub() as hub:
        hub.answers.append(Answer(status, body=b'{"message": "no"}'))
        async with agent(tmp_path, *flags(hub), "--exit-on-rejection") as running:
            assert await running.ended() == code
            assert "the hub rejects this agent" in running.log
        assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("args", "environ", "message"),
    [
        ((), {}, "hub_url is missing"),
        (("--hub-url", "ws://h"), {}, "in clear"),
        (("--hub-url", "wss://h", "--cluster-id", "Prod"), {}, "DNS label"),
        (("--hub-url", "wss://h", "--cluster-id", "a"), {"KUBENTLY_AGENT_TOKEN": ""}, "no agent token"),
        (("--hub-url", "wss://h", "--cluster-id", "a"), {"KUBECONFIG": ""}, "no cluster"),
        (("--hub-url", "wss://h", "--cluster-id", "a"), {"KUBENTLY_AGENT_KUBECTL": "/absent"}, "no such program"),
        (
            ("--hub-url", "wss://h", "--cluster-id", "a", "--policy-file", "/none"),
            {},
            "policy_file /none: cannot be read",
        ),
        (("--hub-url", "wss://h", "--cluster-id", "a"), {"KUBENTLY_AGENT_TOKE": "x"}, "is no setting"),
        (("--config", "/absent.toml"), {}, "No such file"),
        (("--log-level", "loud", "--hub-url", "wss://h", "--cluster-id", "a"), {}, "log.level"),
    ],
)
async def test_bad_settings_are_one_line_and_exit_code_2(
    tmp_path: Path, args: tuple[str, ...], environ: dict[str, str], message: str
) -> None:
    async with agent(tmp_path, *args, **environ) as running:
        assert await running.ended() == 2
        lines = running.log.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("kubently-agent: ")
    assert message in lines[0]
    assert list((tmp_path / "tmp").iterdir()) == []


async def test_nothing_leaks_over_many_commands_and_links(tmp_path: Path) -> None:
    async with scripted_hub() as hub, agent(tmp_path, *flags(hub), stub="print(1)") as running:
        link = await hub.link()
        await link.welcome()
        await link.run("get", "pods", result_id="res_warm")
        await link.result("res_warm")
        before = running.descriptors()
        for number in range(20):
            await link.run("get", "pods", result_id=f"res_{number}", timeout_seconds=0.01 if number % 2 else 30.0)
            await link.result(f"res_{number}")
        await until(lambda: running.descriptors() <= before)
        await until(lambda: children(running.process.pid) == [])
        link.cut()
        link = await hub.link()
        await link.expect(Hello)
        await until(lambda: running.descriptors() <= before)
        assert len(list((tmp_path / "tmp").iterdir())) == 1


async def test_memory_of_an_idle_agent(tmp_path: Path) -> None:
    async with scripted_hub() as hub, agent(tmp_path, *flags(hub)) as running:
        link = await hub.link()
        await link.welcome()
        await link.run("get", "pods")
        await link.result()
        status = Path(f"/proc/{running.process.pid}/status").read_text()
        resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        assert int(resident.split()[1]) < 45_000


async def test_version_and_help() -> None:
    for flag, text in (("--version", "kubently-agent 0."), ("--help", "KUBENTLY_AGENT_TOKEN_FILE")):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "agent", flag), stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        async with asyncio.timeout(10):
            out, _ = await process.communicate()
        assert text in out.decode()


def children(pid: int) -> list[int]:
    return [int(child) for task in os.listdir(f"/proc/{pid}/task") for child in _children_of(pid, task)]  # noqa: PTH208


def _children_of(pid: int, task: str) -> list[str]:
    try:
        return Path(f"/proc/{pid}/task/{task}/children").read_text().split()
    except FileNotFoundError:
        return []
