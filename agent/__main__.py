"""`kubently-agent` and `python -m agent`: command line, environment and file become settings, and the agent runs."""

import argparse
import asyncio
import os
import sys
import tomllib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from agent import app, check, logs
from agent.errors import EXIT_BAD_SETTINGS, StartError
from agent.link import token
from agent.policy import Policy
from agent.policy_file import PolicyFile
from agent.settings import ENVIRONMENT_PREFIX, TOKEN_VARIABLE, Settings
from schemas.settings import SettingsError, load

_EPILOG = """\
The agent token comes from KUBENTLY_AGENT_TOKEN, or from the file that KUBENTLY_AGENT_TOKEN_FILE names, which is read
again at every dial. The cluster is that of KUBECONFIG, else the pod's own. Every setting is also
KUBENTLY_AGENT_<SECTION>_<NAME> in the environment and a key of the --config file.
Exit codes: 0 stopped, 2 bad settings; with --exit-on-rejection 3 the hub said 401, 4 it said 403, 5 it said 426.
Of check: 0 all is well, 1 the account lacks what the policy allows, 2 it could not be asked, 3 it can do too much.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the agent; returns its exit code."""
    options = _parser().parse_args(argv)
    try:
        if options.command == "check":
            return asyncio.run(_check(options))
        settings = _settings(options)
        read_token = token.source(settings.token_file)
        logs.configure(settings.log.level, settings.log.format)
        return asyncio.run(app.run(settings, read_token))
    except (SettingsError, StartError) as error:
        print(f"kubently-agent: {error}", file=sys.stderr)
        return EXIT_BAD_SETTINGS


async def _check(options: argparse.Namespace) -> int:
    """Neither a hub nor a name is needed to ask the cluster."""
    options.hub_url, options.cluster_id = options.hub_url or "ws://127.0.0.1", options.cluster_id or "check"
    settings = _settings(options)
    logs.configure(settings.log.level, settings.log.format)
    policy = Policy() if settings.policy_file is None else PolicyFile(Path(settings.policy_file)).load()
    return await check.run(settings, policy, as_json=options.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kubently-agent",
        description="Dials a Kubently hub and runs the read-only commands it sends on this cluster.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "command",
        nargs="?",
        choices=("run", "check"),
        default="run",
        help="run: the default. check: say what the account may do in the cluster, beside what the policy allows",
    )
    parser.add_argument("--json", action="store_true", help="check: print JSON")
    parser.add_argument("--hub-url", metavar="URL", help="wss://HOST[:PORT], or ws:// to a hub on this machine")
    parser.add_argument("--cluster-id", metavar="NAME", help="the cluster's name at the hub")
    parser.add_argument("--config", metavar="FILE", type=Path, help="settings as TOML")
    parser.add_argument("--token-file", metavar="FILE", help="file with the agent token")
    parser.add_argument("--ca-file", metavar="FILE", help="authorities to trust for wss:// (PEM), not the system's")
    parser.add_argument("--client-cert", metavar="FILE", help="certificate (PEM) to show to the hub")
    parser.add_argument("--client-key", metavar="FILE", help="private key (PEM) of that certificate")
    parser.add_argument(
        "--insecure", action="store_true", default=None, help="allow ws:// to another machine: the token goes in clear"
    )
    parser.add_argument(
        "--exit-on-rejection", action="store_true", default=None, help="exit on 401, 403 and 426, not ask again"
    )
    parser.add_argument("--policy-file", metavar="FILE", help="what this cluster allows (YAML), read again on change")
    parser.add_argument("--kubectl", metavar="PATH", help="the kubectl to run")
    parser.add_argument("--log-level", metavar="LEVEL", help="debug, info, warning or error")
    parser.add_argument("--log-format", metavar="FORM", help="text or json")
    parser.add_argument("--version", action="version", version=f"kubently-agent {version('kubently-hub')}")
    return parser


def _settings(options: argparse.Namespace) -> Settings:
    return load(
        Settings,
        file=_file(options.config),
        environ=os.environ,
        prefix=ENVIRONMENT_PREFIX,
        flags={
            "hub_url": options.hub_url,
            "cluster_id": options.cluster_id,
            "token_file": options.token_file,
            "ca_file": options.ca_file,
            "client_cert": options.client_cert,
            "client_key": options.client_key,
            "insecure": options.insecure,
            "exit_on_rejection": options.exit_on_rejection,
            "policy_file": options.policy_file,
            "kubectl": options.kubectl,
            "log.level": options.log_level,
            "log.format": options.log_format,
        },
        reserved=frozenset({TOKEN_VARIABLE}),
    )


def _file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise StartError(f"--config {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StartError(f"--config {path}: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
