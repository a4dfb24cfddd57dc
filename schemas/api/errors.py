"""The one error body."""

from marshmallow import Schema, fields


class ErrorBody(Schema):
    """`{"error": "not_found", "message": "Session not found: sess_…", "details": {…}}`."""

    error = fields.String(required=True, metadata={"description": "A code of the catalogue, docs/errors.md."})
    message = fields.String(required=True, metadata={"description": "One sentence for people."})
    details = fields.Dict(
        keys=fields.String(),
        metadata={"description": "What programs need to know; absent when there is nothing."},
    )
