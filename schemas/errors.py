"""The error catalogue: every code a REST caller can meet, as data.

`hub/errors.py` raises them, `hub/middleware/errors.py` prints them, docs/errors.md explains them and a test holds the
three together. The body is always the same shape:
`{"error": "not_found", "message": "Session not found: sess_…", "details": {…}}`, `details` only where there is any.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One row of the catalogue."""

    code: str
    status: int
    is_retryable: bool
    meaning: str


INVALID_REQUEST: Final = ErrorCode(
    "invalid_request", 400, False, "The request is malformed; `details.field` names the place."
)
UNAUTHORIZED: Final = ErrorCode("unauthorized", 401, False, "No API key, or one that is unknown, revoked or expired.")
FORBIDDEN: Final = ErrorCode("forbidden", 403, False, "The key is valid, its role does not allow this.")
COMMAND_REFUSED: Final = ErrorCode(
    "command_refused", 403, False, "The command is not one that may run; it never reached the agent."
)
REQUEST_TIMEOUT: Final = ErrorCode(
    "request_timeout", 408, True, "The request did not come to its end in time; send it again at once."
)
NOT_FOUND: Final = ErrorCode("not_found", 404, False, "No such thing, or not one this key may see.")
METHOD_NOT_ALLOWED: Final = ErrorCode(
    "method_not_allowed", 405, False, "The path exists, this method on it does not; see the `Allow` header."
)
SESSION_NOT_ACTIVE: Final = ErrorCode("session_not_active", 409, False, "The session is closed or expired.")
IDEMPOTENCY_CONFLICT: Final = ErrorCode(
    "idempotency_conflict", 409, False, "This Idempotency-Key was used with another body."
)
ALREADY_EXISTS: Final = ErrorCode("already_exists", 409, False, "A thing of that name exists.")
PAYLOAD_TOO_LARGE: Final = ErrorCode("payload_too_large", 413, False, "The body is over 1 MiB.")
UNSUPPORTED_MEDIA_TYPE: Final = ErrorCode("unsupported_media_type", 415, False, "The body is not `application/json`.")
UPGRADE_REQUIRED: Final = ErrorCode(
    "upgrade_required", 426, False, "Not a WebSocket upgrade, or an agent whose protocol version is too old."
)
RATE_LIMITED: Final = ErrorCode("rate_limited", 429, True, "Too many requests; wait `details.retry_after` seconds.")
INTERNAL_ERROR: Final = ErrorCode(
    "internal_error", 500, True, "A fault of the hub; its log has the `details.request_id`."
)
SERVICE_UNAVAILABLE: Final = ErrorCode(
    "service_unavailable",
    503,
    True,
    "The cluster's agent is not connected; `details.last_seen` says since when.",
)
QUEUE_FULL: Final = ErrorCode("queue_full", 503, True, "Too many commands wait for this cluster.")
STORE_FULL: Final = ErrorCode("store_full", 503, True, "The hub cannot write to its store (disk full).")
OUTPUT_EXPIRED: Final = ErrorCode(
    "output_expired",
    410,
    False,
    "The store has let go of output so old; `details.first_seq` or `details.first_offset` is what it still has.",
)
SUBSCRIBER_LAGGING: Final = ErrorCode(
    "subscriber_lagging",
    429,
    True,
    "This reader fell too far behind a live stream; follow again from `details.last_seq`.",
)
TOO_MANY_STREAMS: Final = ErrorCode(
    "too_many_streams", 429, True, "As many streams or commands on one socket as may be; end one first."
)
DRAINING: Final = ErrorCode("draining", 503, True, "The hub is stopping; another or a restarted one will answer.")

CATALOGUE: Final[dict[str, ErrorCode]] = {
    row.code: row
    for row in (
        INVALID_REQUEST,
        UNAUTHORIZED,
        FORBIDDEN,
        COMMAND_REFUSED,
        NOT_FOUND,
        REQUEST_TIMEOUT,
        METHOD_NOT_ALLOWED,
        SESSION_NOT_ACTIVE,
        IDEMPOTENCY_CONFLICT,
        ALREADY_EXISTS,
        PAYLOAD_TOO_LARGE,
        UNSUPPORTED_MEDIA_TYPE,
        UPGRADE_REQUIRED,
        RATE_LIMITED,
        INTERNAL_ERROR,
        SERVICE_UNAVAILABLE,
        QUEUE_FULL,
        STORE_FULL,
        OUTPUT_EXPIRED,
        SUBSCRIBER_LAGGING,
        TOO_MANY_STREAMS,
        DRAINING,
    )
}
