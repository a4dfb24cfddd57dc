"""The cluster's own authority and what it signs, made by openssl."""

import subprocess
from pathlib import Path

_DAYS = "3650"


def make(folder: Path) -> None:
    """Write ca, apiserver, kubelet and kubelet-client certificates with their keys, and the service accounts' key."""
    folder.mkdir(mode=0o700)
    _openssl(
        folder,
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", _DAYS),
        *("-subj", "/CN=kubently-testcluster", "-keyout", "ca.key", "-out", "ca.crt"),
        # Python 3.13 checks strictly by default, and then an authority without this is none (RFC 5280, 4.2.1.3).
        *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
    )
    names = "IP:127.0.0.1,IP:10.0.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
    _sign(folder, "apiserver", "/CN=kube-apiserver", names)
    _sign(folder, "kubelet", "/CN=samples-node", "IP:127.0.0.1")
    _sign(folder, "kubelet-client", "/O=system:masters/CN=kube-apiserver-kubelet-client", "DNS:kube-apiserver")
    _openssl(folder, "genrsa", "-out", "service-accounts.key", "2048")


def _sign(folder: Path, name: str, subject: str, names: str) -> None:
    _openssl(
        folder,
        *("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-subj", subject, "-keyout", f"{name}.key", "-out", f"{name}.csr"),
    )
    (folder / f"{name}.ext").write_text(
        f"subjectAltName={names}\n"
        "extendedKeyUsage=serverAuth,clientAuth\n"
        "basicConstraints=critical,CA:FALSE\n"
        "keyUsage=critical,digitalSignature\n"
        "subjectKeyIdentifier=hash\n"
        "authorityKeyIdentifier=keyid\n"
    )
    _openssl(
        folder,
        *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"),
        *("-days", _DAYS, "-extfile", f"{name}.ext", "-out", f"{name}.crt"),
    )


def _openssl(folder: Path, *args: str) -> None:
    subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True, timeout=60)
