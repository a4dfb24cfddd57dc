"""The proxy does to connections what it is told, and nothing else."""

import asyncio
import contextlib
import hashlib
import random
import time
from collections.abc import AsyncIterator

import pytest

from tests.support.chaos_proxy import ChaosProxy, Cut, Direction, chaos_proxy
from tests.support.raw_server import raw_server
from tests.support.waiting import until

DATA = random.Random(1).randbytes(300_000)


class Peer:
    """A server that keeps what it is sent and says what it is told. `ended` is how its last connection ended."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.ended: str | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def on_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        try:
            while data := await reader.read(65536):
                self.received += data
            self.ended = "fin"
        except ConnectionResetError:
            self.ended = "rst"


@contextlib.asynccontextmanager
async def proxied() -> AsyncIterator[tuple[Peer, ChaosProxy]]:
    peer = Peer()
    async with raw_server(peer.on_client) as port, chaos_proxy(port) as proxy:
        yield peer, proxy


@contextlib.asynccontextmanager
async def dialled(proxy: ChaosProxy) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def received(peer: Peer, count: int, timeout_seconds: float = 10.0) -> None:
    await until(lambda: len(peer.received) >= count, timeout_seconds)


async def end_of(reader: asyncio.StreamReader) -> tuple[int, str]:
    """How many bytes still came, and how it ended."""
    count = 0
    async with asyncio.timeout(10):
        try:
            while data := await reader.read(65536):
                count += len(data)
        except ConnectionResetError:
            return count, "rst"
        return count, "fin"


async def test_it_carries_every_byte_both_ways_and_the_end() -> None:
    async with proxied() as (peer, proxy), dialled(proxy) as (reader, writer):
        writer.write(DATA)
        await received(peer, len(DATA))
        assert peer.writer is not None
        peer.writer.write(DATA[::-1])
        assert await reader.readexactly(len(DATA)) == DATA[::-1]
        assert proxy.links[0].carried == {"up": len(DATA), "down": len(DATA)}
        writer.write_eof()
        assert await end_of(reader) == (0, "fin")
        assert peer.ended == "fin"
        await until(lambda: not proxy.links)
    assert bytes(peer.received) == DATA


async def test_what_was_sent_before_a_close_still_arrives() -> None:
    async with proxied() as (peer, proxy):
        proxy.up.delay_seconds = 0.1
        proxy.up.bytes_per_second = 2_000_000
        async with dialled(proxy) as (_, writer):
            writer.write(DATA)
            await writer.drain()
            writer.close()
            await received(peer, len(DATA))
            await until(lambda: peer.ended == "fin" and not proxy.links)


@pytest.mark.parametrize("how", ["rst", "fin"])
@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_cut_falls_behind_the_chosen_byte(direction: Direction, how: Cut) -> None:
    async with proxied() as (peer, proxy), dialled(proxy) as (reader, writer):
        writer.write(b"hello")
        await received(peer, 5)
        proxy.cut_after(12_345, direction, how)
        assert peer.writer is not None
        (writer if direction == "up" else peer.writer).write(DATA)
        count, ended = await end_of(reader)
        await until(lambda: peer.ended is not None and not proxy.links)
        assert (ended, peer.ended, proxy.cuts) == (how, how, 1)
        passed = {"up": len(peer.received) - 5, "down": count}
        assert passed["down" if direction == "up" else "up"] == 0
        # A reset lets a reader drop what it has not read yet.
        assert passed[direction] == 12_345 or (how == "rst" and passed[direction] < 12_345)


@pytest.mark.parametrize("how", ["rst", "fin"])
async def test_a_cut_of_an_idle_link_is_seen_by_both(how: Cut) -> None:
    async with proxied() as (peer, proxy), dialled(proxy) as (reader, writer):
        writer.write(b"hello")
        await received(peer, 5)
        proxy.cut(how)
        assert await end_of(reader) == (0, how)
        await until(lambda: peer.ended == how)


async def test_a_half_open_link_never_comes_back_and_a_new_one_is_whole() -> None:
    async with proxied() as (peer, proxy), dialled(proxy) as (reader, writer):
        writer.write(b"before")
        await received(peer, 6)
        proxy.half_open("up")
        writer.write(b"swallowed")
        await writer.drain()
        assert peer.writer is not None
        peer.writer.write(b"heard")
        assert await reader.readexactly(5) == b"heard"
        await proxy.heal()
        writer.write(b"swallowed too")
        await writer.drain()
        async with dialled(proxy) as (_, other):
            other.write(b", new")
            await received(peer, 11)
        writer.close()
        await until(lambda: len(proxy.links) == 1)
        assert peer.received == b"before, new"


async def test_neither_side_of_a_link_that_is_half_open_both_ways_hears_of_the_other_s_end() -> None:
    async with proxied() as (peer, proxy), dialled(proxy) as (reader, writer):
        writer.write(b"before")
        await received(peer, 6)
        proxy.half_open("up", "down")
        assert peer.writer is not None
        peer.writer.transport.abort()
        writer.write(b"swallowed")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await reader.read()
        assert len(proxy.links) == 1


async def test_a_stall_loses_nothing_and_holds_the_sender_back() -> None:
    async with proxied() as (peer, proxy), dialled(proxy) as (_, writer):
        writer.write(b"x")
        await received(peer, 1)
        proxy.up.stall()
        many = DATA * 100  # more than all buffers between the two
        writer.write(many)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await writer.drain()
        assert len(peer.received) == 1
        proxy.up.go_on()
        await received(peer, 1 + len(many))
        assert hashlib.sha256(peer.received[1:]).digest() == hashlib.sha256(many).digest()


async def test_delay_and_pace_are_kept() -> None:
    async with proxied() as (peer, proxy), dialled(proxy) as (_, writer):
        proxy.up.delay_seconds = 0.3
        started_at = time.monotonic()
        writer.write(b"x" * 1000)
        await received(peer, 1000)
        assert 0.3 <= time.monotonic() - started_at < 2
        await proxy.heal()
        proxy.up.bytes_per_second = 100_000
        started_at = time.monotonic()
        writer.write(DATA[:50_000])
        await received(peer, 51_000)
        assert 0.4 <= time.monotonic() - started_at < 3


async def test_dribbling_sends_one_byte_at_a_time() -> None:
    sizes: list[int] = []

    async def on_client(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            sizes.append(len(data))

    async with raw_server(on_client) as port, chaos_proxy(port) as proxy, dialled(proxy) as (_, writer):
        proxy.up.piece_bytes = 1
        proxy.up.bytes_per_second = 200  # a pause behind each byte
        writer.write(b"x" * 60)
        await until(lambda: sum(sizes) == 60)
        assert max(sizes) <= 2


async def test_refusing_holding_and_accepting_again() -> None:
    async with proxied() as (peer, proxy):
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", proxy.port)
        await proxy.accept()
        proxy.hold()
        async with dialled(proxy) as (reader, writer):
            writer.write(b"to nobody")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await reader.read()
            await proxy.heal()
            async with dialled(proxy) as (_, other):
                other.write(b"to the peer")
                await received(peer, 11)
        assert peer.received == b"to the peer"
        await until(lambda: not proxy.links)


async def test_a_server_that_is_not_there_is_a_reset() -> None:
    async with chaos_proxy(1) as proxy, dialled(proxy) as (reader, _):
        assert await end_of(reader) == (0, "rst")


async def test_closing_it_ends_what_it_carries() -> None:
    async with proxied() as (peer, proxy):
        async with dialled(proxy) as (reader, writer):
            writer.write(b"hello")
            await received(peer, 5)
            proxy.up.stall()
            await proxy.close()
            assert await end_of(reader) == (0, "rst")
    assert not proxy.links
