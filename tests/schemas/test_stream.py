"""What a client sends on its stream is a message, or a MessageError that names a field."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import stream
from schemas.stream import Cancel, Execute, Follow, MessageError, Ping

CODES = {"malformed_json", "missing_required_field", "unknown_field", "invalid_type", "invalid_value"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
NAMES = st.sampled_from(sorted({name for kind in (Execute, Follow) for name in kind.__struct_fields__}))
KINDS = st.sampled_from(["execute", "cancel", "follow", "ping", "started", ""])


def judge(text: str) -> None:
    try:
        message = stream.decode(text)
    except MessageError as error:
        assert error.code in CODES
        assert error.field or error.code == "unknown_field"
        assert len(error.field) <= 64
        assert str(error)
        for name in (error.request_id, error.result_id):
            assert name is None or 0 < len(name) <= 64
    else:
        assert isinstance(message, Execute | Cancel | Follow | Ping)
        assert stream.decode(msgspec.json.encode(message).decode()) == message


@given(st.text())
def test_any_text(text: str) -> None:
    judge(text)


@given(JSON)
def test_any_json(value: Any) -> None:
    judge(json.dumps(value))


@given(KINDS, st.dictionaries(NAMES | st.text(), JSON, max_size=6))
def test_anything_that_looks_like_a_message(kind: str, fields: dict[str, Any]) -> None:
    judge(json.dumps({"type": kind, **fields}))


@given(st.text(max_size=20), st.lists(st.text(), max_size=3))
def test_what_is_right_is_taken(pattern: str, args: list[str]) -> None:
    message = {"type": "execute", "request_id": "r", "command_type": "get", "args": args, "max_lines": 1}
    decoded = stream.decode(json.dumps(message))
    assert decoded == Execute("r", "get", args, max_lines=1)
    judge(json.dumps(message | {"grep": pattern}))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"type": "follow"}, "Missing required field: result_id"),
        ({"type": "ping", "x": 1}, "Unknown field: x"),
        ({"type": "stop"}, "type: must be one of execute, cancel, follow, ping"),
        ({"type": "cancel", "result_id": 7}, "result_id: Expected `str`, got `int`"),
        ({"type": "cancel", "result_id": ""}, "result_id: Expected `str` of length >= 1"),
        ({"type": "ping", "y" * 100: 1}, "Unknown field: " + "y" * 64),
    ],
)
def test_what_is_wrong_is_said_in_words(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(MessageError) as caught:
        stream.decode(json.dumps(fields))
    assert str(caught.value) == said


def test_the_ids_of_a_wrong_message_are_kept() -> None:
    with pytest.raises(MessageError) as caught:
        stream.decode('{"type": "execute", "request_id": "mine", "result_id": "theirs", "args": 7}')
    assert (caught.value.request_id, caught.value.result_id) == ("mine", "theirs")
