"""agent/contract.py, and the chunker with a contract, against a model that has all of the output at once."""

import re
import tracemalloc
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.chunker import MIN_STOP_BYTES, Chunker
from agent.contract import MAX_LINE_BYTES, MAX_TAIL_BYTES, Selection
from agent.errors import TooMuchOutput
from schemas.frames import MAX_DATA_BYTES, UNBOUNDED, Chunk, Contract, Exit, Output, Run
from schemas.grep import Matcher

# What Python and RE2 read alike.
PATTERNS = ("a", "^b", "€$", "^$", "[^x]", "x{3}", "x*", "a.*b|é", "(?i)ERR")


@dataclass(frozen=True)
class Sent:
    """What came out of a chunker."""

    frames: list[Output]
    exit: Exit

    def text(self, stream: str) -> str:
        parts: list[Output | Chunk] = [*self.frames, *self.exit.chunks]
        return "".join(part.data for part in parts if part.stream == stream)


def run(
    pieces: list[bytes],
    contract: Contract | None = None,
    *,
    max_output_bytes: int = UNBOUNDED,
    is_stream: bool = False,
    flushes: frozenset[int] = frozenset(),
) -> Sent:
    """Feed some pieces of stdout, and flush behind those of the given numbers."""
    chunker = Chunker(Run("res_1", "logs", [], 60, max_output_bytes, None, is_stream, contract), 1000)
    frames: list[Output] = []
    for number, piece in enumerate(pieces):
        frames += chunker.feed("stdout", piece)
        if number in flushes:
            frames += chunker.flush()
    assert chunker.last_seq == len(frames)
    *outputs, last = chunker.end("completed", exit_code=0, execution_time_ms=1, executor=None, error=None)
    assert isinstance(last, Exit)
    frames += [frame for frame in outputs if isinstance(frame, Output)]
    assert [frame.seq for frame in frames] == list(range(1, len(frames) + 1))
    assert last.seq == len(frames) + 1
    assert chunker.last_seq == len(frames) + len(last.chunks) + 1
    assert all(0 < len(frame.data.encode()) <= MAX_DATA_BYTES for frame in frames)
    assert all(chunk.data for chunk in last.chunks)
    assert sum(len(chunk.data.encode()) for chunk in last.chunks) <= MAX_DATA_BYTES
    return Sent(frames, last)


def lines_of(text: bytes) -> list[bytes]:
    return re.findall(rb"[^\n]*\n|[^\n]+", text)


def character_end(text: bytes, end: int) -> int:
    return len(text[:end].decode("utf-8", "ignore").encode())


def matching(line: bytes, pattern: str) -> bytes:
    """What grep leaves of a line: all or nothing, of a very long one all from the first piece that matches."""
    start, end = 0, len(line.removesuffix(b"\n"))
    while True:
        until = start + character_end(line[start:end], MAX_LINE_BYTES) if end - start > MAX_LINE_BYTES else end
        if re.search(pattern, line[start:until].decode()):
            return line[start:]
        if until == end:
            return b""
        start = until


def last_bytes(text: bytes, bound: int) -> bytes:
    """The last lines that are within a bound, or the end of the last one."""
    kept: list[bytes] = []
    for line in reversed(lines_of(text)):
        if len(line) > bound:
            return b"".join(reversed(kept)) if kept else tail_of(line, bound)
        bound -= len(line)
        kept.append(line)
    return text


def tail_of(line: bytes, bound: int) -> bytes:
    """The last characters that are within a bound."""
    return line[len(line) - bound :].decode("utf-8", "ignore").encode()


def first_bytes(text: bytes, bound: int) -> bytes:
    """The first lines that are within a bound, or what is before it of a line that is long or the first."""
    if len(text) <= bound:
        return text
    line_end = text.rfind(b"\n", 0, bound) + 1
    if line_end and bound - line_end <= MAX_DATA_BYTES:
        return text[:line_end]
    return text[: character_end(text, bound)]


@dataclass(frozen=True)
class Expected:
    kept: bytes
    is_truncated: bool


def expect(text: bytes, contract: Contract, max_output_bytes: int) -> Expected:
    if contract.grep is not None:
        text = b"".join(matching(line, contract.grep) for line in lines_of(text))
    kept = text
    if contract.tail_lines is not None:
        lines = lines_of(kept)
        kept = b"".join(lines[max(0, len(lines) - contract.tail_lines) :])
        kept = last_bytes(kept, min(max_output_bytes, MAX_TAIL_BYTES))
    if contract.max_lines is not None:
        kept = b"".join(lines_of(kept)[: contract.max_lines])
    kept = first_bytes(kept, max_output_bytes)
    return Expected(kept, kept != text)


def bytes_of(output: list[tuple[bytes, int]]) -> bytes:
    return b"".join((unit * (size // len(unit) + 1))[:size] for unit, size in output)


def split(data: bytes, places: list[int]) -> list[bytes]:
    at = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(at)]


# Output as units, each repeated up to a number of bytes.
outputs = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=30).map(lambda unit: (unit, len(unit))),
        st.text("abxé€ 𝄞\n", min_size=1, max_size=60).map(str.encode).map(lambda unit: (unit, len(unit))),
        st.tuples(
            st.sampled_from(["x", "é", "a\n", "ab€\n", "xx𝄞", "\n", "error\n", "€"]).map(str.encode),
            st.integers(1, 20) | st.integers(1, 150_000),
        ),
    ),
    max_size=10,
)
places = st.lists(st.integers(0, 2**32), max_size=12)
contracts = st.builds(
    Contract,
    grep=st.none() | st.sampled_from(PATTERNS),
    tail_lines=st.none() | st.integers(0, 12) | st.integers(13, 100_000),
    max_lines=st.none() | st.integers(1, 12) | st.integers(13, 100_000),
    max_full_bytes=st.just(0) | st.integers(1, 400_000),
)
bounds = st.integers(0, 40) | st.integers(0, 300_000) | st.just(UNBOUNDED)


@given(outputs, places, contracts, bounds)
@settings(max_examples=400, deadline=None)
@example([(b"short\n", 6), (b"x", 150_000)], [3, 65_600], Contract(), 100_000)
@example([(b"x", MAX_LINE_BYTES - 1), ("éa\na\n".encode(), 6)], [5], Contract("a", 1), UNBOUNDED)
@example([(b"x", MAX_LINE_BYTES), (b"\n", 1)], [MAX_LINE_BYTES], Contract("^$"), UNBOUNDED)
def test_what_is_kept_is_what_the_model_keeps(
    output: list[tuple[bytes, int]], places: list[int], contract: Contract, max_output_bytes: int
) -> None:
    data = bytes_of(output)
    sent = run(split(data, places), contract, max_output_bytes=max_output_bytes)
    text = data.decode("utf-8", "replace").encode()
    expected = expect(text, contract, max_output_bytes)
    last = sent.exit
    assert sent.text("stdout").encode() == expected.kept
    assert last.output_bytes == len(text)
    assert last.omitted_bytes == len(text) - len(expected.kept)
    assert last.omitted_lines == len(lines_of(text)) - len(lines_of(expected.kept))
    assert last.is_truncated == expected.is_truncated
    full = sent.text("full").encode()
    if full:
        assert full == first_bytes(text, contract.max_full_bytes)
        assert last.omitted_bytes or len(full) > MAX_DATA_BYTES
    else:
        assert not contract.max_full_bytes or not last.omitted_bytes or not first_bytes(text, contract.max_full_bytes)


@given(outputs, places, contracts, bounds, st.frozensets(st.integers(0, 12)), st.booleans())
@settings(max_examples=400, deadline=None)
def test_flushing_moves_nothing_but_the_cut(
    output: list[tuple[bytes, int]],
    places: list[int],
    contract: Contract,
    max_output_bytes: int,
    flushes: frozenset[int],
    is_stream: bool,
) -> None:
    pieces = split(bytes_of(output), places)
    calm = run(pieces, contract, max_output_bytes=max_output_bytes, is_stream=is_stream)
    sent = run(pieces, contract, max_output_bytes=max_output_bytes, is_stream=is_stream, flushes=flushes)
    kept, least = sent.text("stdout"), calm.text("stdout")
    # A cut that would go back to the start of its line cannot take back what of the line is sent.
    assert kept.startswith(least)
    assert "\n" not in kept[len(least) :]
    assert len(kept.encode()) <= max_output_bytes
    assert sent.exit.omitted_bytes == sent.exit.output_bytes - len(kept.encode())
    assert sent.exit.output_bytes == calm.exit.output_bytes
    assert sent.exit.is_truncated == calm.exit.is_truncated
    assert sent.text("full") == calm.text("full")
    if kept == least:
        assert sent.exit.omitted_lines == calm.exit.omitted_lines


@given(outputs, places, st.integers(0, 12), contracts)
@settings(deadline=None)
def test_a_flush_leaves_nothing_that_can_go(
    output: list[tuple[bytes, int]], places: list[int], at: int, contract: Contract
) -> None:
    pieces = split(bytes_of(output), places)[: at + 1]
    sent = run(pieces, Contract(max_lines=contract.max_lines), is_stream=True, flushes=frozenset({len(pieces) - 1}))
    chunks = sent.exit.chunks
    assert not chunks or [chunk.data for chunk in chunks] == ["\ufffd"]  # half a character, which ended there


def lines(count: int) -> bytes:
    return b"".join(b"line %d\n" % number for number in range(count))


@pytest.mark.parametrize(
    ("contract", "max_output_bytes", "kept", "omitted_lines", "is_truncated"),
    [
        (Contract(), UNBOUNDED, lines(10), 0, False),
        (Contract(grep="[13]"), UNBOUNDED, b"line 1\nline 3\n", 8, False),
        (Contract(grep="absent"), UNBOUNDED, b"", 10, False),
        (Contract(grep="line"), UNBOUNDED, lines(10), 0, False),
        (Contract(tail_lines=2), UNBOUNDED, b"line 8\nline 9\n", 8, True),
        (Contract(tail_lines=10), UNBOUNDED, lines(10), 0, False),
        (Contract(tail_lines=0), UNBOUNDED, b"", 10, True),
        (Contract(tail_lines=5), 14, b"line 8\nline 9\n", 8, True),
        (Contract(tail_lines=5), 20, b"line 8\nline 9\n", 8, True),
        (Contract(tail_lines=5), 3, b" 9\n", 9, True),
        (Contract(max_lines=2), UNBOUNDED, b"line 0\nline 1\n", 8, True),
        (Contract(max_lines=10), UNBOUNDED, lines(10), 0, False),
        (Contract(max_lines=5), 20, b"line 0\nline 1\n", 8, True),
        (Contract(grep="[12]", max_lines=2), UNBOUNDED, b"line 1\nline 2\n", 8, False),
        (Contract(grep="[123]", max_lines=2), UNBOUNDED, b"line 1\nline 2\n", 8, True),
        (Contract(grep="[2468]", tail_lines=3, max_lines=2), UNBOUNDED, b"line 4\nline 6\n", 8, True),
        (Contract(grep="[2468]", tail_lines=3, max_lines=2), 10, b"line 8\n", 9, True),
    ],
)
def test_the_rules_in_their_order(
    contract: Contract, max_output_bytes: int, kept: bytes, omitted_lines: int, is_truncated: bool
) -> None:
    sent = run([lines(10)], contract, max_output_bytes=max_output_bytes)
    assert sent.text("stdout").encode() == kept
    assert (sent.exit.output_bytes, sent.exit.omitted_bytes) == (70, 70 - len(kept))
    assert (sent.exit.omitted_lines, sent.exit.is_truncated) == (omitted_lines, is_truncated)
    assert expect(lines(10), contract, max_output_bytes) == Expected(kept, is_truncated)


def test_a_line_without_an_end_is_a_line() -> None:
    sent = run([b"a 1\nb\na 2"], Contract(grep="a", tail_lines=1))
    assert sent.text("stdout") == "a 2"
    assert (sent.exit.omitted_lines, sent.exit.is_truncated) == (2, True)


def test_grep_sees_replaced_bytes_and_characters_that_came_in_pieces() -> None:
    sent = run([b"caf\xc3", b"\xa9\n\xff\nplain\n"], Contract(grep="é|\ufffd"))
    assert sent.text("stdout") == "café\n\ufffd\n"


def test_of_a_very_long_line_the_pieces_are_matched() -> None:
    long = b"x" * MAX_LINE_BYTES + b"key" + b"y" * MAX_LINE_BYTES + b"\n"
    sent = run([b"key 1\n" + long + b"x" * (2 * MAX_LINE_BYTES) + b"\nkey 2\n"], Contract(grep="key"))
    assert sent.text("stdout").encode() == b"key 1\n" + long[MAX_LINE_BYTES:] + b"key 2\n"
    assert (sent.exit.omitted_lines, sent.exit.is_truncated) == (1, False)


def test_a_command_that_is_stopped_says_truncated() -> None:
    chunker = Chunker(Run("res_1", "logs", [], 60, 1000, contract=Contract(grep="a")), 1000)
    piece = b"b" * (1024 * 1024 - 1) + b"\n"
    for _ in range(MIN_STOP_BYTES // len(piece)):
        chunker.feed("stdout", piece)
    with pytest.raises(TooMuchOutput):
        chunker.feed("stdout", b"a\n")
    (last,) = chunker.end("failed", exit_code=None, execution_time_ms=1, executor=None, error="Stopped")
    assert isinstance(last, Exit)
    assert Sent([], last).text("stdout") == "a\n"
    assert last.is_truncated


def test_a_pattern_that_does_not_compile_is_a_refusal() -> None:
    chunker = Chunker(Run("res_1", "logs", [], 60, 1000, contract=Contract(grep="a(", max_lines=1)), 1000)
    assert chunker.refusal == (
        "contract.grep does not compile: missing ): a( (it is RE2, without look-around and back-references)"
    )
    frames = chunker.end("refused", exit_code=None, execution_time_ms=0, executor=None, error=chunker.refusal)
    assert [frame.seq for frame in frames] == [1]
    assert Chunker(Run("res_1", "logs", [], 60, 1000, contract=Contract(grep="a")), 1000).refusal is None


@pytest.mark.parametrize(
    ("contract", "max_output_bytes", "satisfied_by", "kept"),
    [
        (Contract(max_lines=2), UNBOUNDED, 2, "line 0\nline 1\n"),
        (Contract(grep="[24]", max_lines=2), UNBOUNDED, 5, "line 2\nline 4\n"),
        (Contract(), 14, 2, "line 0\nline 1\n"),
        (None, 16, 3, "line 0\nline 1\n"),
        (None, 0, 0, ""),
        (Contract(grep="3"), 7, 4, "line 3\n"),
    ],
)
def test_a_stream_is_satisfied_when_it_has_met_its_bound(
    contract: Contract | None, max_output_bytes: int, satisfied_by: int, kept: str
) -> None:
    chunker = Chunker(Run("res_1", "logs", [], 60, max_output_bytes, None, True, contract), 1000)
    fed, frames = 0, list[Output]()
    while not chunker.is_satisfied:
        frames += chunker.feed("stdout", b"line %d\n" % fed)
        frames += chunker.flush()
        fed += 1
    assert fed == satisfied_by
    last = chunker.end("completed", exit_code=None, execution_time_ms=1, executor=None, error=None)[-1]
    assert isinstance(last, Exit)
    assert last.is_truncated
    if max_output_bytes != 16:  # flushed amid a line, it may be cut there
        assert Sent(frames, last).text("stdout") == kept


def test_only_a_stream_is_ever_satisfied() -> None:
    chunker = Chunker(Run("res_1", "logs", [], 60, 10, contract=Contract(max_lines=1)), 1000)
    chunker.feed("stdout", lines(10))
    assert not chunker.is_satisfied


def test_a_stream_of_which_the_tail_is_wanted_goes_on_to_its_end() -> None:
    contract = Contract(tail_lines=2, max_lines=1)
    chunker = Chunker(Run("res_1", "logs", [], 60, UNBOUNDED, None, True, contract), 1000)
    assert chunker.feed("stdout", lines(30_000)) == []
    assert (chunker.flush(), chunker.is_satisfied) == ([], False)
    (last,) = chunker.end("completed", exit_code=0, execution_time_ms=1, executor=None, error=None)
    assert isinstance(last, Exit)
    assert Sent([], last).text("stdout") == "line 29998\n"


def test_full_goes_along_only_when_it_says_more() -> None:
    contract = Contract(grep="[13]", max_full_bytes=1000)
    sent = run([lines(10)], contract)
    assert [chunk.stream for chunk in sent.exit.chunks] == ["stdout", "full"]
    assert sent.text("full").encode() == lines(10)
    assert run([lines(10)], Contract(grep="line", max_full_bytes=1000)).text("full") == ""
    assert run([lines(10)], Contract(grep="1", max_full_bytes=20)).text("full").encode() == lines(2)
    # What is too long to be held back is on its way before it is known that nothing is left out.
    long = lines(10_000)
    sent = run([long], Contract(grep="line", max_full_bytes=UNBOUNDED))
    assert sent.text("full") == sent.text("stdout") == long.decode()


def test_full_and_stdout_share_the_exit_frame_as_far_as_it_goes() -> None:
    sent = run([b"x" * 40_000 + b"\n" + b"y" * 20_000 + b"\n"], Contract(grep="x", max_full_bytes=60_000))
    assert len(sent.frames) == 1
    assert len(sent.text("stdout")) == len(sent.text("full")) == 40_001


def test_what_is_held_of_a_command_is_bounded() -> None:
    matcher = Matcher("never")
    block = b"y" * MAX_DATA_BYTES
    tail = Selection(Contract(tail_lines=UNBOUNDED), None, UNBOUNDED)
    grep = Selection(Contract(grep="never"), matcher, UNBOUNDED)
    for name, selection, pieces, bound in (
        ("one line", grep, [block] * 200, 6 * MAX_LINE_BYTES),
        ("many lines at once", grep, [b"\n" * (64 * MAX_DATA_BYTES)], 6 * MAX_LINE_BYTES),
        ("one last line", tail, [block] * 400, 2 * MAX_TAIL_BYTES),
        ("many last lines", tail, [b"\n"] * 200_000 + [b"\n" * MAX_DATA_BYTES] * 200, 2 * MAX_TAIL_BYTES),
    ):
        tracemalloc.start()
        for piece in pieces:
            assert selection.push(piece) == b""
        held, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < bound, (name, held, peak)
    assert len(tail.end()) == MAX_TAIL_BYTES


def test_a_pattern_is_slow_when_much_is_to_be_matched() -> None:
    def chunker_of(contract: Contract | None) -> Chunker:
        return Chunker(Run("res_1", "logs", [], 60, UNBOUNDED, contract=contract), 1000)

    line = b"y" * 99 + b"\n"
    assert not chunker_of(None).is_slow(line * 1_000_000)
    assert not chunker_of(Contract(tail_lines=1)).is_slow(line * 1_000_000)
    small, large = chunker_of(Contract(grep="error")), chunker_of(Contract(grep="[ab]{900}"))
    assert not small.is_slow(line * 600)
    assert small.is_slow(line * 60_000)
    assert small.is_slow(b"\n" * MAX_DATA_BYTES)
    assert large.is_slow(line * 600)
    assert not large.is_slow(line)
    large.feed("stdout", b"a" * (MAX_LINE_BYTES // 2))  # a line that has yet to be matched
    assert large.is_slow(b"")
