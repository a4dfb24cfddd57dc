"""What stands in the place of something hidden: `[redacted:secret len=12 tag=4f1c9a0b7d2e6c58]`.

The length is in bytes, of a Secret's value those it decodes to. Two values with one tag are the same value, with two
tags they are not: so that much can still be asked. The key of the tags is made when the agent starts and is kept in
memory, so nobody can try values against a tag, and the tags of two agents, or of one before and after a restart, have
nothing to do with each other.
"""

import hmac
import re
import secrets
from typing import Final

_KEY_BYTES: Final = 32
# 64 bits: among a million values two share a tag by chance once in 37 million clusters.
_TAG_BYTES: Final = 8
_WHOLE: Final = re.compile(r"\[redacted:[a-z_]+(?: len=(\d+) tag=[0-9a-f]{16})?\]")


class Marker:
    """Makes the markers of one agent process."""

    def __init__(self, key: bytes | None = None) -> None:
        self._key = secrets.token_bytes(_KEY_BYTES) if key is None else key

    def of(self, rule: str, value: bytes) -> str:
        """The marker of a value."""
        tag = hmac.digest(self._key, value, "sha256")[:_TAG_BYTES].hex()
        return f"[redacted:{rule} len={len(value)} tag={tag}]"


def bare(rule: str) -> str:
    """A marker that says of the value only which rule hid it: `[redacted:jwt]`."""
    return f"[redacted:{rule}]"


def hidden_bytes(text: str) -> int | None:
    """How long what a marker stands for is; None for a text that is no marker, or one that does not say."""
    match = _WHOLE.fullmatch(text)
    return int(match[1]) if match is not None and match[1] is not None else None


def is_marker(text: str) -> bool:
    """Whether a text is a marker and nothing else."""
    return text.startswith("[redacted:") and _WHOLE.fullmatch(text) is not None
