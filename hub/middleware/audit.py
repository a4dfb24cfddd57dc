"""A row of the audit log for each request that asks for a key or a token, when its answer begins.

Commands that were accepted have theirs from the store, links of agents from the endpoint.
"""

import asyncio
import re
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from hub import keys, logs
from hub.keys import Access
from hub.middleware.ratelimit import policy_of
from hub.middleware.request_id import PRINTABLE
from hub.records import CLIENT_LEFT, AuditDetail, AuditKind, Decision, Origin

_WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
# Of the ids in path and body these have a field of their own; a key's id is that of the key it is about.
_IDS: Final = {
    "cluster_id": "cluster_id",
    "session_id": "session_id",
    "result_id": "result_id",
    "token_id": "token_id",
    "key_id": "target",
}
_VERB: Final = re.compile(r"[a-z][a-z-]{0,31}")


@web.middleware
async def audit_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Note where the request comes from; `audit_response` writes the row, unless there is no response."""
    if policy_of(request).access is Access.PUBLIC:
        return await handler(request)
    resource = request.match_info.route.resource
    action = f"{request.method} {request.path if resource is None else resource.canonical}"
    origin = Origin(request.app[keys.ADDRESSES].of(request), logs.request_id.get(), action)
    request[keys.ORIGIN] = origin
    request[keys.NOTED] = {}
    try:
        return await handler(request)
    except asyncio.CancelledError:
        if not origin.is_recorded:
            origin.is_recorded = True
            is_identified = keys.CALLER in request or keys.TOKEN in request
            _record(request, "error" if is_identified else "unauthenticated", CLIENT_LEFT, None)
        raise


async def audit_response(request: web.Request, response: web.StreamResponse) -> None:
    """Have the row written; an on_response_prepare signal. What an admin changes is answered when its row is stored."""
    origin = request.get(keys.ORIGIN)
    if origin is None or origin.is_recorded:
        return
    origin.is_recorded = True
    status = response.status
    if status in (200, 202) and origin.is_accepted:
        return
    if status == 101 and keys.TOKEN in request:  # the endpoint says more, when it has heard the agent
        return
    is_identified = keys.CALLER in request or keys.TOKEN in request
    kind = _record(request, _decision(status, is_identified=is_identified), request.get(keys.RULE), status)
    if kind == "admin":
        await request.app[keys.AUDIT].settle()


def _record(request: web.Request, decision: Decision, rule: str | None, status: int | None) -> AuditKind:
    origin, token = request[keys.ORIGIN], request.get(keys.TOKEN)
    kind: AuditKind = "request"
    if decision == "unauthenticated":
        kind = "unauthenticated"
    elif token is not None:
        kind = "agent"
    elif request.method in _WRITES and origin.action.partition(" ")[2].startswith("/admin/"):
        kind = "admin"
    detail = AuditDetail(
        action=origin.action,
        decision=decision,
        rule=rule,
        http_status=status,
        address=origin.address,
        role=origin.role,
        request_id=origin.request_id,
        correlation_id=request.get(keys.CORRELATION_ID),
        **_who(request),
        **_where(request),
    )
    request.app[keys.AUDIT].record(kind, detail)
    return kind


def _decision(status: int, *, is_identified: bool) -> Decision:
    if status < 400:
        return "allowed"
    if not is_identified:
        return "unauthenticated"
    return "refused" if status < 500 else "error"


def _who(request: web.Request) -> dict[str, Any]:
    caller = request.get(keys.CALLER)
    if caller is None:
        return {}
    return {"key_id": caller.key.key_id, "service_identity": caller.service_identity}


def _where(request: web.Request) -> dict[str, Any]:
    """The ids that the request names, and what else the handler knows; of a command that was not accepted its verb.

    Its arguments are left out: what the grammar refuses may be anything, a secret too.
    """
    found: dict[str, Any] = {}
    token = request.get(keys.TOKEN)
    if token is not None:
        found |= {"cluster_id": token.cluster_id, "token_id": token.token_id}
    body = request.get(keys.BODY) or {}
    for name, field in _IDS.items():
        value = request.match_info.get(name, body.get(name))
        if isinstance(value, str) and PRINTABLE.fullmatch(value):
            found[field] = value
    verb = body.get("command_type")
    if isinstance(verb, str) and _VERB.fullmatch(verb):
        found["argv"] = (verb,)
        found["argv_omitted"] = len(body.get("args", ()))
    return found | request[keys.NOTED]
