"""Memory per idle agent: so many links with the real hello and welcome, then nothing but heartbeats.

`python -m bench.idle HUB_URL` is the other side: all agents in one process; it reads one `cluster_id token` a line.
"""

import asyncio
import base64
import secrets
import sys
from typing import Final
from urllib.parse import urlsplit

import uvloop

from bench.hub import running_hub
from bench.processes import module, started
from schemas import codec
from schemas.frames import CONNECT_PATH, SUBPROTOCOL, Heartbeat, Hello

_WARM_AGENTS: Final = 10
_AT_ONCE: Final = 50
_CONNECT_SECONDS: Final = 60.0
_HEARTBEAT_SECONDS: Final = 3.0
# So many heartbeats go each way before the memory is read: buffers that grow on use have grown.
_SETTLE_BEATS: Final = 2


async def measure_idle_agents(agents: int) -> float:
    """Bytes a hub's memory grows by for each of so many idle agents.

    The hub is a new one, so that nothing an earlier load has freed can hide the growth. Its clusters are registered,
    and a few agents connected, before memory is read for the first time.
    """
    async with running_hub() as hub:
        names = [f"idle-{number:05}" for number in range(_WARM_AGENTS + agents)]
        lines = [f"{name} {await hub.register(name)}\n" for name in names]
        async with (
            started("the first idle agents", module("idle", hub.link_url)) as first,
            started("the idle agents", module("idle", hub.link_url)) as rest,
        ):
            await first.write("".join(lines[:_WARM_AGENTS]))
            await first.find("(all beat)")
            before = hub.process.rss_bytes()
            await rest.write("".join(lines[_WARM_AGENTS:]))
            await rest.find("(all beat)", _CONNECT_SECONDS)
            connected = (await hub.call("GET", "/clusters?status=connected&limit=1"))["total"]
            if connected != len(names):
                raise RuntimeError(f"{connected} of {len(names)} idle agents are connected")
            return (hub.process.rss_bytes() - before) / agents


def _frame(text: str) -> bytes:
    """A client's text message of up to 65,535 bytes, masked with zeros (RFC 6455 §5.2)."""
    data = text.encode()
    length = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    return b"\x81" + length + bytes(4) + data


async def _connect(host: str, port: int, cluster_id: str, token: str) -> asyncio.StreamWriter:
    reader, writer = await asyncio.open_connection(host, port, limit=8192)
    nonce = base64.b64encode(secrets.token_bytes(16)).decode()
    request = (
        f"GET {CONNECT_PATH} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {nonce}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    )
    writer.write(request.encode())
    answer = await reader.readuntil(b"\r\n\r\n")
    if not answer.startswith(b"HTTP/1.1 101"):
        raise ConnectionError(answer.decode().splitlines()[0])
    hello = Hello(
        cluster_id=cluster_id,
        agent_version="0.0-bench",
        boot_id=secrets.token_hex(8),
        kubernetes_version="v1.33.1",
        executors={"kubectl": "v1.33.1"},
    )
    writer.write(_frame(codec.encode(hello)))
    kind, size = await reader.readexactly(2)
    if kind != 0x81:
        raise ConnectionError(f"{cluster_id} was not welcomed")
    await reader.readexactly(size if size < 126 else int.from_bytes(await reader.readexactly(2), "big"))
    return writer


async def _idle(url: str) -> None:
    rows = [line.split() for line in sys.stdin]
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    writers: list[asyncio.StreamWriter] = []
    for start in range(0, len(rows), _AT_ONCE):
        batch = [_connect(parts.hostname, parts.port, *row) for row in rows[start : start + _AT_ONCE]]
        writers += await asyncio.gather(*batch)
    beats = 0
    while True:
        for writer in writers:
            writer.write(_frame(codec.encode(Heartbeat())))
        beats += 1
        await asyncio.sleep(_HEARTBEAT_SECONDS)
        if beats == _SETTLE_BEATS:
            print("all beat", file=sys.stderr, flush=True)


if __name__ == "__main__":
    uvloop.run(_idle(sys.argv[1]))
