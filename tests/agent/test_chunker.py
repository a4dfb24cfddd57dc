"""agent/chunker.py: frames from bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.chunker import MIN_STOP_BYTES, STOP_FACTOR, Chunker, Source
from agent.errors import TooMuchOutput
from schemas.codec import decode_agent, encode
from schemas.frames import MAX_DATA_BYTES, MAX_FRAME_BYTES, UNBOUNDED, Chunk, Exit, Output, Run, Stream


def chunker_of(max_output_bytes: int, max_stderr_bytes: int, *, is_stream: bool = False) -> Chunker:
    run = Run("res_1", "get", ["pods"], 60, max_output_bytes, is_stream=is_stream)
    return Chunker(run, max_stderr_bytes)


def end(chunker: Chunker) -> tuple[list[Output], Exit]:
    *outputs, last = chunker.end("completed", exit_code=0, execution_time_ms=1, executor="echo", error=None)
    assert isinstance(last, Exit)
    assert all(isinstance(frame, Output) for frame in outputs)
    return [frame for frame in outputs if isinstance(frame, Output)], last


def text(outputs: list[Output], last: Exit, stream: Stream) -> str:
    return "".join(part.data for part in parts(outputs, last) if part.stream == stream)


def parts(outputs: list[Output], last: Exit) -> list[Output | Chunk]:
    return [*outputs, *last.chunks]


def test_output_that_fits_goes_with_the_exit() -> None:
    chunker = chunker_of(1_000_000, 1000)
    assert chunker.feed("stdout", b"a\n") == []
    assert chunker.feed("stderr", b"w\n") == []
    assert chunker.feed("stdout", b"b\n") == []
    outputs, last = end(chunker)
    assert outputs == []
    assert [(chunk.stream, chunk.data) for chunk in last.chunks] == [("stdout", "a\nb\n"), ("stderr", "w\n")]
    assert (last.seq, chunker.last_seq) == (1, 3)
    assert (last.output_bytes, last.omitted_bytes) == (4, 0)


def test_no_output_is_an_exit_without_chunks() -> None:
    outputs, last = end(chunker_of(1000, 1000))
    assert (outputs, last.chunks, last.seq, last.output_bytes) == ([], [], 1, 0)


def test_exactly_a_frame_is_still_one_frame() -> None:
    chunker = chunker_of(1_000_000, 1000)
    assert chunker.feed("stdout", b"x" * (MAX_DATA_BYTES - 5)) == []
    assert chunker.feed("stderr", b"12345") == []
    outputs, last = end(chunker)
    assert outputs == []
    assert sum(len(chunk.data) for chunk in last.chunks) == MAX_DATA_BYTES


def test_more_than_a_frame_is_sent_while_it_runs_at_line_ends() -> None:
    chunker = chunker_of(10_000_000, 1000)
    line = b"x" * 99 + b"\n"
    frames = [frame for _ in range(2000) for frame in chunker.feed("stdout", line)]
    assert [frame.seq for frame in frames] == [1, 2, 3]
    assert all(frame.data.endswith("\n") for frame in frames)
    outputs, last = end(chunker)
    assert text([*frames, *outputs], last, "stdout") == (line * 2000).decode()
    assert last.seq == 4


def test_wrong_bytes_are_replaced_and_characters_kept_whole() -> None:
    chunker = chunker_of(1000, 1000)
    euro = "€".encode()
    for part in (b"a", euro[:1], euro[1:], b"\xff", euro[:2]):
        chunker.feed("stdout", part)
    _, last = end(chunker)
    assert text([], last, "stdout") == "a€\ufffd\ufffd"


def test_stdout_is_cut_at_a_line_end_and_counted() -> None:
    chunker = chunker_of(1000, 1000)
    for number in range(500):
        chunker.feed("stdout", f"line {number:04}\n".encode())
    _, last = end(chunker)
    kept = text([], last, "stdout")
    assert kept.endswith("line 0099\n"[-10:])
    assert (len(kept), last.output_bytes, last.omitted_bytes) == (1000, 5000, 4000)


def test_the_cut_finds_the_line_end_in_output_that_was_held_back() -> None:
    chunker = chunker_of(100, 1000)
    chunker.feed("stdout", b"short\n" + b"y" * 90)
    chunker.feed("stdout", b"y" * 90 + b"\n")
    _, last = end(chunker)
    assert text([], last, "stdout") == "short\n"
    assert last.omitted_bytes == 181


def test_a_line_longer_than_all_is_cut_at_a_character() -> None:
    chunker = chunker_of(100, 1000)
    chunker.feed("stdout", ("€" * 50).encode())
    _, last = end(chunker)
    assert text([], last, "stdout") == "€" * 33
    assert (last.output_bytes, last.omitted_bytes) == (150, 51)


def test_a_long_cut_ends_a_line_although_frames_were_sent() -> None:
    chunker = chunker_of(200_000, 1000)
    line = b"z" * 70 + b"\n"
    frames = [frame for _ in range(4000) for frame in chunker.feed("stdout", line)]
    outputs, last = end(chunker)
    kept = text([*frames, *outputs], last, "stdout")
    assert kept.endswith("\n")
    assert 200_000 - 71 < len(kept) <= 200_000
    assert last.output_bytes == 4000 * 71
    assert last.omitted_bytes == last.output_bytes - len(kept)


def test_a_long_line_after_whole_lines_is_left_out_whole() -> None:
    chunker = chunker_of(MAX_DATA_BYTES + 100, 1000)
    lines = (b"z" * 63 + b"\n") * (MAX_DATA_BYTES // 64)
    frames = chunker.feed("stdout", lines)
    frames += chunker.feed("stdout", b"y" * 90)
    frames += chunker.feed("stdout", b"y" * 90 + b"\n")
    outputs, last = end(chunker)
    assert text([*frames, *outputs], last, "stdout") == lines.decode()
    assert last.omitted_bytes == 181


def test_stderr_keeps_its_beginning_and_says_so() -> None:
    chunker = chunker_of(1000, 100)
    for number in range(100):
        chunker.feed("stderr", f"warn {number:03}\n".encode())
    _, last = end(chunker)
    kept = text([], last, "stderr")
    assert kept.startswith("warn 000\n")
    assert kept.endswith("[801 bytes of stderr left out]\n")
    assert (last.output_bytes, last.omitted_bytes) == (0, 0)


def test_far_too_much_is_stopped() -> None:
    chunker = chunker_of(MAX_DATA_BYTES, MAX_DATA_BYTES)
    for _ in range(STOP_FACTOR):
        chunker.feed("stderr", b"x" * MAX_DATA_BYTES)
    with pytest.raises(TooMuchOutput, match="stderr"):
        chunker.feed("stderr", b"x")
    piece = b"x" * (1024 * 1024)
    for _ in range(MIN_STOP_BYTES // len(piece)):
        chunker.feed("stdout", piece)
    with pytest.raises(TooMuchOutput, match="stdout"):
        chunker.feed("stdout", b"x")
    outputs, last = end(chunker)
    assert len(text(outputs, last, "stdout")) == MAX_DATA_BYTES
    assert last.output_bytes == MIN_STOP_BYTES + 1
    assert (last.omitted_lines, last.is_truncated) == (0, True)


def test_the_larger_bound_is_the_one_that_stops() -> None:
    chunker = chunker_of(MIN_STOP_BYTES, 1000)
    piece = b"x" * (1024 * 1024)
    for _ in range(2 * MIN_STOP_BYTES // len(piece)):
        chunker.feed("stdout", piece)
    assert end(chunker)[1].omitted_bytes == MIN_STOP_BYTES


def test_a_stream_goes_on_however_long_it_is() -> None:
    chunker = chunker_of(UNBOUNDED, 1000, is_stream=True)
    piece = b"x" * (1024 * 1024 - 1) + b"\n"
    sent = 0
    for _ in range(MIN_STOP_BYTES // len(piece) + 1):
        frames = chunker.feed("stdout", piece) + chunker.feed("stderr", b"w" * MAX_DATA_BYTES)
        sent += sum(len(frame.data) for frame in frames if frame.stream == "stdout")
    outputs, last = end(chunker)
    assert last.output_bytes == sent + len(text(outputs, last, "stdout")) > MIN_STOP_BYTES
    assert (last.omitted_bytes, last.is_truncated, chunker.is_satisfied) == (0, False, False)
    assert text(outputs, last, "stderr").endswith("bytes of stderr left out]\n")


def test_a_flush_sends_what_is_held_back() -> None:
    chunker = chunker_of(1000, 1000)
    assert chunker.flush() == []
    chunker.feed("stdout", b"a\nb" + "€".encode()[:2])
    chunker.feed("stderr", b"w")
    assert chunker.flush() == [Output("res_1", 1, "stdout", "a\nb"), Output("res_1", 2, "stderr", "w")]
    assert (chunker.flush(), chunker.last_seq) == ([], 2)
    chunker.feed("stdout", "€".encode()[2:])
    assert end(chunker)[1].chunks == [Chunk("stdout", "€")]


def test_a_cut_takes_nothing_back_that_was_flushed() -> None:
    chunker = chunker_of(10, 1000)
    chunker.feed("stdout", b"12345\nab")
    chunker.flush()
    chunker.feed("stdout", b"cdefg\n")
    outputs, last = end(chunker)
    assert text(outputs, last, "stdout") == "cd"
    assert (last.output_bytes, last.omitted_bytes, last.omitted_lines, last.is_truncated) == (14, 4, 0, True)


def test_a_line_longer_than_a_frame_is_cut_at_a_character_behind_others() -> None:
    chunker = chunker_of(6 + MAX_DATA_BYTES + 2, 1000)
    frames = chunker.feed("stdout", b"short\n" + "€".encode() * MAX_DATA_BYTES)
    outputs, last = end(chunker)
    kept = text([*frames, *outputs], last, "stdout")
    assert kept == "short\n" + "€" * ((MAX_DATA_BYTES + 2) // 3)


def test_the_stream_with_more_goes_first() -> None:
    chunker = chunker_of(1_000_000, 1_000_000)
    chunker.feed("stderr", b"warning\n" * 8000)
    frames = [frame for _ in range(100) for frame in chunker.feed("stdout", b"line\n" * 100)]
    assert [(frame.stream, len(frame.data)) for frame in frames] == [("stderr", 64_000)]


def test_two_lines_that_are_a_frame_together_wait_for_their_ends() -> None:
    chunker = chunker_of(1_000_000, 1_000_000)
    assert chunker.feed("stdout", b"x" * (MAX_DATA_BYTES - 10)) == []
    assert chunker.feed("stderr", b"y" * (MAX_DATA_BYTES - 10)) == []
    assert [frame.stream for frame in chunker.feed("stderr", b"\n")] == ["stderr"]
    outputs, last = end(chunker)
    assert (outputs, last.seq, len(last.chunks)) == ([], 2, 1)


def test_control_characters_at_their_worst_fit_a_message() -> None:
    chunker = chunker_of(1_000_000, 1000)
    frames = chunker.feed("stdout", b"\x01" * (3 * MAX_DATA_BYTES))
    outputs, last = end(chunker)
    every: list[Output | Exit] = [*frames, *outputs, last]
    for frame in every:
        written = encode(frame)
        assert len(written) < MAX_FRAME_BYTES
        assert decode_agent(written) == frame


@given(
    pieces=st.lists(
        st.tuples(
            st.sampled_from(["stdout", "stderr"]),
            st.one_of(
                st.binary(max_size=200),
                st.text(max_size=50).map(lambda found: found.encode("utf-8", "surrogatepass")),
                st.integers(1, 80_000).map(lambda size: ("aé\n€" * size)[:size].encode()),
            ),
        ),
        max_size=12,
    ),
    max_output_bytes=st.sampled_from([1, 100, 5000, 100_000, 10_000_000]),
)
def test_nothing_is_lost_doubled_or_halved(pieces: list[tuple[Source, bytes]], max_output_bytes: int) -> None:
    chunker = chunker_of(max_output_bytes, 1_000_000)
    frames = [frame for stream, data in pieces for frame in chunker.feed(stream, data)]
    outputs, last = end(chunker)
    frames += outputs
    sources: tuple[Source, ...] = ("stdout", "stderr")
    for stream in sources:
        whole = b"".join(data for of, data in pieces if of == stream).decode("utf-8", "replace")
        kept = text(frames, last, stream)
        assert whole.startswith(kept)
        if stream == "stdout":
            assert last.output_bytes == len(whole.encode())
            assert last.omitted_bytes == len(whole.encode()) - len(kept.encode())
            assert len(kept.encode()) <= max_output_bytes
        else:
            assert kept == whole
    assert [frame.seq for frame in frames] == list(range(1, len(frames) + 1))
    assert last.seq == len(frames) + 1
    assert all(0 < len(frame.data.encode()) <= MAX_DATA_BYTES for frame in frames)
    assert sum(len(chunk.data.encode()) for chunk in last.chunks) <= MAX_DATA_BYTES
