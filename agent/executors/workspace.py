"""The agent's private folder: what its children get as HOME, cache, working directory and PATH.

It is `kubently-agent-XXXXXXXX` (0700) in the temporary folder, holds `home/`, `cache/`, `empty/` (PATH and working
directory), `kubeconfig` (0600) and `lock`, which is locked while the agent lives, and is removed at exit.
"""

import contextlib
import fcntl
import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from agent.errors import StartError

_log = logging.getLogger(__name__)

_PREFIX: Final = "kubently-agent-"


class Workspace:
    """Made by `__init__`, removed by `close`. Raises StartError when the temporary folder cannot be written."""

    def __init__(self) -> None:
        _remove_leftovers(Path(tempfile.gettempdir()))
        try:
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
            self._lock = _locked(self.path / "unlocked")
            (self.path / "unlocked").rename(self.path / "lock")  # nobody ever sees it without its lock
            for folder in (self.home, self.cache, self.empty):
                folder.mkdir(mode=0o700)
        except OSError as error:
            raise StartError(f"cannot write to the temporary folder: {error}; set TMPDIR to one that can") from None

    @property
    def home(self) -> Path:
        """HOME of the children."""
        return self.path / "home"

    @property
    def cache(self) -> Path:
        """Where kubectl keeps what it has learned of the API."""
        return self.path / "cache"

    @property
    def empty(self) -> Path:
        """A folder with nothing in it."""
        return self.path / "empty"

    @property
    def kubeconfig(self) -> Path:
        """The one kubeconfig of the children."""
        return self.path / "kubeconfig"

    def write_kubeconfig(self, content: bytes) -> None:
        """Write the kubeconfig, readable by nobody else."""
        descriptor = os.open(self.kubeconfig, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _locked(path: Path) -> int:
    """Return the descriptor of a file nobody else has locked; raises OSError. The lock ends with the descriptor."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _remove_leftovers(parent: Path) -> None:
    """Remove the folders of agents that were killed: they hold a kubeconfig."""
    with contextlib.suppress(OSError):
        for folder in parent.glob(f"{_PREFIX}*"):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid() or not (folder / "lock").exists():
                continue
            with contextlib.suppress(OSError):
                descriptor = _locked(folder / "lock")
                shutil.rmtree(folder, ignore_errors=True)
                os.close(descriptor)
                _log.info("removed the folder of an agent that was killed", extra={"path": str(folder)})
