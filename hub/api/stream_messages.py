"""What the hub says on a stream, made of what its services say."""

from hub.api.commands import dump_ending
from hub.bus.base import ClusterEvent, Event
from hub.errors import Draining, HubError
from hub.records import Result
from hub.responses import details_of
from schemas.stream import ClusterChanged, Completed, Error, SessionChanged


def completed(result: Result) -> Completed:
    """A command's end."""
    return Completed(dump_ending(result))


def changed(event: Event) -> SessionChanged | ClusterChanged:
    """An event."""
    if isinstance(event, ClusterEvent):
        return ClusterChanged(event.kind, event.cluster_id)
    return SessionChanged(event.kind, event.session.session_id, event.session.cluster_id)


def refusal(error: HubError, *, request_id: str | None = None, result_id: str | None = None) -> Error:
    """The error body, and what it is about."""
    return Error(error.row.code, error.message, details_of(error), request_id, result_id)


def draining(last_seqs: dict[str, int]) -> Error:
    """What a stopping hub says last: where to go on, `{result_id: last number that was sent}`."""
    text = "The hub is stopping; follow on from details.results at its successor"
    return Error(Draining.row.code, text, {"results": last_seqs})
