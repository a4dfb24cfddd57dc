"""One result as lines, for those who only want to read: what is there, then what comes."""

import msgspec

from hub.api import stream_messages as messages
from hub.api.stream_lines import Batch
from hub.errors import Draining, HubError
from hub.records import Result
from hub.subscribers import Follower
from schemas.stream import Output


class ResultLines:
    """See Source. The caller closes the follower; a reader that leaves leaves the command alone."""

    def __init__(self, result_id: str, follower: Follower) -> None:
        self.name = result_id
        self._follower = follower
        self._first_seq = follower.last_seq

    async def next(self) -> Batch:
        """See Source."""
        more = await self._follower.next()
        if isinstance(more, Result):
            return Batch([messages.completed(more)], is_last=True)
        return Batch([Output(self.name, each.seq, each.stream, each.data) for each in more], is_last=False)

    def refusal(self, error: HubError, sent: msgspec.Struct | None) -> msgspec.Struct:
        """See Source."""
        if isinstance(error, Draining):
            return messages.draining({self.name: sent.seq if isinstance(sent, Output) else self._first_seq})
        return messages.refusal(error, result_id=self.name)
