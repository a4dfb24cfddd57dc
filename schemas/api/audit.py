"""The audit log on the wire."""

from typing import Final

from marshmallow import Schema, fields, validate

from schemas.api.fields import ClusterId, Line, Pattern, Timestamp

KINDS: Final = ("request", "admin", "accepted", "ended", "stream", "agent", "unauthenticated", "dropped", "hub")
DECISIONS: Final = ("allowed", "refused", "unauthenticated", "error")
MAX_LIMIT: Final = 1000


class AuditQuery(Schema):
    """Which rows to list."""

    since = Timestamp(metadata={"description": "Rows of this time and later."})
    until = Timestamp(metadata={"description": "Rows before this time."})
    kind = fields.String(validate=validate.OneOf(KINDS))
    decision = fields.String(validate=validate.OneOf(DECISIONS))
    key_id = Line(max_length=128)
    cluster_id = ClusterId()
    session_id = Line(max_length=128)
    result_id = Line(max_length=128)
    limit = fields.Integer(load_default=100, validate=validate.Range(1, MAX_LIMIT))
    cursor = fields.String(
        validate=Pattern("^[0-9]{1,18}$", error="Not a cursor."),
        metadata={"description": "`next_cursor` of the page before."},
    )
    format = fields.String(load_default="json", validate=validate.OneOf(("json", "csv")))


class AuditRow(Schema):
    """A row; what does not apply to it is left out."""

    seq = fields.Integer(required=True)
    at = fields.String(required=True, metadata={"example": "2026-01-20T10:32:15.123Z"})
    kind = fields.String(required=True, validate=validate.OneOf(KINDS))
    decision = fields.String(required=True, validate=validate.OneOf(DECISIONS))
    action = fields.String(metadata={"example": "POST /debug/execute"})
    rule = fields.String()
    http_status = fields.Integer()
    key_id = fields.String()
    role = fields.String()
    service_identity = fields.String()
    address = fields.String()
    cluster_id = fields.String()
    session_id = fields.String()
    result_id = fields.String()
    token_id = fields.String()
    target = fields.String(metadata={"description": "The key that was made or removed."})
    version = fields.String()
    argv = fields.List(fields.String(), metadata={"example": ["get", "--namespace=shop", "--", "pods"]})
    argv_omitted = fields.Integer()
    correlation_id = fields.String()
    request_id = fields.String()
    status = fields.String()
    exit_code = fields.Integer()
    stdout_bytes = fields.Integer()
    duration_ms = fields.Integer()
    redactions = fields.Dict(keys=fields.String(), values=fields.Integer())
    count = fields.Integer()
    since = fields.String()
    mac = fields.String(required=True)


class AuditList(Schema):
    """A page of rows, newest first. It may be short, or empty, while `next_cursor` says that there is more."""

    rows = fields.List(fields.Nested(AuditRow), required=True)
    next_cursor = fields.String(allow_none=True, required=True)
