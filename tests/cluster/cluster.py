"""Up, down, status: a cluster by name, its state in a folder of its own."""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from tests.cluster import assets, certificates, control_plane, debian, processes
from tests.support.kubectl import kubectl_binary

_ROOT: Final = Path(__file__).parents[2]
_SAMPLES: Final = Path(__file__).with_name("samples")
_READY_SECONDS: Final = 60.0
# The pods of samples/ and what `kubectl get pods` shows for each once the cluster has settled.
SETTLED: Final = {
    "web-": "Running",
    "crashing": "CrashLoopBackOff",
    "unpullable": "ImagePullBackOff",
    "hungry": "OOMKilled",
    "unschedulable": "Pending",
    "talker": "Running",
    "flooder": "Running",
    "migrate-": "Completed",
}


class ClusterFailed(Exception):
    """The cluster cannot be had; the message says why."""


class Cluster:
    """One test cluster. `kubeconfig` is the admin's, `agent_kubeconfig` that of the agent's ServiceAccount.

    `service_account` is a folder as a pod would find it (token, ca.crt, namespace).
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = assets.cache() / "clusters" / name
        self.kubeconfig = self.folder / "kubeconfig"
        self.agent_kubeconfig = self.folder / "agent.kubeconfig"
        self.service_account = self.folder / "serviceaccount"

    @property
    def host_and_port(self) -> tuple[str, str]:
        """Where the API server listens."""
        return "127.0.0.1", str(self._state()["port"])

    def up(self) -> None:
        """Bring the cluster up, or see that it is. Raises ClusterFailed, AssetsMissing and BuildFailed."""
        with self._alone():
            if self.problem() is None:
                return
            self._remove()
            programs = assets.find()
            kubectl()
            with _undone_on_failure(self._remove):
                self._start(programs)

    def down(self) -> None:
        """End every process and remove the state."""
        with self._alone():
            self._remove()
        self.folder.with_suffix(".lock").unlink(missing_ok=True)

    def problem(self) -> str | None:
        """What is wrong with the cluster, None when it is up."""
        if not (self.folder / "state.json").exists():
            return f"no cluster {self.name} is up"
        state = self._state()
        dead = [entry["name"] for entry in state["processes"] if not processes.is_alive(entry)]
        if dead:
            return f"{', '.join(dead)} of cluster {self.name} has ended; see {self.folder}"
        if not state["is_complete"]:
            return f"cluster {self.name} did not come up whole"
        return None

    def kubectl(self, *args: str, text: str | None = None) -> str:
        """Run kubectl as the admin; its standard output. Raises ClusterFailed."""
        ran = subprocess.run(
            [kubectl(), f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self.folder}/kubectl", *args],
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if ran.returncode != 0:
            raise ClusterFailed(f"kubectl {' '.join(args[:3])}: {ran.stderr.strip()}")
        return ran.stdout

    def _start(self, programs: assets.Assets) -> None:
        folder = self.folder
        folder.mkdir(parents=True, mode=0o700)
        certificates.make(folder / "certificates")
        port, etcd_port, peer_port, kubelet_port = processes.free_ports(4)
        token = secrets.token_hex(16)
        tokens = folder / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text(f"{token},admin,admin,system:masters\n")
        control_plane.kubeconfig(folder, "kubeconfig", port, token)
        state: dict[str, Any] = {"port": port, "processes": [], "is_complete": False}

        def start(name: str, argv: list[str]) -> None:
            state["processes"].append(processes.start(name, argv, folder))
            self._write(state)

        version = subprocess.run([programs.apiserver, "--version"], capture_output=True, text=True, check=True)
        start("etcd", control_plane.etcd(programs, folder, etcd_port, peer_port))
        start(
            "kube-apiserver",
            control_plane.apiserver(programs, folder, port, etcd_port, version.stdout.split()[-1]),
        )
        self._until("the API server", lambda: self.kubectl("get", "--raw", "/readyz") == "ok")
        if programs.controller_manager is not None:
            start("kube-controller-manager", control_plane.controller_manager(programs.controller_manager, folder))
        if programs.scheduler is not None:
            start("kube-scheduler", control_plane.scheduler(programs.scheduler, folder))
        start(
            "kubelet",
            [
                *(sys.executable, "-m", "tests.cluster.kubelet"),
                *(f"https://127.0.0.1:{port}", str(kubelet_port), str(folder)),
            ],
        )
        self._fill(has_controllers=programs.controller_manager is not None)
        state["is_complete"] = True
        self._write(state)

    def _fill(self, *, has_controllers: bool) -> None:
        """Put in the agent's account and the samples, and wait until the pods are in their states."""
        self.kubectl("apply", "-f", str(_ROOT / "deploy" / "agent.yaml"))
        self.kubectl("-n", "kubently", "scale", "deployment", "kubently-agent", "--replicas=0")
        self.kubectl("apply", "-f", str(_SAMPLES / "crd.yaml"))
        self._until("the sample kind", lambda: "widgets" in self.kubectl("api-resources", "--cached=false"))
        if has_controllers:
            self._until("the accounts", lambda: bool(self.kubectl("-n", "default", "get", "sa", "default")))
            self.kubectl("create", "namespace", "samples")
            self._until("the accounts", lambda: bool(self.kubectl("-n", "samples", "get", "sa", "default")))
        self.kubectl("apply", "-f", str(_SAMPLES / "samples.yaml"))
        self._account()
        if has_controllers:
            self._until("the sample pods", self._is_settled)

    def _is_settled(self) -> bool:
        rows = [line.split() for line in self.kubectl("-n", "samples", "get", "pods", "--no-headers").splitlines()]
        return all(
            any(row[0].startswith(name) for row in rows)
            and all(row[2] == status for row in rows if row[0].startswith(name))
            for name, status in SETTLED.items()
        )

    def _account(self) -> None:
        """Write what the agent's ServiceAccount comes with."""
        token = ""

        def find() -> bool:
            nonlocal token
            query = "jsonpath={.items[?(@.type=='kubernetes.io/service-account-token')].metadata.name}"
            names = self.kubectl("-n", "kubently", "get", "secrets", "-o", query).split()
            name = next((name for name in names if name.startswith("kubently-agent-token")), None)
            if name is not None:  # before 1.24 every account has a Secret with its token
                query = "go-template={{.data.token | base64decode}}"
                token = self.kubectl("-n", "kubently", "get", "secret", name, "-o", query)
            else:
                command = ("create", "token", "kubently-agent", "--duration=8760h")
                with contextlib.suppress(ClusterFailed):
                    token = self.kubectl("-n", "kubently", *command).strip()
            return bool(token)

        self._until("the agent's token", find)
        control_plane.kubeconfig(self.folder, "agent.kubeconfig", self._state()["port"], token)
        self.service_account.mkdir(mode=0o700)
        for name, text in (
            ("token", token),
            ("namespace", "kubently"),
            ("ca.crt", (self.folder / "certificates" / "ca.crt").read_text()),
        ):
            (self.service_account / name).write_text(text)

    def _until(self, what: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        last = ""
        while time.monotonic() < deadline:
            try:
                if condition():
                    return
            except ClusterFailed as error:
                last = str(error)
            problem = next(
                (entry["name"] for entry in self._state()["processes"] if not processes.is_alive(entry)), None
            )
            if problem is not None:
                log = (self.folder / f"{problem}.log").read_text(errors="replace").splitlines()[-5:]
                raise ClusterFailed(f"{problem} ended:\n" + "\n".join(log))
            time.sleep(0.1)
        raise ClusterFailed(f"{what} did not come up within {_READY_SECONDS:g} s: {last}")

    def _remove(self) -> None:
        if (self.folder / "state.json").exists():
            processes.stop(self._state()["processes"])
        shutil.rmtree(self.folder, ignore_errors=True)

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads((self.folder / "state.json").read_text())
        return state

    def _write(self, state: dict[str, Any]) -> None:
        fresh = self.folder / "state.json.new"
        fresh.write_text(json.dumps(state))
        fresh.replace(self.folder / "state.json")

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One command at a time on a cluster."""
        path = self.folder.with_suffix(".lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def kubectl() -> str:
    """The kubectl to use, installed from Debian's package where there is none. Raises ClusterFailed."""
    try:
        return kubectl_binary()
    except LookupError:
        if not debian.can_build():
            raise ClusterFailed("kubectl is missing; install it") from None
        assets.say("installing kubectl (Debian package kubernetes-client)")
        debian.install("kubernetes-client")
        kubectl_binary.cache_clear()
        return kubectl_binary()


@contextlib.contextmanager
def _undone_on_failure(undo: Callable[[], None]) -> Iterator[None]:
    """Undo when the body fails or is interrupted; SIGTERM interrupts too."""

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except BaseException:
        undo()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
