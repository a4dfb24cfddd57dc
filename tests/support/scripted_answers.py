"""An HTTP server whose answers are the test's own bytes, one request after the other."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from tests.support.raw_server import raw_server

# What a server may do in place of an answer: close the connection, or say nothing until the client leaves.
HANG_UP: Final = None
SILENCE: Final = "silence"

Answer = bytes | str | None


def response(status: int, body: Any = None, *, content_type: str = "application/json", **headers: str) -> bytes:
    """An answer; `body` is bytes, or something for JSON. `Retry_After="1"` is the header `Retry-After: 1`."""
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(content)}", f"Content-Type: {content_type}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + content


def refusal(status: int, code: str, details: dict[str, Any] | None = None, **headers: str) -> bytes:
    """The hub's no."""
    return response(status, {"error": code, "message": f"no: {code}", "details": details or {}}, **headers)


class Script:
    """Answers with the next of `answers` each time, with the last one for good. `heads` and `bodies` are what came."""

    def __init__(self, *answers: Answer) -> None:
        self.url = ""
        self.answers = list(answers)
        self.heads: list[str] = []
        self.bodies: list[bytes] = []

    def header(self, name: str) -> list[str]:
        """The values of a header, one for each request that had it."""
        pairs = (line.partition(":")[::2] for head in self.heads for line in head.splitlines()[1:])
        return [value.strip() for key, value in pairs if key.lower() == name.lower()]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lengths = [line for line in head.splitlines() if line.lower().startswith("content-length:")]
            self.heads.append(head)
            self.bodies.append(await reader.readexactly(int(lengths[0].split(":")[1])) if lengths else b"")
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if answer is None:
                return
            if isinstance(answer, str):
                await reader.read()
                return
            writer.write(answer)
            await writer.drain()
            if b"Connection: close" in answer:
                return


@asynccontextmanager
async def scripted(*answers: Answer) -> AsyncIterator[Script]:
    """A server that listens."""
    made = Script(*answers)
    async with raw_server(made.serve) as port:
        made.url = f"http://127.0.0.1:{port}"
        yield made
