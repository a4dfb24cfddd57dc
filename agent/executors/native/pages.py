"""A list of the API as typed objects, page by page."""

from collections.abc import AsyncIterator
from typing import Final, TypeVar

from agent.executors.native.errors import CommandFailed
from agent.executors.native.printers.typed import TypedList, decode
from agent.executors.native.transport import Query, Transport

_CHUNK: Final = ("limit", "500")  # kubectl's own default
_MAX_PAGES: Final = 2_000  # a million objects; more is a server that gives no end

ListT = TypeVar("ListT", bound=TypedList)


async def pages(transport: Transport, path: str, query: Query, kind: type[ListT]) -> AsyncIterator[ListT]:
    """The pages of a list. Raises what `Transport.get` raises, and CommandFailed for a page of another shape."""
    token = ""
    for _ in range(_MAX_PAGES):
        following = (("continue", token),) if token else ()
        page = decode(await transport.get(path, (*query, _CHUNK, *following)), kind)
        yield page
        token = page.metadata.continue_token
        if not token:
            return
    raise CommandFailed(f"error: the API server's list has more than {_MAX_PAGES} pages")
