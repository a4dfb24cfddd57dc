"""API keys over REST, for admins."""

from typing import Any

from aiohttp import web

from hub import keys
from hub.api.documentation import endpoint
from hub.api.lasting import lasting
from hub.records import Key
from hub.responses import json_response
from schemas.api import keys as wire


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
    key, secret = await request.app[keys.API_KEYS].create(request[keys.CALLER], **request[keys.BODY])
    return json_response(wire.CreatedKey().dump(_flat(key) | {"api_key": secret}), status=201)


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
    return {
        "key_id": key.key_id,
        "name": key.name,
        "role": key.role,
        "clusters": key.clusters,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
    }
