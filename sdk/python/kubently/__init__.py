"""Debug Kubernetes clusters you cannot reach, through a Kubently hub.

import kubently

client = kubently.Client("https://hub.example.com:8080", "kubently_key_...")
async with client.debug_session("production-cluster") as session:
    result = await session.execute("get", ["pods", "-A"])
    print(result.output)

`kubently.sync.Client` is the same without `async`. docs/sdk-python.md of the project has more.
"""

__version__ = "0.1.0"

from kubently import sync
from kubently.admin import Admin
from kubently.client import Client
from kubently.errors import (
    AlreadyExists,
    ClusterOffline,
    CommandRefused,
    ConfigurationError,
    ConnectionFailed,
    Draining,
    Forbidden,
    HubError,
    IdempotencyConflict,
    InternalError,
    InvalidRequest,
    KubentlyError,
    MethodNotAllowed,
    NotFound,
    NotTrusted,
    OutputExpired,
    PayloadTooLarge,
    QueueFull,
    RateLimited,
    RequestTimeout,
    ServiceUnavailable,
    SessionNotActive,
    StoreFull,
    SubscriberLagging,
    TimedOut,
    TooManyStreams,
    Unauthorized,
    UnsupportedMediaType,
    UpgradeRequired,
)
from kubently.fleet import Fleet, FleetAnswer
from kubently.models import (
    AuditRow,
    Cluster,
    ClusterPolicy,
    ClusterState,
    ClusterTokens,
    Health,
    Key,
    NewCluster,
    NewKey,
    NewToken,
    Piece,
    Policy,
    PolicyLimits,
    RateLimits,
    Result,
    RotatedKey,
    Session,
    Token,
    Verdict,
)
from kubently.session import DebugSession
from kubently.stream import Stream

__all__ = [
    "Admin",
    "AlreadyExists",
    "AuditRow",
    "Client",
    "Cluster",
    "ClusterOffline",
    "ClusterPolicy",
    "ClusterState",
    "ClusterTokens",
    "CommandRefused",
    "ConfigurationError",
    "ConnectionFailed",
    "DebugSession",
    "Draining",
    "Fleet",
    "FleetAnswer",
    "Forbidden",
    "Health",
    "HubError",
    "IdempotencyConflict",
    "InternalError",
    "InvalidRequest",
    "Key",
    "KubentlyError",
    "MethodNotAllowed",
    "NewCluster",
    "NewKey",
    "NewToken",
    "NotFound",
    "NotTrusted",
    "OutputExpired",
    "PayloadTooLarge",
    "Piece",
    "Policy",
    "PolicyLimits",
    "QueueFull",
    "RateLimited",
    "RateLimits",
    "RequestTimeout",
    "Result",
    "RotatedKey",
    "ServiceUnavailable",
    "Session",
    "SessionNotActive",
    "StoreFull",
    "Stream",
    "SubscriberLagging",
    "TimedOut",
    "Token",
    "TooManyStreams",
    "Unauthorized",
    "UnsupportedMediaType",
    "UpgradeRequired",
    "Verdict",
    "sync",
]
