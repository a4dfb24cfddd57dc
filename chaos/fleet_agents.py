"""Many scripted agents in one process: they dial as docs/protocol.md says, beat, and answer every command at once.

`python -m chaos.fleet_agents HUB_URL FILE SEED`; the file has one `cluster_id token` a line. Says on stdout, a line
each with the time of the monotonic clock: `admitted fleet-00007 123.4` at an upgrade, `welcomed fleet-00007 123.5` at a
welcome.
"""

import asyncio
import contextlib
import secrets
import sys
import time
from pathlib import Path
from random import Random
from typing import Final

import aiohttp
import uvloop

from agent.link.backoff import Backoff
from schemas import codec
from schemas.frames import (
    CONNECT_PATH,
    HEARTBEATS_MISSED,
    SUBPROTOCOL,
    Chunk,
    Drain,
    Exit,
    Heartbeat,
    Hello,
    Run,
    Welcome,
)

_OPEN_SECONDS: Final = 10.0
_REJECTED: Final = frozenset({401, 403, 426})
_ABNORMAL: Final = 1006


class _Agent:
    def __init__(self, http: aiohttp.ClientSession, url: str, cluster_id: str, token: str, random: Random) -> None:
        self._http = http
        self._url = url
        self._cluster_id = cluster_id
        self._token = token
        self._backoff = Backoff(random)
        self._boot_id = secrets.token_hex(8)

    async def run(self) -> None:
        """Dial and serve, again and again."""
        while True:
            await asyncio.sleep(await self._link())

    async def _link(self) -> float:
        """One link; the seconds until the next dial."""
        welcomed_at: float | None = None
        told_delay: float | None = None
        headers = {"Authorization": f"Bearer {self._token}"}
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                socket = await self._http.ws_connect(self._url + CONNECT_PATH, headers=headers, protocols=[SUBPROTOCOL])
        except aiohttp.WSServerHandshakeError as error:
            if error.status in _REJECTED:
                return self._backoff.after_rejection()
            wait = None if error.headers is None else error.headers.get("Retry-After")
            return self._backoff.after_failure(time.monotonic(), None if wait is None else float(wait))
        except (aiohttp.ClientError, TimeoutError):
            return self._backoff.after_failure(time.monotonic())
        self._say("admitted")
        try:
            welcome = await self._greet(socket)
            if welcome is not None:
                welcomed_at = time.monotonic()
                self._say("welcomed")
                told_delay = await self._serve(socket, welcome)
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            pass
        finally:
            await socket.close()
        if told_delay is not None:
            return told_delay
        now = time.monotonic()
        if welcomed_at is None:
            return self._backoff.after_failure(now)
        return self._backoff.after_loss(now, now - welcomed_at, socket.close_code or _ABNORMAL)

    async def _greet(self, socket: aiohttp.ClientWebSocketResponse) -> Welcome | None:
        hello = Hello(
            cluster_id=self._cluster_id,
            agent_version="0.0-chaos",
            boot_id=self._boot_id,
            executors={"scripted": None},
        )
        await socket.send_str(codec.encode(hello))
        message = await socket.receive(_OPEN_SECONDS)
        frame = codec.decode_hub(message.data) if message.type is aiohttp.WSMsgType.TEXT else None
        return frame if isinstance(frame, Welcome) else None

    async def _serve(self, socket: aiohttp.ClientWebSocketResponse, welcome: Welcome) -> float | None:
        """Until the link ends; the delay a drain has asked for, None when there was none."""
        beating = asyncio.create_task(_beat(socket, welcome.heartbeat_interval_seconds), name="beat")
        try:
            while True:
                message = await socket.receive(welcome.heartbeat_interval_seconds * HEARTBEATS_MISSED)
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return None
                match codec.decode_hub(message.data):
                    case Run() as run:
                        await socket.send_str(codec.encode(_answer(run)))
                    case Drain(reconnect_after_seconds=delay):
                        return delay
                    case _:
                        pass
        finally:
            beating.cancel()
            await asyncio.wait([beating])

    def _say(self, what: str) -> None:
        print(what, self._cluster_id, time.monotonic(), flush=True)


def _answer(run: Run) -> Exit:
    text = " ".join([run.command_type, *run.args]) + "\n"
    return Exit(
        result_id=run.result_id,
        seq=1,
        status="completed",
        exit_code=0,
        chunks=[Chunk("stdout", text)],
        output_bytes=len(text.encode()),
        executor="scripted",
    )


async def _beat(socket: aiohttp.ClientWebSocketResponse, interval_seconds: float) -> None:
    with contextlib.suppress(aiohttp.ClientError, ConnectionError):
        while True:
            await asyncio.sleep(interval_seconds)
            await socket.send_str(codec.encode(Heartbeat()))


async def _main(url: str, file: Path, seed: str) -> None:
    rows = [line.split() for line in file.read_text().splitlines()]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http, asyncio.TaskGroup() as tasks:
        for cluster_id, token in rows:
            agent = _Agent(http, url, cluster_id, token, Random(f"{seed} {cluster_id}"))
            tasks.create_task(agent.run(), name=cluster_id)


if __name__ == "__main__":
    uvloop.run(_main(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
