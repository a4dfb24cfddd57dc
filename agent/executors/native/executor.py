"""The executor named "native": one `Call` per command, and what a verb raises in kubectl's words."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from agent.executors import kubeconfig
from agent.executors.base import Outcome, Sink, Versions
from agent.executors.native import statuses
from agent.executors.native.access import Access
from agent.executors.native.call import Call
from agent.executors.native.discovery import Discovery
from agent.executors.native.errors import CommandFailed, StatusError, Unreachable
from agent.executors.native.transport import Transport
from agent.executors.native.verbs import (
    api_resources,
    api_versions,
    auth,
    cluster_info,
    describe,
    events,
    explain,
    get,
    logs,
    rollout,
    top,
    version,
)
from agent.redaction.screen import NO_SCREEN, Screen
from agent.settings import Execution
from schemas.kubectl import KubectlCommand, seconds

_log = logging.getLogger(__name__)

# The kubectl whose output this is; other releases print a few things differently.
COMPATIBLE_WITH: Final = "v1.33"
_PROBE_SECONDS: Final = 5.0
# What it comes to when an answer is no JSON, nested too deep, or has a list where an object belongs. Verbs look at the
# fields they use as the API defines them, not at what a server without sense could put there. A bug can look the same.
_OF_ODD_ANSWERS: Final = (
    *(msgspec.MsgspecError, ValueError, RecursionError, OverflowError),
    *(AttributeError, IndexError, KeyError, TypeError),
)
_UNREADABLE: Final = (
    "error: the agent could not make an answer of what the API server sent; one of the two is at fault, see the "
    "agent's log\n"
)

# Each writes its answer and returns the exit code.
VERBS: Final[Mapping[str, Callable[[Call], Awaitable[int]]]] = {
    "get": get.run,
    "describe": describe.run,
    "explain": explain.run,
    "version": version.run,
    "cluster-info": cluster_info.run,
    "api-resources": api_resources.run,
    "api-versions": api_versions.run,
    "events": events.run,
    "logs": logs.run,
    "top": top.run,
    "auth-can-i": auth.can_i,
    "auth-whoami": auth.whoami,
    "rollout-status": rollout.status,
    "rollout-history": rollout.history,
}


class NativeExecutor:
    """Answers commands with requests of its own to the API server. `close` ends its connections."""

    name = "native"

    def __init__(self, environ: Mapping[str, str], settings: Execution, *, is_last: bool = False) -> None:
        """Fix the cluster once and for all, without asking it anything. Raises StartError when there is none.

        `is_last`: no executor is asked after it, so it answers as well as may be what only kubectl prints exactly.
        """
        self._access = Access(kubeconfig.resolve(environ, Path(settings.service_account_dir)))
        self._transport = Transport(self._access, settings.max_response_bytes)
        self._discovery = Discovery(self._transport)
        self._is_last = is_last

    async def close(self) -> None:
        """End the connections; nothing may be running any more."""
        await self._discovery.close()
        await self._access.close()

    async def run(self, command: KubectlCommand, sink: Sink, screen: Screen = NO_SCREEN) -> Outcome:
        """Run a command to its end.

        Raises NotNative, before anything was written, for what only kubectl can answer; what the sink raises; and what
        is not an answer's doing, which is a bug of the agent.
        """
        limit = command.flag("request-timeout")
        transport = self._transport.for_command(seconds(limit) if limit else None)
        discovery = self._discovery.for_command(transport)
        call = Call(command, transport, discovery, sink, is_last=self._is_last, screen=screen)
        try:
            code = await VERBS[command.verb](call)
        except CommandFailed as failed:
            code = failed.exit_code
            if failed.text:
                await call.err(failed.text if failed.text.endswith("\n") else f"{failed.text}\n")
        except StatusError as error:
            code = 1
            await call.err(f"{statuses.text(error)}\n")
        except Unreachable as error:
            code = 1
            await call.err(f"{error}\n")
        except _OF_ODD_ANSWERS:
            if not transport.has_answer:  # then it is not the API server's doing
                raise
            code = 1
            _log.exception("an answer of the API server cannot be read", extra={"verb": command.verb})
            await call.err(_UNREADABLE)
        await call.err("")
        return Outcome(code)

    async def probe(self) -> Versions:
        """Which kubectl its output is that of, and the API server's version, for which it waits 5 s; raises nothing."""
        await self._access.prepare()
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                answer = msgspec.json.decode(await self._transport.get("/version"))
            kubernetes = answer["gitVersion"]
        except TimeoutError:
            _log.warning("the API server does not answer", extra={"timeout_seconds": _PROBE_SECONDS})
            return Versions(COMPATIBLE_WITH)
        except (StatusError, Unreachable, CommandFailed, *_OF_ODD_ANSWERS) as error:
            _log.warning("the API server does not tell its version", extra={"error": str(error)})
            return Versions(COMPATIBLE_WITH)
        return Versions(COMPATIBLE_WITH, kubernetes if isinstance(kubernetes, str) else None)
