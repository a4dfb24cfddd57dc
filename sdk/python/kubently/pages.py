"""Lists that come in pages, read to their end."""

from collections.abc import Mapping
from typing import Any

from kubently.models import Json
from kubently.transport import Transport


async def pages(
    transport: Transport, path: str, name: str, query: Mapping[str, Any], limit: int | None, *, most: int
) -> list[Json]:
    """The rows called `name` of every page, `limit` at most, None for all. A page has `most` rows at the most."""
    rows: list[Json] = []
    cursor = None
    while True:
        wanted = most if limit is None else min(most, limit - len(rows))
        if wanted < 1:
            return rows
        asked = {**query, "limit": wanted, "cursor": cursor}
        page = (await transport.request("GET", path, query=asked, is_repeatable=True)).json
        rows += page[name]
        cursor = page["next_cursor"]
        if cursor is None:
            return rows
