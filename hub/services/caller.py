"""Who asks: the authenticated key and what the request says about itself."""

import fnmatch
from typing import Final

import msgspec

from hub.errors import Forbidden
from hub.records import Key, Result, Session

_WILD: Final = frozenset("*?[")


class Caller(msgspec.Struct, frozen=True, gc=False):
    """One request's caller. `correlation_id` is always there, made by the hub when the client sent none."""

    key: Key
    correlation_id: str
    is_correlation_given: bool = False
    service_identity: str | None = None

    @property
    def is_admin(self) -> bool:
        """Whether the key has the admin role."""
        return self.key.role == "admin"

    def require_admin(self) -> None:
        """Raise Forbidden unless the key has the admin role."""
        if not self.is_admin:
            raise Forbidden("This needs a key with the role admin")

    def may_see_cluster(self, cluster_id: str) -> bool:
        """Whether the key's globs take in this cluster."""
        globs = self.key.clusters
        return globs is None or any(fnmatch.fnmatchcase(cluster_id, glob) for glob in globs)

    def may_have_made(self, clusters: tuple[str, ...] | None) -> bool:
        """Whether a key with these globs could reach no more clusters than this one: each is one of its own globs, or
        the name of a cluster that it may see.
        """
        own = self.key.clusters
        if own is None or clusters is None:
            return own is None
        return all(glob in own or (_WILD.isdisjoint(glob) and self.may_see_cluster(glob)) for glob in clusters)

    def may_see(self, thing: Session | Result) -> bool:
        """Whether a session or result is the caller's own, or the caller is an admin whose clusters include it."""
        return (self.is_admin or thing.key_id == self.key.key_id) and self.may_see_cluster(thing.cluster_id)
