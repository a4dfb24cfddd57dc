"""What an agent tells of its cluster's policy, as the hub reads it: for people to see, and to say what would run."""

import msgspec

from schemas.kubectl import Scope

# An agent's policy file has at most as much, and its words come back a little longer as JSON.
MAX_POLICY_BYTES = 128 * 1024


class AnnouncedLimits(msgspec.Struct, frozen=True):
    """The most that a command may take, and the most at once; None: as the hub asks."""

    max_seconds: float | None = None
    max_output_bytes: int | None = None
    max_commands: int | None = None
    max_streams: int | None = None


class AnnouncedPolicy(msgspec.Struct, frozen=True):
    """`["*"]` is all there are. `problem`: why a newer policy of the owner's does not hold; None: this is the newest.

    An agent of an earlier version tells its `verbs` alone; the rest was as the defaults are.
    """

    verbs: tuple[str, ...] = ("*",)
    namespaces: tuple[str, ...] = ("*",)
    kinds: tuple[str, ...] = ("*",)
    denied_kinds: tuple[str, ...] = ()
    redaction: str = "on"
    control_characters: str = "neutralise"
    limits: AnnouncedLimits = AnnouncedLimits()
    problem: str | None = None

    @property
    def scope(self) -> Scope:
        """What the agent lets through."""
        return Scope.listed(
            verbs=self.verbs, namespaces=self.namespaces, kinds=self.kinds, denied_kinds=self.denied_kinds
        )


def announced(policy: dict[str, msgspec.Raw]) -> AnnouncedPolicy | None:
    """The policy of a frame; None: it is none that this version understands, or too large."""
    if sum(len(name) + len(memoryview(value)) for name, value in policy.items()) > MAX_POLICY_BYTES:
        return None
    try:
        return msgspec.json.decode(msgspec.json.encode(policy), type=AnnouncedPolicy)
    except (msgspec.DecodeError, RecursionError):
        return None
