"""API keys on the wire."""

from typing import Any, Final

from marshmallow import Schema, ValidationError, fields, validate

from schemas.api.commands import MAX_OUTPUT_BYTES
from schemas.api.fields import Line, Pattern, Timestamp
from schemas.kubectl import VERBS, unclear_kind

ROLES: Final = ("admin", "auditor", "user")
MAX_OVERLAP_SECONDS: Final = 7 * 24 * 3600
DEFAULT_OVERLAP_SECONDS: Final = 3600
_MAX_PER_MINUTE: Final = 1_000_000
_CLUSTERS: Final = {"description": "Globs of the clusters the key may see; null: all.", "example": ["prod-*"]}
_NAMESPACES: Final = {"description": "Globs of the namespaces it may read; null: all.", "example": ["team-a", "dev-*"]}
_TYPES: Final = {"description": "The command types that it may run; null: all.", "example": ["get", "logs"]}
_KINDS: Final = {
    "description": "The kinds that it may read, as kubectl names them, others than Kubernetes' own with their group;"
    " null: all.",
    "example": ["pods", "deploy", "widgets.example.com"],
}
_DENIED_KINDS: Final = {"description": "The kinds that it may not read.", "example": ["secrets", "configmaps"]}
_LIMITS: Final = {"description": "Its own limits; null: the hub's."}


def _check_kinds(words: list[str]) -> None:
    unclear = unclear_kind(words)
    if unclear is not None:
        raise ValidationError(
            f"{unclear} is not clear: name one kind, and if it is none of Kubernetes' own with its group, as"
            " widgets.example.com."
        )


def _some(each: fields.Field[Any], metadata: dict[str, Any], *rules: Any) -> fields.List[Any]:
    """A list that limits; null limits nothing."""
    return fields.List(
        each, allow_none=True, load_default=None, validate=[validate.Length(1, 100), *rules], metadata=metadata
    )


def _word() -> fields.String:
    rule = Pattern(
        r"^[A-Za-z0-9][A-Za-z0-9.-]*$", error="Not a kind as kubectl names them, such as pods or deploy.apps."
    )
    return fields.String(validate=[validate.Length(1, 253), rule])


def _per_minute() -> fields.Integer:
    return fields.Integer(strict=True, allow_none=True, load_default=None, validate=validate.Range(1, _MAX_PER_MINUTE))


class RateLimits(Schema):
    """A key's own rates, in requests per minute; null: the hub's."""

    standard_per_minute = _per_minute()
    execute_per_minute = _per_minute()
    session_per_minute = _per_minute()


class NewKey(Schema):
    """What a key is made with."""

    name = Line(required=True, max_length=128)
    role = fields.String(required=True, validate=validate.OneOf(ROLES))
    clusters = _some(Line(max_length=128), _CLUSTERS)
    namespaces = _some(Line(max_length=128), _NAMESPACES)
    command_types = _some(fields.String(validate=validate.OneOf(VERBS)), _TYPES)
    kinds = _some(_word(), _KINDS, _check_kinds)
    denied_kinds = _some(_word(), _DENIED_KINDS, _check_kinds)
    rate_limits = fields.Nested(RateLimits, allow_none=True, load_default=None, metadata=_LIMITS)
    max_output_bytes = fields.Integer(
        strict=True,
        allow_none=True,
        load_default=None,
        validate=validate.Range(1, MAX_OUTPUT_BYTES),
        metadata={"description": "The most of stdout that a command of it may have; null: the hub's limit."},
    )
    expires_at = Timestamp(allow_none=True, load_default=None)


class Key(Schema):
    """A key, without its secret."""

    key_id = fields.String(required=True, metadata={"example": "key_5d1e8bb0936fa7c24410"})
    name = fields.String(required=True)
    role = fields.String(required=True, validate=validate.OneOf(ROLES))
    clusters = fields.List(fields.String(), required=True, allow_none=True, metadata=_CLUSTERS)
    namespaces = fields.List(fields.String(), required=True, allow_none=True, metadata=_NAMESPACES)
    command_types = fields.List(fields.String(), required=True, allow_none=True, metadata=_TYPES)
    kinds = fields.List(fields.String(), required=True, allow_none=True, metadata=_KINDS)
    denied_kinds = fields.List(fields.String(), required=True, allow_none=True, metadata=_DENIED_KINDS)
    rate_limits = fields.Nested(RateLimits, required=True, allow_none=True, metadata=_LIMITS)
    max_output_bytes = fields.Integer(required=True, allow_none=True)
    created_at = Timestamp(required=True)
    expires_at = Timestamp(required=True, allow_none=True)


class CreatedKey(Key):
    """A key with its secret, shown this once."""

    api_key = fields.String(required=True, metadata={"description": "Shown once; only its hash is kept."})


class Rotation(Schema):
    """How a key is given another secret."""

    overlap_seconds = fields.Integer(
        strict=True,
        load_default=DEFAULT_OVERLAP_SECONDS,
        validate=validate.Range(0, MAX_OVERLAP_SECONDS),
        metadata={"description": "So long the secret that it had works beside the new one."},
    )


class RotatedKey(CreatedKey):
    """A key with its new secret, shown this once."""

    retired_until = Timestamp(required=True, metadata={"description": "When the secret that it had stops working."})


class KeyList(Schema):
    """All keys, oldest first."""

    keys = fields.List(fields.Nested(Key), required=True)
    total = fields.Integer(required=True)
