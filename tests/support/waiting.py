"""Waiting for a condition instead of for a time."""

import asyncio
from collections.abc import Callable

_POLL_SECONDS = 0.01


async def until(condition: Callable[[], bool], timeout_seconds: float = 10.0) -> None:
    """Wait until `condition` holds; raises TimeoutError."""
    async with asyncio.timeout(timeout_seconds):
        while not condition():
            await asyncio.sleep(_POLL_SECONDS)
