"""The command behind `scripts/testcluster`."""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.cluster.assets import AssetsMissing, say
from tests.cluster.cluster import Cluster, ClusterFailed, kubectl
from tests.cluster.debian import BuildFailed


def main() -> int:
    """Run the command; its exit code."""
    options = _parser().parse_args()
    try:
        cluster = Cluster(options.name)
        if options.command == "down":
            cluster.down()
        elif options.command == "status":
            problem = cluster.problem()
            if problem is not None:
                say(f"scripts/testcluster: {problem}")
                return 1
            print(f"KUBECONFIG={cluster.kubeconfig}")
        elif options.use_current:
            print(f"KUBECONFIG={_current()}")
        else:
            started = time.monotonic()
            cluster.up()
            if time.monotonic() - started > 1:
                say(f"cluster {cluster.name} is up after {time.monotonic() - started:.0f} s")
            print(f"KUBECONFIG={cluster.kubeconfig}")
    except (AssetsMissing, BuildFailed, ClusterFailed) as error:
        say(f"scripts/testcluster: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _current() -> Path:
    """The kubeconfig of the current context, if its cluster answers. Raises ClusterFailed."""
    named = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    if os.pathsep in named:
        raise ClusterFailed("KUBECONFIG lists several files; --use-current needs it to name one")
    command = [kubectl(), "get", "--raw", "/version", "--request-timeout=3s"]
    try:
        subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=30, check=True)
    except subprocess.SubprocessError:
        raise ClusterFailed("the current context does not answer") from None
    return Path(named)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/testcluster", description="A real Kubernetes API server on loopback."
    )
    parser.add_argument("command", choices=("up", "down", "status"))
    parser.add_argument("--name", default="default", help="several clusters can be up side by side")
    parser.add_argument("--use-current", action="store_true", help="up: take the current kubectl context instead")
    return parser


if __name__ == "__main__":
    sys.exit(main())
