"""The agent token: from the environment once, or from a file at every dial. Never logged, never passed to a child."""

import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

from agent.errors import StartError
from agent.link.dial import ReadToken
from agent.settings import TOKEN_VARIABLE

# A bearer token's own alphabet (RFC 6750 §2.1), which also keeps line breaks out of the request.
_ALPHABET: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=")
_MAX_CHARACTERS: Final = 4096


def source(token_file: str | None, environ: MutableMapping[str, str] = os.environ) -> ReadToken:
    """Return the function that gives the token for a dial; it raises StartError when there is no usable one.

    The variable is taken out of `environ`, so that no child can inherit it. Raises StartError when neither or both
    are given, or the token cannot be used.
    """
    value = environ.pop(TOKEN_VARIABLE, "")
    if value and token_file:
        raise StartError(f"{TOKEN_VARIABLE} and {TOKEN_VARIABLE}_FILE are both set; set one")
    if value:
        token = _checked(value, TOKEN_VARIABLE)
        return lambda: token
    if not token_file:
        raise StartError(f"no agent token: set {TOKEN_VARIABLE} or {TOKEN_VARIABLE}_FILE")
    path = Path(token_file)
    _read(path)
    return lambda: _read(path)


def _read(path: Path) -> str:
    try:
        with path.open(encoding="ascii") as file:
            return _checked(file.read(_MAX_CHARACTERS + 2), f"token_file {path}")
    except OSError as error:
        raise StartError(f"token_file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise StartError(f"token_file {path}: holds no token") from None


def _checked(text: str, origin: str) -> str:
    token = text.strip()
    if not token:
        raise StartError(f"{origin}: empty")
    if len(token) > _MAX_CHARACTERS or not _ALPHABET.issuperset(token):
        raise StartError(f"{origin}: holds no token")
    return token
