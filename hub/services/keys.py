"""API keys: made, checked, removed."""

import hmac
import logging
import time
from typing import Final

from cachetools import TTLCache

from hub.errors import Forbidden, InvalidRequest, NotFound, Unauthorized
from hub.records import Key, Role
from hub.services.caller import Caller
from hub.store.base import Store
from schemas.ids import API_KEY_PREFIX, hash_secret, new_id, new_secret

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
        if key.expires_at is not None and key.expires_at <= time.time():
            raise Unauthorized
        return key

    async def is_valid(self, key: Key) -> bool:
        """Whether a key that was authenticated a while ago would still be; for sockets that stay open."""
        if key.expires_at is not None and key.expires_at <= time.time():
            return False
        try:
            return key.secret_hash in self._known or await self._find(key.secret_hash) is not None
        except Unauthorized:
            return False

    async def _find(self, secret_hash: str) -> Key:
        key = await self._store.find_key(secret_hash)
        if key is None or not hmac.compare_digest(key.secret_hash, secret_hash):
            raise Unauthorized
        self._known[secret_hash] = key
        return key

    async def create(
        self,
        caller: Caller,
        *,
        name: str,
        role: Role,
        clusters: list[str] | None,
        expires_at: float | None,
    ) -> tuple[Key, str]:
        """Make a key; returns it with its secret, which nobody can read again."""
        caller.require_admin()
        if expires_at is not None and expires_at <= time.time():
            raise InvalidRequest("expires_at is in the past", field="expires_at", code="invalid_value")
        globs = None if clusters is None else tuple(clusters)
        if not caller.may_have_made(globs):
            own = ", ".join(caller.key.clusters or ())
            raise Forbidden(f"This key is limited to the clusters {own}: give the new one some of these, as `clusters`")
        if caller.key.expires_at is not None and (expires_at is None or expires_at > caller.key.expires_at):
            raise Forbidden("This key expires, and can make none that lives longer: give the new one an `expires_at`")
        secret = new_secret(API_KEY_PREFIX)
        key = Key(new_id("key"), name, role, hash_secret(secret), time.time(), globs, expires_at)
        await self._store.add_key(key)
        _log.info("API key made", extra={"key_id": key.key_id, "role": role, "by": caller.key.key_id})
        return key, secret

    async def list_keys(self, caller: Caller) -> list[Key]:
        """The keys that the caller could have made: of an admin without limits, all."""
        caller.require_admin()
        return [key for key in await self._store.list_keys() if caller.may_have_made(key.clusters)]

    async def remove(self, caller: Caller, key_id: str) -> None:
        """Remove a key; it stops working at once. The caller's own key stays, so that nobody locks himself out."""
        caller.require_admin()
        if key_id == caller.key.key_id:
            raise InvalidRequest("A key cannot remove itself; use another admin key", field="key_id", code="own_key")
        is_visible = any(key.key_id == key_id for key in await self.list_keys(caller))
        key = await self._store.remove_key(key_id) if is_visible else None
        if key is None:
            raise NotFound(f"Key not found: {key_id}")
        self._known.pop(key.secret_hash, None)
        _log.info("API key removed", extra={"key_id": key_id, "by": caller.key.key_id})
