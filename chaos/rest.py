"""The REST API of a hub that may be away: a call that got no answer is a value, for the caller to try again."""

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import aiohttp

from chaos.processes import ProcessFailed

ANSWER_SECONDS: Final = 30.0


class Answer(NamedTuple):
    """A whole response. `body` is its JSON."""

    status: int
    body: Any


class Rest:
    """Calls with the admin key. `http` may be used for what is no single answer."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self._key = key
        self.http = self._session()

    async def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        timeout_seconds: float = ANSWER_SECONDS,
    ) -> Answer | None:
        """One request. None: no answer, or not all of it; whether the hub has read the request is not known."""
        timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        try:
            async with self.http.request(
                method, self.url + path, json=body, headers=headers, timeout=timeout
            ) as response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError):
            return None
        return Answer(response.status, json.loads(text) if text else None)

    async def demand(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """One request that must succeed; the answer's JSON. Raises ProcessFailed."""
        answer = await self.call(method, path, body)
        if answer is None or answer.status >= 400:
            raise ProcessFailed(f"{method} {path}: {answer}")
        return answer.body

    async def renew(self) -> None:
        """Close every connection, so that the hub holds none of ours, and begin anew."""
        await self.close()
        self.http = self._session()

    async def close(self) -> None:
        """Close every connection."""
        await self.http.close()

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {self._key}"}, connector=aiohttp.TCPConnector(limit=0)
        )
