"""Frames as text, whatever the text: a frame, nothing, or FrameError; and every frame comes back as it was."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import codec
from schemas.frames import (
    MAX_DATA_BYTES,
    MAX_FRAME_BYTES,
    Ack,
    AgentFrame,
    Cancel,
    Chunk,
    Contract,
    Credit,
    Drain,
    Exit,
    Frame,
    Heartbeat,
    Held,
    Hello,
    HubFrame,
    Leaving,
    Output,
    Run,
    Welcome,
)

Decode = Callable[[str], Frame | None]
DECODERS: list[Decode] = [codec.decode_hub, codec.decode_agent]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
RESULT_ID = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64)
NUMBER = st.integers(0, 2**53)
FIRST = st.integers(1, 2**53)
SECONDS = st.floats(0, 86_400)
STREAM = st.sampled_from(["stdout", "stderr", "full"])
CHUNK = st.builds(Chunk, STREAM, TEXT)
NUMBERS = st.dictionaries(RESULT_ID, NUMBER, max_size=4)

AGENT_FRAMES: st.SearchStrategy[AgentFrame] = st.one_of(
    st.builds(
        Hello,
        TEXT,
        TEXT,
        RESULT_ID,
        NUMBER,
        st.none() | TEXT,
        st.dictionaries(TEXT, st.none() | TEXT, max_size=3),
        st.dictionaries(TEXT, st.just(msgspec.Raw(b'{"a":[1,null]}')), max_size=2),
        st.lists(st.builds(Held, RESULT_ID, NUMBER, st.booleans()), max_size=4),
        st.dictionaries(TEXT, TEXT, max_size=3),
    ),
    st.builds(Output, RESULT_ID, FIRST, STREAM, TEXT),
    st.builds(
        Exit,
        RESULT_ID,
        FIRST,
        st.sampled_from(["completed", "failed", "timeout", "cancelled", "refused"]),
        st.none() | st.integers(-256, 256),
        st.lists(CHUNK, max_size=4),
        NUMBER,
        NUMBER,
        NUMBER,
        st.none() | st.booleans(),
        NUMBER,
        st.none() | TEXT,
        st.none() | TEXT,
    ),
    st.builds(Leaving, TEXT),
    st.just(Heartbeat()),
)
HUB_FRAMES: st.SearchStrategy[HubFrame] = st.one_of(
    st.builds(
        Welcome,
        TEXT,
        st.floats(0.001, 20),
        st.integers(1, 1024),
        NUMBER,
        st.dictionaries(RESULT_ID, st.none() | NUMBER, max_size=4),
        st.integers(1, 1024),
        st.integers(65_536, 64 * 1024**2),
    ),
    st.builds(
        Run,
        RESULT_ID,
        TEXT,
        st.lists(TEXT, max_size=4),
        SECONDS,
        NUMBER,
        st.none() | TEXT,
        st.booleans(),
        st.none() | st.builds(Contract, st.none() | RESULT_ID, st.none() | NUMBER, st.none() | FIRST, NUMBER),
    ),
    st.builds(Cancel, RESULT_ID, TEXT),
    st.builds(Ack, NUMBERS),
    st.builds(Credit, NUMBERS),
    st.builds(Drain, SECONDS, TEXT),
    st.just(Heartbeat()),
)


def _json(text: st.SearchStrategy[str], numbers: st.SearchStrategy[float]) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.none() | st.booleans() | numbers | text,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
        max_leaves=12,
    )


JSON = _json(TEXT, st.integers() | st.floats(allow_nan=False, allow_infinity=False))
WILD_JSON = _json(st.text(max_size=20), st.integers() | st.floats())  # surrogates by themselves, NaN
# Names the protocol has, so that wrong values come to right places.
FIELDS = sorted({name for kind in (*HubFrame.__args__, *AgentFrame.__args__) for name in kind.__struct_fields__})
TYPES = sorted({str(kind.__struct_config__.tag) for kind in (*HubFrame.__args__, *AgentFrame.__args__)})


def survives(decode: Decode, text: str) -> Frame | None:
    """What a decoder makes of a text; whatever it is but a FrameError is the test's."""
    try:
        return decode(text)
    except codec.FrameError as error:
        assert str(error)
        return None


@given(AGENT_FRAMES)
def test_what_an_agent_says_comes_back_as_it_was(frame: AgentFrame) -> None:
    assert codec.decode_agent(codec.encode(frame)) == frame


@given(HUB_FRAMES)
def test_what_a_hub_says_comes_back_as_it_was(frame: HubFrame) -> None:
    assert codec.decode_hub(codec.encode(frame)) == frame


@pytest.mark.parametrize("decode", DECODERS)
@given(text=st.text() | st.text(st.sampled_from('{}[]",:\\eu0123456789dtypeNaN-+. \ud800\udfff\x00')))
@settings(max_examples=200)
def test_any_text(decode: Decode, text: str) -> None:
    assert survives(decode, text) is None


@pytest.mark.parametrize("decode", DECODERS)
@given(kind=st.sampled_from(TYPES), fields=st.dictionaries(st.sampled_from(FIELDS), WILD_JSON, max_size=8))
@settings(max_examples=200)
def test_any_values_in_the_protocol_s_fields(decode: Decode, kind: str, fields: dict[str, Any]) -> None:
    frame = survives(decode, json.dumps({"type": kind} | fields))
    if frame is not None:
        assert decode(codec.encode(frame)) == frame


@pytest.mark.parametrize("decode", DECODERS)
@given(frame=AGENT_FRAMES | HUB_FRAMES, data=st.data())
@settings(max_examples=200)
def test_frames_with_a_piece_changed(decode: Decode, frame: Frame, data: st.DataObject) -> None:
    text = codec.encode(frame)
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, min(len(text), begin + 4)))
    changed = text[:begin] + data.draw(st.text(max_size=3)) + text[end:]
    decoded = survives(decode, changed)
    if decoded is not None:
        assert decode(codec.encode(decoded)) == decoded


@given(
    frame=AGENT_FRAMES.filter(lambda frame: not getattr(frame, "policy", None)),  # it would come back spaced otherwise
    fields=st.dictionaries(TEXT.map("x-".__add__), JSON, max_size=3),
)
def test_fields_of_the_future_are_ignored(frame: AgentFrame, fields: dict[str, Any]) -> None:
    text = json.dumps(fields | json.loads(codec.encode(frame)))
    assert codec.decode_agent(text) == frame


@pytest.mark.parametrize("decode", DECODERS)
@given(
    kind=st.text(max_size=20).filter(lambda kind: kind not in TYPES),
    fields=st.dictionaries(TEXT, WILD_JSON, max_size=3),
)
def test_types_of_the_future_are_ignored(decode: Decode, kind: str, fields: dict[str, Any]) -> None:
    fields.pop("type", None)
    assert survives(decode, json.dumps(fields | {"type": kind})) is None


@pytest.mark.parametrize("decode", DECODERS)
@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"type":' * 20_000,
        '{"type":"heartbeat","x":' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"x":' + '{"x":' * 50_000 + "1" + "}" * 50_000 + ',"type":"hello"}',
        '{"type":"hello","cluster_id":"a","agent_version":"1","boot_id":"b","policy":{"x":' + "[" * 100_000 + "}}",
        '{"type":"output","result_id":"r","seq":' + "9" * 100_000 + ',"stream":"stdout","data":""}',
        '{"type":"output","result_id":"r","seq":1e400,"stream":"stdout","data":""}',
        '{"type":"output","result_id":"r","seq":-0,"stream":"stdout","data":""}',
        '{"type":"output","result_id":"r","seq":1.5,"stream":"stdout","data":""}',
        '{"type":"output","result_id":"r","seq":9007199254740993,"stream":"stdout","data":""}',
        '{"type":"run","result_id":"r","command_type":"get","args":[],"timeout_seconds":NaN,"max_output_bytes":1}',
        '{"type":"run","result_id":"r","command_type":"get","args":[],"timeout_seconds":1e5,"max_output_bytes":1}',
        '{"type":"output","result_id":"r","seq":1,"stream":"stdout","data":"\\ud800"}',
        '{"type":"output","result_id":"r","seq":1,"stream":"stdout","data":"\\udc00\\ud800"}',
        '{"type":"output","result_id":"r","seq":1,"stream":"stdout","data":"\ud800"}',
        '{"type":"ack","results":{"\\ud800x":1}}',
        '{"type":"\\ud800"}',
        '{"type":"ack","results":{"":1}}',
        '{"type":7}',
        '{"type":null}',
        '{"type":"ack","type":"ack"}',
        "null",
        "",
        "\ufeff{}",
    ],
    ids=range(24),
)
def test_what_has_broken_parsers(decode: Decode, text: str) -> None:
    assert survives(decode, text) is None


def test_a_frame_may_be_so_large_and_no_larger() -> None:
    fits = Output("r", 1, "stdout", "\x1b" * MAX_DATA_BYTES)  # six characters of JSON each
    text = codec.encode(fits)
    assert len(text) <= MAX_FRAME_BYTES
    assert codec.decode_agent(text) == fits
    for beyond in (
        Output("r", 1, "stdout", "\N{PILE OF POO}" * (MAX_DATA_BYTES // 4) + "x"),
        Exit("r", 1, "completed", chunks=[Chunk("stdout", "x" * (MAX_DATA_BYTES // 2))] * 2 + [Chunk("full", "x")]),
    ):
        with pytest.raises(codec.FrameError, match="bytes of output in one frame"):
            codec.decode_agent(codec.encode(beyond))


def test_an_error_quotes_nothing_of_the_frame() -> None:
    secret = "the-secret-in-the-frame"
    for text in (
        f'{{"type":"output","result_id":"r","seq":0,"stream":"{secret}","data":"{secret}"}}',
        f'{{"type":"exit","result_id":"r","seq":1,"status":"{secret}"}}',
        f'{{"type":"hello","cluster_id":7,"{secret}":1}}',
        f'{{"type":"output","{secret}',
    ):
        with pytest.raises(codec.FrameError) as caught:
            codec.decode_agent(text)
        assert secret not in str(caught.value)
