"""Where a command line is taken up: kubectl's commands at once, everything else by way of typer."""

import sys

from kubently.cli import kubectl, words
from kubently.cli.failures import EXIT_USAGE, UsageError
from kubently.cli.printing import note
from kubently.cli.running import run
from kubently.cli.target import find


def main() -> int:
    """Run `sys.argv`; returns its exit code."""
    try:
        asked = words.read(sys.argv[1:])
        if asked is not None:
            return run(kubectl.command(find(asked.profile, asked.cluster), asked))
        from kubently.cli.app import app

        app(prog_name="kubently")
    except UsageError as error:
        note(str(error))
        return EXIT_USAGE
    except SystemExit as leaving:  # typer always leaves so
        return leaving.code if isinstance(leaving.code, int) else 0
    return 0
