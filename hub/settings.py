"""The hub's settings: nested dataclasses, filled by `schemas/settings.py` (defaults < file < environment < flags).

`server.port` is `KUBENTLY_HUB_SERVER_PORT` in the environment and `port` under `[server]` in the `--config` TOML file.
docs/settings.md lists them all and a test holds the two together.
"""

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from msgspec import Meta

from schemas import kubectl
from schemas.frames import MAX_HEARTBEAT_INTERVAL_SECONDS, WINDOW_BYTES
from schemas.kubectl import Scope

ENVIRONMENT_PREFIX: Final = "KUBENTLY_HUB_"
# The first admin key is a secret, not a setting: it is read once at start and never kept in an object that is logged.
ADMIN_KEY_VARIABLE: Final = "KUBENTLY_HUB_ADMIN_KEY"

# As a browser writes it: no path, not even a slash, and no port that is the scheme's own.
_ORIGIN: Final = re.compile(r"(http(?!.*:80$)|https(?!.*:443$))://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")

Natural = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where the hub listens."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080  # 0: a free one, told in the log
    tls_cert: str | None = None  # PEM file of the certificate chain; with tls_key the hub serves https and wss
    tls_key: str | None = None  # PEM file of the private key
    tls_client_ca: str | None = None  # PEM file of authorities: agents must then have a certificate of one of them
    trusted_proxies: tuple[str, ...] = ()  # addresses or networks whose X-Forwarded-For says who a client is
    cors_origins: tuple[str, ...] = ()  # web pages that may call the API: https://console.example.com, or "*"
    head_timeout_seconds: Seconds = 10.0  # for the TLS handshake, and again for a request's line and headers
    body_timeout_seconds: Seconds = 30.0  # for a request's body
    keep_alive_seconds: Seconds = 75.0  # a connection without requests is closed; longer than proxies keep theirs
    drain_seconds: Seconds = 25.0  # how long a stopping hub waits for running commands; Kubernetes kills after 30


@dataclass(frozen=True, kw_only=True)
class Database:
    """Where the hub keeps what it must not forget, and for how long."""

    url: str = "sqlite:///./kubently.db"
    synchronous: Literal["NORMAL", "FULL"] = "NORMAL"  # FULL: also survives loss of power, at an fsync per commit
    keep_results_seconds: Seconds = 7 * 86_400.0
    keep_sessions_seconds: Seconds = 30 * 86_400.0
    max_store_bytes: Natural = 10 * 1024**3  # over it the oldest ended results go first; 0: no bound


@dataclass(frozen=True, kw_only=True)
class RateLimit:
    """Requests per minute; 0: no limit. The first three are per API key, the others per client address."""

    standard_per_minute: Natural = 100
    execute_per_minute: Natural = 50
    session_per_minute: Natural = 20
    address_per_minute: Natural = 100  # requests without a valid key, failed authentications among them


@dataclass(frozen=True, kw_only=True)
class Agents:
    """The hub's end of the links."""

    heartbeat_interval_seconds: Annotated[float, Meta(gt=0, le=MAX_HEARTBEAT_INTERVAL_SECONDS)] = 20.0
    hello_timeout_seconds: Seconds = 10.0  # from the upgrade to the hello
    send_timeout_seconds: Seconds = 10.0  # an agent that does not take a frame for so long is cut
    max_concurrent_commands: Annotated[int, Meta(ge=1, le=1024)] = 10  # per cluster, streams aside
    max_concurrent_streams: Annotated[int, Meta(ge=1, le=1024)] = 16  # per cluster: followed logs, watches
    max_concurrent_per_key: Positive = 8  # of either kind, per cluster and API key, so that one leaves room for others
    max_queued_commands: Natural = 100  # per cluster, behind the running ones; streams likewise
    max_connections: Positive = 10_000
    admissions_per_second: Positive = 200  # links admitted per second; the rest get 503 with Retry-After
    resume_window_seconds: Seconds = 300.0  # how long past its deadline a command waits for an agent that is away
    replaced_seconds: Seconds = 25.0  # how long an agent that another one replaced may go on with what it runs
    window_bytes: Annotated[int, Meta(ge=65536, le=64 * 1024**2)] = WINDOW_BYTES  # of each command, ahead of its credit


@dataclass(frozen=True, kw_only=True)
class Commands:
    """What may run, within the grammar and on every cluster, and bounds on what it may take."""

    max_output_bytes: Annotated[int, Meta(ge=1024, le=1024**3)] = 8 * 1024 * 1024
    grace_seconds: Seconds = 5.0  # how long past its deadline the hub waits for the agent to end a command
    # Names such as "get", "logs", "rollout-status"; globs of namespaces. "*" is all there are.
    verbs: tuple[str, ...] = ("*",)
    namespaces: tuple[str, ...] = ("*",)
    denied_kinds: tuple[str, ...] = ()  # as kubectl names kinds: "secrets", "cm", "widgets.example.com"

    @property
    def scope(self) -> Scope:
        """What may run."""
        return Scope.listed(verbs=self.verbs, namespaces=self.namespaces, denied_kinds=self.denied_kinds)


@dataclass(frozen=True, kw_only=True)
class Streams:
    """Bounds on live output."""

    max_seconds: Seconds = 600.0  # how long a followed log or a watch may go on
    keep_bytes: Annotated[int, Meta(ge=1024**2)] = 64 * 1024**2  # of each stream in the store; the oldest go first
    tail_bytes: Annotated[int, Meta(ge=65536)] = 1024**2  # of each followed command in memory; who is behind it lags
    stall_seconds: Seconds = 30.0  # a client that takes nothing for so long is cut off
    max_sockets_per_key: Positive = 64
    max_commands_per_socket: Positive = 64  # commands and follows under way on one socket
    allowed_origins: tuple[str, ...] = ()  # web pages that may open a stream, beside those of the hub's own origin


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """Bounds on commands that run on many clusters at once."""

    max_clusters: Positive = 200  # of one request
    max_at_once: Positive = 64  # clusters that one key has asked, all its requests together
    # The most of stdout from each cluster; of each key as many are in memory together as it may have asked at once.
    max_output_bytes: Annotated[int, Meta(ge=1024, le=1024**3)] = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The audit log: where the key of its chain is, and for how long rows are kept."""

    key_file: str | None = None  # None: beside the database
    keep_seconds: Seconds = 90 * 86_400.0


@dataclass(frozen=True, kw_only=True)
class Log:
    """What the hub says on stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that can be set."""

    server: Server = field(default_factory=Server)
    database: Database = field(default_factory=Database)
    ratelimit: RateLimit = field(default_factory=RateLimit)
    agents: Agents = field(default_factory=Agents)
    commands: Commands = field(default_factory=Commands)
    streams: Streams = field(default_factory=Streams)
    fleet: Fleet = field(default_factory=Fleet)
    audit: Audit = field(default_factory=Audit)
    log: Log = field(default_factory=Log)

    def __post_init__(self) -> None:
        unknown = sorted(set(self.commands.verbs) - {*kubectl.VERBS, "*"})
        if unknown:
            raise ValueError(f"commands.verbs: {unknown[0]} is no verb; there are {', '.join(kubectl.VERBS)}")
        unclear = kubectl.unclear_kind(self.commands.denied_kinds)
        if unclear is not None:
            raise ValueError(f"commands.denied_kinds: {unclear} is not clear; name it as widgets.example.com")
        if (self.server.tls_cert is None) != (self.server.tls_key is None):
            raise ValueError("server.tls_cert and server.tls_key go together; set both or none")
        if self.server.tls_client_ca is not None and self.server.tls_cert is None:
            raise ValueError("server.tls_client_ca is without effect where there is no TLS; set server.tls_cert too")
        for proxy in self.server.trusted_proxies:
            try:
                ipaddress.ip_network(proxy)
            except ValueError as error:
                raise ValueError(f"server.trusted_proxies: {error}; write 10.0.0.0/8 or 192.0.2.7") from None
        for origin in self.server.cors_origins:
            if origin != "*" and _ORIGIN.fullmatch(origin) is None:
                raise ValueError(f"server.cors_origins: {origin} is no origin; write https://console.example.com, or *")
        if self.streams.tail_bytes < 2 * self.agents.window_bytes:
            raise ValueError("streams.tail_bytes: less than twice agents.window_bytes, so that every reader would lag")
