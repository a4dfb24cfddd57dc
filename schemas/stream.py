"""The client stream's messages: JSON text both ways, `type` naming the message. docs/protocol.md explains each.

`decode` reads what a client sent. Unlike on the agent link, types and fields that are not known are errors: a client is
written for its hub, and a misspelt field must not be silently without effect.
"""

import re
from typing import Annotated, Any, Final, Literal

import msgspec

from schemas.api.commands import MAX_CONTRACT_LINES, MAX_OUTPUT_BYTES, MAX_PATTERN_CHARACTERS, MAX_STREAM_SECONDS
from schemas.grep import GrepError, Matcher

SUBPROTOCOL: Final = "kubently.stream.v1"
# A browser cannot set headers: its key comes as one more subprotocol, this and base64url(key) without padding.
BEARER_SUBPROTOCOL_PREFIX: Final = "kubently.bearer."
MAX_MESSAGE_BYTES: Final = 1024 * 1024
# The hub pings a client that says nothing for so long; one that then stays silent is taken for dead.
PING_INTERVAL_SECONDS: Final = 20.0
PINGS_MISSED: Final = 2.5
# Lines that stay silent for so long get a heartbeat, so that load balancers do not cut them.
HEARTBEAT_SECONDS: Final = 15.0
# So many messages in a row that are none, and the client is not of this protocol.
MAX_MALFORMED_IN_A_ROW: Final = 16

RequestId = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
ResultId = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Seq = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Lines = Annotated[int, msgspec.Meta(ge=1, le=MAX_CONTRACT_LINES)]
# Field names that a client made up are quoted up to here.
_QUOTED_CHARACTERS: Final = 64


class MessageError(ValueError):
    """A text that is no message. `field` is the place, `code` how it is wrong (docs/errors.md).

    `request_id` and `result_id` are the message's own, where they can be read.
    """

    def __init__(
        self, message: str, *, field: str, code: str, request_id: str | None = None, result_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.field = field
        self.code = code
        self.request_id = request_id
        self.result_id = result_id


# client -> hub


class Execute(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="execute", tag_field="type"):
    """A command to run in the stream's session, and to follow. `request_id` is the client's name for it.

    The fields are those of `POST /debug/execute`. `timeout` is in whole seconds, None for the default of the command's
    kind. `keep`: the command goes on when the client leaves; so does one with an `idempotency_key`.
    """

    request_id: RequestId
    command_type: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    args: list[str]
    timeout: Annotated[int, msgspec.Meta(ge=1, le=MAX_STREAM_SECONDS)] | None = None
    idempotency_key: Annotated[str, msgspec.Meta(pattern=r"\A[^\x00-\x1f\x7f]{1,255}\Z")] | None = None
    max_output_bytes: Annotated[int, msgspec.Meta(ge=1, le=MAX_OUTPUT_BYTES)] | None = None
    max_lines: Lines | None = None
    tail_lines: Annotated[int, msgspec.Meta(ge=0, le=MAX_CONTRACT_LINES)] | None = None
    grep: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_PATTERN_CHARACTERS)] | None = None
    keep_full_output: bool = False
    keep: bool = False


class Cancel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="cancel", tag_field="type"):
    """Ends a command early. Its `completed` says how it ended."""

    result_id: ResultId


class Follow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="follow", tag_field="type"):
    """Sends a command's output behind a number, 0 for all of it, then what comes, then `completed`."""

    result_id: ResultId
    after_seq: Seq = 0


class Ping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="ping", tag_field="type"):
    """Asks for a `pong`, which comes behind everything that was to be sent before."""


ClientMessage = Execute | Cancel | Follow | Ping


# hub -> client


class Started(msgspec.Struct, frozen=True, tag="started", tag_field="type"):
    """An `execute` was accepted; its output and its `completed` name the `result_id`."""

    request_id: RequestId
    result_id: ResultId
    status: str


class Output(msgspec.Struct, frozen=True, gc=False, tag="output", tag_field="type"):
    """One piece of a command's output. Numbers grow, by one unless the hub keeps the piece between for itself."""

    result_id: ResultId
    seq: Seq
    stream: Literal["stdout", "stderr", "full"]  # "full" is never sent
    data: str


class Completed(msgspec.Struct, frozen=True, tag="completed", tag_field="type"):
    """A command has ended: the result of the REST API without its output."""

    result: dict[str, Any]


class SessionChanged(msgspec.Struct, frozen=True, tag="session", tag_field="type"):
    """What became of a session."""

    event: Literal["created", "closed", "expired"]
    session_id: str
    cluster_id: str


class ClusterChanged(msgspec.Struct, frozen=True, tag="cluster", tag_field="type"):
    """A cluster's agent came or went."""

    event: Literal["connected", "disconnected"]
    cluster_id: str


class Error(msgspec.Struct, frozen=True, omit_defaults=True, tag="error", tag_field="type"):
    """The error body of the REST API, and which `request_id` or `result_id` it is about; without either, the stream."""

    error: str
    message: str
    details: dict[str, Any] = {}
    request_id: RequestId | None = None
    result_id: ResultId | None = None


class Pong(msgspec.Struct, frozen=True, tag="pong", tag_field="type"):
    """The answer to a `ping`."""


class Heartbeat(msgspec.Struct, frozen=True, tag="heartbeat", tag_field="type"):
    """Says that the hub lives; on lines only, a socket has pings."""


HubMessage = Started | Output | Completed | SessionChanged | ClusterChanged | Error | Pong | Heartbeat


class CloseCode:
    """Why a stream was closed. 1000, 1001, 1007, 1009 and 1011 are those of RFC 6455 §7.4.1, 44xx and 45xx ours."""

    NORMAL: Final = 1000
    GOING_AWAY: Final = 1001
    INVALID_TEXT: Final = 1007
    TOO_LARGE: Final = 1009
    FAULT: Final = 1011
    MALFORMED_MESSAGE: Final = 4400
    KEY_REVOKED: Final = 4401
    SLOW_CLIENT: Final = 4429
    SILENT_CLIENT: Final = 4504


CLOSE_REASONS: Final[dict[int, str]] = {
    CloseCode.NORMAL: "the session ended, and so did its commands",
    CloseCode.GOING_AWAY: "the hub is stopping",
    CloseCode.INVALID_TEXT: "a text that is not UTF-8",
    CloseCode.TOO_LARGE: "a message that is too large",
    CloseCode.FAULT: "a fault of the hub",
    CloseCode.MALFORMED_MESSAGE: "messages that are not of the protocol",
    CloseCode.KEY_REVOKED: "the API key was removed or has expired",
    CloseCode.SLOW_CLIENT: "the client does not read what it is sent",
    CloseCode.SILENT_CLIENT: "the client does not answer pings",
}

encode: Final = msgspec.json.Encoder().encode
_decoder: Final[msgspec.json.Decoder[ClientMessage]] = msgspec.json.Decoder(ClientMessage)

_PLACE: Final = re.compile(r" - at `\$\.?([^`]*)`\Z")
_EXPLANATIONS: Final = {
    "type": "type: must be one of execute, cancel, follow, ping",
    "idempotency_key": "idempotency_key: must be text of 1 to 255 characters without control characters",
}
_NAMED: Final = re.compile(r"Object (missing required|contains unknown) field `(.*?)`", re.DOTALL)


def decode(text: str) -> ClientMessage:
    """Parse what a client sent. Raises MessageError."""
    try:
        message = _decoder.decode(text)
    except msgspec.ValidationError as error:
        raise _fault(str(error), text) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MessageError(f"The message is not valid JSON: {error}", field="message", code="malformed_json") from None
    if isinstance(message, Execute) and message.grep is not None:
        try:
            Matcher(message.grep)
        except GrepError as error:
            explanation = f"grep {error}"
            raise MessageError(explanation, field="grep", code="invalid_value", request_id=message.request_id) from None
    return message


def _fault(message: str, text: str) -> MessageError:
    """What is wrong with JSON that is no message, from msgspec's "Expected `str`, got `int` - at `$.args[0]`"."""
    place = _PLACE.search(message)
    named = _NAMED.match(message)
    if named is not None:
        field = named[2][:_QUOTED_CHARACTERS]
        is_missing = named[1] == "missing required"
        code = "missing_required_field" if is_missing else "unknown_field"
        explanation = f"Missing required field: {field}" if is_missing else f"Unknown field: {field}"
    else:
        field = "message" if place is None else place[1].replace("[", ".").replace("]", "")
        expected = message if place is None else message[: place.start()]
        code = "invalid_type" if ", got `" in expected else "invalid_value"
        explanation = _EXPLANATIONS.get(field, f"{field}: {expected}")
    return MessageError(explanation, field=field, code=code, **_names(text))


def _names(text: str) -> dict[str, str]:
    """The ids in a message that is wrong elsewhere, so that the client knows which one it was."""
    try:
        fields = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}
    return {
        name: value
        for name in ("request_id", "result_id")
        if isinstance(value := fields.get(name), str) and 0 < len(value) <= 64
    }
