"""Who a request is from, behind proxies."""

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from hub.addresses import Addresses


def address(trusted: list[str], peer: str, *forwarded: str) -> str:
    headers = CIMultiDict[str]()
    for line in forwarded:
        headers.add("X-Forwarded-For", line)
    return Addresses(trusted).of(make_mocked_request("GET", "/", headers=headers).clone(remote=peer))


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "expected"),
    [
        ([], "192.0.2.1", ["203.0.113.9"], "192.0.2.1"),
        (["10.0.0.0/8"], "192.0.2.1", ["203.0.113.9"], "192.0.2.1"),
        (["10.0.0.0/8"], "10.1.2.3", [], "10.1.2.3"),
        (["10.0.0.0/8"], "10.1.2.3", ["203.0.113.9"], "203.0.113.9"),
        # What a client wrote itself stands before what the nearest proxy says.
        (["10.0.0.0/8"], "10.1.2.3", ["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
        (["10.0.0.0/8"], "10.1.2.3", ["1.1.1.1", "203.0.113.9"], "203.0.113.9"),
        (["10.0.0.0/8"], "10.1.2.3", ["203.0.113.9, 10.9.9.9"], "203.0.113.9"),
        (["10.0.0.0/8"], "10.1.2.3", ["10.9.9.9"], "10.9.9.9"),
        (["10.0.0.0/8"], "10.1.2.3", ["203.0.113.9, unknown"], "10.1.2.3"),
        (["10.0.0.0/8"], "10.1.2.3", [""], "10.1.2.3"),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", ["[2001:db8::7]:443"], "2001:db8::7"),
        (["10.0.0.0/8", "2001:db8::/32"], "2001:db8::1", ["203.0.113.9:51234"], "203.0.113.9"),
        (["10.0.0.0/8"], "10.1.2.3", [", ".join(["203.0.113.9"] + ["10.0.0.1"] * 1000)], "10.0.0.1"),
    ],
)
def test_the_nearest_that_is_not_trusted(trusted: list[str], peer: str, forwarded: list[str], expected: str) -> None:
    assert address(trusted, peer, *forwarded) == expected
