"""Output in its chunks: added, let go, read. Functions of a connection, pieces of `sqlite.py`'s transactions.

Chunks lie in table `chunks`, a row each, or as JSON in the result's own row, when all there were came with its ending.
`start` is where a chunk's stream stood before it, in bytes from the command's first; so offsets stay what they are when
the beginning of a stream is let go.
"""

import bisect
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from hub.records import OutputChunk, OutputText, StoredChunks
from schemas.codec import utf8_bytes
from schemas.frames import Stream

# A chunk counts at least so much towards what a stream may keep: its row takes about 120 bytes beside its text, and
# there would be no end of rows otherwise.
MIN_CHUNK_BYTES: Final = 16
# Chunks read at once.
_READ_CHUNKS: Final = 500


class _Portion(NamedTuple):
    """How much is let go at once. The bytes count, too: SQLite may be built to overwrite what it deletes."""

    chunks: int
    bytes: int


_SMALL: Final = _Portion(500, 1024 * 1024)  # a millisecond or two, perhaps of the event loop's
_LARGE: Final = _Portion(5000, 10 * 1024 * 1024)  # a few tens of milliseconds of the writer's thread
_NOWHERE: Final = 2**62  # beyond every byte

Piece = tuple[OutputChunk, int]  # a chunk, and the size of its text in bytes of UTF-8
_Whole = list[tuple[int, Stream, str]]
_WHOLE: Final = msgspec.json.Decoder(_Whole)


class Growth(NamedTuple):
    """What an addition changes in the result's row: by how much its counters grow, and the highest number it stored."""

    stored_bytes: int = 0
    full_bytes: int = 0
    kept_bytes: int = 0
    expired_bytes: int = 0
    last_seq: int = 0


class _LetGo(NamedTuple):
    """What was let go: as it counted towards what is kept, and bytes of stdout."""

    kept_bytes: int = 0
    stdout_bytes: int = 0


def measure(chunks: Iterable[OutputChunk]) -> list[Piece]:
    """Chunks with their sizes: those whose numbers go up."""
    pieces, last_seq = [], 0
    for chunk in chunks:
        if chunk.seq > last_seq:
            last_seq = chunk.seq
            pieces.append((chunk, utf8_bytes(chunk.data)))
    return pieces


def grow(pieces: Iterable[Piece]) -> Growth:
    """What pieces add to a result that lets nothing go."""
    stdout = full = kept = last_seq = 0
    for chunk, size in pieces:
        if chunk.stream == "stdout":
            stdout += size
        elif chunk.stream == "full":
            full += size
        kept += max(size, MIN_CHUNK_BYTES)
        last_seq = chunk.seq
    return Growth(stdout, full, kept, 0, last_seq)


def whole(pieces: Iterable[Piece]) -> str:
    """The chunks of a result as its row has them: `[[1,"stdout","…"],…]`."""
    return msgspec.json.encode([(chunk.seq, chunk.stream, chunk.data) for chunk, _ in pieces]).decode()


def add(db: sqlite3.Connection, result_id: str, pieces: Sequence[Piece], keep_stream_bytes: int) -> tuple[Growth, int]:
    """Insert what of the pieces an open result has not stored; the growth, and how much still has to be let go.

    The caller writes the growth into the result's row, in the same transaction. A stream's oldest chunks go first, so
    that the pages they leave take the new ones and are written once.
    """
    row = db.execute(
        "SELECT last_seq, stored_bytes, full_bytes, kept_bytes, is_stream FROM results"
        " WHERE result_id = ? AND ended_at IS NULL",
        (result_id,),
    ).fetchone()
    if row is None:
        return Growth(), 0
    last_seq, stdout, full, kept, is_stream = row
    pieces = [piece for piece in pieces if piece[0].seq > last_seq]
    if not pieces:
        return Growth(), 0
    growth = grow(pieces)
    excess = kept + growth.kept_bytes - keep_stream_bytes if is_stream else 0
    gone = _delete_oldest(db, result_id, excess, before_seq=pieces[0][0].seq, at_most=_SMALL)
    for chunk, size in pieces:
        start = 0
        if chunk.stream == "stdout":
            start, stdout = stdout, stdout + size
        elif chunk.stream == "full":
            start, full = full, full + size
        db.execute(
            "INSERT INTO chunks (result_id, seq, stream, start, size, data) VALUES (?, ?, ?, ?, ?, ?)",
            (result_id, chunk.seq, chunk.stream, start, size, chunk.data),
        )
    at_once = _delete_oldest(db, result_id, excess - gone.kept_bytes, before_seq=growth.last_seq, at_most=_SMALL)
    less = gone.kept_bytes + at_once.kept_bytes
    growth = growth._replace(
        kept_bytes=growth.kept_bytes - less, expired_bytes=gone.stdout_bytes + at_once.stdout_bytes
    )
    return growth, max(0, excess - less)


def let_go(db: sqlite3.Connection, result_id: str, excess_bytes: int) -> int:
    """Let go of a result's oldest chunks, never the newest: so much, or a piece of it; how much, 0 at the end.

    Both are counted as `kept_bytes` is.
    """
    row = db.execute("SELECT last_seq FROM results WHERE result_id = ?", (result_id,)).fetchone()
    gone = (
        _delete_oldest(db, result_id, excess_bytes, before_seq=row[0], at_most=_LARGE) if row is not None else _LetGo()
    )
    if gone.kept_bytes:
        db.execute(
            "UPDATE results SET kept_bytes = kept_bytes - ?, expired_bytes = expired_bytes + ? WHERE result_id = ?",
            (*gone, result_id),
        )
    return gone.kept_bytes


def read_chunks(db: sqlite3.Connection, result_id: str, after_seq: int, max_bytes: int) -> StoredChunks:
    """See Store.read_chunks. `db` is in a transaction."""
    came_whole = _read_whole(db, result_id)
    rows: Iterable[Any]
    if came_whole is not None:
        first_held = came_whole[0][0] if came_whole else 0
        rows = [(seq, stream, "" if stream == "full" else data) for seq, stream, data in came_whole if seq > after_seq]
    else:
        first_held = db.execute("SELECT min(seq) FROM chunks WHERE result_id = ?", (result_id,)).fetchone()[0] or 0
        rows = db.execute(
            "SELECT seq, stream, CASE stream WHEN 'full' THEN '' ELSE data END FROM chunks"
            " WHERE result_id = ? AND seq > ? ORDER BY seq LIMIT ?",
            (result_id, after_seq, _READ_CHUNKS),
        )
    chunks: list[OutputChunk] = []
    for seq, stream, data in rows:
        chunks.append(OutputChunk(seq, stream, data))
        max_bytes -= utf8_bytes(data)
        if max_bytes <= 0:
            break
    return StoredChunks(tuple(chunks), first_held)


def read_output(db: sqlite3.Connection, result_id: str, *, offset: int, limit: int | None, is_full: bool) -> OutputText:
    """See Store.read_output. `db` is in a transaction."""
    came_whole = _read_whole(db, result_id)
    if came_whole is not None:
        text = (_text(came_whole, "full") if is_full else "") or _text(came_whole, "stdout")
        start, text = _part(text, 0, offset, limit)
        return OutputText(text, _text(came_whole, "stderr"), start)
    row = db.execute("SELECT stored_bytes, full_bytes FROM results WHERE result_id = ?", (result_id,)).fetchone()
    if row is None:
        return OutputText("", "")
    stdout_bytes, full_bytes = row
    stream, length = ("full", full_bytes) if is_full and full_bytes else ("stdout", stdout_bytes)
    start, text = _part(*_read_stream(db, result_id, stream, length, offset, limit), offset, limit)
    errors = db.execute("SELECT data FROM chunks WHERE result_id = ? AND stream = 'stderr' ORDER BY seq", (result_id,))
    return OutputText(text, "".join(row[0] for row in errors), start)


def _delete_oldest(
    db: sqlite3.Connection, result_id: str, excess_bytes: int, *, before_seq: int, at_most: _Portion
) -> _LetGo:
    if excess_bytes <= 0:
        return _LetGo()
    kept = stdout = last_seq = 0
    for seq, stream, size in db.execute(
        "SELECT seq, stream, size FROM chunks WHERE result_id = ? AND seq < ? ORDER BY seq LIMIT ?",
        (result_id, before_seq, at_most.chunks),
    ):
        last_seq = seq
        kept += max(size, MIN_CHUNK_BYTES)
        stdout += size if stream == "stdout" else 0
        if kept >= min(excess_bytes, at_most.bytes):
            break
    if kept:
        db.execute("DELETE FROM chunks WHERE result_id = ? AND seq <= ?", (result_id, last_seq))
    return _LetGo(kept, stdout)


def _read_whole(db: sqlite3.Connection, result_id: str) -> _Whole | None:
    """The chunks in the result's own row; None: those it has are in rows of their own."""
    row = db.execute("SELECT chunks FROM results WHERE result_id = ?", (result_id,)).fetchone()
    return None if row is None or row[0] is None else _WHOLE.decode(row[0])


def _text(chunks: _Whole, wanted: Stream) -> str:
    return "".join([data for _, stream, data in chunks if stream == wanted])


def _read_stream(
    db: sqlite3.Connection, result_id: str, stream: str, length: int, offset: int, limit: int | None
) -> tuple[str, int]:
    """Chunks in which a part lies, as one text, and at which byte of the stream, which is so long, that begins."""
    first = _first_seq(db, result_id, stream, offset)
    begin, end = length, None
    texts = []
    for start, data in db.execute(
        "SELECT start, data FROM chunks WHERE result_id = ? AND seq >= ? AND stream = ? ORDER BY seq",
        (result_id, first, stream),
    ):
        if end is None:
            begin = start
            # The first character may end, and the last begin, a few bytes beyond the part that was asked for.
            end = _NOWHERE if limit is None else max(offset, begin) + limit + 4
        if start >= end:
            break
        texts.append(data)
    return "".join(texts), begin


def _first_seq(db: sqlite3.Connection, result_id: str, stream: str, offset: int) -> int:
    """The number of the chunk that has a stream's byte, or where to look for it; found in as few steps as can be."""
    lowest, highest = db.execute(
        "SELECT (SELECT min(seq) FROM chunks WHERE result_id = ?1), (SELECT max(seq) FROM chunks WHERE result_id = ?1)",
        (result_id,),
    ).fetchone()  # each by itself is a look at the index, both together a walk through it
    if offset == 0 or lowest is None:
        return 0

    def start_behind(seq: int) -> int:
        row = db.execute(
            "SELECT start FROM chunks WHERE result_id = ? AND seq >= ? AND stream = ? ORDER BY seq LIMIT 1",
            (result_id, seq, stream),
        ).fetchone()
        return _NOWHERE if row is None else int(row[0])

    numbers = range(lowest, highest + 1)
    return int(lowest) + bisect.bisect_right(numbers, offset, key=start_behind) - 1


def _part(text: str, begin: int, offset: int, limit: int | None) -> tuple[int, str]:
    """Whole characters of a text that begins at byte `begin`, from the first at or after byte `offset`, and the byte
    at which they begin; see Store.read_output.
    """
    if offset <= begin and limit is None:
        return begin, text
    data, first = text.encode(), max(0, offset - begin)
    while first < len(data) and _is_inside(data[first]):
        first += 1
    last = len(data) if limit is None else min(len(data), first + limit)
    while first < last < len(data) and _is_inside(data[last]):
        last -= 1
    if last == first < len(data) and limit != 0:
        last += 1
        while last < len(data) and _is_inside(data[last]):
            last += 1
    return begin + first, data[first:last].decode()


def _is_inside(byte: int) -> bool:
    """Whether no character of UTF-8 begins with this byte."""
    return byte & 0xC0 == 0x80
