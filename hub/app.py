"""Where the hub is put together: the only file that names backends and builds objects.

Started in this order, stopped in the other: store, bus, collector, dispatcher, registry, services, web application,
background tasks.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import web

from hub import keys
from hub.addresses import Addresses
from hub.agents.endpoint import Endpoint
from hub.agents.registry import Registry
from hub.api.documentation import OpenApi
from hub.api.health import VERSION
from hub.api.lasting import lasting_tasks
from hub.api.routes import add_routes
from hub.api.validation import validation_middleware
from hub.bus.local import LocalBus
from hub.collector import Collector
from hub.dispatcher import Dispatcher
from hub.middleware.audit import audit_middleware, audit_response
from hub.middleware.auth import auth_middleware
from hub.middleware.cors import add_cors_headers, cors_middleware
from hub.middleware.errors import errors_middleware
from hub.middleware.ratelimit import ratelimit_middleware
from hub.middleware.request_id import add_headers, request_id_middleware
from hub.ratelimits import RateLimits
from hub.reaper import Reaper
from hub.services.audit import AuditService
from hub.services.clusters import ClusterService
from hub.services.commands import CommandService
from hub.services.events import EventService
from hub.services.fleet import FleetService
from hub.services.health import HealthService
from hub.services.keys import KeyService
from hub.services.sessions import SessionService
from hub.settings import Settings
from hub.store.sqlite import SqliteStore
from hub.streams import OpenStreams
from hub.subscribers import Subscribers

_log = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = 1024 * 1024


def build(settings: Settings) -> web.Application:
    """Wire everything. Nothing is opened yet: that is `web.AppRunner.setup`, which may raise StoreUnusable."""
    store = SqliteStore.from_url(
        settings.database.url,
        synchronous=settings.database.synchronous,
        keep_stream_bytes=settings.streams.keep_bytes,
        audit_key_file=settings.audit.key_file,
    )
    audit = AuditService(store, VERSION)
    bus = LocalBus()
    collector = Collector(store, bus)
    subscribers = Subscribers(store, bus, settings.streams, settings.agents.window_bytes)
    dispatcher = Dispatcher(store, bus, collector.end, settings.agents, settings.commands)
    registry = Registry(store, bus, dispatcher, settings.agents)
    clusters = ClusterService(store, bus, dispatcher, registry)
    sessions = SessionService(store, bus, dispatcher, clusters)
    commands = CommandService(
        store, bus, dispatcher, subscribers, clusters, sessions, settings.commands, settings.streams
    )
    fleet = FleetService(clusters, sessions, commands, settings.fleet)
    reaper = Reaper(
        store, bus, collector.end, dispatcher.waits_for_agent, sessions.expire, settings.database, settings.audit
    )

    app = web.Application(
        middlewares=[
            request_id_middleware,
            *([cors_middleware] if settings.server.cors_origins else []),  # else it would cost each request something
            audit_middleware,
            errors_middleware,
            auth_middleware,
            ratelimit_middleware,
            validation_middleware,
        ],
        client_max_size=MAX_BODY_BYTES,
    )
    app.on_response_prepare.append(add_headers)
    if settings.server.cors_origins:
        app.on_response_prepare.append(add_cors_headers)
    app.on_response_prepare.append(audit_response)
    app[keys.SETTINGS] = settings
    app[keys.STORE] = store
    app[keys.DISPATCHER] = dispatcher
    app[keys.REGISTRY] = registry
    app[keys.AUDIT] = audit
    app[keys.ENDPOINT] = Endpoint(registry, collector.take, collector.drop, audit.record, VERSION, settings.agents)
    app[keys.ADDRESSES] = Addresses(settings.server.trusted_proxies)
    app[keys.RATE_LIMITS] = RateLimits(settings.ratelimit)
    app[keys.API_KEYS] = KeyService(store)
    app[keys.CLUSTERS] = clusters
    app[keys.SESSIONS] = sessions
    app[keys.COMMANDS] = commands
    app[keys.FLEET] = fleet
    app[keys.EVENTS] = EventService(bus)
    app[keys.STREAMS] = OpenStreams(settings.streams)
    app[keys.HEALTH] = HealthService(store, dispatcher)
    add_routes(app)
    OpenApi(app)

    async def storage(_: web.Application) -> AsyncIterator[None]:
        await store.open()
        await _recover(app)
        async with _owned(audit.run(), "audit"):
            yield
        await audit.close()
        await store.close()

    async def background(_: web.Application) -> AsyncIterator[None]:
        async with _owned(registry.beat(), "heartbeats"), _owned(reaper.run(), "reaper"):
            yield
        await fleet.close()
        await commands.close()
        await dispatcher.close()
        await collector.close()
        await registry.record_seen()

    async def hang_up(_: web.Application) -> None:  # before aiohttp cuts the sockets, so that both sides hear why
        await app[keys.STREAMS].drain()
        await registry.close()

    app.on_shutdown.append(hang_up)
    app.cleanup_ctx.append(storage)
    app.cleanup_ctx.append(background)
    app.cleanup_ctx.append(lasting_tasks)
    return app


async def _recover(app: web.Application) -> None:
    """What an earlier process left goes back in its lane; what ran goes on when its agent says that it holds it."""
    left = await app[keys.STORE].list_open_results()
    for result in left:
        app[keys.DISPATCHER].restore(result)
    if left:
        _log.warning("commands of an earlier hub process were found", extra={"count": len(left)})


@asynccontextmanager
async def _owned(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """A background task for as long as the context is open."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def drain(app: web.Application) -> None:
    """Stop taking work and wait for what runs, at most `drain_seconds`; then the runner may be cleaned up."""
    settings = app[keys.SETTINGS].server
    app[keys.ENDPOINT].drain()
    waiting = asyncio.create_task(app[keys.DISPATCHER].drain(settings.drain_seconds), name="drain")
    await asyncio.sleep(0)  # the dispatcher refuses from here on, before agents hear of it
    app[keys.REGISTRY].drain()
    if not await waiting:
        _log.warning("commands still ran at the end of the drain", extra={"drain_seconds": settings.drain_seconds})
