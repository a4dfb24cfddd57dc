"""Field kinds the bodies share."""

import datetime
import functools
from typing import Any, Final

from marshmallow import ValidationError, fields, validate

from schemas import labels
from schemas.ids import CLUSTER_ID_PATTERN

_ONE_LINE: Final = r"^[^\x00-\x1f\x7f]*$"
RFC3339_EXAMPLE: Final = "2026-01-20T10:30:45Z"


def rfc3339(seconds: float | None) -> str | None:
    """Write a time as the API does: `1768905045.2` is `"2026-01-20T10:30:45Z"`; None stays None."""
    return None if seconds is None else _rfc3339(int(seconds))


@functools.lru_cache(maxsize=1024)
def _rfc3339(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Timestamp(fields.Field[float]):
    """Seconds since the epoch here, RFC 3339 in UTC on the wire."""

    def __init__(self, **kwargs: Any) -> None:
        metadata = {"type": "string", "format": "date-time", "example": RFC3339_EXAMPLE}
        super().__init__(metadata=metadata | kwargs.pop("metadata", {}), **kwargs)

    def _serialize(self, value: float | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:  # noqa: ARG002
        return rfc3339(value)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> float:  # noqa: ARG002
        if not isinstance(value, str):
            raise ValidationError("Not a valid time: an RFC 3339 string is expected.")
        try:
            moment = datetime.datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None or len(value) < len("2026-01-20T10:30Z"):
            raise ValidationError(f"Not a valid time: write it like {RFC3339_EXAMPLE}.")
        try:
            return moment.timestamp()
        except (OverflowError, ValueError):
            raise ValidationError("Not a valid time: out of range.") from None


class Pattern(validate.Regexp):
    """A pattern for the whole text, documented as `^…$`; to Python alone `$` would also match before a last newline."""

    def __call__(self, value: str) -> str:  # type: ignore[override]
        """Return the value. Raises ValidationError."""
        if value.endswith("\n"):
            raise ValidationError(self.error)
        return super().__call__(value)


class ClusterId(fields.String):
    """A DNS label."""

    def __init__(self, **kwargs: Any) -> None:
        rule = Pattern(
            f"^{CLUSTER_ID_PATTERN}$",
            error="Not a DNS label: lower-case letters, digits and '-' inside, 63 at most.",
        )
        metadata = {"example": "production-cluster"} | kwargs.pop("metadata", {})
        super().__init__(validate=rule, metadata=metadata, **kwargs)


class Flag(fields.Boolean):
    """JSON's true or false, and nothing that only looks like it."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:  # noqa: ARG002
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class Labels(fields.Dict):
    """Labels in Kubernetes' syntax: `{"env": "prod"}`."""

    def __init__(self, **kwargs: Any) -> None:
        metadata = {"example": {"env": "prod"}} | kwargs.pop("metadata", {})
        super().__init__(keys=fields.String(), values=fields.String(), metadata=metadata, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        found = super()._deserialize(value, attr, data, **kwargs)  # type: ignore[no-untyped-call]
        try:
            labels.check(found)
        except labels.LabelError as error:
            raise ValidationError(str(error)) from None
        return found


class Selector(fields.String):
    """A label selector, as kubectl's `-l` has it; the text here."""

    def __init__(self, **kwargs: Any) -> None:
        metadata = {"example": "env=prod,tier in (web,api)"} | kwargs.pop("metadata", {})
        super().__init__(validate=_check_selector, metadata=metadata, **kwargs)


def _check_selector(text: str) -> None:
    try:
        labels.selector(text)
    except labels.LabelError as error:
        raise ValidationError(str(error)) from None


class Line(fields.String):
    """Text of one line, without control characters."""

    def __init__(self, *, max_length: int, min_length: int = 1, **kwargs: Any) -> None:
        rules: list[Any] = [
            validate.Length(min=min_length, max=max_length),
            Pattern(_ONE_LINE, error="Control characters are not allowed."),
        ]
        super().__init__(validate=rules, **kwargs)
