"""API keys: made, checked, removed."""

import asyncio
import contextlib
import hmac
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from cachetools import TTLCache

from hub.errors import Forbidden, InvalidRequest, NotFound, Unauthorized
from hub.records import Key, Limits, Role
from hub.services.caller import Caller
from hub.store.base import Store
from schemas.ids import API_KEY_PREFIX, hash_secret, new_id, new_secret
from schemas.kubectl import Scope

_log = logging.getLogger(__name__)

# A key is looked up once in so many seconds: the time another replica's removal may take to be felt here.
_CACHE_SECONDS: Final = 5.0
_CACHE_KEYS: Final = 10_000
_MIN_ADMIN_KEY_LENGTH: Final = 32
_MAX_SECRET_LENGTH: Final = 512


class KeyService:
    """Everything about API keys."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: TTLCache[str, Key] = TTLCache(maxsize=_CACHE_KEYS, ttl=_CACHE_SECONDS)
        self._change = asyncio.Event()

    async def bootstrap(self, admin_key: str | None) -> str | None:
        """On a store without keys make the first admin key, from `admin_key` if given.

        Returns the secret when the hub made it, for printing it once; None otherwise. Raises ValueError when
        `admin_key` is too short.
        """
        if admin_key is not None and len(admin_key) < _MIN_ADMIN_KEY_LENGTH:
            raise ValueError(f"the admin key has {len(admin_key)} characters, {_MIN_ADMIN_KEY_LENGTH} at least")
        if await self._store.list_keys():
            if admin_key is not None and await self._store.find_key(hash_secret(admin_key)) is None:
                _log.warning("the store has keys already, the given admin key is not used")
            return None
        secret = admin_key or new_secret(API_KEY_PREFIX)
        await self._store.add_key(Key(new_id("key"), "first admin", "admin", hash_secret(secret), time.time()))
        return None if admin_key else secret

    async def authenticate(self, secret: str) -> Key:
        """The key of a secret. Raises Unauthorized for one that is unknown or expired."""
        if not secret or len(secret) > _MAX_SECRET_LENGTH:
            raise Unauthorized
        secret_hash = hash_secret(secret)
        try:
            key = self._known[secret_hash]
        except KeyError:
            key = await self._find(secret_hash)
        if _is_over(key):
            raise Unauthorized
        return key

    async def is_valid(self, key: Key) -> bool:
        """Whether a key that was authenticated a while ago would still be; for sockets that stay open."""
        try:
            return not _is_over(self._known.get(key.secret_hash) or await self._find(key.secret_hash))
        except Unauthorized:
            return False

    async def changed(self, seconds: float) -> None:
        """Wait until a key is removed or rotated in this process, so long at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._change.wait()

    async def _find(self, secret_hash: str) -> Key:
        """The key as this secret has it: a former one ends earlier than its key. Raises Unauthorized."""
        key = await self._store.find_key(secret_hash)
        if key is None:
            raise Unauthorized
        if hmac.compare_digest(key.retired_hash or "", secret_hash):
            ends = [end for end in (key.expires_at, key.retired_until) if end is not None]
            key = replace(key, secret_hash=secret_hash, expires_at=min(ends))
        elif not hmac.compare_digest(key.secret_hash, secret_hash):
            raise Unauthorized
        self._known[secret_hash] = key
        return key

    async def create(
        self,
        caller: Caller,
        *,
        name: str,
        role: Role,
        clusters: Sequence[str] | None = None,
        expires_at: float | None = None,
        scope: Scope | None = None,
        limits: Limits | None = None,
    ) -> tuple[Key, str]:
        """Make a key; returns it with its secret, which nobody can read again.

        Raises Forbidden where it could do more than the caller's, or for longer.
        """
        caller.require_admin()
        if expires_at is not None and expires_at <= time.time():
            raise InvalidRequest("expires_at is in the past", field="expires_at", code="invalid_value")
        secret = new_secret(API_KEY_PREFIX)
        globs = None if clusters is None else tuple(clusters)
        key = Key(new_id("key"), name, role, hash_secret(secret), time.time(), globs, expires_at, scope, limits)
        if not caller.may_have_made(key):
            raise Forbidden(
                "A key can make none that may do more than itself: give the new one limits within those that"
                " GET /auth/self shows"
            )
        if not caller.may_outlive(expires_at):
            raise Forbidden("This key expires, and can make none that lives longer: give the new one an `expires_at`")
        await self._store.add_key(key)
        _log.info("API key made", extra={"key_id": key.key_id, "role": role, "by": caller.key.key_id})
        return key, secret

    async def rotate(self, caller: Caller, key_id: str, overlap_seconds: float) -> tuple[Key, str]:
        """Give a key another secret, and return both; the one it had works for so long yet, any older one no more."""
        caller.require_admin()
        found = await self._visible(caller, key_id)
        if not caller.may_outlive(found.expires_at):
            raise Forbidden("This key expires, and can rotate none that lives longer")
        secret = new_secret(API_KEY_PREFIX)
        key = await self._store.rotate_key(key_id, hash_secret(secret), time.time() + overlap_seconds)
        if key is None:
            raise NotFound(f"Key not found: {key_id}")
        self._forget(found, key)
        _log.info("API key rotated", extra={"key_id": key_id, "by": caller.key.key_id})
        return key, secret

    async def list_keys(self, caller: Caller) -> list[Key]:
        """The keys that can do no more than the caller's: of an admin without limits, all."""
        caller.require_overview()
        return [key for key in await self._store.list_keys() if caller.may_have_made(key)]

    async def remove(self, caller: Caller, key_id: str) -> None:
        """Remove a key; it stops working at once. The caller's own key stays, so that nobody locks himself out."""
        caller.require_admin()
        if key_id == caller.key.key_id:
            raise InvalidRequest("A key cannot remove itself; use another admin key", field="key_id", code="own_key")
        await self._visible(caller, key_id)
        key = await self._store.remove_key(key_id)
        if key is None:
            raise NotFound(f"Key not found: {key_id}")
        self._forget(key)
        _log.info("API key removed", extra={"key_id": key_id, "by": caller.key.key_id})

    async def _visible(self, caller: Caller, key_id: str) -> Key:
        for key in await self.list_keys(caller):
            if key.key_id == key_id:
                return key
        raise NotFound(f"Key not found: {key_id}")

    def _forget(self, *keys: Key) -> None:
        """Ask the store about these the next time, and have whoever waits for a change look again."""
        for key in keys:
            self._known.pop(key.secret_hash, None)
            self._known.pop(key.retired_hash or "", None)
        self._change.set()
        self._change = asyncio.Event()


def _is_over(key: Key) -> bool:
    return key.expires_at is not None and key.expires_at <= time.time()
