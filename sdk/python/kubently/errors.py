"""What can go wrong, one class for each code of the hub's error catalogue.

    KubentlyError
    ├── ConfigurationError      what the client was made with cannot work; nothing was sent
    ├── ConnectionFailed        the hub gave no answer, or broke off in the middle of one
    │   ├── TimedOut            it did not give it in time
    │   └── NotTrusted          its certificate is not one that is trusted
    └── HubError                the hub said no: .code .status .details .correlation_id .retry_after
        ├── InvalidRequest          400  .field
        ├── Unauthorized            401
        ├── Forbidden               403
        ├── CommandRefused          403  .argument .rule .by .allowed
        ├── NotFound                404
        ├── MethodNotAllowed        405
        ├── RequestTimeout          408
        ├── SessionNotActive        409
        ├── IdempotencyConflict     409
        ├── AlreadyExists           409
        ├── OutputExpired           410
        ├── PayloadTooLarge         413
        ├── UnsupportedMediaType    415
        ├── UpgradeRequired         426
        ├── RateLimited             429
        ├── SubscriberLagging       429
        ├── TooManyStreams          429
        ├── InternalError           500
        └── ServiceUnavailable      503
            ├── ClusterOffline          its agent is not connected: .cluster_id .last_seen
            ├── QueueFull
            ├── StoreFull
            └── Draining

The outcome of a command is no error: a non-zero exit, a timeout, a refusal by the cluster are results, see `Result`.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Final


class KubentlyError(Exception):
    """Everything this library raises of its own accord. `str(error)` is one sentence for people."""


class ConfigurationError(KubentlyError, ValueError):
    """The client was made with something that cannot work; the message names it and the remedy."""


class ConnectionFailed(KubentlyError):
    """The hub gave no answer, or broke off in the middle of one, as often as was tried.

    `is_sent` is False where the request surely never reached the hub. `result_id` and `last_seq` are those of a stream
    that broke: `follow(result_id, last_seq)` goes on from there; None and 0 elsewhere.
    """

    def __init__(self, message: str, *, is_sent: bool = True, result_id: str | None = None, last_seq: int = 0) -> None:
        super().__init__(message)
        self.is_sent = is_sent
        self.result_id = result_id
        self.last_seq = last_seq


class TimedOut(ConnectionFailed):
    """The hub took longer than the client's `timeout`."""


class NotTrusted(ConnectionFailed):
    """The hub's certificate is not trusted. Is not tried again by itself."""


class HubError(KubentlyError):
    """The hub said no, with a code that this library does not know, or something on the way said it in its place.

    `code` is what a program should look at (`"not_found"`), `status` the HTTP status, None for what came in the middle
    of a stream. `details` is what the code has for programs, empty when nothing. `correlation_id` finds the request in
    the hub's log. `retry_after` is in seconds, None when the hub did not say.
    """

    default_code: ClassVar[str] = ""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        details: Mapping[str, Any] | None = None,
        correlation_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = self.default_code if code is None else code
        self.status = status
        self.details: dict[str, Any] = dict(details or {})
        self.correlation_id = correlation_id
        self.retry_after = retry_after


class InvalidRequest(HubError):
    """The request is malformed."""

    default_code = "invalid_request"

    @property
    def field(self) -> str | None:
        """The place that is wrong: `"args.0"`, the name of a header or of a query parameter."""
        return self.details.get("field")


class Unauthorized(HubError):
    """No API key, or one that is unknown, removed or expired."""

    default_code = "unauthorized"


class Forbidden(HubError):
    """The key is valid and its role does not allow this."""

    default_code = "forbidden"


class CommandRefused(HubError):
    """The command may not run; it was not stored and never reached the cluster."""

    default_code = "command_refused"

    @property
    def argument(self) -> str | None:
        """What gave offence."""
        return self.details.get("argument")

    @property
    def rule(self) -> str | None:
        """The rule, such as `"denied_verb"`."""
        return self.details.get("rule")

    @property
    def by(self) -> str | None:
        """Whose rule it is: `"grammar"`, `"hub"` or `"key"`."""
        return self.details.get("by")

    @property
    def allowed(self) -> list[str]:
        """What may stand in its place; empty when the hub did not say."""
        return list(self.details.get("allowed") or ())


class NotFound(HubError):
    """There is no such thing, or this key may not see it."""

    default_code = "not_found"


class MethodNotAllowed(HubError):
    """The hub has that path and not that method on it: it is older or newer than this library."""

    default_code = "method_not_allowed"


class RequestTimeout(HubError):
    """The request did not come to its end in time."""

    default_code = "request_timeout"


class SessionNotActive(HubError):
    """The session was closed or has expired."""

    default_code = "session_not_active"


class IdempotencyConflict(HubError):
    """The idempotency key was used for another request."""

    default_code = "idempotency_conflict"


class AlreadyExists(HubError):
    """A thing of that name exists."""

    default_code = "already_exists"


class OutputExpired(HubError):
    """The hub has let go of output so old; `details` says where what it still has begins."""

    default_code = "output_expired"


class PayloadTooLarge(HubError):
    """The request's body is over 1 MiB."""

    default_code = "payload_too_large"


class UnsupportedMediaType(HubError):
    """The request's body is not JSON."""

    default_code = "unsupported_media_type"


class UpgradeRequired(HubError):
    """That path wants a WebSocket."""

    default_code = "upgrade_required"


class RateLimited(HubError):
    """The key has used up its requests of this minute; `retry_after` seconds and there are more."""

    default_code = "rate_limited"


class SubscriberLagging(HubError):
    """This reader fell too far behind the others of a command's output."""

    default_code = "subscriber_lagging"


class TooManyStreams(HubError):
    """The key has as many streams open as it may."""

    default_code = "too_many_streams"


class InternalError(HubError):
    """A fault of the hub."""

    default_code = "internal_error"


class ServiceUnavailable(HubError):
    """Not now; the same request may succeed later."""

    default_code = "service_unavailable"


class ClusterOffline(ServiceUnavailable):
    """The cluster is registered and its agent is not connected. Is not tried again by itself: see `wait`."""

    @property
    def cluster_id(self) -> str | None:
        """Which cluster."""
        return self.details.get("cluster_id")

    @property
    def last_seen(self) -> str | None:
        """When its agent was last there, RFC 3339; None: never."""
        return self.details.get("last_seen")


class QueueFull(ServiceUnavailable):
    """Too many commands wait for this cluster."""

    default_code = "queue_full"


class StoreFull(ServiceUnavailable):
    """The hub cannot write to its store."""

    default_code = "store_full"


class Draining(ServiceUnavailable):
    """The hub is stopping; another or a restarted one will answer."""

    default_code = "draining"


def _subclasses(base: type[HubError]) -> list[type[HubError]]:
    return [found for each in base.__subclasses__() for found in (each, *_subclasses(each))]


# By code. ClusterOffline has none of its own: it is `service_unavailable` that names a cluster.
BY_CODE: Final[Mapping[str, type[HubError]]] = {
    each.default_code: each for each in _subclasses(HubError) if "default_code" in vars(each)
}


def hub_error(
    body: Mapping[str, Any],
    *,
    status: int | None = None,
    correlation_id: str | None = None,
    retry_after: float | None = None,
) -> HubError:
    """The error that a body of the hub's stands for: `{"error": "not_found", "message": "…", "details": {…}}`."""
    code, details = str(body.get("error")), body.get("details")
    details = details if isinstance(details, dict) else {}
    kind = BY_CODE.get(code, HubError)
    if kind is ServiceUnavailable and "last_seen" in details:
        kind = ClusterOffline
    if retry_after is None and isinstance(details.get("retry_after"), int | float):
        retry_after = float(details["retry_after"])
    return kind(
        str(body.get("message") or code),
        code=code,
        status=status,
        details=details,
        correlation_id=correlation_id,
        retry_after=retry_after,
    )
