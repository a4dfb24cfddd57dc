"""Whether a client's stream may go on: the client reads what it is sent, and its key is valid."""

import asyncio
from typing import Final

from hub.errors import HubError
from hub.records import Key
from hub.services.keys import KeyService
from schemas.stream import CloseCode

# How often it is looked; more often where a client may not stall for long, and at once when keys change.
_LOOK_SECONDS: Final = 1.0


class Watch:
    """Call `wrote` for everything that is written to the transport, and `look` again and again."""

    def __init__(self, transport: asyncio.Transport, api_keys: KeyService, key: Key, stall_seconds: float) -> None:
        self._transport = transport
        self._api_keys = api_keys
        self._key = key
        self._stall_seconds = stall_seconds
        self._loop = asyncio.get_running_loop()
        self._written = 0
        self._taken = 0
        self._taken_at = self._loop.time()

    def wrote(self, size: int) -> None:
        """Count what was just written. The few bytes a protocol puts around it do not matter."""
        self._written += size

    async def look(self) -> int | None:
        """Wait a little; then SLOW_CLIENT or KEY_REVOKED, None while the stream may go on."""
        await self._api_keys.changed(min(_LOOK_SECONDS, self._stall_seconds / 4))
        if self._is_stalled():
            return CloseCode.SLOW_CLIENT
        return None if await self._is_key_valid() else CloseCode.KEY_REVOKED

    def _is_stalled(self) -> bool:
        """Whether there is something to take, and nothing was taken for too long: written, less what is still here."""
        waiting = self._transport.get_write_buffer_size()
        taken = self._written - waiting
        if not waiting or taken > self._taken:
            self._taken_at = self._loop.time()
        self._taken = max(self._taken, taken)
        return self._loop.time() - self._taken_at >= self._stall_seconds

    async def _is_key_valid(self) -> bool:
        try:
            return await self._api_keys.is_valid(self._key)
        except HubError:  # a store that cannot be read just now says nothing about keys
            return True
