"""`scripts/testcluster` as people use it, and the archive it would fetch where that can be reached."""

import asyncio
import hashlib
import io
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from tests.cluster import assets
from tests.cluster.assets import AssetsMissing
from tests.cluster.cluster import Cluster, ClusterFailed
from tests.support.kubectl import kubectl_binary

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.timeout(300)


def run_testcluster(*args: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / "scripts" / "testcluster"), *args]
    whole = {**os.environ, **(env or {})}
    return subprocess.run(command, capture_output=True, text=True, timeout=200, stdin=subprocess.DEVNULL, env=whole)


def processes_of(name: str) -> list[str]:
    """Command lines that mention the cluster's folder."""
    folder = str(Cluster(name).folder)
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if folder in line:
            found.append(line)
    return found


def test_up_again_side_by_side_and_down(cluster: Cluster) -> None:
    first, second = (f"one-{os.getpid()}", f"two-{os.getpid()}")
    try:
        assert run_testcluster("status", "--name", first).returncode == 1
        ups = [
            subprocess.Popen(
                [ROOT / "scripts" / "testcluster", "up", "--name", name], stdout=subprocess.PIPE, text=True
            )
            for name in (first, second)
        ]
        for up, name in zip(ups, (first, second), strict=True):
            output, _ = up.communicate(timeout=200)
            assert output == f"KUBECONFIG={Cluster(name).kubeconfig}\n"
            assert Path(output.strip().removeprefix("KUBECONFIG=")).name == "kubeconfig"
        started = time.monotonic()
        assert run_testcluster("up", "--name", first).returncode == 0
        assert time.monotonic() - started < 5
        assert run_testcluster("status", "--name", second).returncode == 0
        assert len(processes_of(first)) >= 3
        assert "samples" in Cluster(second).kubectl("get", "namespaces")
        assert run_testcluster("down", "--name", first).returncode == 0
        assert processes_of(first) == []
        assert not Cluster(first).folder.exists()
        assert run_testcluster("status", "--name", second).returncode == 0

        for line in Path("/proc").glob("[0-9]*/cmdline"):
            words = line.read_bytes().split(b"\0")
            if words[0].endswith(b"etcd") and str(Cluster(second).folder).encode() in b" ".join(words):
                os.kill(int(line.parent.name), signal.SIGKILL)
        broken = run_testcluster("status", "--name", second)
        assert broken.returncode == 1
        assert "etcd" in broken.stderr
        assert run_testcluster("up", "--name", second).returncode == 0  # what is left of it does not stand in the way
        assert run_testcluster("status", "--name", second).returncode == 0
    finally:
        for name in (first, second):
            run_testcluster("down", "--name", name)
            assert processes_of(name) == []


def test_two_ups_of_one_name_make_one_cluster(cluster: Cluster) -> None:
    name = f"same-{os.getpid()}"
    command = [str(ROOT / "scripts" / "testcluster"), "up", "--name", name]
    try:
        ups = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        assert {up.communicate(timeout=200)[0] for up in ups} == {f"KUBECONFIG={Cluster(name).kubeconfig}\n"}
        assert len([line for line in processes_of(name) if "etcd --data-dir" in line]) == 1
    finally:
        run_testcluster("down", "--name", name)
    assert not list(Cluster(name).folder.parent.glob(f"{name}*"))


@pytest.mark.parametrize("name", ["../x", "a.b", "", "-a", "A"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    refused = run_testcluster("up", f"--name={name}")
    assert refused.returncode == 1
    assert "no name of a cluster" in refused.stderr


def test_the_official_archive_alone_makes_the_same_samples(cluster: Cluster, tmp_path: Path) -> None:
    found = assets.find()
    (tmp_path / "etcd").symlink_to(found.etcd)
    (tmp_path / "kube-apiserver").symlink_to(found.apiserver)
    bare = Cluster(f"bare-{os.getpid()}")
    try:
        up = run_testcluster("up", "--name", bare.name, env={"KUBEBUILDER_ASSETS": str(tmp_path)})
        assert up.returncode == 0, up.stderr
        assert not [line for line in processes_of(bare.name) if "controller-manager" in line or "scheduler" in line]
        kinds = "pods,deployments,replicasets,jobs,services,serviceaccounts"
        query = (
            "-n",
            "samples",
            "get",
            kinds,
            "--no-headers",
            "-o",
            "custom-columns=KIND:.kind,REPLICAS:.status.replicas",
        )
        assert sorted(bare.kubectl(*query).splitlines()) == sorted(cluster.kubectl(*query).splitlines())
        assert "successfully rolled out" in bare.kubectl("-n", "samples", "rollout", "status", "deployment/web")
        assert "<none>" in bare.kubectl("-n", "samples", "get", "endpoints", "orphan")
        assert ":8080" in bare.kubectl("-n", "samples", "get", "endpoints", "web")
    finally:
        run_testcluster("down", "--name", bare.name)
    assert processes_of(bare.name) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_up_leaves_nothing(cluster: Cluster, number: signal.Signals) -> None:
    name = f"cut-{os.getpid()}"
    up = subprocess.Popen(
        [ROOT / "scripts" / "testcluster", "up", "--name", name],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not processes_of(name) and time.monotonic() < deadline:
        time.sleep(0.05)
    up.send_signal(number)
    assert up.wait(timeout=60) == 130
    assert processes_of(name) == []
    assert not Cluster(name).folder.exists()
    run_testcluster("down", "--name", name)


def test_the_sample_pods_look_as_they_should(cluster: Cluster) -> None:
    table = cluster.kubectl("-n", "samples", "get", "pods")
    for status in ("Running", "CrashLoopBackOff", "ImagePullBackOff", "OOMKilled", "Pending", "Completed"):
        assert status in table
    assert "<none>" in cluster.kubectl("-n", "samples", "get", "endpoints", "orphan")
    assert cluster.kubectl("-n", "samples", "get", "widgets", "-o", "name").split() == [
        "widget.samples.kubently.dev/bolt",
        "widget.samples.kubently.dev/nut",
    ]


def test_the_stand_in_kubelet_serves_logs(cluster: Cluster) -> None:
    logs = ("-n", "samples", "logs")
    assert cluster.kubectl(*logs, "crashing").splitlines()[0] == "reading /etc/app/config.yaml"
    assert cluster.kubectl(*logs, "crashing", "--tail=1") == 'panic: missing key "database.url"\n'
    assert cluster.kubectl(*logs, "crashing", "--previous").startswith("previous: ")
    stamped = cluster.kubectl(*logs, "crashing", "--timestamps").splitlines()[0]
    assert stamped[:2] == "20"
    assert stamped.endswith("Z reading /etc/app/config.yaml")
    assert cluster.kubectl(*logs, "crashing", "--limit-bytes=7") == "reading"


def test_a_container_that_waits_has_no_log(cluster: Cluster) -> None:
    with pytest.raises(ClusterFailed, match=r"is waiting to start: trying and failing to pull image"):
        cluster.kubectl("-n", "samples", "logs", "unpullable")
    with pytest.raises(ClusterFailed, match=r'previous terminated container "web" in pod "web-.*" not found'):
        cluster.kubectl("-n", "samples", "logs", "deployment/web", "-c", "web", "--previous")


def test_a_flood_has_the_time_on_every_line(cluster: Cluster) -> None:
    flood = cluster.kubectl("-n", "samples", "logs", "-f", "flooder", "--timestamps", "--limit-bytes=100000")
    lines = flood.splitlines()[:-1]  # the limit may cut the last
    assert len(lines) > 1000
    assert all(re.fullmatch(r"20\S+Z app line \d+", line) for line in lines)


def test_other_states_are_shown_as_they_are_named(cluster: Cluster) -> None:
    namespace = f"states-{os.getpid()}"
    cluster.kubectl("create", "namespace", namespace)
    states = ("Pending", "Succeeded", "CreateContainerConfigError")
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": state.lower(), "annotations": {"kubently.dev/state": state}},
            "spec": {
                "automountServiceAccountToken": False,
                "containers": [{"name": "app", "image": "example.com/app"}],
            },
        }
        for state in states
    ]
    try:
        wait_until(lambda: bool(cluster.kubectl("-n", namespace, "get", "serviceaccounts", "--no-headers")))
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": pods})
        cluster.kubectl("-n", namespace, "apply", "-f", "-", text=text)

        def shown() -> dict[str, str]:
            rows = cluster.kubectl("-n", namespace, "get", "pods", "--no-headers").splitlines()
            return {row.split()[0]: row.split()[2] for row in rows}

        wanted = {"pending": "Pending", "succeeded": "Completed", "createcontainerconfigerror": states[2]}
        wait_until(lambda: shown() == wanted)
        assert cluster.kubectl("-n", namespace, "get", "pod", "pending", "-o", "jsonpath={.spec.nodeName}")
    finally:
        cluster.kubectl("delete", "namespace", namespace, "--wait=false")


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_certificates_stand_a_strict_check(cluster: Cluster) -> None:
    trust = ssl.create_default_context(cafile=cluster.folder / "certificates" / "ca.crt")
    trust.verify_flags |= ssl.VERIFY_X509_STRICT  # what Python 3.13 does by default
    host, port = cluster.host_and_port
    with socket.create_connection((host, int(port)), timeout=10) as plain:
        with trust.wrap_socket(plain, server_hostname=host) as secured:
            assert secured.getpeercert()


async def test_a_followed_log_goes_on(cluster: Cluster) -> None:
    follow = await asyncio.create_subprocess_exec(
        *(kubectl_binary(), f"--kubeconfig={cluster.kubeconfig}", "-n", "samples", "logs", "-f", "talker"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert follow.stdout is not None
    async with asyncio.timeout(20):
        lines = [await follow.stdout.readline() for _ in range(40)]
    follow.kill()
    await follow.wait()
    assert lines[-1] == b"app line 39\n"


@pytest.mark.parametrize("name", ["agent.yaml", "hub.yaml"])
def test_the_deployment_files_are_accepted(cluster: Cluster, name: str) -> None:
    text = (ROOT / "deploy" / name).read_text()
    answered = cluster.kubectl("apply", "--dry-run=server", "-f", "-", text=text)
    assert "deployment.apps/kubently-" in answered


def test_the_agent_s_account_reads_and_no_more(cluster: Cluster) -> None:
    account = "--as=system:serviceaccount:kubently:kubently-agent"
    for question, answer in (
        (("list", "pods"), "yes"),
        (("get", "pods/log"), "yes"),
        (("list", "deployments.apps"), "yes"),
        (("list", "secrets"), "no"),
        (("get", "secrets"), "no"),
        (("create", "pods/exec"), "no"),
        (("get", "nodes/proxy"), "no"),
        (("get", "services/proxy"), "no"),
        (("delete", "pods"), "no"),
        (("impersonate", "users"), "no"),
        (("create", "serviceaccounts/token"), "no"),
    ):
        resource, _, sub = question[1].partition("/")
        flags = [f"--subresource={sub}"] if sub else []
        try:
            said = cluster.kubectl("auth", "can-i", question[0], resource, "-A", account, *flags).strip()
        except Exception as error:  # noqa: BLE001 - can-i exits 1 for a no
            said = "no" if "can-i" in str(error) else str(error)
        assert said == answer, question


def test_the_agent_s_kubeconfig_is_that_account(cluster: Cluster) -> None:
    def ask(*args: str) -> subprocess.CompletedProcess[str]:
        command = [kubectl_binary(), f"--kubeconfig={cluster.agent_kubeconfig}", *args]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert "crashing" in ask("-n", "samples", "get", "pods").stdout
    assert "bolt" in ask("-n", "samples", "get", "widgets").stdout
    assert "system:serviceaccount:kubently:kubently-agent" in ask("-n", "samples", "get", "secrets").stderr
    assert sorted(path.name for path in cluster.service_account.iterdir()) == ["ca.crt", "namespace", "token"]


async def archive_server(archive: bytes, checksum: str) -> tuple[web.AppRunner, str]:
    app = web.Application()

    async def get(request: web.Request) -> web.Response:
        return web.Response(text=checksum) if request.path.endswith(".sha512") else web.Response(body=archive)

    app.router.add_get("/{name}", get)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, "http://{}:{}/envtest-v{{version}}-linux-{{arch}}.tar.gz".format(*runner.addresses[0][:2])


def an_archive() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in ("kube-apiserver", "etcd", "../../escape"):
            content = f"#!/bin/sh\necho {name}\n".encode()
            member = tarfile.TarInfo(f"controller-tools/envtest/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


async def test_the_official_archive_is_checked_and_unpacked(tmp_path: Path) -> None:
    archive = an_archive()
    runner, url = await archive_server(archive, f"{hashlib.sha512(archive).hexdigest()}  envtest.tar.gz\n")
    await asyncio.to_thread(assets.fetch, tmp_path / "assets", url)
    await runner.cleanup()
    assert sorted(path.name for path in (tmp_path / "assets").iterdir()) == ["etcd", "kube-apiserver"]
    assert os.access(tmp_path / "assets" / "etcd", os.X_OK)
    assert [path.name for path in tmp_path.iterdir()] == ["assets"]


async def test_an_archive_with_another_checksum_is_not_used(tmp_path: Path) -> None:
    runner, url = await archive_server(an_archive(), "0" * 128)
    with pytest.raises(AssetsMissing, match="published checksum"):
        await asyncio.to_thread(assets.fetch, tmp_path / "assets", url)
    await runner.cleanup()
    assert not (tmp_path / "assets").exists()


def test_an_address_that_was_named_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(assets, "ENVTEST_URL", "http://127.0.0.1:1/{version}-{arch}.tar.gz")
    with pytest.raises(OSError, match="refused"):
        assets.fetch(tmp_path / "assets")
    with pytest.raises(OSError, match="within the last day"):
        assets.fetch(tmp_path / "assets")
    monkeypatch.setenv("KUBENTLY_ENVTEST_URL", "http://127.0.0.1:1/{version}-{arch}.tar.gz")
    with pytest.raises(OSError, match="refused"):
        assets.fetch(tmp_path / "assets")


def test_named_assets_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    with pytest.raises(AssetsMissing, match="KUBEBUILDER_ASSETS"):
        assets.find()
    for name in ("etcd", "kube-apiserver"):
        (tmp_path / name).touch()
    assert assets.find().apiserver == tmp_path / "kube-apiserver"
