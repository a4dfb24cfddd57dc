"""The hub as its users run it: a process of its own, a database file, a free port, stopped by its id."""

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

START_SECONDS = 20.0
# The drain of a stopping hub may take 25 s; a test that sees that has found a fault.
STOP_SECONDS = 40.0

_LISTENING = re.compile(r"\blistening url=(\S+)")


class HubProcess:
    """A hub process and a client with its admin key. `log` is everything it has said on stderr, over restarts too."""

    def __init__(self, folder: Path, http: aiohttp.ClientSession, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.url = ""
        self.log_file = folder / "hub.log"
        self._http = http
        self._environment = dict(environment)
        self._process: asyncio.subprocess.Process | None = None
        self._seen = 0  # characters of the log that earlier processes wrote

    @property
    def log(self) -> str:
        """What the hub has said."""
        return self.log_file.read_text(encoding="utf-8") if self.log_file.exists() else ""

    @property
    def pid(self) -> int:
        """The id of the process."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether there is a process that has not ended."""
        return self._process is not None and self._process.returncode is None

    async def start(self, *, port: int = 0) -> None:
        """Start it and wait until it listens. Raises RuntimeError with its log when it does not."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KUBENTLY_")}
        environment |= {"KUBENTLY_HUB_ADMIN_KEY": ADMIN_KEY, **self._environment}
        self._seen = len(self.log)
        with self.log_file.open("ab") as sink:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "hub", "serve", "--port", str(port),
                "--database", f"sqlite:///{self.folder}/kubently.db",
                env=environment, cwd=Path(__file__).parents[2],
                stdin=asyncio.subprocess.DEVNULL, stdout=sink, stderr=sink,
            )  # fmt: skip
        self.url = await self._listening()

    async def stop(self) -> int:
        """Ask it to stop, as Kubernetes does; its exit code."""
        return await self._end(signal.SIGTERM)

    async def kill(self) -> int:
        """End it without a word, as a power cut does."""
        return await self._end(signal.SIGKILL)

    async def restart(self) -> None:
        """Start again on the same database and port; stop or kill it first."""
        await self.start(port=int(self.url.rpartition(":")[2]))

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = ADMIN_KEY,
        headers: Mapping[str, str] | None = None,
    ) -> Answered:
        """One request; `key` None sends no Authorization."""
        sent = {} if key is None else {"Authorization": f"Bearer {key}"}
        sent |= headers or {}
        async with self._http.request(method, self.url + path, json=body, headers=sent) as response:
            raw = await response.read()
            content = json.loads(raw) if response.content_type == "application/json" else None
            return Answered(response.status, content, response.headers)

    async def register(self, cluster_id: str) -> str:
        """Register a cluster; its agent token."""
        answered = await self.call("POST", "/admin/clusters", {"cluster_id": cluster_id})
        return str(answered.body["agent_token"])

    async def _listening(self) -> str:
        assert self._process is not None
        async with asyncio.timeout(START_SECONDS):
            while True:
                found = _LISTENING.search(self.log[self._seen :])
                if found is not None:
                    return found[1]
                if self._process.returncode is not None:
                    raise RuntimeError(f"the hub ended with {self._process.returncode}:\n{self.log[self._seen :]}")
                await asyncio.sleep(0.02)

    async def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
        try:
            return await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
            raise


@contextlib.asynccontextmanager
async def hub_process(folder: Path, **environment: str) -> AsyncIterator[HubProcess]:
    """A hub in `folder` for as long as the context is open; `environment` sets its settings."""
    async with aiohttp.ClientSession() as http:
        hub = HubProcess(folder, http, environment)
        try:
            await hub.start()
            yield hub
        finally:
            if hub.is_running:
                await hub.kill()
