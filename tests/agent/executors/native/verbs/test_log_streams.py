"""agent/executors/native/verbs/log_streams.py: any bytes, cut anywhere, with any prefix. How logs take turns is in
test_logs.py.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.executors.native.call import Call
from agent.executors.native.errors import Unreachable
from agent.executors.native.transport import Query, Response, Transport
from agent.executors.native.verbs import log_streams
from agent.executors.native.verbs.log_streams import Source, Streams

_BODIES = st.lists(st.sampled_from([b"a", b"\n", b"bc\n", b"\n\n", b"\r\n", b"d"]), max_size=12).map(b"".join)
_CUTS = st.sets(st.integers(1, 30))


class Body(Response):
    """An answer whose body is there already; with `breaks` it then breaks off."""

    def __init__(self, pieces: Sequence[bytes], *, breaks: bool) -> None:
        self._pieces = pieces
        self._breaks = breaks

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            await asyncio.sleep(0)
            yield piece
        if self._breaks:
            raise Unreachable("error: unexpected EOF")


class Bodies:
    """A transport and a call in one: it has some bodies by path, and keeps what is written."""

    def __init__(self, bodies: Mapping[str, Body]) -> None:
        self._bodies = bodies
        self.written: list[bytes] = []

    @property
    def transport(self) -> Transport:
        return cast("Transport", self)

    @contextlib.asynccontextmanager
    async def stream(self, path: str, _: Query) -> AsyncIterator[Response]:
        yield self._bodies[path]

    async def out(self, data: bytes) -> None:
        await asyncio.sleep(0)
        self.written.append(data)


def streams(bodies: Bodies, *, ignores_errors: bool = False) -> Streams:
    return Streams(cast("Call", bodies), ignores_errors=ignores_errors)


def cut(body: bytes, cuts: set[int]) -> list[bytes]:
    edges = [0, *sorted(place for place in cuts if place < len(body)), len(body)]
    return [body[start:end] for start, end in itertools.pairwise(edges) if start < end]


def prefixed(body: bytes, prefix: bytes) -> bytes:
    """What kubectl makes of a log: the prefix before each line, however the line ends."""
    lines = body.split(b"\n")
    last = lines.pop()
    return b"".join(prefix + line + b"\n" for line in lines) + (prefix + last if last else b"")


@given(_BODIES, _CUTS, st.sampled_from([b"", b"[p] "]), st.booleans())
async def test_one_log(body: bytes, cuts: set[int], prefix: bytes, at_once: bool) -> None:
    bodies = Bodies({"/a": Body(cut(body, cuts), breaks=False)})
    source = Source("/a", (), prefix)
    await (streams(bodies).at_once([source]) if at_once else streams(bodies).one_by_one([source]))
    assert b"".join(bodies.written) == prefixed(body, prefix)


@given(_BODIES, _CUTS, st.booleans())
async def test_what_came_before_a_break_is_written(body: bytes, cuts: set[int], at_once: bool) -> None:
    bodies = Bodies({"/a": Body(cut(body, cuts), breaks=True)})
    ignoring = streams(bodies, ignores_errors=True)
    source = Source("/a", (), b"[p] ")
    await (ignoring.at_once([source]) if at_once else ignoring.one_by_one([source]))
    assert b"".join(bodies.written) == prefixed(body, b"[p] ") + b"error: unexpected EOF\n"


@given(st.lists(st.tuples(st.integers(1, 6), _CUTS), min_size=2, max_size=4))
async def test_lines_of_several_logs_stay_whole(logs: list[tuple[int, set[int]]]) -> None:
    texts = {
        f"/{log}": b"".join(b"%d line %d\n" % (log, line) for line in range(lines))
        for log, (lines, _) in enumerate(logs)
    }
    pieces = zip(texts.items(), logs, strict=True)
    bodies = Bodies({path: Body(cut(text, cuts), breaks=False) for (path, text), (_, cuts) in pieces})
    await streams(bodies).at_once([Source(path, ()) for path in texts])
    lines = b"".join(bodies.written).splitlines(keepends=True)
    for path, text in texts.items():
        assert b"".join(line for line in lines if line.startswith(path[1:].encode())) == text


async def test_a_line_that_is_too_long_to_hold_is_not_broken_by_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_streams, "_MAX_HELD_BYTES", 4)
    long = [b"aaa", b"aaa", b"aaa", b"aa\n", b"a\n"]
    bodies = Bodies({"/a": Body(long, breaks=False), "/b": Body([b"b\n"] * 5, breaks=False)})
    await streams(bodies).at_once([Source("/a", ()), Source("/b", ())])
    written = b"".join(bodies.written)
    assert sorted(written.splitlines()) == [b"a", b"aaaaaaaaaaa", *[b"b"] * 5]
    assert max(map(len, bodies.written)) <= 6


async def test_prefixes_make_no_huge_writes() -> None:
    body = b"\n" * 2**16
    bodies = Bodies({"/a": Body([body], breaks=False)})
    prefix = b"[pod/%s] " % (b"x" * 300)
    await streams(bodies).one_by_one([Source("/a", (), prefix)])
    assert b"".join(bodies.written) == prefixed(body, prefix)
    assert max(map(len, bodies.written)) <= 2**20
