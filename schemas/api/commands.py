"""Commands and results on the wire."""

from typing import Annotated, Final

import msgspec
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from schemas.api.fields import ClusterId, Flag, Line, Timestamp
from schemas.grep import GrepError, Matcher
from schemas.ids import CLUSTER_ID_PATTERN

# What a result's output is: text that anybody who runs something in the cluster may have written.
CONTENT_TRUST: Final = "cluster"
MIN_TIMEOUT_SECONDS: Final = 1
MAX_TIMEOUT_SECONDS: Final = 300
# Of a followed log or a watch that nobody waits for; what the operator allows may be less (`streams.max_seconds`).
MAX_STREAM_SECONDS: Final = 86_400
DEFAULT_TIMEOUT_SECONDS: Final = 30
MAX_WAIT_SECONDS: Final = 60
# Bounds of the output contract; what the operator allows may be less (`commands.max_output_bytes`).
MAX_OUTPUT_BYTES: Final = 1024**3
MAX_CONTRACT_LINES: Final = 2**53
MAX_PATTERN_CHARACTERS: Final = 512
RESULT_STATUSES: Final = (
    "queued",
    "running",
    "completed",
    "failed",
    "timeout",
    "cancelled",
    "refused",
    "lost",
)
_TIMEOUT: Final = validate.Range(MIN_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS)


def _check_pattern(pattern: str) -> None:
    try:
        Matcher(pattern)
    except GrepError as error:
        raise ValidationError(str(error)) from None


class Execute(Schema):
    """A command to run in a session."""

    cluster_id = ClusterId(required=True)
    session_id = Line(required=True, max_length=64, metadata={"example": "sess_1f0c9a4be27d53086a91"})
    command_type = fields.String(
        required=True,
        validate=validate.Length(1, 64),
        metadata={"example": "get", "description": "See docs/commands.md."},
    )
    args = fields.List(
        fields.String(),
        required=True,
        metadata={"example": ["pods", "-A", "--limit=10"], "description": "As on kubectl's command line."},
    )
    timeout = fields.Integer(
        strict=True,
        validate=validate.Range(MIN_TIMEOUT_SECONDS, MAX_STREAM_SECONDS),
        metadata={
            "description": "Seconds; default the X-Request-Timeout header, else 30. At most 300, but for a followed log"
            " or a watch with `Prefer: respond-async`: default and at most `streams.max_seconds`, 600."
        },
    )
    max_output_bytes = fields.Integer(
        strict=True,
        validate=validate.Range(1, MAX_OUTPUT_BYTES),
        metadata={"description": "The most of stdout that is wanted; never more than the hub's own limit, 8 MiB."},
    )
    max_lines = fields.Integer(
        strict=True,
        validate=validate.Range(1, MAX_CONTRACT_LINES),
        metadata={"description": "Of the lines that are left, the first so many."},
    )
    tail_lines = fields.Integer(
        strict=True,
        validate=validate.Range(0, MAX_CONTRACT_LINES),
        metadata={"description": "Of the lines that match, the last so many."},
    )
    grep = fields.String(
        validate=[validate.Length(1, MAX_PATTERN_CHARACTERS), _check_pattern],
        metadata={
            "description": "A regular expression (RE2 syntax): only the lines of stdout that match it are wanted.",
            "example": "error|timed? out",
        },
    )
    keep_full_output = Flag(
        metadata={"description": "Also keep stdout as it was before these rules, for `full=true`."},
    )


class QuickExecute(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """`Execute` once more, for the hot path: msgspec checks it while it parses, in a sixtieth of the time.

    What this takes `Execute` takes too, with the same values; what this does not take, a `grep` among it, is for
    `Execute` to judge.
    """

    cluster_id: Annotated[str, msgspec.Meta(pattern=rf"\A{CLUSTER_ID_PATTERN}\Z")]
    session_id: Annotated[str, msgspec.Meta(pattern=r"\A[!-~]{1,64}\Z")]
    command_type: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    args: list[str]
    timeout: Annotated[int, msgspec.Meta(ge=MIN_TIMEOUT_SECONDS, le=MAX_STREAM_SECONDS)] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    max_output_bytes: Annotated[int, msgspec.Meta(ge=1, le=MAX_OUTPUT_BYTES)] | msgspec.UnsetType = msgspec.UNSET
    max_lines: Annotated[int, msgspec.Meta(ge=1, le=MAX_CONTRACT_LINES)] | msgspec.UnsetType = msgspec.UNSET
    tail_lines: Annotated[int, msgspec.Meta(ge=0, le=MAX_CONTRACT_LINES)] | msgspec.UnsetType = msgspec.UNSET
    keep_full_output: bool | msgspec.UnsetType = msgspec.UNSET


class Validate(Schema):
    """A command that is not to run yet."""

    cluster_id = ClusterId(required=True)
    command_type = fields.String(required=True, validate=validate.Length(1, 64), metadata={"example": "get"})
    args = fields.List(fields.String(), required=True, metadata={"example": ["secrets", "-A"]})


class Verdict(Schema):
    """Whether a command may run; if not, whose rule it is, which, and what would."""

    allowed = fields.Boolean(required=True)
    command = fields.List(
        fields.String(),
        required=True,
        allow_none=True,
        metadata={"description": "The words as they would run, in canonical form; null: it may not."},
    )
    is_stream = fields.Boolean(required=True, metadata={"description": "Whether it goes on until it is ended."})
    by = fields.String(required=True, allow_none=True, validate=validate.OneOf(("grammar", "hub", "key", "agent")))
    rule = fields.String(required=True, allow_none=True, metadata={"description": "See docs/commands.md."})
    reason = fields.String(required=True, allow_none=True)
    argument = fields.String(required=True, allow_none=True)
    nearest = fields.List(
        fields.String(),
        required=True,
        allow_none=True,
        metadata={"description": "The words of a command near it that may run; null: none is known."},
    )
    is_policy_known = fields.Boolean(
        required=True,
        metadata={"description": "Whether the cluster's agent has told its policy; else it may still refuse."},
    )


class ExecuteHeaders(Schema):
    """The headers that steer an execute."""

    class Meta:
        """Other headers are others' business."""

        unknown = EXCLUDE

    timeout = fields.Integer(
        data_key="X-Request-Timeout",
        validate=_TIMEOUT,
        metadata={"description": "Seconds, if the body has none."},
    )
    idempotency_key = Line(
        data_key="Idempotency-Key",
        max_length=255,
        metadata={"description": "A repeated request with the same key gets the first one's result, for 24 hours."},
    )
    prefer = fields.String(
        data_key="Prefer",
        metadata={
            "description": "`respond-async`: answer 202 once the command is accepted. `wait=10`: wait so many seconds,"
            " 60 at most, for an agent that is away; with `respond-async` also for the command to end.",
            "example": "respond-async, wait=5",
        },
    )


class Result(Schema):
    """The record of one execution.

    `output` is stdout, or the part of it that was asked for. `error` is stderr and, for a command that did not end by
    itself, why; null when there was none.
    """

    result_id = fields.String(required=True, metadata={"example": "res_7be0c1d2f3a495867b10"})
    session_id = fields.String(required=True)
    cluster_id = fields.String(required=True)
    command_type = fields.String(required=True)
    args = fields.List(fields.String(), required=True, metadata={"description": "As they ran, in canonical form."})
    status = fields.String(required=True, validate=validate.OneOf(RESULT_STATUSES))
    output = fields.String(required=True)
    error = fields.String(required=True, allow_none=True)
    reason = fields.String(
        required=True, allow_none=True, metadata={"description": "Why it ended, when it did not end by itself."}
    )
    exit_code = fields.Integer(required=True, allow_none=True)
    truncated = fields.Boolean(required=True, metadata={"description": "Whether output was cut at a limit."})
    output_bytes = fields.Integer(required=True, metadata={"description": "Of stdout, before anything was left out."})
    omitted_bytes = fields.Integer(required=True, metadata={"description": "How much of it was left out."})
    omitted_lines = fields.Integer(required=True, metadata={"description": "How many lines of it were left out."})
    expired_bytes = fields.Integer(
        required=True, metadata={"description": "How much of a stream's begin the store has let go of."}
    )
    redactions = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={
            "description": "How often each rule of the agent's hid something, by its name; empty while it runs.",
            "example": {"credential": 2},
        },
    )
    content_trust = fields.String(
        required=True,
        validate=validate.OneOf((CONTENT_TRUST,)),
        metadata={"description": "Whose words `output` and `error` are: what runs in the cluster wrote them."},
    )
    executor = fields.String(required=True, allow_none=True)
    execution_time_ms = fields.Integer(required=True, allow_none=True)
    executed_at = Timestamp(required=True)
    completed_at = Timestamp(required=True, allow_none=True)
    correlation_id = fields.String(required=True, allow_none=True)
    service_identity = fields.String(required=True, allow_none=True)


class ResultQuery(Schema):
    """How to look at a result."""

    wait = fields.Float(
        load_default=0,
        validate=validate.Range(0, MAX_WAIT_SECONDS),
        metadata={"description": "Seconds to wait for the end of a running command."},
    )
    offset = fields.Integer(
        validate=validate.Range(0, 2**53),
        metadata={"description": "First byte of `output` wanted; default the first that is held."},
    )
    limit = fields.Integer(
        validate=validate.Range(1, 2**53),
        metadata={"description": "Bytes of `output` wanted; default the hub's limit for an answer, 8 MiB."},
    )
    full = fields.Boolean(
        load_default=False,
        truthy={"true"},
        falsy={"false"},
        metadata={"description": "Stdout before the output contract, where the command has kept it."},
    )


class StreamQuery(Schema):
    """Where in a command's output to begin."""

    after_seq = fields.Integer(
        load_default=0,
        validate=validate.Range(0, 2**53),
        metadata={"description": "The last number that is known already; 0: from the first."},
    )


class SocketQuery(Schema):
    """What a client's socket tells of."""

    events = fields.String(
        load_default="session",
        validate=validate.OneOf(("session", "all")),
        metadata={"description": "`session`: of its own session and cluster; `all`: of all that the key may see."},
    )


class StreamLine(Schema):
    """One line of a streamed result: `output`, `completed`, `error` or `heartbeat`; see docs/protocol.md."""

    type = fields.String(required=True, validate=validate.OneOf(("output", "completed", "error", "heartbeat")))
