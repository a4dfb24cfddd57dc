"""From page to page of a list of the API: the one way there is, and the bounds that give every list an end.

listing.py goes it for selections; `pages` is for lists as typed objects, which have a place and a kind of their own.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final, TypeVar

from agent.executors.native.errors import CommandFailed
from agent.executors.native.printers.typed import TypedList, decode
from agent.executors.native.transport import Query, Transport

_CHUNK: Final = ("limit", "500")  # kubectl's own default
# Five million objects in pages of 500, which is more than etcd holds, and room for small --chunk-size as well.
_MAX_PAGES: Final = 10_000
# A token is a version and a key of etcd, some hundred characters. What gets one as long as this is no API server.
_MAX_TOKEN_CHARACTERS: Final = 16 * 1024
# Typed lists are held until they are complete. So much JSON are 200,000 events; a cluster keeps them for an hour.
_MAX_BYTES: Final = 256 * 1024 * 1024

ListT = TypeVar("ListT", bound=TypedList)


@dataclass(slots=True)
class Paging:
    """How far one list has been read. `token` is what to send as `continue`, "" for the first page."""

    token: str = ""
    _pages: int = field(default=1, init=False)

    def turn(self, token: str) -> bool:
        """Go on to the page that the last one's `token` gets; False: that was the last one.

        Raises CommandFailed for a list without an end: too many pages, or one that leads to itself.
        """
        if not token:
            return False
        self._pages += 1
        if self._pages > _MAX_PAGES:
            raise CommandFailed(f"error: the API server's list has more than {_MAX_PAGES} pages")
        if token == self.token or len(token) > _MAX_TOKEN_CHARACTERS:
            raise CommandFailed("error: the API server's list does not go on: its continue token leads nowhere")
        self.token = token
        return True


async def pages(transport: Transport, path: str, query: Query, kind: type[ListT]) -> AsyncIterator[ListT]:
    """The pages of a list. Raises what `Transport.get` raises, and CommandFailed for a page of another shape, for a
    list that is too large, and what `Paging.turn` raises.
    """
    paging, size, is_left = Paging(), 0, True
    while is_left:
        following = (("continue", paging.token),) if paging.token else ()
        body = await transport.get(path, (*query, _CHUNK, *following))
        size += len(body)
        if size > _MAX_BYTES:
            raise CommandFailed(
                f"error: this list is larger than {_MAX_BYTES} bytes: ask for less (--namespace, --selector, --for)"
            )
        page = decode(body, kind)
        yield page
        is_left = paging.turn(page.metadata.continue_token)
