"""Where kube-apiserver and etcd come from: named by the caller, kept from before, fetched, or built."""

import hashlib
import http.client
import io
import os
import platform
import shutil
import sys
import tarfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.cluster import debian

# Kubernetes' own archive of kube-apiserver and etcd for tests, https://book.kubebuilder.io/reference/envtest
ENVTEST_VERSION: Final = "1.34.1"
ENVTEST_URL: Final = (
    "https://github.com/kubernetes-sigs/controller-tools/releases/download/envtest-v{version}/"
    "envtest-v{version}-linux-{arch}.tar.gz"
)
_CONNECT_SECONDS: Final = 3.0
# Where the archive cannot be reached, it is not asked for again so soon.
_RETRY_SECONDS: Final = 24 * 3600.0
_MAX_ARCHIVE_BYTES: Final = 500 * 1024 * 1024
_ARCHES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


class AssetsMissing(Exception):
    """No binaries can be had; one sentence says what would help."""


@dataclass(frozen=True, slots=True)
class Assets:
    """The programs. The last two are None where only an API server is to be had: then nothing is scheduled."""

    etcd: Path
    apiserver: Path
    controller_manager: Path | None
    scheduler: Path | None


def cache() -> Path:
    """Where binaries and clusters are kept: `~/.cache/kubently`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kubently"


def find() -> Assets:
    """Return the programs, making them where they are not there yet. Raises AssetsMissing."""
    named = os.environ.get("KUBEBUILDER_ASSETS")
    if named:
        found = _in_folder(Path(named))
        if found is None:
            raise AssetsMissing(f"KUBEBUILDER_ASSETS={named} has no kube-apiserver and etcd")
        return found
    folder = cache() / "assets"
    found = _in_folder(folder)
    if found is not None:
        return found
    try:
        fetch(folder)
    except (OSError, AssetsMissing) as error:
        say(f"  no official archive: {error}")
    found = _in_folder(folder)
    if found is not None:
        return found
    if not debian.can_build():
        raise AssetsMissing(
            "no Kubernetes API server: set KUBEBUILDER_ASSETS to a folder with kube-apiserver and etcd,"
            " or use --use-current"
        )
    debian.build(folder)
    found = _in_folder(folder)
    if found is None:
        raise AssetsMissing("the build left no kube-apiserver and etcd behind")
    return found


def fetch(folder: Path, url: str | None = None) -> None:
    """Download the official archive, check it against its published SHA-512, and unpack it into `folder`.

    `url` is an address with {version} and {arch} in it; None: KUBENTLY_ENVTEST_URL, and without it the official one.
    Raises OSError when it cannot be reached and AssetsMissing when it is not what was published.
    """
    named = url or os.environ.get("KUBENTLY_ENVTEST_URL")
    address = named or ENVTEST_URL
    address = address.format(version=ENVTEST_VERSION, arch=_ARCHES.get(platform.machine(), platform.machine()))
    failed = cache() / "envtest-unreachable"
    if named is None and failed.exists() and time.time() - failed.stat().st_mtime < _RETRY_SECONDS:
        raise OSError("it could not be reached within the last day")
    try:
        published = _get(address + ".sha512").split()
        archive = _get(address)
    except OSError:
        failed.parent.mkdir(parents=True, exist_ok=True)
        failed.touch()
        raise
    if hashlib.sha512(archive).hexdigest().encode() not in published[:1]:
        raise AssetsMissing(f"{address} does not have the published checksum; it is not used")
    _unpack(archive, folder)


def _get(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=_CONNECT_SECONDS) as response:
            body: bytes = response.read(_MAX_ARCHIVE_BYTES)
    except http.client.HTTPException as error:
        raise OSError(f"{url}: {error!r}") from error
    return body


def _unpack(archive: bytes, folder: Path) -> None:
    fresh = folder.with_name(f"{folder.name}.{os.getpid()}")
    fresh.mkdir(parents=True)
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as members:
            for member in members:
                name = Path(member.name).name
                content = members.extractfile(member) if member.isfile() else None
                if content is not None and name in ("kube-apiserver", "etcd", "kubectl"):
                    (fresh / name).write_bytes(content.read())
                    (fresh / name).chmod(0o755)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _in_folder(folder: Path) -> Assets | None:
    etcd = next((path for path in (folder / "etcd", Path("/usr/bin/etcd")) if path.exists()), None)
    if etcd is None or not (folder / "kube-apiserver").exists():
        return None
    manager, scheduler = folder / "kube-controller-manager", folder / "kube-scheduler"
    return Assets(
        etcd,
        folder / "kube-apiserver",
        manager if manager.exists() else None,
        scheduler if scheduler.exists() else None,
    )


def say(text: str) -> None:
    """Tell the person who waits; standard output is for the answer."""
    print(text, file=sys.stderr, flush=True)
