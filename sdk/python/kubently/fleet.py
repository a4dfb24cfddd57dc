"""One command on many clusters: each one's answer as it comes."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from kubently import retries
from kubently.errors import ConnectionFailed, HubError, KubentlyError, hub_error
from kubently.models import Json, Result
from kubently.transport import Transport


@dataclass(frozen=True, slots=True)
class FleetAnswer:
    """What became of one cluster: a `result`, or the `error` for which the command did not run there."""

    cluster_id: str
    result: Result | None
    error: HubError | None

    @property
    def ok(self) -> bool:
        """Whether the command ended with exit code 0."""
        return self.result is not None and self.result.ok


class Fleet:
    """An async iterator of `FleetAnswer`s; `for` it once. Leaving the loop cancels what runs in the clusters.

        async for answer in client.fleet("get", ["pods", "-A"], clusters=["prod-*"]):
            print(answer.cluster_id, answer.result or answer.error)

    Raises HubError when nothing runs anywhere (CommandRefused, NotFound, RateLimited, ...), ConnectionFailed when the
    hub broke off: then the clusters that were not heard of were cancelled.
    """

    def __init__(self, transport: Transport, body: Json) -> None:
        self._transport = transport
        self._body = body
        self._is_read = False
        self.clusters: list[str] | None = None
        """Which clusters are asked, by id; None until the hub has said so."""

    def __aiter__(self) -> AsyncGenerator[FleetAnswer]:
        if self._is_read:
            raise RuntimeError("A fleet is asked once; call client.fleet again")
        self._is_read = True
        return self._read()

    async def _read(self) -> AsyncGenerator[FleetAnswer]:
        attempt = 0
        async with self._transport:
            while True:
                attempt += 1
                try:
                    async with aclosing(self._ask()) as answers:
                        async for answer in answers:
                            yield answer
                    return
                except KubentlyError as error:
                    wait = retries.wait_before(attempt, error, is_repeatable=False)
                    if self.clusters is not None or wait is None or attempt > self._transport.settings.retries:
                        raise
                await asyncio.sleep(wait)

    async def _ask(self) -> AsyncGenerator[FleetAnswer]:
        async with self._transport.lines("POST", "/debug/fleet/execute", body=self._body) as lines:
            async for line in lines:
                match line:
                    case {"type": "started", "clusters": list(clusters)}:
                        self.clusters = clusters
                    case {"type": "result", "cluster_id": str(cluster_id), "result": dict(result)}:
                        yield FleetAnswer(cluster_id, Result.parse(result), None)
                    case {"type": "error", "cluster_id": str(cluster_id)}:
                        yield FleetAnswer(cluster_id, None, hub_error(line))
                    case {"type": "error"}:
                        raise hub_error(line)
                    case {"type": "completed"}:
                        return
        raise ConnectionFailed("The hub broke off before every cluster had answered")
