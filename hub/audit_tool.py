"""`kubently-hub audit`: verifies the audit log of a database file and prints its rows; a hub may be running on it.

Exit codes of `verify`: 0 nothing was changed, 1 something was, 2 it cannot be told.
"""

import argparse
import datetime
import os
import re
import sys
from pathlib import Path
from typing import Final

import msgspec

from hub.services import audit_csv
from hub.settings import Settings
from hub.store import audit_file
from hub.store.files import database_path, key_path

_HEAD: Final = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")
_LINES: Final = 1000  # written at once


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the program's."""
    what = commands.add_parser("audit", help="verify or print the audit log").add_subparsers(
        dest="audit", required=True, metavar="WHAT"
    )
    verify = what.add_parser("verify", help="look whether anything was changed; exit code 1 when it was")
    verify.add_argument("--head", metavar="SEQ:MAC", type=_head, help="a head from the hub's log that must be in it")
    export = what.add_parser("export", help="print rows, oldest first")
    export.add_argument("--since", metavar="TIME", type=_time, help="rows of this time and later: 2026-01-20T10:30:00Z")
    export.add_argument("--until", metavar="TIME", type=_time, help="rows before this time")
    export.add_argument("--format", choices=("json", "csv"), default="json", help="one JSON object per line, or CSV")
    for parser in (verify, export):
        parser.add_argument("--database", metavar="URL", help="the database, as the hub is told it")
        parser.add_argument("--key-file", metavar="FILE", help="the key of the audit log (beside the database)")
        parser.add_argument("--config", metavar="FILE", help="the hub's settings file (TOML)")


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Run the command; its exit code. Raises StoreUnusable."""
    database = database_path(settings.database.url)
    if options.audit == "export":
        try:
            return _export(database, options)
        except BrokenPipeError:  # whoever reads has read enough; nor is there anybody for what is still in the buffer
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
    return _verify(database, key_path(database, settings.audit.key_file), options.head)


def _verify(database: Path, key_file: Path, head: tuple[int, str] | None) -> int:
    verdict = audit_file.verify(database, key_file, head)
    for fault in verdict.faults:
        print(fault)
    if verdict.more_faults:
        print(f"and {verdict.more_faults} more")
    held = f"{verdict.rows} rows from {verdict.first} on, of {verdict.hub_id}"
    if verdict.faults:
        print(f"NOT AS IT WAS WRITTEN: {held}")
        return 1
    print(f"nothing was changed: {held}")
    print(f"head {verdict.head}")
    if not verdict.is_head_known:
        print("kubently-hub: the row that --head names went by retention; take a newer head", file=sys.stderr)
        return 2
    return 0


def _export(database: Path, options: argparse.Namespace) -> int:
    if options.format == "csv":
        sys.stdout.write(audit_csv.header())
    portion = []
    for row in audit_file.rows(database, options.since, options.until):
        if options.format == "csv":
            portion.append(audit_csv.lines([row]))
        else:
            portion.append(msgspec.json.encode(audit_csv.flat(row)).decode() + "\n")
        if len(portion) >= _LINES:
            sys.stdout.write("".join(portion))
            portion.clear()
    sys.stdout.write("".join(portion))
    sys.stdout.flush()
    return 0


def _head(text: str) -> tuple[int, str]:
    found = _HEAD.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError("a head is SEQ:MAC, as the hub's log has it")
    return int(found[1]), found[2]


def _time(text: str) -> float:
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise argparse.ArgumentTypeError("a time is written like 2026-01-20T10:30:00Z")
    return moment.timestamp()
