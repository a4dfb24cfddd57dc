"""Where a command line is taken up: kubectl's commands at once, everything else by way of typer."""

import os
import sys
from typing import TextIO

from kubently.cli import kubectl, words
from kubently.cli.failures import EXIT_INTERRUPTED, EXIT_USAGE, UsageError
from kubently.cli.printing import note
from kubently.cli.running import run
from kubently.cli.target import find


def main() -> int:
    """Run `sys.argv`; returns its exit code."""
    # Python has None for what was closed by whoever called; what is written there goes nowhere.
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    try:
        asked = words.read(sys.argv[1:])
        if asked is not None:
            return run(kubectl.command(find(asked.profile, asked.cluster), asked))
        from kubently.cli.app import app

        app(prog_name="kubently")
    except UsageError as error:
        note(str(error))
        return EXIT_USAGE
    except KeyboardInterrupt:  # where nothing was asked yet
        return EXIT_INTERRUPTED
    except SystemExit as leaving:  # typer always leaves so
        return leaving.code if isinstance(leaving.code, int) else 0
    return 0


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - for as long as the program runs
