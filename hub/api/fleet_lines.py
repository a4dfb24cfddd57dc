"""A fleet's answers as lines: which clusters are asked, then each as it ends, then how many there were."""

from collections.abc import Sequence

import msgspec

from hub.api import stream_messages as messages
from hub.api.commands import dump
from hub.api.stream_lines import Batch
from hub.errors import HubError
from hub.responses import details_of
from hub.services.commands import Answer
from hub.services.fleet import Row, Rows
from schemas.fleet import FleetCompleted, FleetError, FleetResult, FleetRow, FleetStarted


class FleetLines:
    """See Source. The caller ends what runs when the reader has left."""

    def __init__(self, chosen: Sequence[str], rows: Rows) -> None:
        self.name = f"a fleet of {len(chosen)}"
        self._chosen = list(chosen)
        self._rows = rows
        self._succeeded = 0
        self._is_begun = False

    async def next(self) -> Batch:
        """See Source."""
        total = len(self._chosen)
        if not self._is_begun:
            self._is_begun = True
            return Batch([FleetStarted(self._chosen, total)], is_last=False)
        row = await self._rows.next()
        if row is None:
            return Batch([FleetCompleted(total, self._succeeded, total - self._succeeded)], is_last=True)
        self._succeeded += row.is_success
        return Batch([_line(row)], is_last=False)

    def refusal(self, error: HubError, sent: msgspec.Struct | None) -> msgspec.Struct:  # noqa: ARG002
        """See Source."""
        return messages.refusal(error)


def _line(row: Row) -> FleetRow:
    outcome = row.outcome
    if isinstance(outcome, Answer):
        return FleetResult(row.cluster_id, dump(outcome))
    return FleetError(row.cluster_id, outcome.row.code, outcome.message, details_of(outcome))
