"""What a `Prefer` header asks for (RFC 7240). Preferences that are not known are ignored, as it wants."""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from hub.errors import InvalidRequest
from schemas.api.commands import MAX_WAIT_SECONDS

# One preference: a name, perhaps a value, as a token or quoted, perhaps parameters, which none of ours has.
_PREFERENCE: Final = re.compile(
    r"""\s*(?P<name>[^\s=;,"]+)\s*(?:=\s*(?:"(?P<quoted>[^"]*)"|(?P<token>[^\s;,"]*)))?[^,]*(?:,|\Z)"""
)


class Preferences(msgspec.Struct, frozen=True, gc=False):
    """`wait_seconds` None: not asked for."""

    is_async: bool = False
    wait_seconds: int | None = None

    def applied(self) -> dict[str, str]:
        """The `Preference-Applied` header, none where nothing was asked for."""
        parts = ["respond-async"] if self.is_async else []
        if self.wait_seconds is not None:
            parts.append(f"wait={self.wait_seconds}")
        return {"Preference-Applied": ", ".join(parts)} if parts else {}


NONE: Final = Preferences()


def read(lines: Sequence[str]) -> Preferences:
    """Read the header's lines; of a preference that comes twice the first one counts.

    A `wait` beyond MAX_WAIT_SECONDS is taken for that. Raises InvalidRequest for one that is no number of seconds.
    """
    found: dict[str, str] = {}
    for match in _PREFERENCE.finditer(",".join(lines)):
        found.setdefault(match["name"].lower(), match["quoted"] or match["token"] or "")
    wait = found.get("wait")
    if wait is None:
        return Preferences("respond-async" in found)
    if not (wait.isascii() and wait.isdigit()):
        message = f"Prefer: wait takes whole seconds from 0 to {MAX_WAIT_SECONDS}; write it like wait=10"
        raise InvalidRequest(message, field="Prefer", code="invalid_value")
    return Preferences("respond-async" in found, min(int(wait[:10]), MAX_WAIT_SECONDS))
