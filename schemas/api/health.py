"""How the hub is."""

from marshmallow import Schema, fields

from schemas.api.fields import Timestamp


class Health(Schema):
    """The process answers."""

    status = fields.String(required=True, metadata={"example": "healthy"})
    version = fields.String(required=True)
    timestamp = Timestamp(required=True)
    uptime_seconds = fields.Integer(required=True)


class Ready(Schema):
    """The hub takes work."""

    status = fields.String(required=True, metadata={"example": "ready"})
