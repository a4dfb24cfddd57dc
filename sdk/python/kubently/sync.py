"""The client without `async`: the same names, the same arguments, the same answers and errors.

    client = kubently.sync.Client("https://hub.example.com:8080", "kubently_key_...")
    with client.debug_session("production-cluster") as session:
        print(session.execute("get", ["pods", "-A"]).output)
        for piece in session.stream("logs", ["-f", "deploy/web"]):
            print(piece, end="")

Each client runs the asynchronous one in a thread of its own. It may be used from several threads, and where an event
loop runs already, such as in a notebook. An exception in the caller, Ctrl-C too, cancels what it waits for.
"""

import asyncio
import functools
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent import futures
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, cast

from kubently import admin as asynchronous_admin
from kubently import client as asynchronous
from kubently import fleet as asynchronous_fleet
from kubently import session as asynchronous_session
from kubently import stream as asynchronous_stream
from kubently.fleet import FleetAnswer
from kubently.models import Piece, Result, Session
from kubently.settings import DEFAULT_RETRIES, DEFAULT_TIMEOUT_SECONDS

P = ParamSpec("P")
R = TypeVar("R")


class _Worker:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="kubently", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Do it there and wait for it. An exception here, such as Ctrl-C, cancels it there and waits for that."""
        if threading.current_thread() is self._thread or not self.loop.is_running():
            work.close()
            raise RuntimeError("This client is closed, or asked from within itself")
        future: Future[R] = Future()
        tasks: list[asyncio.Task[R]] = []

        def begin() -> None:
            tasks.append(self.loop.create_task(work))
            tasks[0].add_done_callback(lambda task: _settle(task, future))

        def end() -> None:
            tasks[0].cancel()

        self.loop.call_soon_threadsafe(begin)
        try:
            return future.result()
        finally:
            if not future.done():
                self.loop.call_soon_threadsafe(end)
                futures.wait([future])

    def stop(self) -> None:
        """End the thread. May be called again."""
        if self.loop.is_closed():
            return
        if self.loop.is_running():
            self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


def _settle(task: asyncio.Task[R], future: Future[R]) -> None:
    """Hand a task's outcome to the thread that waits for it."""
    if task.cancelled():
        future.set_exception(asyncio.CancelledError())
    elif (error := task.exception()) is not None:
        future.set_exception(error)
    else:
        future.set_result(task.result())


def _blocking(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[Any, P], R]:
    """The same method, that waits."""

    @functools.wraps(method)
    def waiting(self: Any, *args: P.args, **kwargs: P.kwargs) -> R:
        worker: _Worker = self._worker
        return worker.run(method(self._inner, *args, **kwargs))

    return cast("Callable[Concatenate[Any, P], R]", waiting)  # functools.wraps says less of it


class Stream:
    """An iterator of `Piece`s, see `kubently.Stream`. Leaving the loop cancels the command, if it is its own."""

    def __init__(self, worker: _Worker, inner: asynchronous_stream.Stream) -> None:
        self._worker = worker
        self._inner = inner

    @property
    def result_id(self) -> str | None:
        """The command's result, None until it is accepted."""
        return self._inner.result_id

    @property
    def last_seq(self) -> int:
        """The number of the last piece that was handed out."""
        return self._inner.last_seq

    @property
    def result(self) -> Result | None:
        """How the command ended, without its output; None before."""
        return self._inner.result

    def __iter__(self) -> Iterator[Piece]:
        return _iterate(self._worker, self._inner.__aiter__())

    close = _blocking(asynchronous_stream.Stream.aclose)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class DebugSession:
    """A debug session, see `kubently.DebugSession`."""

    def __init__(self, worker: _Worker, inner: asynchronous_session.DebugSession) -> None:
        self._worker = worker
        self._inner = inner

    def __repr__(self) -> str:
        return repr(self._inner)

    @property
    def cluster_id(self) -> str:
        """Its cluster."""
        return self._inner.cluster_id

    @property
    def session_id(self) -> str:
        """The session's id. Raises RuntimeError before it is open."""
        return self._inner.session_id

    @property
    def info(self) -> Session:
        """The session as it was when it was opened. Raises RuntimeError before."""
        return self._inner.info

    def open(self) -> Self:
        """Open it. Raises HubError (NotFound, ClusterOffline, ...), ConnectionFailed."""
        self._worker.run(self._inner.open())
        return self

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def stream(
        self,
        command_type: str,
        args: Sequence[str] = (),
        *,
        timeout: int | None = None,
        grep: str | None = None,
        max_lines: int | None = None,
        max_output_bytes: int | None = None,
    ) -> Stream:
        """Run a command and read its output as it comes, see `kubently.DebugSession.stream`."""
        inner = self._inner.stream(
            command_type, args, timeout=timeout, grep=grep, max_lines=max_lines, max_output_bytes=max_output_bytes
        )
        return Stream(self._worker, inner)

    def follow(self, result_id: str, after_seq: int = 0) -> Stream:
        """Read the output of a command that runs or has run, behind a number; leaving it leaves the command alone."""
        return Stream(self._worker, self._inner.follow(result_id, after_seq))

    close = _blocking(asynchronous_session.DebugSession.close)
    execute = _blocking(asynchronous_session.DebugSession.execute)
    start = _blocking(asynchronous_session.DebugSession.start)


class Fleet:
    """An iterator of `FleetAnswer`s, see `kubently.Fleet`. Leaving the loop cancels what runs in the clusters."""

    def __init__(self, worker: _Worker, inner: asynchronous_fleet.Fleet) -> None:
        self._worker = worker
        self._inner = inner

    @property
    def clusters(self) -> list[str] | None:
        """Which clusters are asked, by id; None until the hub has said so."""
        return self._inner.clusters

    def __iter__(self) -> Iterator[FleetAnswer]:
        return _iterate(self._worker, self._inner.__aiter__())


class Admin:
    """`client.admin`, see `kubently.Admin`."""

    def __init__(self, worker: _Worker, inner: asynchronous_admin.Admin) -> None:
        self._worker = worker
        self._inner = inner

    clusters = _blocking(asynchronous_admin.Admin.clusters)
    cluster = _blocking(asynchronous_admin.Admin.cluster)
    add_cluster = _blocking(asynchronous_admin.Admin.add_cluster)
    change_cluster = _blocking(asynchronous_admin.Admin.change_cluster)
    remove_cluster = _blocking(asynchronous_admin.Admin.remove_cluster)
    add_token = _blocking(asynchronous_admin.Admin.add_token)
    remove_token = _blocking(asynchronous_admin.Admin.remove_token)
    keys = _blocking(asynchronous_admin.Admin.keys)
    add_key = _blocking(asynchronous_admin.Admin.add_key)
    rotate_key = _blocking(asynchronous_admin.Admin.rotate_key)
    remove_key = _blocking(asynchronous_admin.Admin.remove_key)


class Client:
    """A hub and a key to it, see `kubently.Client`. `close` ends its thread; so does `with`, and the program's end."""

    def __init__(
        self,
        endpoint: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        retries: int = DEFAULT_RETRIES,
        ca_file: str | Path | None = None,
        proxy: str | None = None,
        service_identity: str | None = None,
        correlation_id: str | None = None,
    ) -> None:
        self._inner = asynchronous.Client(
            endpoint,
            api_key,
            timeout=timeout,
            retries=retries,
            ca_file=ca_file,
            proxy=proxy,
            service_identity=service_identity,
            correlation_id=correlation_id,
        )
        self._worker = _Worker()
        self.admin = Admin(self._worker, self._inner.admin)
        """What admins do: clusters, their tokens, and keys."""
        self._stop = weakref.finalize(self, self._worker.stop)
        self._is_held = False

    def __repr__(self) -> str:
        return repr(self._inner)

    @property
    def endpoint(self) -> str:
        """Where the hub is, without a `/` behind."""
        return self._inner.endpoint

    def close(self) -> None:
        """Close its connections and end its thread. May be called again."""
        if self._is_held:
            self._is_held = False
            self._worker.run(self._inner.__aexit__(None, None, None))
        self._stop()

    def __enter__(self) -> Self:
        self._worker.run(self._inner.__aenter__())
        self._is_held = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def debug_session(
        self,
        cluster_id: str,
        *,
        ttl_seconds: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        wait: int = 0,
    ) -> DebugSession:
        """A session on a cluster, for `with`, see `kubently.Client.debug_session`."""
        inner = self._inner.debug_session(cluster_id, ttl_seconds=ttl_seconds, metadata=metadata, wait=wait)
        return DebugSession(self._worker, inner)

    def follow(self, result_id: str, after_seq: int = 0) -> Stream:
        """Read the output of a command that runs or has run, behind a number; leaving it leaves the command alone."""
        return Stream(self._worker, self._inner.follow(result_id, after_seq))

    def fleet(
        self,
        command_type: str,
        args: Sequence[str] = (),
        *,
        clusters: Sequence[str] = (),
        selector: str | None = None,
        concurrency: int | None = None,
        timeout: int | None = None,
        grep: str | None = None,
        tail_lines: int | None = None,
        max_lines: int | None = None,
        max_output_bytes: int | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Fleet:
        """Run a command on many clusters, and read each one's answer as it comes, see `kubently.Client.fleet`."""
        inner = self._inner.fleet(
            command_type,
            args,
            clusters=clusters,
            selector=selector,
            concurrency=concurrency,
            timeout=timeout,
            grep=grep,
            tail_lines=tail_lines,
            max_lines=max_lines,
            max_output_bytes=max_output_bytes,
            metadata=metadata,
        )
        return Fleet(self._worker, inner)

    session = _blocking(asynchronous.Client.session)
    close_session = _blocking(asynchronous.Client.close_session)
    sessions = _blocking(asynchronous.Client.sessions)
    result = _blocking(asynchronous.Client.result)
    cancel = _blocking(asynchronous.Client.cancel)
    clusters = _blocking(asynchronous.Client.clusters)
    cluster = _blocking(asynchronous.Client.cluster)
    policy = _blocking(asynchronous.Client.policy)
    validate = _blocking(asynchronous.Client.validate)
    key = _blocking(asynchronous.Client.key)
    audit = _blocking(asynchronous.Client.audit)
    health = _blocking(asynchronous.Client.health)
    ready = _blocking(asynchronous.Client.ready)
    openapi = _blocking(asynchronous.Client.openapi)


def _iterate(worker: _Worker, items: AsyncGenerator[R]) -> Iterator[R]:
    """The same one by one; left early, the asynchronous one ends there and then."""
    try:
        while (found := worker.run(_next(items))) is not None:
            yield found
    finally:
        worker.run(_close(items))


async def _next(items: AsyncGenerator[R]) -> R | None:
    return await anext(items, None)


async def _close(items: AsyncGenerator[Any]) -> None:
    await items.aclose()
