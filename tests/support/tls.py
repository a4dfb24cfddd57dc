"""A certificate authority of one test, made with the openssl program."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificate:
    """A self-signed certificate for 127.0.0.1, localhost and hub.test."""

    cert: Path
    key: Path

    def server(self) -> ssl.SSLContext:
        """What a server uses."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.cert, self.key)
        return context


def make_certificate(folder: Path) -> Certificate:
    """Make one in `folder`, which is made if it is not there."""
    folder.mkdir(exist_ok=True)
    made = Certificate(folder / "tls.crt", folder / "tls.key")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-days", "2", "-keyout", str(made.key), "-out", str(made.cert), "-subj", "/CN=hub.test"),
            *("-addext", "subjectAltName=DNS:hub.test,DNS:localhost,IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    return made
