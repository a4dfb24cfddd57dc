"""An agent that runs nothing: every `run` is answered at once with one `exit`, so that what is measured is the hub.

`python -m bench.scripted_agent HUB_URL CLUSTER_ID`, the token in KUBENTLY_AGENT_TOKEN. It speaks the real protocol:
hello, welcome, heartbeats.
"""

import asyncio
import os
import sys
from typing import Final

import aiohttp
import uvloop

from schemas import codec
from schemas.frames import CONNECT_PATH, SUBPROTOCOL, Chunk, Exit, Heartbeat, Hello, Run, Welcome

OUTPUT: Final = (
    "NAME                     READY   STATUS    RESTARTS   AGE\n"
    "web-5f6d8c9b7d-2xk4p     1/1     Running   0          3d\n"
    "web-5f6d8c9b7d-9qlzr     1/1     Running   0          3d\n"
    "worker-7c9f5d6b8-hj2vn   1/1     Running   1          12h\n"
)
_CHUNKS: Final = [Chunk("stdout", OUTPUT)]


async def answer(hub_url: str, cluster_id: str, token: str) -> None:
    """Serve until the hub closes the link."""
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(hub_url + CONNECT_PATH, headers=headers, protocols=[SUBPROTOCOL]) as socket,
    ):
        hello = Hello(cluster_id=cluster_id, agent_version="0.0-bench", boot_id="bench", executors={"scripted": None})
        await socket.send_str(codec.encode(hello))
        beating: asyncio.Task[None] | None = None
        try:
            async for message in socket:
                match codec.decode_hub(message.data):
                    case Run(result_id=result_id):
                        done = Exit(
                            result_id=result_id,
                            seq=1,
                            status="completed",
                            exit_code=0,
                            chunks=_CHUNKS,
                            output_bytes=len(OUTPUT),
                            executor="scripted",
                        )
                        await socket.send_str(codec.encode(done))
                    case Welcome(heartbeat_interval_seconds=interval):
                        beating = asyncio.create_task(beat(socket, interval), name="heartbeats")
                        print("agent connected", file=sys.stderr, flush=True)
                    case _:
                        pass
        finally:
            if beating is not None:
                beating.cancel()


async def beat(socket: aiohttp.ClientWebSocketResponse, interval_seconds: float) -> None:
    """Send heartbeats until cancelled."""
    while True:
        await asyncio.sleep(interval_seconds)
        await socket.send_str(codec.encode(Heartbeat()))


if __name__ == "__main__":
    uvloop.run(answer(sys.argv[1], sys.argv[2], os.environ["KUBENTLY_AGENT_TOKEN"]))
