"""The roles of deploy/ on a real API server: what they forbid is shown as kubectl shows it, and `check` finds what is
missing and what is too much.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from tests.e2e.test_cluster_integration import road
from tests.support.kubectl import kubectl_binary
from tests.support.namespaces import own_namespace

pytestmark = pytest.mark.timeout(300)

FORBIDDEN = [
    ("get", "secrets", "-n", "samples"),
    ("get", "secrets", "-A"),
    ("get", "secret", "credentials", "-n", "samples"),
    ("get", "secret/credentials", "pod/talker", "-n", "samples", "-o", "name"),
    ("get", "secrets,pods", "-n", "samples", "-o", "name"),
    ("get", "runtimeclasses"),
    ("get", "certificatesigningrequests", "x", "-o", "yaml"),
]


@pytest.mark.parametrize("argv", FORBIDDEN, ids=" ".join)
async def test_forbidden_is_what_kubectl_says(cluster: Cluster, tmp_path: Path, argv: tuple[str, ...]) -> None:
    config = str(cluster.agent_kubeconfig)
    async with road(tmp_path, {"KUBECONFIG": config, "KUBENTLY_AGENT_EXECUTORS": "native"}) as way:
        answer = await way.run(*argv)
    kubectl = await asyncio.to_thread(
        subprocess.run,
        [kubectl_binary(), *argv],
        env=os.environ | {"KUBECONFIG": config},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (answer["output"], answer["error"], answer["exit_code"]) == (
        kubectl.stdout,
        kubectl.stderr,
        kubectl.returncode,
    )
    assert "forbidden" in kubectl.stderr


@contextmanager
def account(cluster: Cluster, *roles: str) -> Iterator[Path]:
    """A ServiceAccount bound to these ClusterRoles; a kubeconfig of it."""
    with own_namespace(cluster, f"has-{roles[-1]}") as namespace:
        cluster.kubectl("-n", namespace, "create", "serviceaccount", "looked-at")
        bindings = [f"{namespace}-{role}" for role in roles]
        for binding, role in zip(bindings, roles, strict=True):
            subject = f"--serviceaccount={namespace}:looked-at"
            cluster.kubectl("create", "clusterrolebinding", binding, f"--clusterrole={role}", subject)
        try:
            yield cluster.account_kubeconfig(namespace, "looked-at")
        finally:
            for binding in bindings:
                cluster.kubectl("delete", "clusterrolebinding", binding)


def checked(config: Path, *flags: str, **env: str) -> tuple[int, dict[str, dict[str, str]], str]:
    """Run `kubently-agent check`: its exit code, its findings by subject, and what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "agent", "check", "--json", *flags],
        env=os.environ | {"KUBECONFIG": str(config)} | env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    said: dict[str, Any] = json.loads(done.stdout) if done.stdout else {"findings": []}
    return done.returncode, {each["subject"]: each for each in said["findings"]}, done.stdout + done.stderr


def test_the_role_is_right(cluster: Cluster) -> None:
    code, findings, said = checked(cluster.agent_kubeconfig)
    assert code == 0, said
    assert {each["state"] for each in findings.values()} == {"ok", "absent"}
    assert findings["get, describe pods"]["state"] == "ok"
    assert "get, describe secrets" not in findings


def test_too_little_is_missing(cluster: Cluster, tmp_path: Path) -> None:
    name = f"pods-only-{os.getpid()}"
    cluster.kubectl("create", "clusterrole", name, "--verb=get,list,watch", "--resource=pods")
    try:
        with account(cluster, name) as config:
            code, findings, said = checked(config)
            assert code == 1, said
            assert findings["get, describe pods"]["state"] == "ok"
            assert findings["get, describe deployments.apps"]["text"] == "may not get, list, watch"
            assert findings["logs pods/log"]["text"] == "may not get"
            policy = tmp_path / "policy.yaml"
            policy.write_text("verbs: [get]\nkinds: [pods]\n")  # which promises no more than that
            assert checked(config, "--policy-file", str(policy))[0] == 0
    finally:
        cluster.kubectl("delete", "clusterrole", name)


def test_too_much_is_said(cluster: Cluster, tmp_path: Path) -> None:
    with account(cluster, "cluster-admin") as config:
        code, findings, said = checked(config)
        assert code == 3, said
        for subject in ("create pods/exec", "get nodes/proxy", "impersonate users", "create pods"):
            assert findings[subject]["state"] == "too much"
        assert findings["secrets"]["state"] == "note"
        policy = tmp_path / "policy.yaml"
        policy.write_text("denied_kinds: [secrets]\n")
        assert checked(config, "--policy-file", str(policy))[1]["secrets"]["state"] == "too much"


def test_the_variant_reads_secrets_and_no_more(cluster: Cluster) -> None:
    root = Path(__file__).parents[2]
    manifest = (root / "deploy" / "agent-secrets.yaml").read_text(encoding="utf-8")
    role_only = manifest.rpartition("---\n")[0]
    cluster.kubectl("apply", "-f", "-", text=role_only)
    try:
        with account(cluster, "kubently-agent", "kubently-agent-secrets") as config:
            code, findings, said = checked(config)
            assert code == 0, said
            assert findings["secrets"]["state"] == "note"
    finally:
        cluster.kubectl("delete", "clusterrole", "kubently-agent-secrets")


@pytest.mark.parametrize(
    ("config", "why"), [("/none", "no such file"), ('{"clusters": []}', "no cluster"), (None, "cannot be asked")]
)
def test_a_cluster_that_cannot_be_asked(tmp_path: Path, config: str | None, why: str) -> None:
    path = tmp_path / "kubeconfig"
    if config is None:
        cluster = {"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}
        context = {"name": "x", "context": {"cluster": "c", "user": "u"}}
        content = {
            "clusters": [cluster],
            "contexts": [context],
            "current-context": "x",
            "users": [{"name": "u", "user": {}}],
        }
        path.write_text(json.dumps(content))
    elif config.startswith("{"):
        path.write_text(config)
    else:
        path = Path(config)
    code, _, said = checked(path)
    assert code == 2
    assert why in said
