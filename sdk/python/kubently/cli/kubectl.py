"""kubectl's verbs on one cluster: output, errors and exit code as kubectl gives them, as they come."""

import sys
from typing import TYPE_CHECKING, BinaryIO, Final

from kubently.cli.failures import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_TIMEOUT, UsageError
from kubently.cli.printing import note, say_json
from kubently.cli.running import client_of
from kubently.cli.target import Target
from kubently.models import Result

if TYPE_CHECKING:
    from kubently.cli.words import Asked

VERBS: Final = {
    "get": "Show resources, as kubectl get does; -w watches.",
    "describe": "Show the details of resources.",
    "logs": "Print a container's log; -f follows it.",
    "events": "List events; -w watches.",
    "explain": "Explain the fields of a resource.",
    "top": "Show the CPU and memory that nodes or pods use.",
    "rollout": "Show the status or the history of a rollout.",
    "auth": "Ask whether the agent may do something: auth can-i, auth whoami.",
    "api-resources": "List the resources that the cluster has.",
    "api-versions": "List the API versions that the cluster has.",
    "cluster-info": "Show where the cluster's services are.",
    "version": "Show the cluster's version. Kubently's own: kubently --version.",
}


# What kubectl has beside them and may not run; `exec` is a command of our own.
REFUSED: Final = (
    *("annotate", "apply", "attach", "autoscale", "certificate", "config", "cordon", "cp", "create", "debug", "delete"),
    *("diff", "drain", "edit", "expose", "kustomize", "label", "patch", "port-forward", "proxy", "replace", "run"),
    *("scale", "set", "taint", "uncordon", "wait"),
)


async def command(target: Target, asked: "Asked") -> int:
    """Run one command; its exit code. Ctrl-C cancels it in the cluster."""
    if not asked.words:
        raise UsageError("which command? Such as: kubently exec CLUSTER -- get pods -A")
    verb, *args = asked.words
    async with client_of(target).debug_session(target.required_cluster(), wait=asked.agent_wait) as session:
        if asked.as_json:
            result = await session.execute(verb, args, timeout=asked.time_limit)
            say_json(result.raw)
            return code_of(result)
        # Always as a stream: which words make a command that goes on, the hub knows better, and others come no later.
        stream = session.stream(verb, args, timeout=asked.time_limit)
        sinks: dict[str, BinaryIO] = {"stdout": sys.stdout.buffer, "stderr": sys.stderr.buffer}
        async for piece in stream:
            sink = sinks[piece.stream]
            sink.write(piece.data.encode())
            sink.flush()
        assert stream.result is not None  # else the loop has raised
        remark(stream.result)
        return code_of(stream.result)


def code_of(result: Result) -> int:
    """The exit code for a result: the command's own where it has one."""
    if result.exit_code is not None:
        return result.exit_code
    return {"completed": 0, "timeout": EXIT_TIMEOUT, "cancelled": EXIT_INTERRUPTED}.get(result.status, EXIT_FAILED)


def remark(result: Result) -> None:
    """What kubectl would not have had to say: how it ended, what is missing."""
    if result.reason is not None:
        note(result.reason)
    if result.truncated:
        note(f"the output was cut, {result.omitted_bytes} bytes are missing")
    hidden = sum(result.redactions.values()) if result.redactions else 0
    if hidden and sys.stderr.isatty():
        note(f"{hidden} values were hidden by the cluster's agent")
