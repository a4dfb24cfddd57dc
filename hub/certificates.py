"""The hub's TLS certificate and the authorities of agents' certificates: loaded, and again when the files change.

Who connects gets the newest. A file that cannot be used changes nothing: the last good one stays, and the log says why.
"""

import asyncio
import logging
import ssl
from pathlib import Path
from typing import Final

from hub.settings import Server

_log = logging.getLogger(__name__)

# Kubernetes replaces a mounted Secret about a minute after it has changed; looking more often gains nothing.
_LOOK_SECONDS: Final = 5.0

_Marks = tuple[tuple[int, int, int] | None, ...]


class Certificates:
    """What new TLS connections are greeted with. Raises OSError and ssl.SSLError for files that cannot be used."""

    def __init__(self, settings: Server) -> None:
        self._settings = settings
        self._marks = self._look()
        self._newest = self._load()
        self.context = self._newest
        # A listening socket keeps the context it was opened with; this hands each new connection on to the newest.
        self.context.sni_callback = self._hand_on

    async def watch(self) -> None:
        """Load the files again when they change, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            marks = self._look()
            if marks != self._marks:
                self._marks = marks
                self.reload()

    def reload(self) -> None:
        """Load the files again; what cannot be used changes nothing."""
        try:
            self._newest = self._load()
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            _log.error("the new certificate cannot be used, the old one stays", extra={"error": str(error)})
        else:
            _log.info("the certificate was loaded again")

    def _hand_on(self, connection: ssl.SSLObject, server_name: str | None, context: ssl.SSLContext) -> None:  # noqa: ARG002
        connection.context = self._newest

    def _load(self) -> ssl.SSLContext:
        settings = self._settings
        assert settings.tls_cert is not None  # settings has both or none
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
        if settings.tls_client_ca is not None:
            context.load_verify_locations(settings.tls_client_ca)
            # Clients of the API have none. Of agents `middleware/auth` asks for one.
            context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def _look(self) -> _Marks:
        """What tells a file from its successor; None for one that is not there."""
        settings = self._settings
        return tuple(
            _mark(Path(name)) for name in (settings.tls_cert, settings.tls_key, settings.tls_client_ca) if name
        )


def _mark(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
