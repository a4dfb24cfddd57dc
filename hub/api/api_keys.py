"""API keys over REST, for admins."""

from typing import Any

import msgspec
from aiohttp import web

from hub import keys
from hub.api.documentation import endpoint
from hub.api.lasting import lasting
from hub.records import Key, Limits
from hub.responses import json_response
from schemas.api import keys as wire
from schemas.kubectl import EVERYTHING, Scope


@endpoint(
    "Make an API key",
    wire.CreatedKey,
    tag="admin",
    status=201,
    body=wire.NewKey,
    errors=(403,),
    links={"remove_key": "key_id"},
)
async def create_key(request: web.Request) -> web.Response:
    """Answers with the key itself, which is shown this once."""
    body = request[keys.BODY]
    rates = body["rate_limits"] or {}
    limits = Limits(**rates, max_output_bytes=body["max_output_bytes"])
    scope = Scope(
        command_types=_tuple(body["command_types"]),
        namespaces=_tuple(body["namespaces"]),
        kinds=_tuple(body["kinds"]),
        denied_kinds=tuple(body["denied_kinds"] or ()),
    )
    key, secret = await request.app[keys.API_KEYS].create(
        request[keys.CALLER],
        name=body["name"],
        role=body["role"],
        clusters=body["clusters"],
        expires_at=body["expires_at"],
        scope=None if scope == EVERYTHING else scope,
        limits=None if limits == Limits() else limits,
    )
    request[keys.NOTED]["target"] = key.key_id
    return json_response(wire.CreatedKey().dump(_flat(key) | {"api_key": secret}), status=201)


@endpoint(
    "Rotate an API key",
    wire.RotatedKey,
    tag="admin",
    body=wire.Rotation,
    errors=(403, 404),
)
async def rotate_key(request: web.Request) -> web.Response:
    """Answers with its new secret, which is shown this once; the one it had works on for `overlap_seconds`."""
    key, secret = await request.app[keys.API_KEYS].rotate(
        request[keys.CALLER], request.match_info["key_id"], request[keys.BODY]["overlap_seconds"]
    )
    content = _flat(key) | {"api_key": secret, "retired_until": key.retired_until}
    return json_response(wire.RotatedKey().dump(content))


@endpoint("Look at your own key", wire.Key, tag="keys")
async def get_own_key(request: web.Request) -> web.Response:
    """What the key of this request is, and may reach."""
    return json_response(wire.Key().dump(_flat(request[keys.CALLER].key)))


@endpoint("List API keys", wire.KeyList, tag="admin", errors=(403,))
async def list_keys(request: web.Request) -> web.Response:
    """By id and name, never by their secret."""
    found = await request.app[keys.API_KEYS].list_keys(request[keys.CALLER])
    content = {"keys": [_flat(key) for key in found], "total": len(found)}
    return json_response(wire.KeyList().dump(content))


@endpoint("Remove an API key", None, tag="admin", status=204, errors=(403, 404))
@lasting
async def remove_key(request: web.Request) -> web.Response:
    """It stops working at once; what it made stays, for admins to see."""
    await request.app[keys.API_KEYS].remove(request[keys.CALLER], request.match_info["key_id"])
    return web.Response(status=204)


def _flat(key: Key) -> dict[str, Any]:
    scope = key.scope or EVERYTHING
    limits = key.limits or Limits()
    rates = {name: value for name, value in msgspec.structs.asdict(limits).items() if name.endswith("_per_minute")}
    return {
        "key_id": key.key_id,
        "name": key.name,
        "role": key.role,
        "clusters": key.clusters,
        "namespaces": scope.namespaces,
        "command_types": scope.command_types,
        "kinds": scope.kinds,
        "denied_kinds": scope.denied_kinds or None,
        "rate_limits": rates if any(rates.values()) else None,
        "max_output_bytes": limits.max_output_bytes,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
    }


def _tuple(words: list[str] | None) -> tuple[str, ...] | None:
    return None if words is None else tuple(words)
