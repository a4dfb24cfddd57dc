"""Where an agent's link begins: refuse before the upgrade if at all, then hello, welcome, and the registry holds it."""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Final

from aiohttp import WSMsgType, web

from hub.agents.connection import Collect, Connection, Drop
from hub.agents.registry import Registry
from hub.errors import Draining, Forbidden, Unavailable, UpgradeRequired
from hub.ratelimits import Pace
from hub.records import AuditDetail, AuditKind, Origin, Token
from hub.settings import Agents
from schemas import codec
from schemas.frames import (
    CLOSE_REASONS,
    CLUSTER_HEADER,
    MAX_FRAME_BYTES,
    OLDEST_PROTOCOL_VERSION,
    PROTOCOL_VERSION,
    SUBPROTOCOL,
    CloseCode,
    Hello,
    Welcome,
)

_log = logging.getLogger(__name__)

# One cluster may take this part of all admissions: whoever has its token must not keep other clusters out.
_SHARES: Final = 10

Audit = Callable[[AuditKind, AuditDetail], None]


class Endpoint:
    """Admits agents."""

    def __init__(
        self, registry: Registry, collect: Collect, drop: Drop, audit: Audit, hub_version: str, settings: Agents
    ) -> None:
        self._registry = registry
        self._collect = collect
        self._drop = drop
        self._audit = audit
        self._hub_version = hub_version
        self._settings = settings
        self._pace = Pace(settings.admissions_per_second)
        self._pace_of_one = Pace(max(1, settings.admissions_per_second // _SHARES))
        self._is_draining = False

    def drain(self) -> None:
        """Admit nobody any more."""
        self._is_draining = True

    async def connect(self, request: web.Request, token: Token, origin: Origin) -> web.WebSocketResponse:
        """Turn an authenticated request into a link and hold it until it ends. The audit log has both.

        Raises Draining, Forbidden (the token is of another cluster than the agent says), UpgradeRequired and
        Unavailable, all before the upgrade.
        """
        self._refuse(request, token)
        socket = web.WebSocketResponse(
            timeout=2.0,  # for the peer's half of the closing handshake
            protocols=[SUBPROTOCOL],
            compress=False,  # a deflate window per socket would cost more memory than everything else of it
            max_msg_size=MAX_FRAME_BYTES,
            autoping=True,
        )
        await socket.prepare(request)
        hello = await self._hello(socket, token, origin)
        if hello is None:
            return socket
        assert request.transport is not None  # else there was no hello
        connection = Connection(socket, request.transport, hello, token, self._collect, self._drop, self._settings)

        def welcome(resume: dict[str, int | None]) -> Welcome:
            return Welcome(
                hub_version=self._hub_version,
                heartbeat_interval_seconds=self._settings.heartbeat_interval_seconds,
                max_concurrent_commands=self._settings.max_concurrent_commands,
                max_concurrent_streams=self._settings.max_concurrent_streams,
                window_bytes=self._settings.window_bytes,
                protocol_version=min(PROTOCOL_VERSION, hello.protocol_version),
                resume=resume,
            )

        if await self._registry.admit(connection, welcome):
            self._audit("agent", _detail("connect", token, origin, version=hello.agent_version))
            try:
                await self._registry.hold(connection)
            finally:
                self._audit("agent", _detail("disconnect", token, origin, version=hello.agent_version))
        return socket

    def _refuse(self, request: web.Request, token: Token) -> None:
        if self._is_draining:
            raise Draining
        named = request.headers.get(CLUSTER_HEADER, token.cluster_id)
        if named != token.cluster_id:
            raise Forbidden(f"The token is not of cluster {named}; use the token that was made for it")
        offered = [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        if request.headers.get("Upgrade", "").lower() != "websocket" or SUBPROTOCOL not in offered:
            raise UpgradeRequired(
                f"Ask for a WebSocket with the subprotocol {SUBPROTOCOL}; an older agent must be upgraded",
                headers={"Upgrade": "websocket", "Connection": "Upgrade"},
            )
        if len(self._registry) >= self._settings.max_connections:
            raise Unavailable("The hub holds as many agents as it may (agents.max_connections)", retry_after=30)
        if not (self._pace_of_one.admit(token.cluster_id) and self._pace.admit("agents")):
            raise Unavailable("Too many agents connect at once", retry_after=random.randint(1, 5))  # noqa: S311

    async def _hello(self, socket: web.WebSocketResponse, token: Token, origin: Origin) -> Hello | None:
        """The agent's hello, or None when the link was closed instead."""
        code, detail = CloseCode.HELLO_TIMEOUT, ""
        try:
            async with asyncio.timeout(self._settings.hello_timeout_seconds):
                message = await socket.receive()
        except TimeoutError:
            self._audit("agent", _detail("connect", token, origin, code=code))
            await _close(socket, token, code, detail)
            return None
        if message.type is not WSMsgType.TEXT:
            code, detail = CloseCode.MALFORMED_FRAME, "hello expected"
        else:
            try:
                hello = codec.decode_agent(message.data)
            except codec.FrameError as error:
                code, detail = CloseCode.MALFORMED_FRAME, str(error)
            else:
                if not isinstance(hello, Hello):
                    code, detail = CloseCode.PROTOCOL_VIOLATION, "hello expected"
                elif hello.protocol_version < OLDEST_PROTOCOL_VERSION:
                    code, detail = (
                        CloseCode.VERSION_UNSUPPORTED,
                        f"the hub speaks versions {OLDEST_PROTOCOL_VERSION} to {PROTOCOL_VERSION}",
                    )
                elif hello.cluster_id != token.cluster_id:
                    code, detail = (
                        CloseCode.PROTOCOL_VIOLATION,
                        "the hello names another cluster than the token",
                    )
                else:
                    return hello
        self._audit("agent", _detail("connect", token, origin, code=code))
        await _close(socket, token, code, detail)
        return None


def _detail(
    action: str, token: Token, origin: Origin, *, version: str | None = None, code: int | None = None
) -> AuditDetail:
    """What the audit log has of a link; `code`: it was refused, with this close code."""
    return AuditDetail(
        action=action,
        decision="allowed" if code is None else "refused",
        rule=None if code is None else f"close_{code}",
        address=origin.address,
        cluster_id=token.cluster_id,
        token_id=token.token_id,
        version=version,
        request_id=origin.request_id,
    )


async def _close(socket: web.WebSocketResponse, token: Token, code: int, detail: str) -> None:
    reason = CLOSE_REASONS[code]
    _log.warning(
        "an agent's hello was refused",
        extra={"cluster_id": token.cluster_id, "code": code, "reason": reason, "detail": detail},
    )
    await socket.close(code=code, message=f"{reason}: {detail}".encode()[:120])
