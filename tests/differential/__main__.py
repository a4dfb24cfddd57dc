"""`python -m tests.differential KUBECONFIG 'get pods -A' …`: where native and kubectl differ, as a diff.

Exit code 0: every command line was answered alike, 1: not.
"""

import argparse
import asyncio
import difflib
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from agent.executors.native.executor import NativeExecutor
from agent.settings import Execution
from tests.differential.harness import Kubectl, Printed, compare, environment
from tests.support.kubectl import kubectl_binary


def main() -> int:
    """Compare; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    parser.add_argument("kubeconfig", type=Path)
    parser.add_argument("lines", nargs="+", metavar="LINE", help="a command line without the word kubectl")
    options = parser.parse_args()
    return asyncio.run(_compared(options.kubeconfig, options.lines))


async def _compared(kubeconfig: Path, lines: list[str]) -> int:
    oracle = Kubectl(kubectl_binary(), kubeconfig)
    executor = NativeExecutor(environment(kubeconfig), Execution())
    differences = 0
    try:
        for line in lines:
            wanted, got = await compare(oracle, executor, shlex.split(line))
            differences += wanted != got
            print(f"{'ok' if wanted == got else 'DIFFERENT'}: {line}")
            sys.stdout.writelines(difference(wanted, got))
    finally:
        await executor.close()
        oracle.close()
    return 1 if differences else 0


def difference(wanted: Printed, got: Printed) -> Iterator[str]:
    """Lines of a diff from kubectl's answer to native's, with what cannot be seen escaped; none when they are alike."""
    for stream in ("stdout", "stderr"):
        yield from difflib.unified_diff(
            _lines(getattr(wanted, stream)), _lines(getattr(got, stream)), f"kubectl {stream}", f"native {stream}"
        )
    if wanted.exit_code != got.exit_code:
        yield f"exit code: kubectl {wanted.exit_code}, native {got.exit_code}\n"


def _lines(data: bytes) -> list[str]:
    """`b"a  \\n"` is shown as `a  $`, so that blanks at the end can be seen."""
    return [f"{repr(line)[2:-1]}$\n" for line in data.split(b"\n")]


if __name__ == "__main__":
    sys.exit(main())
