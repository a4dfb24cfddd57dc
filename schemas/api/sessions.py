"""Sessions on the wire."""

from typing import Any, Final

import msgspec
from marshmallow import Schema, ValidationError, fields, validate

from schemas.api.fields import ClusterId, Line, Timestamp

MAX_METADATA_BYTES: Final = 4096
SESSION_STATUSES: Final = ("active", "closed", "expired")
_SESSION_ID: Final = {"example": "sess_1f0c9a4be27d53086a91"}


def _small(metadata: dict[str, Any]) -> None:
    size = len(msgspec.json.encode(metadata))
    if size > MAX_METADATA_BYTES:
        raise ValidationError(f"{size} bytes of JSON, {MAX_METADATA_BYTES} at most.")
    correlation_id = metadata.get("correlation_id")
    if isinstance(correlation_id, str) and (len(correlation_id) > 128 or not correlation_id.isprintable()):
        raise ValidationError({"correlation_id": ["128 printable characters at most."]})


class NewSession(Schema):
    """What a session is opened with."""

    cluster_id = ClusterId(required=True)
    ttl_seconds = fields.Integer(
        strict=True,
        load_default=3600,
        validate=validate.Range(60, 86_400),
        metadata={"description": "How long the session lives; using it does not make it live longer."},
    )
    metadata = fields.Dict(
        keys=fields.String(),
        load_default=dict,
        validate=_small,
        metadata={
            "description": "Yours, up to 4 KiB; `correlation_id` in it is the default of the session's commands.",
            "example": {"user": "debugging-agent", "correlation_id": "trace-123"},
        },
    )


class Session(Schema):
    """A session as its owner sees it."""

    session_id = fields.String(required=True, metadata=_SESSION_ID)
    cluster_id = fields.String(required=True)
    status = fields.String(required=True, validate=validate.OneOf(SESSION_STATUSES))
    created_at = Timestamp(required=True)
    expires_at = Timestamp(required=True)
    last_activity = Timestamp(required=True)
    closed_at = Timestamp(allow_none=True)
    commands_executed = fields.Integer(required=True)
    metadata = fields.Dict(keys=fields.String(), required=True)
    service_identity = fields.String(allow_none=True)


class ClosedSession(Schema):
    """The answer to closing a session; `status` is `expired` for one that had expired before."""

    session_id = fields.String(required=True, metadata=_SESSION_ID)
    status = fields.String(required=True, validate=validate.OneOf(("closed", "expired")))
    closed_at = Timestamp(required=True)


class SessionFilter(Schema):
    """Which sessions to list."""

    cluster_id = ClusterId()
    status = fields.String(load_default="active", validate=validate.OneOf(SESSION_STATUSES))
    limit = fields.Integer(load_default=50, validate=validate.Range(1, 500))
    cursor = Line(max_length=256, metadata={"description": "`next_cursor` of the page before."})


class SessionList(Schema):
    """A page of sessions, newest first; `total` counts all that match the filter."""

    sessions = fields.List(fields.Nested(Session), required=True)
    total = fields.Integer(required=True)
    next_cursor = fields.String(allow_none=True, required=True)
