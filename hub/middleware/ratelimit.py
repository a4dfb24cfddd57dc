"""How often: each request draws on one bucket, and every response says how that bucket stands."""

from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from hub import keys
from hub.errors import RateLimited
from hub.keys import Access, Policy
from hub.ratelimits import Draw

# A path or method that does not exist asks for no key and draws on the address's bucket.
_NOWHERE: Final = Policy(access=Access.PUBLIC)


@web.middleware
async def ratelimit_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Draw on the route's bucket. Raises RateLimited."""
    policy = policy_of(request)
    if policy.access is Access.KEY and policy.bucket is not None:
        _settle(request, request.app[keys.RATE_LIMITS].draw(policy.bucket, request[keys.CALLER].key))
    else:
        draw_address(request, cost=0 if policy.bucket is None else 1)
    return await handler(request)


def policy_of(request: web.Request) -> Policy:
    """The policy of the request's route."""
    return request.app[keys.POLICIES].get(request.match_info.route, _NOWHERE)


def draw_address(request: web.Request, *, cost: int = 1) -> None:
    """Draw on the bucket of the client's address (0: only show it). Raises RateLimited."""
    _settle(request, request.app[keys.RATE_LIMITS].address.draw(request.app[keys.ADDRESSES].of(request), cost=cost))


def _settle(request: web.Request, draw: Draw | None) -> None:
    if draw is None:
        return
    request[keys.RATE_HEADERS] = draw.headers()
    if not draw.is_allowed:
        raise RateLimited(limit=draw.limit, retry_after=draw.retry_after)
