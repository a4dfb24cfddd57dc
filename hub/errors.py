"""What the hub says no with. Every HubError points at a row of `schemas/errors.py`; `middleware/errors.py` prints it.

    HubError
    ├── InvalidRequest          400  .field, .code in details
    │   └── ClusterMismatch
    ├── Unauthorized            401
    ├── Forbidden               403
    ├── CommandRefused          403
    ├── NotFound                404
    ├── SessionNotActive        409
    ├── IdempotencyConflict     409
    ├── AlreadyExists           409
    ├── UpgradeRequired         426
    ├── OutputExpired           410
    ├── SubscriberLagging       429
    ├── TooManyStreams          429
    ├── RateLimited             429  Retry-After
    └── Unavailable             503  Retry-After
        ├── ClusterOffline
        ├── QueueFull
        ├── StoreFull
        └── Draining

An outcome of a command (non-zero exit, timeout, refusal by the agent) is no HubError: it is a result with a status.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from schemas import errors as catalogue
from schemas.errors import ErrorCode


class HubError(Exception):
    """A refusal with a catalogue code. `details` is JSON for the caller; `headers` go on the response."""

    row: ClassVar[ErrorCode] = catalogue.INTERNAL_ERROR

    def __init__(
        self,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = dict(details or {})
        self.headers = dict(headers or {})


class InvalidRequest(HubError):
    """The request is malformed at `field`; `code` says how, in snake_case."""

    row = catalogue.INVALID_REQUEST

    def __init__(self, message: str, *, field: str, code: str) -> None:
        super().__init__(message, details={"field": field, "code": code})


class ClusterMismatch(InvalidRequest):
    """The session is of another cluster than the command names."""

    def __init__(self, session_cluster_id: str, cluster_id: str) -> None:
        message = f"The session is of cluster {session_cluster_id}, not {cluster_id}"
        super().__init__(message, field="cluster_id", code="cluster_mismatch")


class Unauthorized(HubError):
    """No key, or not a valid one. The message never says which."""

    row = catalogue.UNAUTHORIZED

    def __init__(self, message: str = "Invalid or missing API key") -> None:
        super().__init__(message, headers={"WWW-Authenticate": 'Bearer realm="kubently"'})


class Forbidden(HubError):
    """The key's role does not allow this."""

    row = catalogue.FORBIDDEN


class CommandRefused(HubError):
    """The command is outside the grammar; details say which argument, by which rule, and what is allowed."""

    row = catalogue.COMMAND_REFUSED


class NotFound(HubError):
    """No such thing, or not one this caller may see: the message is the same for both."""

    row = catalogue.NOT_FOUND


class RequestTimeout(HubError):
    """A request that does not come to its end."""

    row = catalogue.REQUEST_TIMEOUT


class SessionNotActive(HubError):
    """The session was closed or has expired."""

    row = catalogue.SESSION_NOT_ACTIVE

    def __init__(self, session_id: str, status: str) -> None:
        super().__init__(f"Session is {status}: {session_id}", details={"status": status})


class IdempotencyConflict(HubError):
    """The Idempotency-Key stands for another request."""

    row = catalogue.IDEMPOTENCY_CONFLICT


class AlreadyExists(HubError):
    """A thing of that name exists."""

    row = catalogue.ALREADY_EXISTS


class UpgradeRequired(HubError):
    """The agent endpoint was not asked for a WebSocket of a protocol version the hub speaks."""

    row = catalogue.UPGRADE_REQUIRED


class OutputExpired(HubError):
    """What was asked for is older than what the store still has of a stream; details say where that begins."""

    row = catalogue.OUTPUT_EXPIRED


class SubscriberLagging(HubError):
    """A reader fell behind what is kept in memory of a live stream; it may follow again, from the store."""

    row = catalogue.SUBSCRIBER_LAGGING

    def __init__(self, result_id: str, *, last_seq: int, newest_seq: int) -> None:
        super().__init__(
            "This reader fell too far behind; follow again from details.last_seq",
            details={"result_id": result_id, "last_seq": last_seq, "newest_seq": newest_seq},
        )


class TooManyStreams(HubError):
    """The key has as many sockets open, or the socket as much under way, as it may."""

    row = catalogue.TOO_MANY_STREAMS


class RateLimited(HubError):
    """The bucket is empty for `retry_after` whole seconds."""

    row = catalogue.RATE_LIMITED

    def __init__(self, *, limit: int, retry_after: int) -> None:
        super().__init__(
            "Rate limit exceeded",
            details={"limit": limit, "window": "1m", "retry_after": retry_after},
            headers={"Retry-After": str(retry_after)},
        )


class Unavailable(HubError):
    """Not now; `retry_after` seconds is a fair time to ask again."""

    row = catalogue.SERVICE_UNAVAILABLE

    def __init__(self, message: str, *, retry_after: int = 5, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message, details=details, headers={"Retry-After": str(retry_after)})


class ClusterOffline(Unavailable):
    """The cluster is registered and its agent is not connected."""


class QueueFull(Unavailable):
    """As many commands wait for this cluster as may."""

    row = catalogue.QUEUE_FULL


class StoreFull(Unavailable):
    """The store cannot take more: the disk is full, or the file is locked or cannot be written any longer."""

    row = catalogue.STORE_FULL

    def __init__(self, message: str = "The hub's store cannot be written; see the hub's log") -> None:
        super().__init__(message, retry_after=30)


class Draining(Unavailable):
    """The hub is stopping and takes no new commands."""

    row = catalogue.DRAINING

    def __init__(self) -> None:
        super().__init__("The hub is stopping; try again shortly")


class StoreUnusable(Exception):
    """The database cannot be opened: locked, read-only, newer than this code, or no database. One clear sentence.

    Raised at start only; the program prints it and exits with code 2, the file untouched.
    """
