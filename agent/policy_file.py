"""The policy in a file that may change: read again and again, and never replaced by one that is broken."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from agent.errors import StartError
from agent.policy import Policy, PolicyError, parse

_log = logging.getLogger(__name__)

# A ConfigMap takes a minute to reach a pod (the kubelet's sync period); this adds little to it.
_LOOK_SECONDS: Final = 2.0
_MAX_BYTES: Final = 64 * 1024  # it travels in a hello, beside what else that holds


class PolicyFile:
    """`load` once, then `watch`. `policy` is the last good one; `problem` says why a newer one does not hold."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._content = b""
        self.policy = Policy()
        self.problem: str | None = None

    def load(self) -> Policy:
        """Read it for the first time. Raises StartError: there is no last good one yet."""
        try:
            self._content = self._read()
            self.policy = _parse(self._content)
        except PolicyError as error:
            raise StartError(f"policy_file {self._path}: {error}") from None
        return self.policy

    async def watch(self, on_change: Callable[[], None]) -> None:
        """Call `on_change` whenever `policy` or `problem` is another; until it is cancelled, which is safe."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            before = (self.policy, self.problem)
            await self._look()
            if (self.policy, self.problem) != before:
                on_change()

    async def _look(self) -> None:
        try:
            content = await asyncio.to_thread(self._read)
            if content == self._content and self.problem is None:
                return
            policy = _parse(content)
        except PolicyError as error:
            if str(error) != self.problem:
                self.problem = str(error)
                _log.error(
                    "the policy file is broken, the policy before it holds",
                    extra={"file": str(self._path), "error": self.problem},
                )
            return
        self._content, self.policy, self.problem = content, policy, None
        _log.info("the policy was read again", extra={"file": str(self._path)})

    def _read(self) -> bytes:
        try:
            with self._path.open("rb") as file:
                content = file.read(_MAX_BYTES + 1)
        except OSError as error:
            raise PolicyError(f"cannot be read: {error.strerror}") from None
        if len(content) > _MAX_BYTES:
            raise PolicyError(f"over {_MAX_BYTES // 1024} KiB")
        return content


def _parse(content: bytes) -> Policy:
    try:
        return parse(content.decode())
    except UnicodeDecodeError:
        raise PolicyError("not UTF-8") from None
