"""BACK on the road: a command's output to each reader, first what is stored, then what comes.

A reader is a number: everything up to it was delivered. What is newer comes from a tail in memory, shared by all
readers of a command; what lies before the tail comes from the store. So a thousand readers cost little more than one.

The fastest reader sets the command's pace: the agent gets credit up to the number it has reached, so a command whose
only reader is slow is slow. One that nobody reads goes as fast as it is stored. A reader that falls off the tail while
others are faster is told so, and may follow again, from the store.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Self

from hub.bus.base import Bus, Ended, Stored
from hub.errors import NotFound, OutputExpired, SubscriberLagging
from hub.records import OutputChunk, Result
from hub.settings import Streams
from hub.store.base import Store
from schemas.codec import utf8_bytes
from schemas.frames import FRAME_OVERHEAD_BYTES, Credit

# What is read from the store at once, in bytes of output.
_READ_BYTES = 256 * 1024
# Credit is given in steps of this part of an agent's window: few frames, and the window never runs dry for want of one.
_CREDIT_STEPS = 4


class _Feed:
    """One open or followed command: its readers, its tail, and the credit its agent has."""

    __slots__ = ("cluster_id", "ended", "followers", "newest_seq", "tail", "tail_bytes", "taken_bytes", "untaken")

    def __init__(self, cluster_id: str) -> None:
        self.cluster_id = cluster_id
        self.followers: set[Follower] = set()
        self.tail: deque[tuple[OutputChunk, int]] = deque()  # with sizes; without a gap, up to `newest_seq`
        self.tail_bytes = 0
        self.newest_seq = 0
        self.untaken: deque[tuple[int, int]] = deque()  # numbers nobody has reached yet, with sizes
        self.taken_bytes = 0  # since the last credit
        self.ended: Result | None = None

    @property
    def taken_seq(self) -> int:
        """How far the fastest reader is; everything counts as taken where nobody reads."""
        return max((follower.taken_seq for follower in self.followers), default=self.newest_seq)

    def behind(self, seq: int) -> Iterator[OutputChunk] | None:
        """What of the tail comes after a number; None: it does not reach back to it."""
        if self.newest_seq <= seq:
            return iter(())
        if not self.tail or self.tail[0][0].seq > seq + 1:
            return None
        return (chunk for chunk, _ in self.tail if chunk.seq > seq)


class Subscribers:
    """The readers of all commands, on this replica."""

    def __init__(self, store: Store, bus: Bus, settings: Streams, window_bytes: int) -> None:
        self._store = store
        self._bus = bus
        self._settings = settings
        self._credit_bytes = window_bytes // _CREDIT_STEPS
        self._feeds: dict[str, _Feed] = {}
        bus.on_output(self._on_output)
        bus.on_ended(self._on_ended)

    def __len__(self) -> int:
        return sum(len(feed.followers) for feed in self._feeds.values())

    def follow(self, result: Result, after_seq: int) -> "Follower":
        """Read a command's output behind a number, 0 for all; close the Follower when done.

        Read the result from the store after this, not before, or its end may be missed: `Follower.next` does.
        """
        feed = self._feeds.get(result.result_id)
        if feed is None:
            feed = self._feeds[result.result_id] = _Feed(result.cluster_id)
        return Follower(self, feed, self._store, result.result_id, after_seq)

    def advance(self, result_id: str, feed: _Feed) -> None:
        """Give the agent credit for what has been taken since the last time, when it is worth a frame."""
        reached, seq = feed.taken_seq, 0
        while feed.untaken and feed.untaken[0][0] <= reached:
            seq, size = feed.untaken.popleft()
            feed.taken_bytes += size
        if seq and feed.taken_bytes >= self._credit_bytes:
            feed.taken_bytes = 0
            self._bus.post(feed.cluster_id, Credit({result_id: seq}))

    def leave(self, result_id: str, feed: _Feed, follower: "Follower") -> None:
        """Forget a reader; the others, or nobody, set the pace from now on."""
        feed.followers.discard(follower)
        if not feed.followers:
            feed.tail.clear()
            feed.tail_bytes = 0
            if feed.ended is not None or not feed.newest_seq:
                self._feeds.pop(result_id, None)
                return
        self.advance(result_id, feed)

    def _on_output(self, stored: Stored) -> None:
        feed = self._feeds.get(stored.result_id)
        if feed is None:
            if stored.is_last:
                return
            feed = self._feeds[stored.result_id] = _Feed(stored.cluster_id)
        for chunk in stored.chunks:
            if chunk.seq <= feed.newest_seq:
                continue
            size = utf8_bytes(chunk.data)
            feed.newest_seq = chunk.seq
            self._note(feed, chunk.seq, size + FRAME_OVERHEAD_BYTES)
            if feed.followers:
                self._keep(feed, chunk, size)
        for follower in feed.followers:
            follower.wake()
        self.advance(stored.result_id, feed)

    def _note(self, feed: _Feed, seq: int, size: int) -> None:
        """Note what is untaken, small frames together: an agent that does not mind its credit may send many."""
        if feed.untaken and feed.untaken[-1][1] + size <= self._credit_bytes // _CREDIT_STEPS:
            size += feed.untaken.pop()[1]
        feed.untaken.append((seq, size))

    def _keep(self, feed: _Feed, chunk: OutputChunk, size: int) -> None:
        if chunk.stream == "full":  # only its number counts here
            chunk, size = OutputChunk(chunk.seq, "full", ""), 0
        size += FRAME_OVERHEAD_BYTES  # as in the window, so that many small ones count what they take
        if feed.tail and feed.tail[-1][0].seq + 1 != chunk.seq:
            feed.tail.clear()
            feed.tail_bytes = 0
        feed.tail.append((chunk, size))
        feed.tail_bytes += size
        while feed.tail_bytes > self._settings.tail_bytes and len(feed.tail) > 1:
            feed.tail_bytes -= feed.tail.popleft()[1]

    def _on_ended(self, ended: Ended) -> None:
        feed = self._feeds.get(ended.result.result_id)
        if feed is None:
            return
        feed.ended = ended.result
        if not feed.followers:
            del self._feeds[ended.result.result_id]
        for follower in feed.followers:
            follower.wake()


class Follower:
    """One reader of one command. `next` until it returns the Result; one caller at a time; then `close`."""

    def __init__(self, subscribers: Subscribers, feed: _Feed, store: Store, result_id: str, after_seq: int) -> None:
        self._subscribers = subscribers
        self._feed = feed
        self._store = store
        self._result_id = result_id
        self._wakening = asyncio.Event()
        self.is_live = False  # it has reached the tail
        self.last_seq = after_seq  # everything up to it was returned
        self.taken_seq = after_seq  # and taken: what `next` returned last counts when it is called again
        feed.followers.add(self)

    @property
    def cluster_id(self) -> str:
        """Where the command runs."""
        return self._feed.cluster_id

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Read no more."""
        self._subscribers.leave(self._result_id, self._feed, self)

    def wake(self) -> None:
        """There may be more to read."""
        self._wakening.set()

    async def next(self) -> Sequence[OutputChunk] | Result:
        """Wait for more output, in order, each number once; the result once there is no more.

        Cancelling loses nothing. Raises OutputExpired, SubscriberLagging, and NotFound when the result was removed.
        """
        if self.taken_seq != self.last_seq:
            self.taken_seq = self.last_seq
            if self._feed.untaken and self._feed.untaken[0][0] <= self.last_seq:  # else a faster one has been here
                self._subscribers.advance(self._result_id, self._feed)
        while True:
            self._wakening.clear()
            chunks = await self._more()
            if chunks:
                self.last_seq = chunks[-1].seq
                wanted = [chunk for chunk in chunks if chunk.stream != "full"]
                if wanted:
                    return wanted
                self.taken_seq = self.last_seq
            elif self.is_live and self._feed.ended is not None:
                return self._feed.ended
            else:
                await self._wakening.wait()

    async def _more(self) -> Sequence[OutputChunk]:
        """What is there behind `last_seq`; nothing: it has all been read."""
        if self.is_live:
            chunks = self._feed.behind(self.last_seq)
            if chunks is None:
                raise SubscriberLagging(self._result_id, last_seq=self.last_seq, newest_seq=self._feed.newest_seq)
            return _some(chunks)
        if self._feed.newest_seq > self.last_seq:
            chunks = self._feed.behind(self.last_seq)
            if chunks is not None:
                self.is_live = True
                return _some(chunks)
        # The feed is told of the end from now on; that of before is in the store, and its output too.
        result = await self._store.get_result(self._result_id)
        if result is None:
            raise NotFound(f"Result not found: {self._result_id}")
        stored = await self._store.read_chunks(self._result_id, after_seq=self.last_seq, max_bytes=_READ_BYTES)
        if stored.first_held > self.last_seq + 1:
            details = {"result_id": self._result_id, "first_seq": stored.first_held}
            raise OutputExpired("This output is no longer held; follow from details.first_seq - 1", details=details)
        if stored.chunks:
            return stored.chunks
        if not result.is_open:
            self._feed.ended = result
            self.is_live = True
            return ()
        chunks = self._feed.behind(self.last_seq)
        if chunks is None:  # more was stored since, and will be read
            return ()
        self.is_live = True
        return _some(chunks)


def _some(chunks: Iterator[OutputChunk]) -> list[OutputChunk]:
    """About as much as is read from the store at once."""
    some: list[OutputChunk] = []
    size = 0
    for chunk in chunks:
        some.append(chunk)
        size += len(chunk.data)
        if size >= _READ_BYTES:
            break
    return some
