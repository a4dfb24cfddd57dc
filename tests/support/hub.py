"""A whole hub in the test's own event loop, on a real socket with a real database file."""

import contextlib
import io
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from hub import app as hub_app
from hub import keys
from hub.listener import listening
from hub.settings import Agents, Commands, Database, Fleet, RateLimit, Server, Settings, Streams

ADMIN_KEY = "admin-key-of-the-tests-0123456789abcdef"
UNLIMITED = RateLimit(standard_per_minute=0, execute_per_minute=0, session_per_minute=0, address_per_minute=0)


@dataclass(frozen=True, slots=True)
class Answered:
    """A response that was read: `body` is its JSON, None when it has none."""

    status: int
    body: Any
    headers: Mapping[str, str]


class TestHub:
    """A running hub and a client with the admin key."""

    __test__ = False

    def __init__(self, app: web.Application, url: str, http: aiohttp.ClientSession) -> None:
        self.app = app
        self.url = url
        self.http = http

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = ADMIN_KEY,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
    ) -> Answered:
        """One request; `key` None sends no Authorization, `data` sends raw bytes as JSON."""
        sent = {} if key is None else {"Authorization": f"Bearer {key}"}
        if data is not None:
            sent["Content-Type"] = "application/json"
        sent.update(headers or {})
        raw = None if data is None else io.BytesIO(data)
        async with self.http.request(method, self.url + path, json=body, data=raw, headers=sent) as response:
            content = await response.json() if response.content_type == "application/json" else None
            return Answered(response.status, content, response.headers)

    async def register(self, cluster_id: str) -> str:
        """Register a cluster; its agent token."""
        answered = await self.call("POST", "/admin/clusters", {"cluster_id": cluster_id})
        return str(answered.body["agent_token"])

    async def make_key(self, **fields: Any) -> str:
        """Make an API key; the key."""
        answered = await self.call("POST", "/admin/keys", {"name": "test", "role": "user"} | fields)
        return str(answered.body["api_key"])

    async def open_session(self, cluster_id: str, *, key: str = ADMIN_KEY, **fields: Any) -> str:
        """Open a session; its id."""
        answered = await self.call("POST", "/debug/session", {"cluster_id": cluster_id} | fields, key=key)
        return str(answered.body["session_id"])

    async def execute(
        self,
        session_id: str,
        command_type: str = "get",
        args: tuple[str, ...] = ("pods",),
        *,
        cluster_id: str = "alpha",
        key: str = ADMIN_KEY,
        headers: Mapping[str, str] | None = None,
        **fields: Any,
    ) -> Answered:
        """Execute a command."""
        body = {"cluster_id": cluster_id, "session_id": session_id, "command_type": command_type, "args": list(args)}
        return await self.call("POST", "/debug/execute", body | fields, key=key, headers=headers)


def settings(folder: Path, **sections: Any) -> Settings:
    """Settings for a test: a database in `folder`, a free port, no rate limits, short waits."""
    return Settings(
        server=sections.get("server", Server(port=0, drain_seconds=2.0)),
        database=sections.get("database", Database(url=f"sqlite:///{folder}/kubently.db")),
        ratelimit=sections.get("ratelimit", UNLIMITED),
        agents=sections.get("agents", Agents(hello_timeout_seconds=1.0, send_timeout_seconds=2.0)),
        commands=sections.get("commands", Commands(grace_seconds=1.0)),
        streams=sections.get("streams", Streams()),
        fleet=sections.get("fleet", Fleet()),
    )


@contextlib.asynccontextmanager
async def running_hub(settings: Settings) -> AsyncIterator[TestHub]:
    """Serve on a free loopback port for as long as the context is open."""
    app = hub_app.build(settings)
    runner = web.AppRunner(app, shutdown_timeout=0.2, handler_cancellation=True)
    await runner.setup()
    try:
        await app[keys.API_KEYS].bootstrap(ADMIN_KEY)
        async with listening(runner, settings.server) as url, aiohttp.ClientSession() as http:
            app[keys.HEALTH].started()
            yield TestHub(app, url, http)
    finally:
        await runner.cleanup()
