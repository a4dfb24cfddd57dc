"""The way to the API server: its address, the agent's credentials, and the session that carries requests there.

`kubernetes.aio` reads the configuration and makes the session; transport.py alone sends on it. Its import takes 0.4 s
and 30 MB and is therefore left to the first command, or to the probe before it, in a thread.
"""

import asyncio
import base64
import contextlib
import functools
import logging
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp.client_proto import ResponseHandler

from agent.executors.native.errors import Unreachable

_log = logging.getLogger(__name__)

# client-go reads a token file again after so long; the kubelet renews a pod's token in time for that.
_REFRESH_SECONDS: Final = 60.0
# A credential plugin may open a browser or ask a cloud; nobody waits longer than a command may take.
_PLUGIN_SECONDS: Final = 60.0
_MAX_CONNECTIONS: Final = 100
# The API server closes a connection that is idle for 90 s; a new one costs a command its TLS handshake.
_IDLE_SECONDS: Final = 80.0
_CERTIFICATE_FILES: Final = ("certificate-authority", "client-certificate", "client-key")
_FILES: Final = (*_CERTIFICATE_FILES, "tokenFile")
# An ExecCredential's status, and where a kubeconfig has the same
# (https://kubernetes.io/docs/reference/access-authn-authz/authentication/#input-and-output-formats).
_PLUGIN_ANSWERS: Final = {
    "token": "token",
    "clientCertificateData": "client-certificate-data",
    "clientKeyData": "client-key-data",
}


class Pool:
    """A session with one set of certificates. It closes once it is retired and its last request has ended."""

    def __init__(self, client: Any, certificates: tuple[bytes, ...], options: Mapping[str, Any]) -> None:
        self.session = client.pool_manager
        self.certificates = certificates
        self.options = options  # what each request on it needs beside its own: proxy, server_hostname
        self._client = client
        self._requests = 0
        self._is_retired = False

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator["Pool"]:
        """Keep it open while a request runs on it."""
        self._requests += 1
        try:
            yield self
        finally:
            self._requests -= 1
            if self._is_retired and not self._requests:
                await self._client.close()

    async def retire(self) -> None:
        """Close it, now or with its last request."""
        self._is_retired = True
        if not self._requests:
            await self._client.close()


class Access:
    """Opened by the first request, kept for all; `close` ends it. `config` is what `kubeconfig.resolve` gives."""

    def __init__(self, config: bytes) -> None:
        content = msgspec.json.decode(config)
        self._cluster: dict[str, Any] = content["clusters"][0]["cluster"]
        self._user: dict[str, Any] = content["users"][0]["user"]
        self.host = str(self._cluster.get("server", "")).rstrip("/")
        self.namespace = str(content["contexts"][0]["context"].get("namespace") or "default")
        self.authorization: str | None = None  # the header's value
        self._pool: Pool | None = None
        self._lock = asyncio.Lock()
        self._refresh_at = 0.0
        self._plugin: _PluginCredentials | None = None

    @property
    def address(self) -> str:
        """Host and port as they stand in the URL: `10.0.0.1:443`."""
        return urlsplit(self.host).netloc

    async def prepare(self) -> None:
        """Do all that takes long and needs no cluster: the import."""
        await asyncio.to_thread(_library)

    async def pool(self) -> Pool:
        """The session to use now. Raises Unreachable when there are no credentials, or no certificates to trust."""
        if self._pool is None or time.monotonic() >= self._refresh_at:
            async with self._lock:
                if self._pool is None or time.monotonic() >= self._refresh_at:
                    await self._refresh()
        assert self._pool is not None
        return self._pool

    async def renew(self, used: Pool, authorization: str | None) -> None:
        """Read everything anew, after a request with these credentials was turned away.

        Nothing is read when another request has done so meanwhile.
        """
        async with self._lock:
            if used is self._pool and authorization == self.authorization:
                self._plugin = None
                await self._refresh()

    async def close(self) -> None:
        """End the session; nothing may be running on it any more."""
        if self._pool is not None:
            await self._pool.retire()
            self._pool = None

    async def _refresh(self) -> None:
        """Read the credentials; a new session only where certificates have changed."""
        try:
            await self._read()
        except Unreachable as error:
            if self._pool is None:
                raise
            # A file that is being replaced, a plugin without network: what was read last is likely good still.
            _log.warning("the cluster's credentials cannot be read again", extra={"error": str(error)})
        self._refresh_at = time.monotonic() + self._seconds_to_refresh()

    def _seconds_to_refresh(self) -> float:
        if self._plugin is not None and self._plugin.expires_at is not None:
            return min(max(self._plugin.expires_at - time.time() - _REFRESH_SECONDS, 1.0), _REFRESH_SECONDS)
        has_files = any(name in entry for entry in (self._cluster, self._user) for name in _FILES)
        return _REFRESH_SECONDS if has_files or "auth-provider" in self._user else float("inf")

    async def _read(self) -> None:
        library = await asyncio.to_thread(_library)
        user = await self._user_with_plugin(library)
        configuration = library.Configuration(
            connection_pool_maxsize=_MAX_CONNECTIONS,
            # No proxies of the environment, and nothing that a server could have the next command carry.
            client_session_kwargs={"trust_env": False, "cookie_jar": aiohttp.DummyCookieJar()},
        )
        # RFC 5280 to the letter (Python 3.13) is more than kubectl asks of a cluster's authority.
        configuration.disable_strict_ssl_verification = True
        try:
            with contextlib.ExitStack() as stack:
                cluster, user = _with_files(self._cluster, stack), _with_files(user, stack)
                certificates = _certificates(cluster, user)
                await library.KubeConfigLoader(_kubeconfig(cluster, user)).load_and_set(configuration)
                authorization = configuration.api_key.get("BearerToken")
                self.authorization = authorization.strip() if authorization else None
                if self._pool is not None and self._pool.certificates == certificates:
                    return
                client = await asyncio.to_thread(library.Client, configuration)
        except (OSError, ValueError, KeyError, aiohttp.ClientError, library.ConfigException) as error:
            raise Unreachable(f"Unable to connect to the server: {error}") from None
        client.pool_manager = client._create_pool_manager()
        options = {}
        if configuration.proxy:
            options["proxy"] = configuration.proxy
        if configuration.tls_server_name:
            options["server_hostname"] = configuration.tls_server_name
        old, self._pool = self._pool, Pool(client, certificates, options)
        if old is not None:
            await old.retire()

    async def _user_with_plugin(self, library: "_Library") -> dict[str, Any]:
        """The user with what its credential plugin says; the plugin is asked once until that expires."""
        plugin = self._user.get("exec")
        if not isinstance(plugin, dict):
            return self._user
        if self._plugin is None or self._plugin.is_expired:
            self._plugin = await _ask_plugin(plugin, library)
        return {name: value for name, value in self._user.items() if name != "exec"} | self._plugin.user


@dataclass(frozen=True, slots=True)
class _PluginCredentials:
    """What a credential plugin said: entries of a kubeconfig user, and until when they hold (None: until a 401)."""

    user: dict[str, str]
    expires_at: float | None  # seconds since the epoch

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and time.time() >= self.expires_at - _REFRESH_SECONDS


async def _ask_plugin(plugin: Mapping[str, Any], library: "_Library") -> _PluginCredentials:
    """Run the operator's credential plugin. Raises Unreachable with what it said."""
    try:
        provider = library.ExecProvider(library.ConfigNode("exec", plugin))
        # Not the agent's own environment, which holds its token: what `kubeconfig.resolve` has put there.
        provider.env = {item["name"]: item["value"] for item in plugin.get("env") or []}
        async with asyncio.timeout(_PLUGIN_SECONDS):
            status = await provider.run()
        user = {kept: status[said] for said, kept in _PLUGIN_ANSWERS.items() if status.get(said)}
        expiry = status.get("expirationTimestamp")
        expires_at = None if expiry is None else datetime.fromisoformat(expiry).timestamp()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, library.ConfigException) as error:
        raise Unreachable(f"Unable to connect to the server: getting credentials: {error}") from None
    return _PluginCredentials(user, expires_at)


def _with_files(entry: Mapping[str, Any], stack: contextlib.ExitStack) -> dict[str, Any]:
    """The entry with its certificates as files that go with the stack; the library would leave its own lying about."""
    written = dict(entry)
    for name in _CERTIFICATE_FILES:
        data = written.pop(f"{name}-data", None)
        if data:
            written[name] = stack.enter_context(_file(data))
    if written.get("tokenFile"):
        written.pop("token", None)  # for kubectl the file wins, for the library what stands in the kubeconfig
    return written


@contextlib.contextmanager
def _file(data: str) -> Iterator[str]:
    """A file that nobody else may read, of PEM or of its base64; its path."""
    with tempfile.NamedTemporaryFile(prefix="kubently-") as file:
        file.write(data.encode() if data.startswith("-----BEGIN") else base64.b64decode(data))
        file.flush()
        yield file.name


def _certificates(cluster: Mapping[str, Any], user: Mapping[str, Any]) -> tuple[bytes, ...]:
    return tuple(
        Path(entry[name]).read_bytes() for entry in (cluster, user) for name in _CERTIFICATE_FILES if entry.get(name)
    )


def _kubeconfig(cluster: Mapping[str, Any], user: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "current-context": "agent",
        "contexts": [{"name": "agent", "context": {"cluster": "agent", "user": "agent"}}],
        "clusters": [{"name": "agent", "cluster": dict(cluster)}],
        "users": [{"name": "agent", "user": dict(user)}],
    }


class _Connector(aiohttp.TCPConnector):
    """Drops a connection that cannot be used again, as when a stream is left or a request is cancelled, at once.

    aiohttp says goodbye by TLS and waits up to 30 s for the server to do so too, in a place that closing the session
    does not know: a followed log's connection would outlive its command, and at the end the event loop.
    """

    def _release(self, key: Any, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        should_close = should_close or protocol.should_close
        if should_close:
            protocol.abort()
        super()._release(key, protocol, should_close=should_close)


@dataclass(frozen=True, slots=True)
class _Library:
    """What is used of `kubernetes.aio`. `Client` makes the session."""

    Configuration: Any
    Client: Any
    KubeConfigLoader: Any
    ConfigNode: Any
    ExecProvider: Any
    ConfigException: type[Exception]


@functools.cache
def _library() -> _Library:
    from kubernetes.aio.client.configuration import Configuration
    from kubernetes.aio.client.rest import RESTClientObject
    from kubernetes.aio.config.config_exception import ConfigException
    from kubernetes.aio.config.exec_provider import ExecProvider
    from kubernetes.aio.config.kube_config import ConfigNode, KubeConfigLoader

    class Client(RESTClientObject):  # type: ignore[misc]  # the package has no types
        def _create_connector(self) -> aiohttp.TCPConnector:
            return _Connector(limit=self.maxsize, ssl=self.ssl_context, keepalive_timeout=_IDLE_SECONDS)

    return _Library(Configuration, Client, KubeConfigLoader, ConfigNode, ExecProvider, ConfigException)
