"""A TCP proxy on loopback that ill-treats what it carries, as it is told while it runs.

    async with chaos_proxy(hub_port) as proxy:       # agents dial proxy.port
        proxy.up.delay_seconds = 0.2                 # up: from the one who dialled
        proxy.down.bytes_per_second = 20_000
        proxy.cut_after(1000, "up", "rst")           # in the middle of whatever passes then
        proxy.half_open("up", "down")                # what is connected now is heard no more
        await proxy.heal()

Each way holds at most 256 KiB that are not delivered yet; beyond that the sender has to wait, as with a full socket.
"""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final, Literal

Direction = Literal["up", "down"]
# "rst": the connection is reset on both sides. "fin": both sides are told that nothing more comes.
Cut = Literal["rst", "fin"]

DIRECTIONS: Final[tuple[Direction, Direction]] = ("up", "down")

_READ_BYTES: Final = 4096
_PIECES: Final = 64
_CONNECT_SECONDS: Final = 5.0
# How long a side has to close after a FIN; then it is reset.
_LINGER_SECONDS: Final = 2.0
# Below it a pause is kept by sending the next bytes later at once: sleeping takes a millisecond at least.
_SHORTEST_SLEEP_SECONDS: Final = 0.005
# The longest pause for one piece, so that a new pace takes hold soon.
_PACE_SECONDS: Final = 0.05
_RESET: Final = struct.pack("ii", 1, 0)  # socket(7): SO_LINGER, on, 0 s


class Way:
    """How one direction is treated. Every field may be changed at any time.

    `delay_seconds`: what comes in from now on arrives so much later, in order. `bytes_per_second`: None for no bound.
    `piece_bytes`: the most in one write; with 1 every byte is a segment of its own.
    """

    def __init__(self) -> None:
        self.delay_seconds = 0.0
        self.bytes_per_second: float | None = None
        self.piece_bytes = _READ_BYTES
        self._goes_on = asyncio.Event()
        self._goes_on.set()

    def stall(self) -> None:
        """Pass nothing on until `go_on`; nothing is lost."""
        self._goes_on.clear()

    def go_on(self) -> None:
        """End a stall."""
        self._goes_on.set()

    def heal(self) -> None:
        """Carry as if nothing were."""
        self.delay_seconds, self.bytes_per_second, self.piece_bytes = 0.0, None, _READ_BYTES
        self.go_on()

    async def passable(self) -> None:
        """Wait until there is no stall."""
        await self._goes_on.wait()

    def next_piece(self, data: bytes) -> int:
        """How many bytes of `data` go in the next write."""
        size = min(len(data), self.piece_bytes)
        if self.bytes_per_second is not None:
            size = min(size, max(1, int(self.bytes_per_second * _PACE_SECONDS)))
        return size


class Link:
    """One carried connection. `carried` counts the bytes that were passed on, by direction."""

    def __init__(self, ways: dict[Direction, Way], server_port: int) -> None:
        self.carried: dict[Direction, int] = {"up": 0, "down": 0}
        self._ways = ways
        self._server_port = server_port
        self._cuts: dict[Direction, tuple[int, Cut]] = {}
        self._deaf: set[Direction] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self._readers: list[asyncio.StreamReader] = []
        self._cut_as: Cut | None = None
        self._was_cut = asyncio.Event()

    def cut(self, how: Cut) -> None:
        """End it now; bytes that were not passed on are lost."""
        if self._cut_as is None:
            self._cut_as = how
            self._was_cut.set()

    def cut_after(self, count: int, direction: Direction, how: Cut) -> None:
        """End it behind the next `count` bytes of a direction."""
        self._cuts[direction] = (self.carried[direction] + count, how)

    def half_open(self, *directions: Direction) -> None:
        """Swallow everything in these directions, the end of the connection too, for as long as it lives.

        There is no way back: a connection with a hole in its bytes is none that TCP would give anybody.
        """
        self._deaf.update(directions)

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect to the server and carry until both sides have ended, or the link is cut."""
        self._readers, self._writers = [reader], [writer]
        try:
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    from_server, to_server = await asyncio.open_connection("127.0.0.1", self._server_port)
            except OSError:  # TimeoutError is one
                self._cut_as = "rst"
                return
            self._readers.append(from_server)
            self._writers.append(to_server)
            await self._until_cut(self._carry_both(reader, to_server, from_server, writer))
        finally:
            await self._close()

    async def hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take what comes and answer nothing, until the other side leaves or the link is cut."""
        self._readers, self._writers = [reader], [writer]
        try:
            await self._until_cut(_discard(reader))
        finally:
            await self._close()

    async def _until_cut(self, carrying: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(carrying, name="carry")
        cut = asyncio.create_task(self._was_cut.wait(), name="cut")
        try:
            await asyncio.wait([task, cut], return_when=asyncio.FIRST_COMPLETED)
            if task.done() and (error := task.exception()) is not None:
                # A side that is gone is OSError in one of its kinds.
                if not isinstance(error, BaseExceptionGroup) or error.split(OSError)[1] is not None:
                    raise error
                self._cut_as = self._cut_as or "rst"
        finally:
            for one in (task, cut):
                one.cancel()
            await asyncio.wait([task, cut])

    async def _carry_both(
        self,
        from_client: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
        from_server: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
    ) -> None:
        async with asyncio.TaskGroup() as tasks:
            for direction, reader, writer in zip(
                DIRECTIONS, (from_client, from_server), (to_server, to_client), strict=True
            ):
                pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_PIECES)
                tasks.create_task(self._take(direction, reader, pieces), name=f"take {direction}")
                tasks.create_task(self._give(direction, pieces, writer), name=f"give {direction}")

    async def _take(
        self, direction: Direction, reader: asyncio.StreamReader, pieces: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        """Queue what comes with the time it is due; b"" at the end."""
        while True:
            try:
                data = await reader.read(_READ_BYTES)
            except OSError:
                if direction not in self._deaf:
                    raise
                data = b""
            await pieces.put((time.monotonic() + self._ways[direction].delay_seconds, data))
            if not data:
                return

    async def _give(
        self, direction: Direction, pieces: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        way = self._ways[direction]
        free_at = 0.0
        while True:
            due, data = await pieces.get()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if not data:
                await way.passable()
                if direction not in self._deaf:
                    writer.write_eof()
                return
            while data:
                await way.passable()
                if direction in self._deaf:
                    break
                size, cut = self._up_to_cut(direction, way.next_piece(data))
                writer.write(data[:size])
                self.carried[direction] += size
                data = data[size:]
                await writer.drain()
                if cut is not None:
                    self.cut(cut)
                    return
                if way.bytes_per_second is not None:
                    free_at = max(free_at, time.monotonic()) + size / way.bytes_per_second
                    pause = free_at - time.monotonic()
                    if pause > _SHORTEST_SLEEP_SECONDS:
                        await asyncio.sleep(pause)

    def _up_to_cut(self, direction: Direction, size: int) -> tuple[int, Cut | None]:
        """How much of the next `size` bytes may pass, and how the link is cut behind them, if it is."""
        limit, how = self._cuts.get(direction, (None, None))
        left = size if limit is None else limit - self.carried[direction]
        return (size, None) if left > size or how is None else (max(0, left), how)

    async def _close(self) -> None:
        """Close both sides the way the link ended; what the sides do not take in time is dropped."""
        for writer in self._writers:
            if self._cut_as == "rst":
                _reset(writer)
            elif self._cut_as == "fin" and not writer.is_closing():
                with contextlib.suppress(OSError):
                    writer.write_eof()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LINGER_SECONDS):
                    if self._cut_as == "fin":  # closing with bytes unread would make a reset of it
                        await asyncio.gather(*map(_discard, self._readers))
                    elif self._cut_as is None:
                        await asyncio.gather(*map(_closed, self._writers))
        finally:
            for writer in self._writers:
                writer.transport.abort()


class ChaosProxy:
    """A listening proxy. `links` are those that are open; `opened` counts all there ever were, `cuts` those that were
    told to end or to go half-open.
    """

    def __init__(self, server_port: int) -> None:
        self.up, self.down = Way(), Way()
        self.links: list[Link] = []
        self.opened = 0
        self.cuts = 0
        self.is_holding = False
        self._server_port = server_port
        # Holds the port while nothing listens on it.
        self._reserved = _bound(0)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """Where to dial."""
        return int(self._reserved.getsockname()[1])

    @property
    def ways(self) -> dict[Direction, Way]:
        """Both ways by their names."""
        return {"up": self.up, "down": self.down}

    async def accept(self) -> None:
        """Listen (again)."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accepted, sock=_bound(self.port), limit=_READ_BYTES)

    def refuse(self) -> None:
        """Stop listening: whoever dials is refused. What is connected stays."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def hold(self) -> None:
        """Accept whoever dials from now on and answer nothing."""
        self.is_holding = True

    def cut(self, how: Cut) -> None:
        """End every link."""
        for link in self.links:
            link.cut(how)
        self.cuts += len(self.links)

    def cut_after(self, count: int, direction: Direction, how: Cut) -> None:
        """End every link behind the next `count` bytes of a direction."""
        for link in self.links:
            link.cut_after(count, direction, how)
        self.cuts += len(self.links)

    def half_open(self, *directions: Direction) -> None:
        """Swallow everything in these directions on every link there is. New ones are whole."""
        for link in self.links:
            link.half_open(*directions)
        self.cuts += len(self.links)

    async def heal(self) -> None:
        """Listen, and carry everything that comes from now on."""
        self.is_holding = False
        self.up.heal()
        self.down.heal()
        await self.accept()

    async def close(self) -> None:
        """End every link and stop listening."""
        self.refuse()
        self._reserved.close()
        for link in self.links:
            link.cut("rst")
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer), name="link of the chaos proxy")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = Link(self.ways, self._server_port)
        self.links.append(link)
        self.opened += 1
        try:
            await (link.hold if self.is_holding else link.carry)(reader, writer)
        finally:
            self.links.remove(link)


@contextlib.asynccontextmanager
async def chaos_proxy(server_port: int) -> AsyncIterator[ChaosProxy]:
    """Listen on a free loopback port; every connection leads to `server_port` on loopback."""
    proxy = ChaosProxy(server_port)
    try:
        await proxy.accept()
        yield proxy
    finally:
        await proxy.close()


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound


def _reset(writer: asyncio.StreamWriter) -> None:
    connected = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # closed before
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


async def _discard(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionError):
        while await reader.read(_READ_BYTES):
            pass


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
