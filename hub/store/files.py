"""Where a store's files are: the database that a URL names, and the key of its audit log."""

from pathlib import Path
from typing import Final

from hub.errors import StoreUnusable

_SCHEME: Final = "sqlite:///"
_KEY_SUFFIX: Final = ".audit-key"


def database_path(url: str) -> Path:
    """The file of `sqlite:///./relative.db` or `sqlite:////absolute.db`. Raises StoreUnusable."""
    path = url.removeprefix(_SCHEME)
    if path == url or not path or path == ":memory:":
        raise StoreUnusable(f"{url} names no database file; write it like sqlite:///./kubently.db")
    return Path(path)


def key_path(database: Path, setting: str | None) -> Path:
    """The file of the key: at `audit.key_file`, else beside the database."""
    return Path(f"{database}{_KEY_SUFFIX}") if setting is None else Path(setting)
