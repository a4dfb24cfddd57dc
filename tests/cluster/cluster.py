"""Up, down, status: a cluster by name, its state in a folder of its own."""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from tests.cluster import assets, certificates, control_plane, controllers, debian, processes
from tests.support.kubectl import kubectl_binary

_ROOT: Final = Path(__file__).parents[2]
_SAMPLES: Final = Path(__file__).with_name("samples")
_TOKEN_REQUEST: Final = {
    "apiVersion": "authentication.k8s.io/v1",
    "kind": "TokenRequest",
    "spec": {"expirationSeconds": 365 * 24 * 3600},
}
_NAME: Final = r"[a-z0-9][a-z0-9-]{0,62}"
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
    Raises ClusterFailed for a name that is none.
    """

    def __init__(self, name: str) -> None:
        if re.fullmatch(_NAME, name) is None:
            raise ClusterFailed(f"{name!r} is no name of a cluster: lower-case letters, digits and hyphens")
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
                if not self.is_current:
                    assets.say(f"cluster {self.name} was made by an earlier version; `down` first for a new one")
                return
            self._remove()
            with _undone_on_failure(self._remove):
                programs = assets.find()
                kubectl()
                self._start(programs)

    def down(self) -> None:
        """End every process and remove the state."""
        with self._alone() as lock:
            self._remove()
            lock.unlink()

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

    @property
    def is_current(self) -> bool:
        """Whether the cluster that is up was made by what lies here now, and not by an earlier version of it."""
        return self._state().get("made_of") == _made_of()

    def kubectl(self, *args: str, text: str | None = None) -> str:
        """Run kubectl as the admin; its standard output. Raises ClusterFailed."""
        command = [kubectl(), f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self.folder}/kubectl", *args]
        try:
            ran = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
        except subprocess.TimeoutExpired:
            raise ClusterFailed(f"kubectl {' '.join(args[:3])}: no answer within a minute") from None
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
        state: dict[str, Any] = {"port": port, "processes": [], "is_complete": False, "made_of": _made_of()}

        def start(name: str, argv: list[str]) -> None:
            with _uninterrupted():  # what is started must be written down, or nobody could end it
                state["processes"].append(processes.start(name, argv, folder))
                self._write(state)

        version = _version(programs.apiserver)
        start("etcd", control_plane.etcd(programs, folder, etcd_port, peer_port))
        start("kube-apiserver", control_plane.apiserver(programs, folder, port, etcd_port))
        self._until("the API server", lambda: self.kubectl("get", "--raw", "/readyz") == "ok")
        if programs.controller_manager is not None:
            manager = control_plane.controller_manager(programs.controller_manager, folder, version)
            start("kube-controller-manager", manager)
        if programs.scheduler is not None:
            start("kube-scheduler", control_plane.scheduler(programs.scheduler, folder, version))
        start(
            "kubelet",
            [
                *(sys.executable, "-m", "tests.cluster.kubelet"),
                *(f"https://127.0.0.1:{port}", str(kubelet_port), str(folder)),
                *(["--schedules"] if programs.scheduler is None else []),
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
        self.kubectl("create", "namespace", "samples")
        if not has_controllers:
            controllers.make_accounts(self.kubectl)
        self._until("the accounts", lambda: bool(self.kubectl("-n", "default", "get", "sa", "default")))
        self._until("the accounts", lambda: bool(self.kubectl("-n", "samples", "get", "sa", "default")))
        self.kubectl("apply", "-f", str(_SAMPLES / "samples.yaml"))
        self._account()
        if not has_controllers:
            controllers.make_children(self.kubectl, "samples")
        self._until("the sample pods", self._is_settled)
        if not has_controllers:
            controllers.make_endpoints(self.kubectl, "samples")

    def _is_settled(self) -> bool:
        rows = [line.split() for line in self.kubectl("-n", "samples", "get", "pods", "--no-headers").splitlines()]
        return all(
            any(row[0].startswith(name) for row in rows)
            and all(row[2] == status for row in rows if row[0].startswith(name))
            for name, status in SETTLED.items()
        )

    def account_kubeconfig(self, namespace: str, account: str) -> Path:
        """Write a kubeconfig of a ServiceAccount that was just made, once it has a token; its path."""
        name = f"{namespace}-{account}.kubeconfig"
        return control_plane.kubeconfig(self.folder, name, self._state()["port"], self._token_of(namespace, account))

    def _token_of(self, namespace: str, account: str) -> str:
        token = ""

        def find() -> bool:
            nonlocal token
            query = "jsonpath={.items[?(@.type=='kubernetes.io/service-account-token')].metadata.name}"
            names = self.kubectl("-n", namespace, "get", "secrets", "-o", query).split()
            name = next((name for name in names if name.startswith(f"{account}-token")), None)
            if name is not None:  # before 1.24 every account has a Secret with its token
                query = "go-template={{.data.token | base64decode}}"
                token = self.kubectl("-n", namespace, "get", "secret", name, "-o", query)
            else:
                path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
                answered = self.kubectl("create", "--raw", path, "-f", "-", text=json.dumps(_TOKEN_REQUEST))
                token = json.loads(answered)["status"]["token"]
            return bool(token)

        self._until(f"the token of {account}", find)
        return token

    def _account(self) -> None:
        """Write what the agent's ServiceAccount comes with."""
        token = self._token_of("kubently", "kubently-agent")
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
    def _alone(self) -> Iterator[Path]:
        """One command at a time on a cluster; the lock file, which may be removed inside."""
        path = self.folder.with_name(f"{self.name}.lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            with path.open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if _is_still_there(path, lock.fileno()):  # `down` removes the file others may be waiting for
                    yield path
                    return


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


def _made_of() -> str:
    """Changes with everything a cluster is made of, except its programs."""
    parts = [*Path(__file__).parent.glob("*.py"), *_SAMPLES.glob("*.yaml"), _ROOT / "deploy" / "agent.yaml"]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(parts))).hexdigest()


def _version(apiserver: Path) -> str:
    """`v1.20.2`."""
    ran = subprocess.run([apiserver, "--version"], capture_output=True, text=True, timeout=60)
    if ran.returncode != 0:
        raise ClusterFailed(f"{apiserver} does not run: {ran.stderr.strip()}")
    return ran.stdout.split()[-1]


def _is_still_there(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _undone_on_failure(undo: Callable[[], None]) -> Iterator[None]:
    """Undo when the body fails or is interrupted; SIGTERM and SIGHUP interrupt too."""

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    with _handling(interrupt, signal.SIGTERM, signal.SIGHUP):
        try:
            yield
        except BaseException:
            with _uninterrupted():
                undo()
            raise


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let the body run to its end; an interrupt that came meanwhile follows it."""
    caught: list[int] = []
    with _handling(lambda number, frame: caught.append(number), signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        yield
    if caught:
        raise KeyboardInterrupt


@contextlib.contextmanager
def _handling(handler: Callable[[int, Any], None], *numbers: signal.Signals) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
