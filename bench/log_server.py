"""An API server with three pods and nothing else, for a real agent: it gives their logs as fast as they are taken.

`python -m bench.log_server serve`: `GET .../pods/POD` is the pod, `GET .../pods/POD/log` what `bench.lines` writes for
it, chunked, until the one who asked hangs up. A few lines of HTTP on a bare socket, so that the source of a flood costs
less than what is measured. `python -m bench.log_server read URL SECONDS` says how fast it is to a bare GET.
"""

import asyncio
import contextlib
import json
import re
import sys
import time
from typing import Final

import aiohttp
import uvloop

from bench.lines import FLOOD_POD, PODS, written

_PODS: Final = "/api/v1/namespaces/default/pods"
_REQUEST: Final = re.compile(rf"GET (?:{_PODS}/(\w+)(/log)?|/version)[? ]".encode())


def _pod(name: str) -> bytes:
    return json.dumps(
        {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}"},
            "spec": {"containers": [{"name": "main", "image": "example.com/shop:1.4.2"}]},
            "status": {"phase": "Running"},
        }
    ).encode()


def _answer(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


_ANSWERS: Final = {pod: _answer("200 OK", _pod(pod)) for pod in PODS}
_VERSION: Final = _answer("200 OK", b'{"major": "1", "minor": "33", "gitVersion": "v1.33.1"}')
_NOT_FOUND: Final = _answer(
    "404 Not Found",
    b'{"kind": "Status", "status": "Failure", "reason": "NotFound", "message": "not here", "code": 404}',
)
_LOG_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"


async def _handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            asked = _REQUEST.match(await reader.readuntil(b"\r\n\r\n"))
            if asked is None or (asked[1] is not None and asked[1].decode() not in PODS):
                writer.write(_NOT_FOUND)
            elif asked[1] is None:
                writer.write(_VERSION)
            elif asked[2] is None:
                writer.write(_ANSWERS[asked[1].decode()])
            else:
                await _log(asked[1].decode(), writer)
            await writer.drain()
    writer.close()


async def _log(pod: str, writer: asyncio.StreamWriter) -> None:
    writer.write(_LOG_HEAD)
    async for text in written(pod):
        data = text.encode()
        writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await writer.drain()
    writer.write(b"0\r\n\r\n")


async def _serve() -> None:
    server = await asyncio.start_server(_handle, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    print(f"listening url=http://{host}:{port}", file=sys.stderr, flush=True)
    await server.serve_forever()


async def _read(url: str, seconds: float) -> dict[str, float]:
    data_bytes = 0
    started_at = time.monotonic()
    async with aiohttp.ClientSession() as http, http.get(f"{url}{_PODS}/{FLOOD_POD}/log") as answer:
        async for chunk in answer.content.iter_any():
            data_bytes += len(chunk)
            if time.monotonic() > started_at + seconds:
                break
    return {"bytes_per_second": data_bytes / (time.monotonic() - started_at)}


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        uvloop.run(_serve())
    else:
        print(json.dumps(uvloop.run(_read(sys.argv[2], float(sys.argv[3])))))
