"""`version`: which kubectl this is, and which Kubernetes the server is."""

import re
from typing import Any, ClassVar, Final

import msgspec

from agent.executors.native.call import Call
from agent.executors.native.errors import CommandFailed, StatusError, Unreachable
from agent.executors.native.printers.jsonprinter import print_json
from agent.executors.native.printers.typed import Typed, decode, printable
from agent.executors.native.printers.yamlprinter import print_yaml


class Info(Typed):
    """apimachinery's version.Info."""

    always: ClassVar = frozenset({"major", "minor", "git_version", "git_commit", "git_tree_state", "build_date"}) | {
        *("go_version", "compiler", "platform")
    }

    major: str = ""
    minor: str = ""
    emulation_major: str = ""
    emulation_minor: str = ""
    min_compatibility_major: str = ""
    min_compatibility_minor: str = ""
    git_version: str = ""
    git_commit: str = ""
    git_tree_state: str = ""
    build_date: str = ""
    go_version: str = ""
    compiler: str = ""
    platform: str = ""


# The kubectl whose output all of native's is, as its own `version --client -o json` tells it. Callers read this to know
# what to expect of the output, so it names that kubectl to the last field.
CLIENT: Final = Info(
    major="1",
    minor="33",
    git_version="v1.33.1",
    git_commit="8adc0f041b8e7ad1d30e29cc59c6ae7a15e19828",
    git_tree_state="clean",
    build_date="2025-05-15T08:27:33Z",
    go_version="go1.24.2",
    compiler="gc",
    platform="linux/amd64",
)
KUSTOMIZE: Final = "v5.6.0"

_MAX_SKEW: Final = 1  # minor versions, https://kubernetes.io/releases/version-skew-policy/#kubectl
_VERSION: Final = re.compile(r"v?(\d+(?:\.\d+)*)(.*)", re.ASCII | re.DOTALL)
_INDENT: Final = 2


async def run(call: Call) -> int:
    """Print both versions. When the server's cannot be had, kubectl's is printed before the error."""
    if call.command.is_set("client"):
        await call.out(_text(None, call.command.output))
        return 0
    try:
        server = decode(await call.transport.get("/version"), Info)
    except (CommandFailed, StatusError, Unreachable):
        await call.out(_text(None, call.command.output))
        raise
    await call.out(_text(server, call.command.output))
    client, other = _release(CLIENT.git_version), _release(server.git_version)
    if client[0] != other[0] or abs(client[1] - other[1]) > _MAX_SKEW:
        await call.err(
            f"WARNING: version difference between client ({client[0]}.{client[1]}) and server ({other[0]}.{other[1]}) "
            f"exceeds the supported minor version skew of +/-{_MAX_SKEW}\n"
        )
    return 0


def _text(server: Info | None, output: str) -> str:
    if not output:
        last = f"Server Version: {server.git_version}\n" if server is not None else ""
        return f"Client Version: {CLIENT.git_version}\nKustomize Version: {KUSTOMIZE}\n{last}"
    versions: dict[str, Any] = {"clientVersion": printable(CLIENT), "kustomizeVersion": KUSTOMIZE}
    if server is not None:
        versions["serverVersion"] = printable(server)
    if output == "yaml":
        return f"{print_yaml(versions)}\n"
    return f"{msgspec.json.format(print_json(versions, sort_keys=False), indent=_INDENT)}\n"


def _release(version: str) -> tuple[int, int]:
    """Major and minor of `v1.33.1-eks-1`. Raises CommandFailed for what has no three numbers."""
    match = _VERSION.fullmatch(version)
    if match is None:
        raise CommandFailed(f'error: could not parse "{version}" as version')
    numbers = match[1].split(".")
    if len(numbers) != 3 or match[2].startswith("."):
        raise CommandFailed(f'error: illegal version string "{version}"')
    return int(numbers[0]), int(numbers[1])
