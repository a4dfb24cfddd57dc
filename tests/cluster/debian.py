"""A Kubernetes control plane from Debian's own source package, about four minutes on two cores.

Kubernetes 1.20.2 with Debian's Go. One vendored library, reflect2, is replaced by Debian's newer one: the old one
crashes the API server after some minutes when built with Go 1.18 or later.
"""

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

_PACKAGES: Final = (
    "golang-1.19-go",
    "golang-github-modern-go-reflect2-dev",
    "dpkg-dev",
    "rsync",
    "etcd-server",
    "make",
    "jq",
)
_GO: Final = "/usr/lib/go-1.19/bin"
_REFLECT2: Final = "github.com/modern-go/reflect2"
_PROGRAMS: Final = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
_VERSION: Final = "v1.20.2"
_STEP_SECONDS: Final = 1800
_END_SECONDS: Final = 15


class BuildFailed(Exception):
    """A step of the build failed; the message has its last lines."""


def can_build() -> bool:
    """Whether this is a Debian where packages may be installed."""
    return Path("/etc/debian_version").exists() and os.geteuid() == 0 and shutil.which("apt-get") is not None


def build(folder: Path) -> None:
    """Build the programs into `folder`, all or nothing; a second caller waits for the first. Raises BuildFailed."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder.with_name("build.lock")):
        if folder.exists():
            return
        with tempfile.TemporaryDirectory(prefix="kubently-build-") as name:
            _build(Path(name), folder)


def install(*packages: str) -> None:
    """Install Debian packages, without starting the services some of them bring. Raises BuildFailed."""
    quiet = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    _run(["apt-get", "update", "-qq"], environment=quiet)
    _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], environment=quiet)


def _build(work: Path, folder: Path) -> None:
    apt = _apt_with_sources(work)
    with _stage("fetching Debian's Kubernetes sources and its Go compiler"):
        quiet = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        _run(["apt-get", *apt, "update", "-qq"])
        _run(["apt-get", *apt, "install", "-y", "-qq", "--no-install-recommends", *_PACKAGES], environment=quiet)
        _run(["apt-get", *apt, "source", "-qq", "--download-only", "kubernetes"], cwd=work)
    tree = work / "go" / "src" / "k8s.io" / "kubernetes"
    tree.parent.mkdir(parents=True)
    (description,) = work.glob("kubernetes_*.dsc")
    _run(["dpkg-source", "--no-check", "-x", description.name, str(tree)], cwd=work)
    vendored = tree / "vendor" / _REFLECT2
    shutil.rmtree(vendored)
    shutil.copytree(Path("/usr/share/gocode/src") / _REFLECT2, vendored, symlinks=False)

    environment = {
        "GOPATH": str(work / "go"),
        "GOCACHE": str(work / "cache"),
        "PATH": f"{_GO}:{os.environ.get('PATH', '/usr/bin:/bin')}",
        "GO111MODULE": "off",
        "CGO_ENABLED": "0",
    }
    with _stage("generating the OpenAPI definitions"):
        _run(["make", "gen_openapi"], cwd=tree, environment=environment)
    fresh = work / "assets"
    fresh.mkdir()
    stamp = "k8s.io/kubernetes/vendor/k8s.io/component-base/version"
    flags = f"-s -w -X {stamp}.gitVersion={_VERSION} -X {stamp}.gitMajor=1 -X {stamp}.gitMinor=20"
    with _stage("compiling API server, controller manager and scheduler (some minutes)"):
        packages = [f"./cmd/{program}" for program in _PROGRAMS]
        _run(["go", "build", "-ldflags", flags, "-o", f"{fresh}/", *packages], cwd=tree, environment=environment)
    near = folder.with_name(f"{folder.name}.{os.getpid()}")  # on the same file system as the folder
    shutil.copytree(fresh, near)
    near.rename(folder)


def _apt_with_sources(work: Path) -> list[str]:
    """Options that make apt know the source packages of whatever archives this machine is set up with."""
    parts, lists = work / "apt" / "parts", work / "apt" / "lists"
    (lists / "partial").mkdir(parents=True)
    parts.mkdir()
    for path in [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]:
        if path.suffix == ".sources":
            text = re.sub(r"(?m)^Types:.*$", "Types: deb deb-src", path.read_text())
        elif path.suffix == ".list" and path.exists():
            lines = [line for line in path.read_text().splitlines() if line.startswith("deb ")]
            text = "\n".join(lines + [f"deb-src {line[4:]}" for line in lines]) + "\n"
        else:
            continue
        (parts / path.name).write_text(text)
    return [
        *("-o", "Dir::Etc::sourcelist=/dev/null"),
        *("-o", f"Dir::Etc::sourceparts={parts}"),
        *("-o", f"Dir::State::lists={lists}"),
        *("-o", "APT::Sandbox::User=root"),
    ]


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _stage(title: str) -> Iterator[None]:
    started = time.monotonic()
    print(f"  {title} ...", file=sys.stderr, flush=True)
    yield
    print(f"  ... done in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


def _end(step: subprocess.Popen[str]) -> None:
    """End a step with all that make and go have started; apt gets the time to leave its database whole."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        os.killpg(step.pid, signal.SIGTERM)
        step.wait(_END_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(step.pid, signal.SIGKILL)
    step.wait()


def _run(argv: list[str], *, cwd: Path | None = None, environment: Mapping[str, str] | None = None) -> None:
    step = subprocess.Popen(
        argv,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = step.communicate(timeout=_STEP_SECONDS)
    except subprocess.TimeoutExpired:
        raise BuildFailed(f"{argv[0]} {argv[1]} did not end within {_STEP_SECONDS} s") from None
    finally:
        if step.returncode is None:  # interrupted
            _end(step)
    if step.returncode != 0:
        last = "\n".join(output.splitlines()[-15:])
        raise BuildFailed(f"{argv[0]} {argv[1]} failed:\n{last}")
