"""Clusters and agent tokens on the wire."""

from typing import Final

from marshmallow import Schema, fields, validate

from schemas.api.fields import ClusterId, Labels, Line, Selector, Timestamp

CLUSTER_STATUSES: Final = ("connected", "disconnected")
_STATUS: Final = validate.OneOf(CLUSTER_STATUSES)
_LABELS: Final = {"description": "What its agent announced, and over that what admins have set."}
_SET_LABELS: Final = {"description": "Its labels as a whole, besides those that its agent announces."}


class Cluster(Schema):
    """A cluster in a list."""

    cluster_id = fields.String(required=True)
    name = fields.String(required=True, metadata={"example": "Production Cluster"})
    status = fields.String(required=True, validate=_STATUS)
    agent_version = fields.String(required=True, allow_none=True)
    kubernetes_version = fields.String(required=True, allow_none=True)
    last_seen = Timestamp(required=True, allow_none=True)
    labels = Labels(required=True, metadata=_LABELS)
    created_at = Timestamp(required=True)


class ClusterFilter(Schema):
    """Which clusters to list; absent filters let all through."""

    status = fields.String(validate=_STATUS)
    cluster_id = ClusterId()
    selector = Selector(metadata={"description": "Those whose labels it chooses, as kubectl's `-l` does."})
    limit = fields.Integer(load_default=100, validate=validate.Range(1, 1000))
    cursor = Line(max_length=63, metadata={"description": "`next_cursor` of the page before."})


class ClusterList(Schema):
    """A page of clusters by id; `total` counts all that match the filter."""

    clusters = fields.List(fields.Nested(Cluster), required=True)
    total = fields.Integer(required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class ClusterState(Schema):
    """One cluster now."""

    cluster_id = fields.String(required=True)
    status = fields.String(required=True, validate=_STATUS)
    agent_version = fields.String(required=True, allow_none=True)
    kubernetes_version = fields.String(required=True, allow_none=True)
    last_seen = Timestamp(required=True, allow_none=True)
    labels = Labels(required=True, metadata=_LABELS)
    active_sessions = fields.Integer(required=True)
    queue_depth = fields.Integer(required=True, metadata={"description": "Commands that wait for their turn."})


class PolicyLimits(Schema):
    """The most that a command may take, and the most at once; null: as the hub asks."""

    max_seconds = fields.Float(required=True, allow_none=True)
    max_output_bytes = fields.Integer(required=True, allow_none=True)
    max_commands = fields.Integer(required=True, allow_none=True)
    max_streams = fields.Integer(required=True, allow_none=True)


class Policy(Schema):
    """What a cluster's owner allows; `["*"]` is all there are."""

    verbs = fields.List(fields.String(), required=True)
    namespaces = fields.List(fields.String(), required=True)
    kinds = fields.List(fields.String(), required=True)
    denied_kinds = fields.List(fields.String(), required=True)
    redaction = fields.String(required=True)
    control_characters = fields.String(required=True)
    limits = fields.Nested(PolicyLimits, required=True)
    problem = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Why a newer policy of the owner's does not hold; null: this is the newest."},
    )


class ClusterPolicy(Schema):
    """A cluster's policy as its agent told it; null: none has yet."""

    cluster_id = fields.String(required=True)
    policy = fields.Nested(Policy, required=True, allow_none=True)
    told_at = Timestamp(required=True, allow_none=True)


class NewCluster(Schema):
    """What a cluster is registered with."""

    cluster_id = ClusterId(required=True)
    name = Line(
        max_length=128,
        metadata={"description": "For people; default the id.", "example": "Production Cluster"},
    )
    labels = Labels(load_default=dict, metadata=_SET_LABELS)


class ClusterChange(Schema):
    """What of a cluster is to change; what is absent stays as it is."""

    name = Line(max_length=128)
    labels = Labels(metadata=_SET_LABELS)


class TokenTerms(Schema):
    """What an agent token is made with."""

    may_be_absent = True  # the body: a token without an end needs none

    expires_at = Timestamp(
        allow_none=True,
        load_default=None,
        metadata={"description": "From then on it is not valid, and the link that was opened with it is closed."},
    )


class Token(Schema):
    """An agent token, without its secret."""

    token_id = fields.String(required=True, metadata={"example": "tok_09f7a1be22c4d6e8f013"})
    created_at = Timestamp(required=True)
    expires_at = Timestamp(required=True, allow_none=True)


class NewToken(Token):
    """An agent token with its secret, shown this once."""

    cluster_id = fields.String(required=True)
    agent_token = fields.String(required=True, metadata={"description": "Shown once; only its hash is kept."})


class RegisteredCluster(Cluster):
    """A cluster just registered, with its first agent token."""

    token_id = fields.String(required=True)
    agent_token = fields.String(required=True, metadata={"description": "Shown once; only its hash is kept."})


class ClusterTokens(Cluster):
    """A cluster with its tokens, for admins."""

    tokens = fields.List(fields.Nested(Token), required=True)
