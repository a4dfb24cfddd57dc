"""Frames to text and back: `encode(frame)`, `decode_hub(text)` at the agent, `decode_agent(text)` at the hub.

msgspec checks every field's type and bounds while it parses, in one pass over the text.
"""

import re
from typing import Final

import msgspec

from schemas.frames import MAX_DATA_BYTES, MAX_FRAME_BYTES, AgentFrame, Exit, Frame, HubFrame, Output


class FrameError(ValueError):
    """A text that is no frame of this protocol. Its message says where; it quotes no content of the frame."""


class _Tag(msgspec.Struct):
    type: str


_encoder: Final = msgspec.json.Encoder()
_hub_decoder: Final[msgspec.json.Decoder[HubFrame]] = msgspec.json.Decoder(HubFrame)
_agent_decoder: Final[msgspec.json.Decoder[AgentFrame]] = msgspec.json.Decoder(AgentFrame)
_tag_decoder: Final = msgspec.json.Decoder(_Tag)
_HUB_TYPES: Final = frozenset(str(kind.__struct_config__.tag) for kind in HubFrame.__args__)
_AGENT_TYPES: Final = frozenset(str(kind.__struct_config__.tag) for kind in AgentFrame.__args__)
# msgspec says which value it did not want of an enumeration, Python which character is none: both are content.
_QUOTED: Final = re.compile(r" '.*'", re.DOTALL)


def encode(frame: Frame) -> str:
    """Return the one JSON text of a frame."""
    return _encoder.encode(frame).decode()


def decode_hub(text: str) -> HubFrame | None:
    """Parse what a hub sent. None: a type this version does not know, to be ignored.

    Raises FrameError for anything that is not a frame.
    """
    try:
        return _hub_decoder.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        _raise_unless_unknown(text, _HUB_TYPES, error)
        return None


def decode_agent(text: str) -> AgentFrame | None:
    """Parse what an agent sent. None: a type this version does not know, to be ignored.

    Raises FrameError for anything that is not a frame, and for data over MAX_DATA_BYTES.
    """
    if len(text) > MAX_FRAME_BYTES:
        raise FrameError(f"a frame of {len(text)} characters, {MAX_FRAME_BYTES} at most")
    try:
        frame = _agent_decoder.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        _raise_unless_unknown(text, _AGENT_TYPES, error)
        return None
    match frame:
        case Output(data=data):
            _check_data(utf8_bytes(data))
        case Exit(chunks=chunks) if chunks:
            _check_data(sum(utf8_bytes(chunk.data) for chunk in chunks))
        case _:
            pass
    return frame


def utf8_bytes(text: str) -> int:
    """How long a text is in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())  # whether it is ASCII, a string knows


def _check_data(size: int) -> None:
    if size > MAX_DATA_BYTES:
        raise FrameError(f"{size} bytes of output in one frame, {MAX_DATA_BYTES} at most")


def _raise_unless_unknown(text: str, known: frozenset[str], error: Exception) -> None:
    try:
        tag = _tag_decoder.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        raise FrameError(_describe(error)) from error
    if tag.type in known:
        raise FrameError(f"{tag.type}: {_describe(error)}") from error


def _describe(error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        return "half of a surrogate pair, which UTF-8 cannot write"
    return _QUOTED.sub("", str(error))
