"""Live output: a session's socket, and one result as lines. docs/streaming.md shows both from outside.

Whatever is refused is refused here, before the upgrade or the first line, with the error body of every other call.
"""

from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from hub import keys
from hub.api.documentation import endpoint
from hub.api.result_lines import ResultLines
from hub.api.stream_inbox import Inbox
from hub.api.stream_lines import LINES_HEADERS, LINES_TYPE, Lines
from hub.api.stream_socket import SessionSocket
from hub.errors import Draining, Forbidden, SessionNotActive, UpgradeRequired
from schemas.api import commands as wire
from schemas.stream import BEARER_SUBPROTOCOL_PREFIX, SUBPROTOCOL

_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}
_VERSION: Final = "13"  # RFC 6455 §4.1


@endpoint(
    "A session's live stream",
    None,
    tag="streams",
    status=101,
    query=wire.SocketQuery,
    errors=(403, 404, 409, 426, 503),
)
async def stream_session(request: web.Request) -> web.StreamResponse:
    """A WebSocket with the subprotocol `kubently.stream.v1`: run, follow and cancel many commands on it, and hear what
    becomes of the session and its cluster. The key may also come as a subprotocol, `kubently.bearer.<base64url(key)>`.
    """
    app, caller = request.app, request[keys.CALLER]
    if app[keys.DISPATCHER].is_draining:
        raise Draining
    _require_upgrade(request)
    _require_own_origin(request)
    inbox = Inbox()
    with app[keys.EVENTS].listen(caller, inbox.put):  # before the session is read, so that its end is not missed
        session = await app[keys.SESSIONS].get(caller, request.match_info["session_id"])
        request[keys.NOTED]["cluster_id"] = session.cluster_id
        if session.status != "active":
            raise SessionNotActive(session.session_id, session.status)
        inbox.choose(None if request[keys.QUERY]["events"] == "all" else session)
        socket = SessionSocket(app, caller, session, inbox)
        with app[keys.STREAMS].hold(caller.key.key_id, socket):
            return await socket.serve(request)


@endpoint(
    "Follow a result",
    wire.StreamLine,
    tag="streams",
    query=wire.StreamQuery,
    media_type=LINES_TYPE,
    errors=(404, 410, 503),
)
async def stream_result(request: web.Request) -> web.StreamResponse:
    """Its output as lines of JSON (`application/x-ndjson`), what is there and then what comes, until `completed`. A
    reader that leaves leaves the command alone.
    """
    app, caller = request.app, request[keys.CALLER]
    result_id = request.match_info["result_id"]
    follower = await app[keys.COMMANDS].follow(caller, result_id, request[keys.QUERY]["after_seq"])
    request[keys.NOTED]["cluster_id"] = follower.cluster_id
    with follower:
        if request.method == "HEAD":
            return web.Response(headers=LINES_HEADERS, content_type=LINES_TYPE)
        lines = Lines(app, caller, ResultLines(result_id, follower))
        with app[keys.STREAMS].hold(caller.key.key_id, lines):
            return await lines.serve(request)


def _require_upgrade(request: web.Request) -> None:
    headers = request.headers
    offered = [name.strip() for name in headers.get("Sec-WebSocket-Protocol", "").split(",")]
    hops = [name.strip().lower() for name in headers.get("Connection", "").split(",")]
    if (
        headers.get("Upgrade", "").strip().lower() != "websocket"
        or "upgrade" not in hops
        or headers.get("Sec-WebSocket-Version") != _VERSION
        or SUBPROTOCOL not in offered
    ):
        raise UpgradeRequired(
            f"This path is a WebSocket; ask for one with the subprotocol {SUBPROTOCOL}, and without an Authorization"
            f" header also with {BEARER_SUBPROTOCOL_PREFIX}<the key in base64url>",
            headers={"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": _VERSION},
        )


def _require_own_origin(request: web.Request) -> None:
    """Refuse a page of another site; programs send no Origin. The key is what opens the door, this is a second bolt."""
    origins = request.headers.getall("Origin", [])
    if not origins:
        return
    origin = origins[0].lower()
    allowed = {allowed.lower().rstrip("/") for allowed in request.app[keys.SETTINGS].streams.allowed_origins}
    if len(origins) > 1 or not (origin in allowed or _is_own(origin, request.host.lower())):
        raise Forbidden(
            "Pages of this Origin may not open streams; the operator can allow it (streams.allowed_origins)"
        )


def _is_own(origin: str, host: str) -> bool:
    """Whether an origin is the host that was asked, whatever TLS there is in front of it."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    port = _DEFAULT_PORTS.get(parts.scheme)
    return port is not None and parts.netloc.removesuffix(port) == host.removesuffix(port) != ""
