"""Commands and results on the wire."""

from typing import Annotated, Final

import msgspec
from marshmallow import EXCLUDE, Schema, fields, validate

from schemas.api.fields import ClusterId, Line, Timestamp
from schemas.ids import CLUSTER_ID_PATTERN

MIN_TIMEOUT_SECONDS: Final = 1
MAX_TIMEOUT_SECONDS: Final = 300
DEFAULT_TIMEOUT_SECONDS: Final = 30
MAX_WAIT_SECONDS: Final = 60
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
        validate=_TIMEOUT,
        metadata={"description": "Seconds; default the X-Request-Timeout header, else 30."},
    )


class QuickExecute(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """`Execute` once more, for the hot path: msgspec checks it while it parses, in a sixtieth of the time.

    What this takes `Execute` takes too, with the same values; what this does not take is for `Execute` to judge.
    """

    cluster_id: Annotated[str, msgspec.Meta(pattern=rf"\A{CLUSTER_ID_PATTERN}\Z")]
    session_id: Annotated[str, msgspec.Meta(pattern=r"\A[!-~]{1,64}\Z")]
    command_type: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    args: list[str]
    timeout: Annotated[int, msgspec.Meta(ge=MIN_TIMEOUT_SECONDS, le=MAX_TIMEOUT_SECONDS)] | msgspec.UnsetType = (
        msgspec.UNSET
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
            "description": "`respond-async`: answer 202 once the command is accepted.",
            "example": "respond-async",
        },
    )


class Result(Schema):
    """The record of one execution.

    `output` is stdout. `error` is stderr and, for a command that did not end by itself, why; null when there was none.
    """

    result_id = fields.String(required=True, metadata={"example": "res_7be0c1d2f3a495867b10"})
    session_id = fields.String(required=True)
    cluster_id = fields.String(required=True)
    command_type = fields.String(required=True)
    args = fields.List(fields.String(), required=True, metadata={"description": "As they ran, in canonical form."})
    status = fields.String(required=True, validate=validate.OneOf(RESULT_STATUSES))
    output = fields.String(required=True)
    error = fields.String(required=True, allow_none=True)
    exit_code = fields.Integer(required=True, allow_none=True)
    truncated = fields.Boolean(required=True, metadata={"description": "Whether output was cut at its limit."})
    output_bytes = fields.Integer(required=True, metadata={"description": "Of stdout, before any cut."})
    omitted_bytes = fields.Integer(required=True, metadata={"description": "What the cut left out."})
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
        load_default=0,
        validate=validate.Range(0, 2**53),
        metadata={"description": "First byte of `output` wanted."},
    )
    limit = fields.Integer(
        validate=validate.Range(1, 2**53), metadata={"description": "Bytes of `output` wanted; default all."}
    )
