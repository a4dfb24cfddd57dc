"""Sessions over REST."""

from dataclasses import asdict
from typing import Any

from aiohttp import web

from hub import keys
from hub.api.documentation import endpoint
from hub.api.lasting import lasting
from hub.responses import json_response
from schemas.api import sessions as wire


@endpoint(
    "Open a session",
    wire.Session,
    tag="sessions",
    status=201,
    body=wire.NewSession,
    errors=(404, 503),
    links={"get_session": "session_id", "close_session": "session_id"},
)
async def open_session(request: web.Request) -> web.Response:
    """On a connected cluster; it ends after `ttl_seconds`, or when it is closed."""
    body = request[keys.BODY]
    session = await request.app[keys.SESSIONS].open(
        request[keys.CALLER],
        cluster_id=body["cluster_id"],
        ttl_seconds=body["ttl_seconds"],
        metadata=body["metadata"],
    )
    request[keys.NOTED]["session_id"] = session.session_id
    headers = {"Location": f"/debug/session/{session.session_id}"}
    return json_response(_dump(session), status=201, headers=headers)


@endpoint("Look at a session", wire.Session, tag="sessions", errors=(404,))
async def get_session(request: web.Request) -> web.Response:
    """Your own, or any for an admin."""
    session = await request.app[keys.SESSIONS].get(request[keys.CALLER], request.match_info["session_id"])
    request[keys.NOTED]["cluster_id"] = session.cluster_id
    return json_response(_dump(session))


@endpoint("Close a session", wire.ClosedSession, tag="sessions", errors=(404,))
@lasting
async def close_session(request: web.Request) -> web.Response:
    """Cancels what runs in it. Closing what has ended changes nothing."""
    session = await request.app[keys.SESSIONS].close(request[keys.CALLER], request.match_info["session_id"])
    request[keys.NOTED]["cluster_id"] = session.cluster_id
    return json_response(wire.ClosedSession().dump(session))


@endpoint("List sessions", wire.SessionList, tag="sessions", query=wire.SessionFilter, errors=(403,))
async def list_sessions(request: web.Request) -> web.Response:
    """For admins: every key's, newest first."""
    query = request[keys.QUERY]
    page = await request.app[keys.SESSIONS].list_sessions(
        request[keys.CALLER],
        cluster_id=query.get("cluster_id"),
        status=query["status"],
        limit=query["limit"],
        cursor=query.get("cursor"),
    )
    return json_response(wire.SessionList().dump(asdict(page)))


def _dump(session: Any) -> Any:
    return wire.Session().dump(session)
