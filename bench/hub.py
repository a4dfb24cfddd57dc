"""A hub as a process: `kubently-hub serve` with its real SQLite store, and what a bench needs of its API."""

import contextlib
import json
import secrets
import tempfile
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import aiohttp

from bench.load import Target
from bench.processes import Process, program, started

# More than any run sends: the counting is on, nobody is refused. Up to 64 commands of one cluster run at once.
_SETTINGS: Final[Mapping[str, str]] = {
    "KUBENTLY_HUB_RATELIMIT_STANDARD_PER_MINUTE": "1000000000",
    "KUBENTLY_HUB_RATELIMIT_EXECUTE_PER_MINUTE": "1000000000",
    "KUBENTLY_HUB_RATELIMIT_SESSION_PER_MINUTE": "1000000000",
    "KUBENTLY_HUB_RATELIMIT_ADDRESS_PER_MINUTE": "1000000000",
    "KUBENTLY_HUB_AGENTS_MAX_CONCURRENT_COMMANDS": "64",
    "KUBENTLY_HUB_AGENTS_MAX_CONCURRENT_PER_KEY": "64",
    "KUBENTLY_HUB_AGENTS_ADMISSIONS_PER_SECOND": "100000",
}


class BenchHub:
    """A running hub. `process` is looked at, `url` and `key` are called."""

    def __init__(self, process: Process, url: str, key: str, http: aiohttp.ClientSession) -> None:
        self.process = process
        self.url = url
        self.key = key
        self._http = http

    @property
    def link_url(self) -> str:
        """Where agents dial."""
        return "ws" + self.url.removeprefix("http")

    async def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One request with the admin key; the answer's JSON. Raises aiohttp.ClientResponseError."""
        headers = {"Authorization": f"Bearer {self.key}"}
        async with self._http.request(method, self.url + path, json=body, headers=headers) as response:
            response.raise_for_status()
            answer: dict[str, Any] = await response.json()
            return answer

    async def register(self, cluster_id: str) -> str:
        """Register a cluster; its agent token."""
        return str((await self.call("POST", "/admin/clusters", {"cluster_id": cluster_id}))["agent_token"])

    async def open_session(self, cluster_id: str) -> str:
        """Open a session of a day; its id."""
        body = {"cluster_id": cluster_id, "ttl_seconds": 86_400}
        return str((await self.call("POST", "/debug/session", body))["session_id"])

    async def execute_target(self, cluster_id: str, command_type: str, *args: str) -> Target:
        """Open a session of a day and describe an execute in it; one is made to see that it works."""
        body = {
            "cluster_id": cluster_id,
            "session_id": await self.open_session(cluster_id),
            "command_type": command_type,
            "args": list(args),
        }
        result = await self.call("POST", "/debug/execute", body)
        if result["status"] != "completed":
            raise RuntimeError(f"{command_type} ended as {result['status']}: {result['error']}")
        return Target(f"{self.url}/debug/execute", self.key, json.dumps(body))


@contextlib.asynccontextmanager
async def running_hub() -> AsyncIterator[BenchHub]:
    """A hub on a free loopback port with a new database, for as long as the context is open."""
    key = secrets.token_hex(32)
    with tempfile.TemporaryDirectory(prefix="kubently-bench-") as folder:
        argv = [program("kubently-hub"), "serve", "--port", "0", "--database", f"sqlite:///{folder}/bench.db"]
        environment = {**_SETTINGS, "KUBENTLY_HUB_ADMIN_KEY": key}
        async with started("the hub", argv, environment=environment) as process, aiohttp.ClientSession() as http:
            url = await process.find(r"listening url=(\S+)")
            yield BenchHub(process, url, key, http)
