"""The command lines of etcd, API server, controller manager and scheduler, and the kubeconfigs to reach them."""

import json
from pathlib import Path
from typing import Any

from tests.cluster.assets import Assets


def etcd(assets: Assets, folder: Path, port: int, peer_port: int) -> list[str]:
    """One member, in clear on loopback."""
    return [
        str(assets.etcd),
        f"--data-dir={folder}/etcd",
        f"--listen-client-urls=http://127.0.0.1:{port}",
        f"--advertise-client-urls=http://127.0.0.1:{port}",
        f"--listen-peer-urls=http://127.0.0.1:{peer_port}",
        f"--initial-advertise-peer-urls=http://127.0.0.1:{peer_port}",
        f"--initial-cluster=default=http://127.0.0.1:{peer_port}",
        "--log-outputs=stderr",
    ]


def apiserver(assets: Assets, folder: Path, port: int, etcd_port: int) -> list[str]:
    """RBAC, a token file for the admin, and the stand-in kubelet reached by its node's address."""
    certificates = folder / "certificates"
    flags = [
        str(assets.apiserver),
        f"--etcd-servers=http://127.0.0.1:{etcd_port}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",
        f"--secure-port={port}",
        f"--cert-dir={folder}/apiserver",
        f"--tls-cert-file={certificates}/apiserver.crt",
        f"--tls-private-key-file={certificates}/apiserver.key",
        f"--client-ca-file={certificates}/ca.crt",
        f"--token-auth-file={folder}/tokens.csv",
        "--authorization-mode=RBAC",
        "--allow-privileged=true",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={certificates}/service-accounts.key",
        f"--service-account-signing-key-file={certificates}/service-accounts.key",
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-certificate-authority={certificates}/ca.crt",
        f"--kubelet-client-certificate={certificates}/kubelet-client.crt",
        f"--kubelet-client-key={certificates}/kubelet-client.key",
        "--event-ttl=240h",
    ]
    if assets.controller_manager is None:
        flags.append("--disable-admission-plugins=ServiceAccount")  # nobody makes the accounts
    return flags


def controller_manager(program: Path, folder: Path, version: str) -> list[str]:
    """All controllers, without a port of its own."""
    return [
        str(program),
        *_no_port(folder, version),
        f"--root-ca-file={folder}/certificates/ca.crt",
        f"--service-account-private-key-file={folder}/certificates/service-accounts.key",
        "--controllers=*",
    ]


def scheduler(program: Path, folder: Path, version: str) -> list[str]:
    """The scheduler, without a port of its own."""
    return [str(program), *_no_port(folder, version)]


def _no_port(folder: Path, version: str) -> list[str]:
    flags = [f"--kubeconfig={folder}/kubeconfig", "--secure-port=0", "--leader-elect=false"]
    # Up to 1.22 there is a port in clear to close as well; 1.24 no longer knows the flag.
    return [*flags, "--port=0"] if _minor(version) < 23 else flags


def _minor(version: str) -> int:
    """22 of `v1.22.3`."""
    return int(version.split(".")[1])


def kubeconfig(folder: Path, name: str, port: int, token: str, namespace: str = "default") -> Path:
    """Write a kubeconfig of one user; JSON is YAML too."""
    path = folder / name
    content: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "testcluster",
        "contexts": [
            {"name": "testcluster", "context": {"cluster": "testcluster", "user": "user", "namespace": namespace}}
        ],
        "clusters": [
            {
                "name": "testcluster",
                "cluster": {
                    "server": f"https://127.0.0.1:{port}",
                    "certificate-authority": f"{folder}/certificates/ca.crt",
                },
            }
        ],
        "users": [{"name": "user", "user": {"token": token}}],
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(content, indent=2) + "\n")
    return path
