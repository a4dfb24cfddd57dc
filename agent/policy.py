"""What this cluster's owner allows, within what the shared grammar has. Pure; what is not listed is refused."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from agent.errors import StartError
from schemas.kubectl import KubectlCommand

_ALL: Final = "*"


@dataclass(frozen=True, slots=True)
class Policy:
    """The verbs that may run; None: all of the grammar's."""

    verbs: frozenset[str] | None

    @classmethod
    def of(cls, verbs: Iterable[str], known: Iterable[str]) -> "Policy":
        """Make a policy from the setting. Raises StartError for a verb the grammar does not know."""
        listed = frozenset(verbs)
        if _ALL in listed:
            return cls(None)
        unknown = sorted(listed.difference(known))
        if unknown:
            raise StartError(f"policy.verbs: {unknown[0]} is no verb; there are {', '.join(sorted(known))}")
        return cls(listed)

    def refusal(self, command: KubectlCommand) -> str | None:
        """Return why a command may not run, None when it may."""
        if self.verbs is None or command.verb in self.verbs:
            return None
        return f"{command.verb} is not allowed by this cluster's policy"

    def announced(self) -> dict[str, msgspec.Raw]:
        """Return what the hello tells people: `{"verbs": ["get", "logs"]}`, `["*"]` for all."""
        verbs = [_ALL] if self.verbs is None else sorted(self.verbs)
        return {"verbs": msgspec.Raw(msgspec.json.encode(verbs))}
