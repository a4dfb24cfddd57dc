"""Runs commands with the kubectl binary: absolute path, no shell, nothing of the agent's environment, bounded."""

import asyncio
import logging
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from agent.errors import StartError, TooMuchOutput
from agent.executors import kubeconfig, process
from agent.executors.base import NotTaken, Outcome, Sink, Versions
from agent.executors.describable import names_describable
from agent.executors.process import Spawn
from agent.executors.rows import RowLimit
from agent.executors.workspace import Workspace
from agent.redaction.descriptions import Description
from agent.redaction.names import is_credential
from agent.redaction.screen import NO_SCREEN, Screen
from agent.settings import Execution
from schemas.frames import Stream
from schemas.kubectl import KubectlCommand
from schemas.kubectl.conflicts import secret_operand
from schemas.kubectl.operands import resource_types

_log = logging.getLogger(__name__)

# Some distributions install a kubectl that asks the API server for its version, then starts the binary beside it that
# fits: two processes and a request too many for each command.
_RELEASE: Final = re.compile(r"kubectl\.(\d+)\.(\d+)")
# What prints objects, and the forms in which it does not.
_OBJECT_VERBS: Final = frozenset({"get", "events", "rollout-history"})
_TABLES: Final = frozenset({"", "wide", "name"})
# What prints containers in sentences.
_DESCRIBING: Final = frozenset({"describe", "rollout-history"})
_PROBE_SECONDS: Final = 5.0
_MAX_PROBE_BYTES: Final = 64 * 1024
# Go's collector at four times its default pace saves kubectl a quarter of its time; near the bound it hurries.
_GO_GC_PERCENT: Final = "400"
_GO_MEMORY_SHARE: Final = 0.8


def find(configured: str | None, search_path: str | None) -> Path | None:
    """Return the absolute path of the kubectl to run, None when there is none on `search_path`.

    `configured` is taken as it is; raises StartError when it is not there. Otherwise the newest release that stands
    beside the `kubectl` found.
    """
    if configured is not None:
        found = shutil.which(configured, path=search_path)
        if found is None:
            raise StartError(f"kubectl {configured}: no such program")
        return Path(found).absolute()
    found = shutil.which("kubectl", path=search_path)
    if found is None:
        return None
    binary = Path(found).resolve()
    releases = [
        ((int(match[1]), int(match[2])), beside)
        for beside in binary.parent.glob("kubectl.*")
        if (match := _RELEASE.fullmatch(beside.name)) and os.access(beside, os.X_OK)
    ]
    return max(releases)[1] if releases else binary


class KubectlExecutor:
    """The executor named "kubectl". `close` removes what it has on disk."""

    name = "kubectl"

    def __init__(self, binary: Path, environ: Mapping[str, str], settings: Execution) -> None:
        """Fix the cluster once and for all. Raises StartError when there is none, or nowhere to write."""
        config = kubeconfig.resolve(environ, Path(settings.service_account_dir))
        self._binary = binary
        self._settings = settings
        self._workspace = Workspace()
        self._workspace.write_kubeconfig(config)
        self._env = _environment(self._workspace, settings.max_memory_bytes)

    def close(self) -> None:
        """Remove the private folder; nothing may be running any more."""
        self._workspace.close()

    async def run(self, command: KubectlCommand, sink: Sink, screen: Screen = NO_SCREEN) -> Outcome:
        """Run a command to its end. Cancelling ends it, with all it has started, within a second.

        Raises NotTaken for what it would print with values that nobody can take out again: `describe` of Secrets, and
        where `screen` hides something, whole objects and descriptions of what may hold anything.
        """
        reason = _why_not(command, screen)
        if reason is not None:
            raise NotTaken(reason)
        if command.limit is not None:
            sink = _Rows(sink, command.limit, command)
        described = _Described(sink, screen) if command.verb in _DESCRIBING and screen.hides else None
        try:
            code = await process.run(self._spawn(*command.kubectl_argv()), described or sink)
        except OSError as error:
            _log.error("kubectl cannot be started", extra={"path": str(self._binary), "error": error.strerror})
            return Outcome(None, f"kubectl cannot be started: {error.strerror}")
        if described is not None:
            await described.finish()
        if code < 0:
            return Outcome(128 - code, f"kubectl was ended by signal {-code}")  # the number a shell would give
        return Outcome(code)

    async def probe(self) -> Versions:
        """Ask kubectl for its version and the API server's, in 5 s at most; raises nothing.

        One process of 60 ms, where importing the `kubernetes` package would cost 0.4 s and 30 MB for good.
        """
        collected = _Collect()
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                await process.run(self._spawn("version", "--output=json"), collected)
        except TimeoutError:
            _log.warning("the API server does not answer", extra={"timeout_seconds": _PROBE_SECONDS})
        except (OSError, TooMuchOutput) as error:
            _log.warning("kubectl does not tell its version", extra={"path": str(self._binary), "error": str(error)})
        try:
            answer = msgspec.json.decode(collected.stdout, type=_VersionAnswer)
        except msgspec.DecodeError:
            return Versions()
        server = answer.serverVersion
        return Versions(answer.clientVersion.gitVersion, server.gitVersion if server is not None else None)

    def _spawn(self, *args: str) -> Spawn:
        return Spawn([str(self._binary), *args], self._env, self._workspace.empty, self._settings.max_memory_bytes)


def _why_not(command: KubectlCommand, screen: Screen) -> str | None:
    """Why kubectl must not print this; None: it may."""
    secret = secret_operand(command) if command.verb in ("get", "describe") else None
    if secret is not None and command.verb == "get" and (command.output not in _TABLES or command.flag("sort-by")):
        return (
            f"{secret} names Secrets, which kubectl would print with their values, or order by them: get them as a "
            "table or with -o name, without --sort-by"
        )
    if command.verb == "describe":
        if secret is not None:
            return (
                f"{secret} names Secrets, which kubectl may describe with their values: get them as a table or with "
                "-o name"
            )
        if screen.hides:
            words = (word for word, _ in resource_types(command.operands))
            unknown = next((word for word in words if not names_describable(word)), None)
            if unknown is not None:
                return f"kubectl would describe {unknown} with values that are to be hidden: get it as a table"
    columns = (command.flag("label-columns") or "").split(",")
    if screen.hides and any(map(is_credential, columns)):
        return "kubectl would print a column of labels that are to be hidden: leave it out of --label-columns"
    if screen.hides and command.verb in _OBJECT_VERBS and (command.output not in _TABLES or command.flag("template")):
        return (
            f"kubectl would print -o {command.output} with values that are to be hidden: use a form that the agent "
            "prints itself (json, yaml, jsonpath, custom-columns with the native executor), or a table"
        )
    return None


def _environment(workspace: Workspace, max_memory_bytes: int) -> dict[str, str]:
    """All that kubectl sees.

    What it would obey in the agent's own environment (proxies, editors, plugins on PATH, kuberc aliases, Go's debug
    switches) is not there.
    """
    env = {
        "HOME": str(workspace.home),
        "PATH": str(workspace.empty),
        "KUBECONFIG": str(workspace.kubeconfig),
        "KUBECACHEDIR": str(workspace.cache),
        "KUBECTL_KUBERC": "false",
        "KUBERC": "off",
        "LC_ALL": "C",
        "TZ": "UTC",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "GOGC": _GO_GC_PERCENT,
    }
    if max_memory_bytes:
        env["GOMEMLIMIT"] = f"{int(max_memory_bytes * _GO_MEMORY_SHARE)}B"
    return env


class _Rows:
    """A sink that lets so many rows pass and drops the rest.

    kubectl is not stopped then: it prints once it has everything, and its errors and exit code, which come last, count.
    """

    def __init__(self, sink: Sink, limit: int, command: KubectlCommand) -> None:
        has_heads = command.output != "name" and command.flag("no-headers") != "true"
        self._sink = sink
        self._rows = RowLimit(limit, has_heads=has_heads)

    async def write(self, stream: Stream, data: bytes) -> None:
        if stream == "stderr":
            await self._sink.write(stream, data)
            return
        passed = self._rows.feed(data)
        if passed:
            await self._sink.write(stream, passed)


class _Described:
    """A sink for a description, on the way to another."""

    def __init__(self, sink: Sink, screen: Screen) -> None:
        self._sink = sink
        self._description = Description(screen.counts)

    async def write(self, stream: Stream, data: bytes) -> None:
        await self._sink.write(stream, self._description.feed(data) if stream == "stdout" else data)

    async def finish(self) -> None:
        """Kubectl has ended: what it ended amid of a line."""
        await self._sink.write("stdout", self._description.finish())


class _Collect:
    """A sink that keeps stdout."""

    def __init__(self) -> None:
        self.stdout = bytearray()

    async def write(self, stream: Stream, data: bytes) -> None:
        if stream == "stdout":
            self.stdout += data
            if len(self.stdout) > _MAX_PROBE_BYTES:
                raise TooMuchOutput("a version of more than 64 KiB")


class _Version(msgspec.Struct):
    gitVersion: str  # noqa: N815 -- the API's own spelling


class _VersionAnswer(msgspec.Struct):
    clientVersion: _Version  # noqa: N815
    serverVersion: _Version | None = None  # noqa: N815
