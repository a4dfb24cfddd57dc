"""API keys on the wire."""

from typing import Final

from marshmallow import Schema, fields, validate

from schemas.api.fields import Line, Timestamp

ROLES: Final = ("admin", "user")
_CLUSTERS: Final = {"description": "Globs of the clusters the key may see; null: all.", "example": ["prod-*"]}


class NewKey(Schema):
    """What a key is made with."""

    name = Line(required=True, max_length=128)
    role = fields.String(required=True, validate=validate.OneOf(ROLES))
    clusters = fields.List(
        Line(max_length=128),
        allow_none=True,
        load_default=None,
        validate=validate.Length(1, 100),
        metadata=_CLUSTERS,
    )
    expires_at = Timestamp(allow_none=True, load_default=None)


class Key(Schema):
    """A key, without its secret."""

    key_id = fields.String(required=True, metadata={"example": "key_5d1e8bb0936fa7c24410"})
    name = fields.String(required=True)
    role = fields.String(required=True, validate=validate.OneOf(ROLES))
    clusters = fields.List(fields.String(), required=True, allow_none=True, metadata=_CLUSTERS)
    created_at = Timestamp(required=True)
    expires_at = Timestamp(required=True, allow_none=True)


class CreatedKey(Key):
    """A key with its secret, shown this once."""

    api_key = fields.String(required=True, metadata={"description": "Shown once; only its hash is kept."})


class KeyList(Schema):
    """All keys, oldest first."""

    keys = fields.List(fields.Nested(Key), required=True)
    total = fields.Integer(required=True)
