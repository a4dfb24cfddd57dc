"""Who asks, and what he may: the one place where a key's role and limits are held against what is asked for.

What a key may not see does not exist for it: services answer as for a thing that is not there. What it may see and not
do is refused, with the reason.
"""

from typing import Final

import msgspec

from hub.errors import CommandRefused, Forbidden
from hub.records import Key, Limits, Origin, Result, Session
from schemas import globs, kubectl

_NO_LIMITS: Final = Limits()


class Caller(msgspec.Struct, frozen=True, gc=False):
    """One request's caller. `correlation_id` is always there, made by the hub when the client sent none. `origin` is
    what the audit log has of the request.
    """

    key: Key
    correlation_id: str
    is_correlation_given: bool = False
    service_identity: str | None = None
    origin: Origin | None = None

    # by role

    @property
    def is_admin(self) -> bool:
        """Whether the key has the admin role."""
        return self.key.role == "admin"

    @property
    def sees_others(self) -> bool:
        """Whether the key sees what other keys made: the roles admin and auditor."""
        return self.key.role in ("admin", "auditor")

    def require_admin(self) -> None:
        """Raise Forbidden unless the key has the admin role."""
        if not self.is_admin:
            raise Forbidden("This needs a key with the role admin")

    def require_overview(self) -> None:
        """Raise Forbidden unless the key sees what other keys made."""
        if not self.sees_others:
            raise Forbidden("This needs a key with the role admin or auditor")

    def require_hands(self) -> None:
        """Raise Forbidden for an auditor, who looks and touches nothing."""
        if self.key.role == "auditor":
            raise Forbidden("An auditor's key looks at what was done, and does nothing itself")

    # by cluster

    def may_see_cluster(self, cluster_id: str) -> bool:
        """Whether the key's globs take in this cluster."""
        return globs.takes_in(self.key.clusters, cluster_id)

    def may_see_session(self, session: Session) -> bool:
        """Whether it is the caller's own, or the caller sees others', in a cluster of his."""
        return (self.sees_others or session.key_id == self.key.key_id) and self.may_see_cluster(session.cluster_id)

    def may_see_result(self, result: Result) -> bool:
        """Whether it is the caller's own, or of another key and the caller an admin who could have run it himself."""
        if not self.may_see_cluster(result.cluster_id):
            return False
        return result.key_id == self.key.key_id or (self.is_admin and self._could_have_run(result))

    # by command

    def bound(self, max_output_bytes: int) -> int:
        """No more than the key's own limit of output."""
        own = (self.key.limits or _NO_LIMITS).max_output_bytes
        return max_output_bytes if own is None else min(own, max_output_bytes)

    def _could_have_run(self, result: Result) -> bool:
        if self.key.scope is None:
            return True
        try:
            self.key.scope.check(kubectl.parse(result.command_type, result.args), "key")
        except kubectl.Refusal:
            return False
        return True

    # by key

    def may_have_made(self, key: Key) -> bool:
        """Whether a key can do no more than this one, in which clusters and with what; how long is another matter."""
        mine, its = self.key.limits or _NO_LIMITS, key.limits or _NO_LIMITS
        limits = zip(msgspec.structs.astuple(mine), msgspec.structs.astuple(its), strict=True)
        return (
            globs.take_in(self.key.clusters, key.clusters)
            and (self.key.scope or kubectl.EVERYTHING).takes_in(key.scope or kubectl.EVERYTHING)
            and all(own is None or (other is not None and other <= own) for own, other in limits)
        )

    def may_outlive(self, expires_at: float | None) -> bool:
        """Whether a key that lives so long lives no longer than this one; None: for ever."""
        own = self.key.expires_at
        return own is None or (expires_at is not None and expires_at <= own)


def refused(refusal: kubectl.Refusal) -> CommandRefused:
    """A refusal as the answer that a caller gets."""
    details = {
        "argument": refusal.argument,
        "rule": refusal.rule,
        "by": refusal.by,
        "allowed": list(refusal.allowed),
    }
    return CommandRefused(refusal.reason, details=details)
