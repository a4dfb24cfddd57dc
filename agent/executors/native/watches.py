"""A watch as it comes from the server: a line of JSON for each event."""

from collections.abc import AsyncIterator
from typing import Final

from agent.executors.native.errors import CommandFailed
from agent.executors.native.transport import Response

# An object has at most 1.5 MiB in etcd's form (its --max-request-bytes); as JSON it is seldom twice that.
_MAX_EVENT_BYTES: Final = 16 * 1024 * 1024


async def lines(response: Response) -> AsyncIterator[bytes]:
    """The events of a watch as they come, undecoded: `{"type": "ADDED", "object": {…}}`; ends when the server ends it.

    Raises Unreachable, and CommandFailed for an event of more than 16 MiB.
    """
    held = bytearray()
    async for piece in response.chunks():
        end = piece.rfind(b"\n") + 1
        if not end:
            held += piece
        else:
            whole = bytes(held) + piece[:end]
            held[:] = piece[end:]
            for line in whole.splitlines():
                if line:
                    yield line
        if len(held) > _MAX_EVENT_BYTES:
            raise CommandFailed(f"error: an event of the watch is larger than {_MAX_EVENT_BYTES} bytes")
