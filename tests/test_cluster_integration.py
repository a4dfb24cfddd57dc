"""`scripts/testcluster` as people use it, and the archive it would fetch where that can be reached."""

import asyncio
import hashlib
import io
import os
import signal
import subprocess
import tarfile
import time
from pathlib import Path

import pytest
from aiohttp import web

from tests.cluster import assets
from tests.cluster.assets import AssetsMissing
from tests.cluster.cluster import Cluster
from tests.support.kubectl import kubectl_binary

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.timeout(300)


def run_testcluster(*args: str) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / "scripts" / "testcluster"), *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, stdin=subprocess.DEVNULL)


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
    finally:
        for name in (first, second):
            run_testcluster("down", "--name", name)
            assert processes_of(name) == []


def test_an_interrupted_up_leaves_nothing(cluster: Cluster) -> None:
    name = f"cut-{os.getpid()}"
    up = subprocess.Popen(
        [ROOT / "scripts" / "testcluster", "up", "--name", name],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not processes_of(name) and time.monotonic() < deadline:
        time.sleep(0.05)
    up.send_signal(signal.SIGINT)
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


def test_named_assets_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    with pytest.raises(AssetsMissing, match="KUBEBUILDER_ASSETS"):
        assets.find()
    for name in ("etcd", "kube-apiserver"):
        (tmp_path / name).touch()
    assert assets.find().apiserver == tmp_path / "kube-apiserver"
