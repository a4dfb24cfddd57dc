"""What a selection names, asked for: lists page by page, several targets at once, answers in the order of the targets.

Errors of one target are answers as well: kubectl goes on with the next, and prints what there is.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from agent.executors.native import statuses
from agent.executors.native.call import Call
from agent.executors.native.errors import CommandFailed, StatusError, Unreachable
from agent.executors.native.pages import Paging
from agent.executors.native.resources import Resource
from agent.executors.native.selection import Selection, Target
from agent.executors.native.transport import JSON, Query

# How many targets are asked at once: `get all` is one round trip instead of nine, and no caller floods the server.
_AT_ONCE: Final = 8
# From this size on, a body is read, redacted and printed in a thread: at some 60 ns a byte it would hold up the others.
_LARGE_BYTES: Final = 512 * 1024
# What cannot be printed piece by piece is held, by kubectl however much it is, by us so much of the API server's JSON.
# As Python objects it takes some five times that.
MAX_HELD_BYTES: Final = 64 * 1024 * 1024

_NAMESPACES: Final = Resource("", "v1", "Namespace", "namespaces", "namespace", is_namespaced=False)

Failure = StatusError | Unreachable | CommandFailed


class Page(Protocol):
    """What a reader makes of a body."""

    @property
    def continue_token(self) -> str:
        """What gets the next page, "" for the last one."""

    def __len__(self) -> int:
        """How many items it has."""


Read = TypeVar("Read", bound=Page)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request(Generic[Read]):
    """How to ask. `read` makes a page of a body (in a thread when that is large), and raises ValueError for nonsense.

    `chunk_size` is that of lists, 0: in one piece. `limit`: no more than so many items of each target are wanted.
    `query` comes on top of the selection's.
    """

    read: Callable[[bytes], Read]
    accept: str = JSON
    query: Query = ()
    chunk_size: int = 0
    limit: int | None = None
    subresource: str | None = None


@dataclass(frozen=True, slots=True)
class Answer(Generic[Read]):
    """One page of a target, or what went wrong with it. `size` is that of the body in bytes."""

    target: Target
    page: Read | None
    failure: Failure | None = None
    size: int = 0


async def answers(call: Call, selection: Selection, request: Request[Read]) -> AsyncGenerator[Answer[Read], None]:
    """All pages of all targets, in order. To be closed when it is left early (`contextlib.aclosing`)."""
    async with aclosing(_first_pages(call, selection, request)) as first_pages:
        async for first in first_pages:
            yield first
            if first.target.name is None and first.page is not None:
                async with aclosing(_further_pages(call, first.target, first.page, selection, request)) as further:
                    async for answer in further:
                        yield answer


async def everything(
    call: Call, selection: Selection, request: Request[Read], *, max_bytes: int = MAX_HELD_BYTES
) -> list[Read]:
    """All pages of all targets at once. Raises the first failure, and CommandFailed when the bodies are more than
    `max_bytes` together.
    """
    held: list[Read] = []
    size = 0
    async with aclosing(answers(call, selection, request)) as coming:
        async for answer in coming:
            if answer.failure is not None:
                raise answer.failure
            size += answer.size
            if size > max_bytes:
                raise CommandFailed(
                    f"error: there are more than {max_bytes} bytes of objects, and all of them are needed at once: "
                    "ask for fewer (--namespace, --selector)"
                )
            if answer.page is not None:
                held.append(answer.page)
    return held


async def beside_others(work: Callable[[], T], size: int, *, is_costly: bool = False) -> T:
    """Do work on some `size` bytes so that other commands go on: in a thread if it is large, or costly at any size."""
    return await asyncio.to_thread(work) if is_costly or size >= _LARGE_BYTES else work()


async def _further_pages(
    call: Call, target: Target, page: Read | None, selection: Selection, request: Request[Read]
) -> AsyncGenerator[Answer[Read], None]:
    """What follows the first page of a target's list, `page`, as long as more is wanted."""
    paging, left = Paging(), request.limit
    while page is not None:
        if left is not None:
            left -= len(page)
            if left <= 0:
                return
        try:
            if not paging.turn(page.continue_token):
                return
        except CommandFailed as error:
            yield Answer(target, None, error)
            return
        answer = await _page(call, target, selection.query, request, paging.token, left)
        yield answer
        page = answer.page


async def _first_pages(call: Call, selection: Selection, request: Request[Read]) -> AsyncGenerator[Answer[Read], None]:
    """The first page of each target. While one is looked at, the next ones are under way."""
    if len(selection.targets) == 1:
        yield await _page(call, selection.targets[0], selection.query, request, "", request.limit)
        return
    coming = iter(selection.targets)
    tasks: deque[asyncio.Task[Answer[Read]]] = deque()
    try:
        while _start(call, coming, selection, request, tasks):
            yield await tasks[0]
            tasks.popleft()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _start(
    call: Call,
    coming: Iterator[Target],
    selection: Selection,
    request: Request[Read],
    tasks: deque[asyncio.Task[Answer[Read]]],
) -> bool:
    """Have as many requests under way as may be; whether there are any."""
    while len(tasks) < _AT_ONCE and (target := next(coming, None)) is not None:
        page = _page(call, target, selection.query, request, "", request.limit)
        tasks.append(asyncio.create_task(page, name=f"get {target.resource.qualified}"))
    return bool(tasks)


async def _page(
    call: Call, target: Target, selectors: Query, request: Request[Read], continue_token: str, wanted: int | None
) -> Answer[Read]:
    query = list(request.query)
    if target.name is None:
        query += selectors
        limit = request.chunk_size
        if wanted is not None:
            limit = min(limit, wanted) if limit else wanted
        if limit:
            query.append(("limit", str(limit)))
        if continue_token:
            query.append(("continue", continue_token))
    try:
        body = await _body(call, target, query, request)
        page = await beside_others(lambda: request.read(body), len(body))
    except StatusError as error:
        return Answer(target, None, error if target.name is not None else _of_list(error, target, selectors))
    except (Unreachable, CommandFailed) as error:
        return Answer(target, None, error)
    except ValueError as error:
        return Answer(target, None, CommandFailed(f"error: {error}"))
    return Answer(target, page, size=len(body))


async def _body(call: Call, target: Target, query: Query, request: Request[Read]) -> bytes:
    """The answer's body. For an object that is not there in a namespace that is not there, the error is the
    namespace's; kubectl never doubts the namespace `default`.
    """
    try:
        return await call.transport.get(target.path(request.subresource), query, accept=request.accept)
    except StatusError as error:
        if error.reason == "NotFound" and target.name is not None and target.namespace not in {None, "default"}:
            try:
                await call.transport.get(_NAMESPACES.path(name=target.namespace))
            except StatusError as missing:
                if missing.reason == "NotFound":
                    raise missing from None
        raise


def _of_list(error: StatusError, target: Target, selectors: Query) -> StatusError:
    chosen = dict(selectors)
    return statuses.of_list(error, target.resource, chosen.get("labelSelector", ""), chosen.get("fieldSelector", ""))
