"""A debug session on one cluster: commands run in it, and are cancelled when it closes."""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from kubently.command import Command
from kubently.errors import ClusterOffline, KubentlyError
from kubently.models import Json, Result, Session
from kubently.stream import Stream, cancel
from kubently.transport import Transport

_log = logging.getLogger(__name__)

# A command that nobody said a time for gets this from the hub.
_DEFAULT_TIMEOUT_SECONDS: Final = 30
# As often somebody who waits for an agent looks whether it is there.
_LOOK_SECONDS: Final = 2.0


class DebugSession:
    """`async with client.debug_session("production-cluster") as session`: opens on entering, closes on leaving.

    `open` and `close` do the same by hand.
    """

    def __init__(
        self,
        transport: Transport,
        cluster_id: str,
        *,
        ttl_seconds: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        wait: int = 0,
    ) -> None:
        self.cluster_id = cluster_id
        self._transport = transport
        self._ttl_seconds = ttl_seconds
        self._metadata = metadata
        self._wait = wait
        self._session: Session | None = None
        self._is_open = False

    def __repr__(self) -> str:
        return f"<DebugSession of {self.cluster_id}: {'not opened' if self._session is None else self.session_id}>"

    @property
    def session_id(self) -> str:
        """The session's id. Raises RuntimeError before it was opened."""
        return self.info.session_id

    @property
    def info(self) -> Session:
        """The session as it was when it was opened. Raises RuntimeError before."""
        if self._session is None:
            raise RuntimeError("The session was not opened; use `async with client.debug_session(...)`")
        return self._session

    async def open(self) -> Self:
        """Open it, once. Raises HubError (NotFound, ClusterOffline, ...), ConnectionFailed."""
        if self._session is not None:
            raise RuntimeError("The session was opened before; make another with `client.debug_session(...)`")
        body: Json = {"cluster_id": self.cluster_id}
        if self._ttl_seconds is not None:
            body["ttl_seconds"] = self._ttl_seconds
        if self._metadata is not None:
            body["metadata"] = dict(self._metadata)
        await self._transport.__aenter__()
        try:
            self._session = await self._open(body)
        except BaseException:
            await self._transport.__aexit__(None, None, None)
            raise
        self._is_open = True
        return self

    async def close(self) -> None:
        """Close it, which cancels what runs in it; once it has happened, again does nothing.

        Raises nothing of the hub's: a session that cannot be closed expires by itself, and is logged.
        """
        if not self._is_open:
            return
        self._is_open = False
        try:
            await self._transport.finish(self._close(self.session_id), f"close {self.session_id}")
        finally:
            await self._transport.__aexit__(None, None, None)

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def execute(
        self,
        command_type: str,
        args: Sequence[str] = (),
        *,
        timeout: int | None = None,
        grep: str | None = None,
        tail_lines: int | None = None,
        max_lines: int | None = None,
        max_output_bytes: int | None = None,
        keep_full_output: bool = False,
        wait: int = 0,
    ) -> Result:
        """Run a command and return when it has ended, however it ended: look at `result.ok`.

            result = await session.execute("get", ["pods", "-A"], grep="CrashLoop")

        `command_type` is the kubectl verb, `args` what stands behind it. `timeout` is in seconds, 300 at most, None for
        the hub's 30. `wait`: so many seconds, 60 at most, for an agent that is away. The others say what of the output
        is wanted. A connection that breaks is made again, and the command runs once nevertheless.

        Raises HubError (CommandRefused, ClusterOffline, SessionNotActive, ...), ConnectionFailed. Cancelling it cancels
        the command in the cluster.
        """
        command = Command(
            command_type=command_type,
            args=args,
            timeout=timeout,
            grep=grep,
            tail_lines=tail_lines,
            max_lines=max_lines,
            max_output_bytes=max_output_bytes,
            keep_full_output=keep_full_output,
        )
        preferences = [f"wait={wait}"] if wait else []
        seconds = (timeout or _DEFAULT_TIMEOUT_SECONDS) + wait
        return Result.parse(await self._send(command, preferences, more_seconds=seconds))

    async def start(self, command_type: str, args: Sequence[str] = (), *, timeout: int | None = None) -> Result:
        """Run a command and return once the hub has it; `client.result(id, wait=...)` or `follow` look after it."""
        command = Command(command_type=command_type, args=args, timeout=timeout)
        return Result.parse(await self._send(command, ["respond-async"], more_seconds=0))

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
        """Run a command and read its output as it comes: see `Stream`. `logs -f` and `get -w` go on for `timeout`
        seconds, None for the hub's most (600 unless it was set otherwise); other commands as `execute` says.
        """
        command = Command(
            command_type=command_type,
            args=args,
            timeout=timeout,
            grep=grep,
            max_lines=max_lines,
            max_output_bytes=max_output_bytes,
        )
        command.body()  # what is wrong with it shows here, not in the loop

        async def start() -> str:
            return str((await self._send(command, ["respond-async"], more_seconds=0))["result_id"])

        return Stream(self._transport, start, is_owner=True)

    def follow(self, result_id: str, after_seq: int = 0) -> Stream:
        """Read the output of a command that runs or has run, behind a number; leaving it leaves the command alone."""
        return follow(self._transport, result_id, after_seq)

    async def _open(self, body: Json) -> Session:
        give_up_at = asyncio.get_running_loop().time() + self._wait
        while True:
            opening = asyncio.create_task(self._post(body), name=f"open a session on {self.cluster_id}")
            try:
                return await asyncio.shield(opening)
            except asyncio.CancelledError:
                await self._transport.finish(self._undo(opening), "close a session that nobody waits for")
                raise
            except ClusterOffline:
                if asyncio.get_running_loop().time() >= give_up_at:
                    raise
            while asyncio.get_running_loop().time() < give_up_at:
                await asyncio.sleep(min(_LOOK_SECONDS, self._wait))
                path = f"/clusters/{self.cluster_id}/status"
                if (await self._transport.request("GET", path, is_repeatable=True)).json["status"] == "connected":
                    break

    async def _post(self, body: Json) -> Session:
        reply = await self._transport.request("POST", "/debug/session", body=body, is_repeatable=False)
        return Session.parse(reply.json)

    async def _undo(self, opening: asyncio.Task[Session]) -> None:
        """A session that is being opened for a caller who has left is closed."""
        with contextlib.suppress(KubentlyError):
            await self._close((await opening).session_id)

    async def _send(self, command: Command, preferences: Sequence[str], *, more_seconds: float) -> Json:
        """Send an execute, until it is answered; when the caller is cancelled, so is the command."""
        ids = {"cluster_id": self.cluster_id, "session_id": self.session_id}
        body = ids | command.body()
        key = uuid.uuid4().hex
        try:
            return await self._execute(body, key, preferences, more_seconds)
        except asyncio.CancelledError:
            # Nothing is known of it but its key: with that the hub tells which result it is, or makes one to be ended.
            with contextlib.suppress(asyncio.CancelledError):
                await self._transport.finish(self._abandon(body, key), "cancel a command")
            raise

    async def _execute(self, body: Json, key: str, preferences: Sequence[str], more_seconds: float) -> Json:
        headers = {"Idempotency-Key": key}
        if preferences:
            headers["Prefer"] = ", ".join(preferences)
        reply = await self._transport.request(
            "POST", "/debug/execute", body=body, headers=headers, is_repeatable=True, more_seconds=more_seconds
        )
        return reply.json

    async def _abandon(self, body: Json, key: str) -> None:
        try:
            result = await self._execute(body, key, ["respond-async"], 0)
        except KubentlyError as error:
            _log.warning("a command in %s could not be cancelled: %s", body["session_id"], error)
            return
        if Result.parse(result).is_open:
            await cancel(self._transport, result["result_id"])

    async def _close(self, session_id: str) -> None:
        try:
            await self._transport.request("DELETE", f"/debug/session/{session_id}", is_repeatable=True)
        except KubentlyError as error:
            _log.warning("%s could not be closed and will expire: %s", session_id, error)


def follow(transport: Transport, result_id: str, after_seq: int) -> Stream:
    """A stream of a command that somebody else began."""

    async def known() -> str:
        return result_id

    return Stream(transport, known, after_seq=after_seq, is_owner=False)
