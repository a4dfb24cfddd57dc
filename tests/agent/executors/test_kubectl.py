"""agent/executors/kubectl.py with stand-ins for kubectl, and with the real one where no cluster is needed."""

import asyncio
import json
import os
import shutil
import time
from pathlib import Path

import pytest

from agent.errors import StartError
from agent.executors import kubectl as executor_module
from agent.executors.base import NotTaken, Outcome, Versions
from agent.executors.kubectl import KubectlExecutor, find
from agent.redaction.screen import NO_SCREEN, Redaction, Screen
from agent.settings import Execution
from schemas import kubectl
from tests.support.kubectls import is_alive, kubeconfig, stub_kubectl
from tests.support.sinks import Collected
from tests.support.waiting import until

GET = kubectl.parse("get", ["pods", "-A"])


def executor(folder: Path, body: str = "", **settings: int) -> KubectlExecutor:
    environ = {"KUBECONFIG": str(kubeconfig(folder))}
    return KubectlExecutor(stub_kubectl(folder, body), environ, Execution(**settings))  # type: ignore[arg-type]


async def ran(
    folder: Path, body: str, command: kubectl.KubectlCommand = GET, screen: Screen = NO_SCREEN
) -> tuple[Outcome, Collected]:
    """Run one command with a stand-in; the outcome and what came out."""
    under_test = executor(folder, body)
    sink = Collected()
    try:
        return await under_test.run(command, sink, screen), sink
    finally:
        under_test.close()


def program(path: Path) -> Path:
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_newest_release_beside_a_dispatcher_is_taken(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "sdk").mkdir()
    (tmp_path / "bin" / "kubectl").symlink_to(program(tmp_path / "sdk" / "kubectl"))
    for name in ("kubectl.1.9", "kubectl.1.33", "kubectl.1.27", "kubectl.1.40.bak", "kubectl.md"):
        program(tmp_path / "sdk" / name)
    (tmp_path / "sdk" / "kubectl.1.99").write_text("not executable")
    assert find(None, str(tmp_path / "bin")) == tmp_path / "sdk" / "kubectl.1.33"


def test_a_plain_kubectl_is_taken(tmp_path: Path) -> None:
    assert find(None, str(tmp_path)) is None
    assert find(None, str(program(tmp_path / "kubectl").parent)) == tmp_path / "kubectl"


def test_a_named_kubectl_is_taken_as_it_is(tmp_path: Path) -> None:
    program(tmp_path / "kubectl.1.33")
    mine = program(tmp_path / "mine")
    assert find(str(mine), "") == mine
    assert find("mine", str(tmp_path)) == mine
    for absent in (str(tmp_path / "absent"), "absent", str(tmp_path)):
        with pytest.raises(StartError, match="no such program"):
            find(absent, str(tmp_path))


async def test_what_kubectl_gets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBENTLY_AGENT_TOKEN", "t0ken")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    body = """
        import json
        print(json.dumps({"args": args, "env": dict(os.environ), "cwd": os.getcwd(), "ls": os.listdir(".")}))
        print(open(os.environ["KUBECONFIG"]).read(), file=sys.stderr)
    """
    outcome, sink = await ran(tmp_path, body)
    told = json.loads(sink.stdout)
    env = told["env"]
    assert outcome == Outcome(0)
    assert told["args"] == ["get", "--all-namespaces=true", "--", "pods"]
    assert told["ls"] == []
    assert set(env) - {"LC_CTYPE"} == {
        *("HOME", "PATH", "KUBECONFIG", "KUBECACHEDIR", "KUBECTL_KUBERC", "KUBERC"),
        *("LC_ALL", "TZ", "TERM", "NO_COLOR", "GOGC", "GOMEMLIMIT"),
    }
    assert env["PATH"] == told["cwd"]
    assert Path(env["HOME"]).parent == Path(env["KUBECONFIG"]).parent == Path(told["cwd"]).parent
    assert not Path(env["HOME"]).exists()
    assert json.loads(sink.stderr)["contexts"][0]["context"]["namespace"] == "web"


@pytest.mark.parametrize(
    ("body", "code", "error"),
    [
        ("sys.exit(0)", 0, None),
        ("sys.exit(1)", 1, None),
        ("os.kill(os.getpid(), signal.SIGKILL)", 137, "kubectl was ended by signal 9"),
    ],
)
async def test_how_it_ended(tmp_path: Path, body: str, code: int, error: str | None) -> None:
    outcome, _ = await ran(tmp_path, body)
    assert outcome == Outcome(code, error)


async def test_a_kubectl_that_cannot_be_started(tmp_path: Path) -> None:
    under_test = executor(tmp_path)
    (tmp_path / "kubectl").unlink()
    outcome = await under_test.run(GET, Collected())
    under_test.close()
    assert outcome == Outcome(None, "kubectl cannot be started: No such file or directory")


async def test_limit_keeps_rows_errors_and_exit_code(tmp_path: Path) -> None:
    body = """
        print("NAME   READY")
        for number in range(1000): print(f"pod-{number}   1/1")
        print("Error from server (NotFound): pods \\"x\\" not found", file=sys.stderr)
        sys.exit(1)
    """
    outcome, sink = await ran(tmp_path, body, kubectl.parse("get", ["pods", "--limit=2"]))
    assert outcome == Outcome(1)
    assert sink.stdout == b"NAME   READY\npod-0   1/1\npod-1   1/1\n"
    assert sink.stderr.startswith(b"Error from server (NotFound)")


@pytest.mark.parametrize("flag", ["-oname", "--no-headers"])
async def test_limit_without_a_head(tmp_path: Path, flag: str) -> None:
    _, sink = await ran(tmp_path, "print('a'); print('b')", kubectl.parse("get", ["pods", flag, "--limit=1"]))
    assert sink.stdout == b"a\n"


@pytest.mark.parametrize("operands", ["secret", "secret/x", "cm,SECRETS.v1. x"])
async def test_secrets_are_not_described(tmp_path: Path, operands: str) -> None:
    with pytest.raises(NotTaken, match=r"\S+ names Secrets"):
        await ran(tmp_path, "print('t0ken')", kubectl.parse("describe", operands.split()))
    outcome, _ = await ran(tmp_path, "", kubectl.parse("describe", ["cm"]))
    assert outcome == Outcome(0)


@pytest.mark.parametrize(
    "flags", ["-o yaml", "-o json", "-o jsonpath={.data}", "-o custom-columns=A:.data", "--sort-by=.data"]
)
async def test_secrets_are_not_printed_with_their_values(tmp_path: Path, flags: str) -> None:
    with pytest.raises(NotTaken, match="secret names Secrets"):
        await ran(tmp_path, "print('t0ken')", kubectl.parse("get", ["secret", *flags.split()]))


@pytest.mark.parametrize(
    "line",
    [
        *("get pods -o yaml", "get cm -o json", "get pods -o go-template={{.}}", "get all -o jsonpath={.items}"),
        *("get pods -L api-token", "describe cm", "describe widgets", "describe pods.example.com x", "events -o json"),
        *("describe po,cm", "describe cm/x po/y", "rollout-history deploy/x -o yaml", "get pods --template={{.}}"),
    ],
)
async def test_what_nobody_could_hide_is_not_printed(tmp_path: Path, line: str) -> None:
    verb, *args = line.split()
    command = kubectl.parse(verb, args)
    with pytest.raises(NotTaken, match="to be hidden"):
        await ran(tmp_path, "print('t0ken')", command, Redaction().screen())
    outcome, _ = await ran(tmp_path, "", command)  # where nothing is hidden, all may be
    assert outcome == Outcome(0)


@pytest.mark.parametrize(
    "line", ["get pods", "get cm -o wide", "get cm -o name", "describe po x", "describe Deployments.apps"]
)
async def test_tables_and_plain_descriptions_are_printed(tmp_path: Path, line: str) -> None:
    verb, *args = line.split()
    outcome, _ = await ran(tmp_path, "", kubectl.parse(verb, args), Redaction().screen())
    assert outcome == Outcome(0)


async def test_an_argument_on_a_line_of_its_own_is_described_without_its_value(tmp_path: Path) -> None:
    said = "    Args:\\n      serve\\n      --token\\n      hunter2\\n      --verbose\\n      --db-password\\n      -x"
    screen = Redaction().screen()
    _, sink = await ran(tmp_path, f"print('{said}', end='')", kubectl.parse("describe", ["pod", "x"]), screen)
    assert sink.stdout.decode().splitlines()[3:] == [
        *("      [redacted:credential]", "      --verbose", "      --db-password", "      -x"),
    ]
    assert screen.counts == {"credential": 1}


async def test_cancelling_ends_it_within_a_second(tmp_path: Path) -> None:
    under_test = executor(tmp_path, "print(os.getpid(), flush=True); time.sleep(600)")
    sink = Collected()
    task = asyncio.create_task(under_test.run(GET, sink), name="kubectl")
    await asyncio.wait_for(sink.wrote.wait(), 10)
    began = time.monotonic()
    task.cancel()
    await asyncio.wait([task])
    assert time.monotonic() - began < 1.0
    await until(lambda: not is_alive(int(sink.stdout)), 1.0)
    under_test.close()


async def test_versions(tmp_path: Path) -> None:
    under_test = executor(tmp_path)
    assert await under_test.probe() == Versions("v1.33.1", "v1.32.4")
    under_test.close()


@pytest.mark.parametrize(
    ("answer", "versions"),
    [
        ('{"clientVersion": {"gitVersion": "v1.20.2"}, "kustomizeVersion": "v5"}', Versions("v1.20.2", None)),
        ("{", Versions()),
        ("[]", Versions()),
        ("Client Version: v1.33.1", Versions()),
        ("x" * 100_000, Versions()),
    ],
)
async def test_versions_that_are_not_told(tmp_path: Path, answer: str, versions: Versions) -> None:
    under_test = executor(tmp_path)
    (tmp_path / "kubectl").write_text(f"#!/bin/sh\nprintf %s '{answer}'\nexit 1\n")
    assert await under_test.probe() == versions
    under_test.close()


async def test_a_version_that_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor_module, "_PROBE_SECONDS", 0.3)
    under_test = executor(tmp_path)
    body = '#!/bin/sh\necho \'{"clientVersion": {"gitVersion": "v1.33.1"}}\'\nexec /bin/sleep 600\n'
    (tmp_path / "kubectl").write_text(body)
    assert await under_test.probe() == Versions("v1.33.1", None)
    under_test.close()


def test_no_cluster_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(StartError, match="no cluster"):
        KubectlExecutor(Path("/bin/true"), {}, Execution())
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def real(tmp_path: Path) -> KubectlExecutor:
    binary = find(None, os.environ.get("PATH", os.defpath))
    assert binary is not None, "these tests need kubectl on PATH"
    assert shutil.which(str(binary)) is not None
    return KubectlExecutor(binary, {"KUBECONFIG": str(kubeconfig(tmp_path))}, Execution())


async def test_the_real_kubectl_without_a_cluster(real: KubectlExecutor) -> None:
    versions = await real.probe()
    assert (versions.executor or "").startswith("v1.")
    assert versions.kubernetes is None
    sink = Collected()
    assert await real.run(kubectl.parse("version", ["--client"]), sink) == Outcome(0)
    assert sink.stdout.startswith(b"Client Version: v1.")
    sink = Collected()
    outcome = await real.run(GET, sink)
    assert outcome == Outcome(1)
    assert b"127.0.0.1:1" in sink.stderr
    real.close()
