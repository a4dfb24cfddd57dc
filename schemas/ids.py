"""Ids and secrets: how they look, how they are made, how a cluster may be named.

An id names a thing and may be logged. A secret (API key, agent token) opens a door: it is shown once, only its hash
is kept, and its prefix lets secret scanners and people recognise it.
"""

import hashlib
import os
import random
import re
import secrets
import time
from typing import Final

# A DNS label (RFC 1123 §2.1, RFC 1035 §2.3.4), as Kubernetes names its own namespaces.
CLUSTER_ID_PATTERN: Final = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_CLUSTER_ID: Final = re.compile(CLUSTER_ID_PATTERN)

API_KEY_PREFIX: Final = "kubently_key_"
AGENT_TOKEN_PREFIX: Final = "kubently_agent_"  # noqa: S105 - a prefix

_ID_BYTES: Final = 10  # 80 random bits: a guess is hopeless, a collision in a billion ids has odds of 1 in a million
# Before them the time, in sixteenths of a second since 1970 as nine hexadecimal digits, which last until 2106. Ids made
# together then lie together in an index: at random they would touch a page each.
_TICKS_PER_SECOND: Final = 16
_SECRET_BYTES: Final = 32
_DATED_ID: Final = re.compile(rf"[a-z]+_([0-9a-f]{{9}})[0-9a-f]{{{2 * _ID_BYTES}}}")
_traces: Final = random.Random(secrets.randbits(256))  # noqa: S311 - guards nothing


def is_cluster_id(text: str) -> bool:
    """Whether `text` is a DNS label, the rule for cluster ids."""
    return _CLUSTER_ID.fullmatch(text) is not None


def new_id(kind: str) -> str:
    """Return a fresh id of one kind: `new_id("sess") == "sess_6a25a0d3f1f0c9a4be27d53086a91"`.

    Ids of one kind are in the order in which they were made, but for those of the same sixteenth of a second.
    """
    return f"{kind}_{int(time.time() * _TICKS_PER_SECOND):09x}{os.urandom(_ID_BYTES).hex()}"


def made_at(text: str) -> float | None:
    """When an id was made, to a sixteenth of a second; None for a text that is no such id."""
    found = _DATED_ID.fullmatch(text)
    return int(found[1], 16) / _TICKS_PER_SECOND if found else None


def new_trace_id(kind: str) -> str:
    """Return a fresh id for a log or a trace: it opens nothing, so it may be guessed."""
    return f"{kind}_{_traces.getrandbits(_ID_BYTES * 8):0{_ID_BYTES * 2}x}"


def new_secret(prefix: str) -> str:
    """Return a fresh secret behind its recognisable prefix: 256 random bits in URL-safe base64."""
    return prefix + secrets.token_urlsafe(_SECRET_BYTES)


def hash_secret(secret: str) -> str:
    """Return the SHA-256 of a secret in hexadecimal, the only form of it that is ever stored.

    A plain hash is enough: the secrets have 256 random bits (an operator's own admin key at least 32 characters), so
    there is no dictionary to try.
    """
    return hashlib.sha256(secret.encode()).hexdigest()
