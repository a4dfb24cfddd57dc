"""Every name under which the application and a request carry something."""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from aiohttp import web

from hub.addresses import Addresses
from hub.agents.endpoint import Endpoint
from hub.agents.registry import Registry
from hub.dispatcher import Dispatcher
from hub.ratelimits import Kind, RateLimits
from hub.records import Origin, Token
from hub.services.audit import AuditService
from hub.services.caller import Caller
from hub.services.clusters import ClusterService
from hub.services.commands import CommandService
from hub.services.events import EventService
from hub.services.fleet import FleetService
from hub.services.health import HealthService
from hub.services.keys import KeyService
from hub.services.sessions import SessionService
from hub.settings import Settings
from hub.store.base import Store
from hub.streams import OpenStreams


class Access(Enum):
    """What a route asks of its caller."""

    PUBLIC = "public"
    KEY = "key"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may come in by a route, and which bucket a request draws on; None: it is not limited.

    `is_socket`: the route is a WebSocket of clients. A browser's key comes as a subprotocol there, and it has no HEAD.
    """

    access: Access = Access.KEY
    bucket: Kind | None = "standard"
    is_socket: bool = False


POLICIES: Final = web.AppKey("policies", dict[web.AbstractRoute, Policy])
ADDRESSES: Final = web.AppKey("addresses", Addresses)
RATE_LIMITS: Final = web.AppKey("rate_limits", RateLimits)
SETTINGS: Final = web.AppKey("settings", Settings)
STORE: Final = web.AppKey("store", Store)
DISPATCHER: Final = web.AppKey("dispatcher", Dispatcher)
REGISTRY: Final = web.AppKey("registry", Registry)
ENDPOINT: Final = web.AppKey("endpoint", Endpoint)
API_KEYS: Final = web.AppKey("api_keys", KeyService)
CLUSTERS: Final = web.AppKey("clusters", ClusterService)
SESSIONS: Final = web.AppKey("sessions", SessionService)
COMMANDS: Final = web.AppKey("commands", CommandService)
FLEET: Final = web.AppKey("fleet", FleetService)
EVENTS: Final = web.AppKey("events", EventService)
STREAMS: Final = web.AppKey("streams", OpenStreams)
HEALTH: Final = web.AppKey("health", HealthService)
AUDIT: Final = web.AppKey("audit", AuditService)
OPENAPI: Final = web.AppKey("openapi", dict[str, Any])

# On a request: who asks (routes with access KEY), and the agent's token (the agents' route).
CALLER: Final = web.RequestKey("caller", Caller)
TOKEN: Final = web.RequestKey("token", Token)
# What the audit log has of it: where it comes from, and what a handler knows that the request does not say, by the
# names of AuditDetail: {"cluster_id": "prod"}. Both are there where a route asks for a key or a token.
ORIGIN: Final = web.RequestKey("origin", Origin)
NOTED: Final = web.RequestKey("noted", dict[str, str])
# By which rule it was refused: the error code, or what is more to the point.
RULE: Final = web.RequestKey("rule", str)
# What the declared schemas made of the body, the query and the headers.
BODY: Final = web.RequestKey("body", dict[str, Any])
QUERY: Final = web.RequestKey("query", dict[str, Any])
HEADERS: Final = web.RequestKey("headers", dict[str, Any])
VALIDATED: Final = web.RequestKey("validated", dict[str, Any])  # aiohttp-apispec's own, always empty here
# What the middlewares want on the response, whatever answers.
CORRELATION_ID: Final = web.RequestKey("correlation_id", str)
RATE_HEADERS: Final = web.RequestKey("rate_headers", dict[str, str])
