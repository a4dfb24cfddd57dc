"""`kubently` and `python -m kubently`: the command line, which comes with the extra `cli`."""

import sys


def main() -> int:
    """Run the command line; returns its exit code."""
    try:
        from kubently.cli.command_line import main as run

        return run()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("typer", "rich", "prompt_toolkit"):
            raise
        print(f"kubently: {error.name} is missing; the command line is: pip install 'kubently[cli]'", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
