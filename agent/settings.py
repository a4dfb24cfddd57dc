"""The agent's settings: dataclasses, filled by `schemas/settings.py` (defaults < file < environment < flags).

`log.level` is `KUBENTLY_AGENT_LOG_LEVEL` in the environment and `level` under `[log]` in the `--config` TOML file;
`hub_url` is `KUBENTLY_AGENT_HUB_URL` and a key at the top of that file. docs/settings.md lists them all and a test
holds the two together.
"""

import ipaddress
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from msgspec import Meta

from schemas import labels
from schemas.ids import is_cluster_id

ENVIRONMENT_PREFIX: Final = "KUBENTLY_AGENT_"
# The token is a secret, not a setting: it has no flag, no key in the file, and no place in an object that is logged.
TOKEN_VARIABLE: Final = ENVIRONMENT_PREFIX + "TOKEN"

_KIB: Final = 1024
_MIB: Final = 1024 * _KIB

Seconds = Annotated[float, Meta(gt=0, le=3600)]


@dataclass(frozen=True, kw_only=True)
class Link:
    """How long the hub may take to answer."""

    open_timeout_seconds: Seconds = 10.0  # for TCP, TLS and the upgrade together; a hub that takes longer is stuck
    welcome_timeout_seconds: Seconds = 10.0  # from the hello to the welcome


@dataclass(frozen=True, kw_only=True)
class Output:
    """What the agent keeps of the output that the hub has not acknowledged; beyond it, the commands are slowed."""

    # Bytes of one command: four frames of 64 KiB under way while as many are being stored keep the link busy.
    window_bytes: Annotated[int, Meta(ge=128 * _KIB, le=64 * _MIB)] = 1 * _MIB
    budget_bytes: Annotated[int, Meta(ge=1 * _MIB, le=1024 * _MIB)] = 32 * _MIB  # bytes of all commands together
    # Bytes of stderr kept of one command, its beginning: room for any message, not for a flood.
    max_stderr_bytes: Annotated[int, Meta(ge=1 * _KIB, le=1 * _MIB)] = 256 * _KIB


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How commands are run."""

    # Bytes of memory one kubectl may take, 0: no bound. A listing of 10,000 pods as JSON needs about half of this.
    max_memory_bytes: Annotated[int, Meta(ge=0)] = 1024 * _MIB
    # Bytes of one answer of the API server that the native executor takes: 10,000 pods as JSON are about this large.
    max_response_bytes: Annotated[int, Meta(ge=1 * _MIB, le=1024 * _MIB)] = 64 * _MIB
    # Where a pod finds its account's `token`, `ca.crt` and `namespace`; used when KUBECONFIG is not set.
    service_account_dir: str = "/var/run/secrets/kubernetes.io/serviceaccount"


@dataclass(frozen=True, kw_only=True)
class Log:
    """What the agent says on stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that can be set."""

    hub_url: str = ""  # wss://host[:port][/path] or ws://…; required
    cluster_id: str = ""  # the name this cluster has at the hub, a DNS label; required
    token_file: str | None = None  # file with the agent token, read again at every dial so that it may be replaced
    ca_file: str | None = None  # PEM file of the authorities to trust for wss:// instead of the system's
    client_cert: str | None = None  # PEM file of the certificate that the hub may ask for; read at every dial
    client_key: str | None = None  # PEM file of its private key
    insecure: bool = False  # allows ws:// to a hub that is not on this machine: the token then travels in clear
    exit_on_rejection: bool = False  # exit 3, 4 or 5 on 401, 403 or 426 instead of asking again every 5 minutes
    # What runs commands, in the order they are asked: "native" talks to the API server itself, "kubectl" spawns it.
    executors: tuple[Literal["native", "kubectl"], ...] = ("native", "kubectl")
    kubectl: str | None = None  # path or name of the kubectl to run; None: the newest one found on PATH
    policy_file: str | None = None  # YAML: what the cluster's owner allows; None: all of the grammar, redacted
    labels: tuple[str, ...] = ()  # key=value: what this cluster may be found by at the hub, besides what admins set
    link: Link = field(default_factory=Link)
    output: Output = field(default_factory=Output)
    execution: Execution = field(default_factory=Execution)
    log: Log = field(default_factory=Log)

    def __post_init__(self) -> None:
        if not self.hub_url:
            raise ValueError("hub_url is missing: --hub-url ws://HOST:PORT")
        self._check_hub_url()
        if (self.client_cert is None) != (self.client_key is None):
            raise ValueError("client_cert and client_key go together; set both or none")
        if not self.cluster_id:
            raise ValueError("cluster_id is missing: --cluster-id NAME")
        if not is_cluster_id(self.cluster_id):
            raise ValueError("cluster_id: not a DNS label (lower-case letters, digits and hyphens, 63 at most)")
        if not self.executors or len(set(self.executors)) < len(self.executors):
            raise ValueError("executors: name native, kubectl, or both, each once")
        try:
            labels.parse(self.labels)
        except labels.LabelError as error:
            raise ValueError(f"labels: {error}") from None
        if self.output.window_bytes > self.output.budget_bytes:
            raise ValueError("output.window_bytes: larger than output.budget_bytes, which bounds all commands")

    @property
    def is_hub_local(self) -> bool:
        """Whether the hub is on this machine's loopback interface."""
        return _is_loopback(urlsplit(self.hub_url).hostname or "")

    def _check_hub_url(self) -> None:
        try:
            url = urlsplit(self.hub_url)
            port = url.port
        except ValueError as error:
            raise ValueError(f"hub_url: {error}") from None
        if url.scheme in ("http", "https"):
            raise ValueError(f"hub_url: write {'wss' if url.scheme == 'https' else 'ws'}:// for {url.scheme}://")
        if url.scheme not in ("ws", "wss") or not url.hostname or port == 0:
            raise ValueError("hub_url: not of the form wss://HOST:PORT or ws://HOST:PORT")
        if url.username is not None or url.password is not None or url.query or url.fragment:
            raise ValueError("hub_url: takes no user, password, query or fragment")
        if url.scheme == "ws" and not (self.insecure or _is_loopback(url.hostname)):
            raise ValueError("hub_url: ws:// would send the token in clear; use wss://, or --insecure to allow it")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
