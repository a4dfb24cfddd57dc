"""Where the hub is and how to ask it: what a client is made with, checked; the environment says what is left out."""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from kubently.errors import ConfigurationError

ENDPOINT_VARIABLE: Final = "KUBENTLY_ENDPOINT"
API_KEY_VARIABLE: Final = "KUBENTLY_API_KEY"
CA_FILE_VARIABLE: Final = "KUBENTLY_CA_FILE"

# How long the hub may take over a request, beside what the request itself asks it to wait for.
DEFAULT_TIMEOUT_SECONDS: Final = 30.0
# As often a request that may be repeated is sent once more. With the waits of `retries` that bridges a hub's restart.
DEFAULT_RETRIES: Final = 4


@dataclass(frozen=True, slots=True)
class Settings:
    """What a client was made with. `endpoint` is `https://hub.example.com` or that with a path, without a `/` behind.

    `headers` go with every request. `tls` None: what Python trusts. `proxy` None: what the environment says
    (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`).
    """

    endpoint: str
    headers: Mapping[str, str] = field(repr=False)
    timeout_seconds: float
    retries: int
    tls: ssl.SSLContext | None
    proxy: str | None

    @classmethod
    def make(
        cls,
        endpoint: str | None,
        api_key: str | None,
        *,
        timeout: float,
        retries: int,
        ca_file: str | Path | None,
        proxy: str | None,
        service_identity: str | None,
        correlation_id: str | None,
    ) -> "Settings":
        """Check everything. Raises ConfigurationError."""
        from kubently import __version__

        key = _line("api_key", api_key or os.environ.get(API_KEY_VARIABLE), API_KEY_VARIABLE)
        headers = {"Authorization": f"Bearer {key}", "User-Agent": f"kubently-python/{__version__}"}
        if service_identity is not None:
            headers["X-Service-Identity"] = _line("service_identity", service_identity)
        if correlation_id is not None:
            headers["X-Correlation-ID"] = _line("correlation_id", correlation_id)
        if not timeout > 0:
            raise ConfigurationError(f"timeout: {timeout} is no time; say how many seconds, above 0")
        if retries < 0:
            raise ConfigurationError(f"retries: {retries} is below 0; 0 tries once")
        return cls(
            endpoint=_endpoint(endpoint or os.environ.get(ENDPOINT_VARIABLE)),
            headers=headers,
            timeout_seconds=timeout,
            retries=retries,
            tls=_tls(ca_file or os.environ.get(CA_FILE_VARIABLE)),
            proxy=proxy,
        )


def _endpoint(endpoint: str | None) -> str:
    if not endpoint:
        raise ConfigurationError(
            f"endpoint: where the hub is was not said; pass http://host:8080, or set {ENDPOINT_VARIABLE}"
        )
    try:
        parts = urlsplit(endpoint)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_url = False
    if not is_url or parts.query or parts.fragment or parts.username is not None or not endpoint.isprintable():
        raise ConfigurationError(
            f"endpoint: {endpoint!r} is no address of a hub; it looks like https://hub.example.com:8080"
        )
    return endpoint.rstrip("/")


def _line(name: str, text: str | None, variable: str | None = None) -> str:
    """A header's value. The text itself is never quoted: it may be a secret."""
    if not text:
        remedy = "" if variable is None else f"; pass one, or set {variable}"
        raise ConfigurationError(f"{name}: there is none{remedy}")
    if not (text.isascii() and text.isprintable()) or text != text.strip():
        raise ConfigurationError(f"{name}: has characters that none has, such as a line end or a blank at its end")
    return text


def _tls(ca_file: str | Path | None) -> ssl.SSLContext | None:
    if ca_file is None:
        return None
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"ca_file: {ca_file} has no certificates that can be read: {error}") from None
