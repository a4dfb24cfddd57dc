"""The key of the audit log's chain: 32 bytes as hexadecimal digits in a file outside of the database."""

import contextlib
import os
import secrets
from pathlib import Path
from typing import Final

from hub.errors import StoreUnusable

KEY_BYTES: Final = 32


def read_key(path: Path) -> bytes | None:
    """The key; None: there is no such file. Raises StoreUnusable for one that cannot be read or holds no key."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreUnusable(f"the audit key {path} cannot be read: {error.strerror}") from None
    with contextlib.suppress(ValueError):
        key = bytes.fromhex(text.decode("ascii").strip())
        if len(key) == KEY_BYTES:
            return key
    raise StoreUnusable(f"{path} is no audit key: {2 * KEY_BYTES} hexadecimal digits are; name another file")


def make_key(path: Path) -> bytes:
    """Make a key and keep it, readable by its owner alone. Raises StoreUnusable."""
    key = secrets.token_bytes(KEY_BYTES)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(key.hex().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)  # a key that a loss of power takes would leave a chain without one
        finally:
            os.close(folder)
    except OSError as error:
        raise StoreUnusable(f"the audit key {path} cannot be made: {error.strerror}; see audit.key_file") from None
    return key
