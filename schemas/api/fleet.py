"""Commands on many clusters over REST; the lines of the answer are in schemas/fleet.py."""

from typing import Any, Final

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from schemas import globs
from schemas.api.commands import DEFAULT_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS, MIN_TIMEOUT_SECONDS, Execute
from schemas.api.fields import Selector
from schemas.api.sessions import NewSession
from schemas.ids import is_cluster_id

MAX_NAMES: Final = 1000
MAX_GLOBS: Final = 32  # each is held against each cluster
MAX_CONCURRENCY: Final = 64
DEFAULT_CONCURRENCY: Final = 16


def _check_pattern(text: str) -> None:
    if len(text) > 128 or not (is_cluster_id(text) or globs.is_glob(text)) or not text.isprintable():
        raise ValidationError("Neither a cluster's name nor a glob such as prod-*.")


def _check_globs(names: list[str]) -> None:
    count = sum(map(globs.is_glob, names))
    if count > MAX_GLOBS:
        raise ValidationError(f"{count} globs, {MAX_GLOBS} at most; choose by labels instead.")


class FleetExecute(Schema):
    """A command, and the clusters to run it on: those that `clusters` names and those that `selector` chooses."""

    clusters = fields.List(
        fields.String(validate=_check_pattern),
        load_default=list,
        validate=[validate.Length(0, MAX_NAMES), _check_globs],
        metadata={"description": "Names and globs.", "example": ["prod-*", "staging"]},
    )
    selector = Selector(metadata={"description": "Those whose labels it chooses, as kubectl's `-l` does."})
    command_type = Execute._declared_fields["command_type"]
    args = Execute._declared_fields["args"]
    timeout = fields.Integer(
        strict=True,
        load_default=DEFAULT_TIMEOUT_SECONDS,
        validate=validate.Range(MIN_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS),
        metadata={"description": "Seconds that each cluster has, from when its turn comes."},
    )
    concurrency = fields.Integer(
        strict=True,
        load_default=DEFAULT_CONCURRENCY,
        validate=validate.Range(1, MAX_CONCURRENCY),
        metadata={"description": "How many clusters are asked at once."},
    )
    max_output_bytes = Execute._declared_fields["max_output_bytes"]
    max_lines = Execute._declared_fields["max_lines"]
    tail_lines = Execute._declared_fields["tail_lines"]
    grep = Execute._declared_fields["grep"]
    metadata = NewSession._declared_fields["metadata"]

    @validates_schema
    def _has_clusters(self, data: dict[str, Any], **_: Any) -> None:
        if not data["clusters"] and "selector" not in data:
            raise ValidationError("Missing data for required field.", "clusters")


class FleetLine(Schema):
    """One line of a fleet's answer: `started`, `result`, `error`, `heartbeat` or `completed`; see docs/api.md."""

    type = fields.String(
        required=True, validate=validate.OneOf(("started", "result", "error", "heartbeat", "completed"))
    )
