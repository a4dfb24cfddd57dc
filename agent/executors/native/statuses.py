"""What the API server says when it says no: its Status objects, and the words kubectl has for them. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from agent.executors.native.errors import CommandFailed, StatusError, Unreachable
from agent.executors.native.resources import Resource

# What client-go takes an answer without a Status for, by HTTP status: its reason and its message. None: the server's
# own text is the message.
_GENERIC: Final[Mapping[int, tuple[str, str | None]]] = {
    400: ("BadRequest", "the server rejected our request for an unknown reason"),
    401: ("Unauthorized", "the server has asked for the client to provide credentials"),
    403: ("Forbidden", None),
    404: ("NotFound", "the server could not find the requested resource"),
    405: ("MethodNotAllowed", "the server does not allow this method on the requested resource"),
    406: ("NotAcceptable", None),
    409: ("Conflict", "the server reported a conflict"),
    415: ("UnsupportedMediaType", None),
    422: ("Invalid", "the server rejected our request due to an error in our request"),
    429: ("TooManyRequests", "the server has received too many requests and has asked us to try again later"),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    504: (
        "Timeout",
        "the server was unable to return a response in the time allotted, but may still be processing the request",
    ),
}
_NOT_ACCEPTABLE: Final = "the server was unable to respond with a content type that the client supports"
_SUBRESOURCES_OF_NAMESPACES: Final = frozenset({"status", "finalize"})


def of_response(code: int, body: bytes, *, content_type: str, method: str, path: str) -> dict[str, Any]:
    """The Status of an error's body; where that is none, the one client-go makes up for `method` (`get`) and `path`."""
    try:
        status = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        status = None
    if isinstance(status, dict) and status.get("kind") == "Status":
        return status
    is_text = not content_type or content_type.startswith("text/")
    said = body.decode(errors="replace").strip() if is_text else "unknown"
    reason, message = _GENERIC.get(code, ("", None))
    if code == 406 and (not said or not is_text):
        message = _NOT_ACCEPTABLE
    elif reason and message is None:
        message = said
    elif message is None and code >= 500:
        reason = "InternalError"
        message = (
            f"an error on the server ({json.dumps(said, ensure_ascii=False)}) has prevented the request from succeeding"
        )
    elif message is None:
        message = f"the server responded with the status code {code} but did not return more information"
    qualified, name = _asked_for(path)
    if qualified:
        message += f" ({method} {qualified}{name and f' {name}'})"
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "reason": reason,
        "details": {
            "name": name,
            "kind": qualified.partition(".")[0],
            "causes": [{"reason": "UnexpectedServerResponse", "message": said}],
        },
        "code": code,
    }


def text(error: StatusError) -> str:
    """What kubectl prints for an error that ends a command, without the newline: `Error from server (NotFound): …`."""
    return _invalid(error) if error.reason == "Invalid" else line(error)


def line(error: StatusError) -> str:
    """The same for one error among several, which has a line of its own."""
    if error.reason == "Unauthorized":
        return f"error: You must be logged in to the server ({error.message})"
    return f"Error from server{f' ({error.reason})' if error.reason else ''}: {error.message}"


def several(errors: Sequence[StatusError | CommandFailed | Unreachable]) -> CommandFailed:
    """What kubectl makes of all the errors of a command: of several, each on a line and without "error: "."""
    if len(errors) == 1:
        return CommandFailed(text(errors[0]) if isinstance(errors[0], StatusError) else str(errors[0]))
    return CommandFailed(
        "\n".join(
            line(error) if isinstance(error, StatusError) else str(error).removeprefix("error: ") for error in errors
        )
    )


def of_list(error: StatusError, resource: Resource, selector: str = "", field_selector: str = "") -> StatusError:
    """The error of a list, which names what could not be listed when it is not there or was asked for badly."""
    if error.reason not in {"NotFound", "BadRequest"}:
        return error
    subject = f'"{resource.group}/{resource.version}, Resource={resource.plural}"'
    if selector or field_selector:
        message = (
            f"Unable to find {subject} that match label selector {json.dumps(selector, ensure_ascii=False)}, "
            f"field selector {json.dumps(field_selector, ensure_ascii=False)}: {error.message}"
        )
    else:
        message = f"Unable to list {subject}: {error.message}"
    return StatusError(error.code, {**error.status, "message": message})


def _invalid(error: StatusError) -> str:
    details = error.status.get("details")
    if not isinstance(details, dict):
        return f"The request is invalid: {error.message}"
    said = "The request is invalid"
    if details.get("kind") or details.get("name"):
        name = json.dumps(str(details.get("name") or ""), ensure_ascii=False)
        said = f"The {details.get('kind') or ''} {name} is invalid"
    causes = [cause for cause in details.get("causes") or () if isinstance(cause, dict)]
    # Each once, in their order.
    lines = list(dict.fromkeys(f"{cause.get('field') or ''}: {cause.get('message') or ''}" for cause in causes))
    if not lines:
        return said
    if len(lines) == 1:
        return f"{said}: {lines[0]}"
    return "\n".join((f"{said}: ", *(f"* {cause}" for cause in lines)))


def _asked_for(path: str) -> tuple[str, str]:
    """The qualified resource and the name in an API path, "" for what is not there: `("deployments.apps", "web")`."""
    match [unquote(segment) for segment in path.strip("/").split("/")]:
        case ["api", _, *rest]:
            group = ""
        case ["apis", group, _, *rest]:
            pass
        case _:
            return "", ""
    if len(rest) > 2 and rest[0] == "namespaces" and rest[2] not in _SUBRESOURCES_OF_NAMESPACES:
        rest = rest[2:]
    if not rest:
        return "", ""
    return f"{rest[0]}.{group}" if group else rest[0], rest[1] if len(rest) > 1 else ""
