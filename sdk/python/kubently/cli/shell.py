"""A prompt on one cluster: kubectl's verbs without `kubectl`, in one session, with history and completion."""

import asyncio
import contextlib
import os
import shlex
import stat
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kubently.cli.failures import EXIT_OK, explain
from kubently.cli.kubectl import VERBS, code_of, remark
from kubently.cli.printing import note
from kubently.cli.running import client_of
from kubently.cli.target import Target
from kubently.client import Client
from kubently.errors import KubentlyError, SessionNotActive
from kubently.session import DebugSession

if TYPE_CHECKING:
    from prompt_toolkit.completion import CompleteEvent, Completion
    from prompt_toolkit.document import Document

# What was asked of the cluster for completion is taken for true for so long.
_FRESH_SECONDS: Final = 20.0
_TTL_SECONDS: Final = 86_400
_WITH_RESOURCES: Final = frozenset({"get", "describe", "explain", "top", "rollout", "logs", "events"})
_HELP: Final = "verbs as kubectl has them (get pods -A), `namespace NAME` to stay in one, `exit`; Ctrl-C ends a command"


class Shell:
    """The session, and what is known of the cluster."""

    def __init__(self, client: Client, cluster: str) -> None:
        self.cluster = cluster
        self.namespace: str | None = None
        self._client = client
        self._session: DebugSession | None = None
        self._known: dict[tuple[str, ...], tuple[float, list[str]]] = {}

    async def open(self) -> None:
        """Open the session. Raises KubentlyError."""
        self._session = await self._client.debug_session(self.cluster, ttl_seconds=_TTL_SECONDS).open()

    async def close(self) -> None:
        """Close it, and cancel what runs."""
        if self._session is not None:
            await self._session.close()

    async def run(self, line: str) -> int:
        """Run a line; the command's exit code."""
        try:
            words = shlex.split(line)
        except ValueError as error:
            note(f"{error}; quotes come in pairs")
            return 2
        if words[:1] == ["kubectl"]:
            words = words[1:]
        if not words:
            return EXIT_OK
        if words[0] in ("help", "?"):
            print(_HELP)
            return EXIT_OK
        if words[0] in ("namespace", "ns") and len(words) <= 2:
            self.namespace = words[1] if len(words) == 2 else None
            return EXIT_OK
        return await self._command(self._placed(words))

    async def _command(self, words: list[str]) -> int:
        try:
            return await self._stream(words)
        except SessionNotActive:  # a day has passed
            await self.open()
            return await self._stream(words)

    async def _stream(self, words: list[str]) -> int:
        assert self._session is not None  # it was opened
        stream = self._session.stream(words[0], words[1:])
        async with stream:
            async for piece in stream:
                sink = sys.stdout if piece.stream == "stdout" else sys.stderr
                sink.write(piece.data)
                sink.flush()
        assert stream.result is not None
        remark(stream.result)
        return code_of(stream.result)

    def _placed(self, words: list[str]) -> list[str]:
        """With the namespace that was chosen, where none is said."""
        is_said = any(
            word in ("-A", "--all-namespaces", "-n") or word.startswith(("-n", "--namespace")) for word in words
        )
        if self.namespace is None or is_said or words[0] not in _WITH_RESOURCES - {"explain"}:
            return words
        return [*words, "-n", self.namespace]

    # completion

    async def candidates(self, words: list[str], last: str) -> list[str]:
        """What the word that is being typed may become, `words` being those before it."""
        if not words:
            return [*VERBS, "namespace", "help", "exit"]
        before = words[-1]
        if before in ("-n", "--namespace", "namespace", "ns"):
            return await self._ask("get", "namespaces", "-o", "name")
        if before in ("-o", "--output"):
            return ["wide", "yaml", "json", "name", "jsonpath=", "custom-columns="]
        if last.startswith("-"):
            return ["-A", "-n", "-o", "-l", "-w", "-f", "--tail=", "--previous", "--containers", "--show-labels"]
        plain = [word for word in words[1:] if not word.startswith("-")]
        if words[0] == "logs" and not plain:
            return await self._names(words, "pods")
        if words[0] in ("rollout", "auth") and not plain:
            return {"rollout": ["status", "history"], "auth": ["can-i", "whoami"]}[words[0]]
        if words[0] in _WITH_RESOURCES - {"logs", "events"}:
            at = 1 if words[0] == "rollout" else 0
            if len(plain) <= at:
                return ["pods", "nodes"] if words[0] == "top" else await self._ask("api-resources", "-o", "name")
            return await self._names(words, plain[at])
        return []

    async def _names(self, words: list[str], kind: str) -> list[str]:
        namespace = next(
            (words[at + 1] for at, word in enumerate(words[:-1]) if word in ("-n", "--namespace")), self.namespace
        )
        where = ["-n", namespace] if namespace else []
        return await self._ask("get", kind, *where, "-o", "name")

    async def _ask(self, *words: str) -> list[str]:
        known = self._known.get(words)
        if known is not None and time.monotonic() - known[0] < _FRESH_SECONDS:
            return known[1]
        assert self._session is not None
        try:
            async with asyncio.timeout(3):
                result = await self._session.execute(words[0], words[1:], timeout=3)
        except (KubentlyError, TimeoutError):
            return []
        # `pod/web-0`, and of api-resources `deployments.apps`, which is known by its first word as well.
        names = [line.rpartition("/")[2] for line in result.output.splitlines()]
        if words[0] == "api-resources":
            names = sorted({name.partition(".")[0] for name in names})
        self._known[words] = (time.monotonic(), names)
        return names


async def shell(target: Target) -> int:
    """Read lines and run them, from a terminal with a prompt, else as a script; the last one's exit code."""
    async with client_of(target) as client:
        opened = Shell(client, target.required_cluster())
        await opened.open()
        try:
            return await (_prompt(opened) if sys.stdin.isatty() else _script(opened))
        finally:
            await opened.close()


async def _script(opened: Shell) -> int:
    code = EXIT_OK
    async for line in _lines():
        if line.strip() in ("exit", "quit"):
            break
        if not line.lstrip().startswith("#"):
            code = await _tried(opened, line)
    return code


async def _lines() -> AsyncIterator[str]:
    """The lines of stdin, without holding up Ctrl-C while it waits for one."""
    if stat.S_ISREG(os.fstat(sys.stdin.fileno()).st_mode):
        for line in sys.stdin:
            yield line
        return
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        async for content in reader:
            yield content.decode("utf-8", "replace")
    finally:
        transport.close()


async def _prompt(opened: Shell) -> int:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import Completer, Completion
    from prompt_toolkit.history import FileHistory

    class Words(Completer):
        def get_completions(self, _document: "Document", _event: "CompleteEvent") -> Iterable["Completion"]:
            return ()  # an asynchronous prompt asks the other one

        async def get_completions_async(
            self, document: "Document", _event: "CompleteEvent"
        ) -> AsyncGenerator["Completion", None]:
            *words, last = document.text_before_cursor.split(" ")
            for name in await opened.candidates([word for word in words if word], last):
                if name.startswith(last):
                    yield Completion(name, start_position=-len(last))

    history = _history_file()
    session: PromptSession[str] = PromptSession(
        history=FileHistory(str(history)), completer=Words(), complete_while_typing=False
    )
    print(f"{opened.cluster}: {_HELP}", file=sys.stderr)
    code = EXIT_OK
    while True:
        place = f"{opened.cluster}/{opened.namespace}" if opened.namespace else opened.cluster
        try:
            line = await session.prompt_async(f"{place}> ")
        except KeyboardInterrupt:
            continue
        except EOFError:
            return code
        if line.strip() in ("exit", "quit"):
            return code
        code = await _interruptible(opened, line)


async def _interruptible(opened: Shell, line: str) -> int:
    """Run a line; Ctrl-C cancels it, in the cluster too, and not the shell."""
    import signal

    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(_tried(opened, line))
    loop.add_signal_handler(signal.SIGINT, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        if not task.cancelled():
            raise  # it was the shell that was to end
        print(file=sys.stderr)
        return 130
    finally:
        loop.remove_signal_handler(signal.SIGINT)


async def _tried(opened: Shell, line: str) -> int:
    try:
        return await opened.run(line)
    except KubentlyError as error:
        note(explain(error))
        return 1


def _history_file() -> Path:
    """Readable by its owner alone: what was asked says much of a cluster."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "kubently"
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = state / "history"
    with contextlib.suppress(OSError):
        file.touch(mode=0o600)
    return file
