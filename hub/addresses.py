"""Which address a request comes from: the socket's, or what the proxies that we trust say of it."""

import ipaddress
from collections.abc import Iterable
from typing import Final

from aiohttp import web

HEADER: Final = "X-Forwarded-For"
# Hops looked at, from the nearest: a header of a thousand must not cost a thousand.
_MAX_HOPS: Final = 32
_UNKNOWN: Final = "unknown"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Addresses:
    """Finds clients' addresses. `trusted` are the proxies': `["10.0.0.0/8", "::1"]`; raises ValueError for others."""

    def __init__(self, trusted: Iterable[str]) -> None:
        self._trusted: tuple[Network, ...] = tuple(map(ipaddress.ip_network, trusted))

    def of(self, request: web.BaseRequest) -> str:
        """The address of a request's client.

        Each proxy adds whom it heard to the end of X-Forwarded-For. So it is read from the end, for as long as the one
        who says it is trusted; what stands before that anybody may have written.
        """
        client = request.remote or _UNKNOWN
        if not self._trusted or HEADER not in request.headers:
            return client
        hops = [hop for line in request.headers.getall(HEADER) for hop in line.split(",")]
        for hop in reversed(hops[-_MAX_HOPS:]):
            address = _address(client)
            if address is None or not any(address in network for network in self._trusted):
                break
            said = _address(hop)
            if said is None:
                break
            client = str(said)
        return client


def _address(text: str) -> Address | None:
    """An address, without the port and brackets that some proxies add; an IPv4 one however it is written."""
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
