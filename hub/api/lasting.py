"""What a client asked to be removed or closed is done to its end, also when the client leaves before.

aiohttp cancels a handler whose client is gone, wherever it waits. Between "the store has it" and "the others are told"
that would leave a closed session with commands that run, or a revoked token with a link that lives.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from functools import wraps
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

_log = logging.getLogger(__name__)

_TASKS: Final = web.AppKey("lasting_tasks", set[asyncio.Task[web.StreamResponse]])
# A stopping hub waits so long for what it began for clients that have left.
_CLOSE_SECONDS: Final = 5.0


def lasting(handler: Handler) -> Handler:
    """The handler, run in a task of its own, which the client's leaving does not cancel."""

    @wraps(handler)
    async def run(request: web.Request) -> web.StreamResponse:
        tasks = request.app[_TASKS]
        task = asyncio.ensure_future(handler(request))
        tasks.add(task)

        def forget(done: asyncio.Task[web.StreamResponse]) -> None:
            tasks.discard(done)
            if not done.cancelled() and done.exception() is not None:  # read, for a client that is no longer there to
                _log.debug("a request failed", extra={"path": request.path, "error": str(done.exception())})

        task.add_done_callback(forget)
        return await asyncio.shield(task)

    run.__lasting__ = True  # type: ignore[attr-defined]
    return run


def is_lasting(handler: Handler) -> bool:
    """Whether a handler was made so."""
    return getattr(handler, "__lasting__", False)


async def lasting_tasks(app: web.Application) -> AsyncIterator[None]:
    """Owns those tasks; for `Application.cleanup_ctx`, inside of what they use."""
    tasks = app[_TASKS] = set()
    yield
    if tasks:
        await asyncio.wait(tasks, timeout=_CLOSE_SECONDS)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
