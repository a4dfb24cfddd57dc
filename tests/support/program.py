"""The real programs as processes: `kubently-hub` and `kubently-agent`, started, listened to, stopped, killed."""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.hub import ADMIN_KEY, Answered

_BIN = Path(sys.executable).parent
_START_SECONDS = 20.0
_UNLIMITED = {
    f"KUBENTLY_HUB_RATELIMIT_{bucket}_PER_MINUTE": "0" for bucket in ("STANDARD", "EXECUTE", "SESSION", "ADDRESS")
}


class Program:
    """One run of a program. `lines` is what it wrote on stderr so far, `printed` on stdout."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self.printed: list[str] = []
        self._readers = [
            asyncio.create_task(self._read(process.stderr, self.lines), name="stderr"),
            asyncio.create_task(self._read(process.stdout, self.printed), name="stdout"),
        ]
        self._heard = asyncio.Event()

    async def find(self, pattern: str, timeout_seconds: float = _START_SECONDS) -> re.Match[str]:
        """Wait for a line on stderr. Raises TimeoutError, or RuntimeError when the program has ended without it."""
        seen = 0
        async with asyncio.timeout(timeout_seconds):
            while True:
                for line in self.lines[seen:]:
                    seen += 1
                    if match := re.search(pattern, line):
                        return match
                if all(reader.done() for reader in self._readers) and seen == len(self.lines):
                    raise RuntimeError("ended without it:\n" + "\n".join(self.lines))
                self._heard.clear()
                await self._heard.wait()

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()

    def terminate(self) -> None:
        """SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    async def ended(self, timeout_seconds: float = 40.0) -> int:
        """Wait for the end and everything it wrote; the exit code."""
        async with asyncio.timeout(timeout_seconds):
            await asyncio.gather(*self._readers)
            return await self.process.wait()

    async def _read(self, stream: asyncio.StreamReader | None, lines: list[str]) -> None:
        assert stream is not None
        while line := await stream.readline():
            lines.append(line.decode().rstrip("\n"))
            self._heard.set()
        self._heard.set()


@contextlib.asynccontextmanager
async def started(program: str, *args: str, env: Mapping[str, str] | None = None) -> AsyncIterator[Program]:
    """Run a console script of the project; killed at the end if it is still there."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("KUBENTLY_")}
    process = await asyncio.create_subprocess_exec(
        _BIN / program,
        *args,
        env=environ | dict(env or {}),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    running = Program(process)
    try:
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await running.ended()


class Client:
    """The REST API of a hub process, with the admin key."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.url = url
        self._http = http

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answered:
        """One request."""
        sent = {"Authorization": f"Bearer {ADMIN_KEY}", **{k.replace("_", "-"): v for k, v in headers.items()}}
        async with self._http.request(method, self.url + path, json=body, headers=sent) as response:
            text = await response.text()
            return Answered(response.status, json.loads(text) if text else None, response.headers)


@contextlib.asynccontextmanager
async def hub_program(
    folder: Path, *args: str, port: int = 0, env: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[Program, Client]]:
    """A hub that listens, on a database in `folder`; without rate limits, for tests ask often how things stand."""
    environ = {"KUBENTLY_HUB_ADMIN_KEY": ADMIN_KEY, **_UNLIMITED} | dict(env or {})
    options = ("--port", str(port), "--database", f"sqlite:///{folder}/hub.db", *args)
    async with started("kubently-hub", "serve", *options, env=environ) as hub, aiohttp.ClientSession() as http:
        url = (await hub.find(r"listening url=(\S+)"))[1]
        yield hub, Client(http, url)


@contextlib.asynccontextmanager
async def agent_program(
    hub_url: str, token: str, *args: str, cluster_id: str = "alpha", env: Mapping[str, str]
) -> AsyncIterator[Program]:
    """An agent, not yet connected."""
    options = ("--hub-url", hub_url.replace("http", "ws", 1), "--cluster-id", cluster_id, *args)
    async with started("kubently-agent", *options, env=dict(env) | {"KUBENTLY_AGENT_TOKEN": token}) as agent:
        yield agent
