"""What people and programs read: tables, with colours on a terminal only, and JSON."""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

# How a status looks on a terminal.
STYLES: Final = {
    "connected": "green",
    "completed": "green",
    "active": "green",
    "allowed": "green",
    "disconnected": "red",
    "failed": "red",
    "refused": "red",
    "timeout": "yellow",
    "cancelled": "yellow",
    "lost": "red",
    "error": "red",
    "unauthenticated": "red",
}


def is_terminal() -> bool:
    """Whether stdout is one."""
    return sys.stdout.isatty()


def say_json(value: Any) -> None:
    """JSON for programs: one value, in lines of its own."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def note(text: str) -> None:
    """A line on stderr, which is no part of what was asked for."""
    print(f"kubently: {printable(text)}", file=sys.stderr)


def printable(text: str) -> str:
    r"""Others' text, without what a terminal would obey: an escape is `\x1b`."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def say_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table as kubectl prints one; on a terminal with colours, else plain."""
    listed = [[printable(cell) for cell in row] for row in rows]
    if is_terminal():
        from rich.console import Console

        Console(highlight=False).print(rich_table(columns, listed))
    else:
        sys.stdout.write(plain_table(columns, listed))


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The lines of a table: columns three blanks apart, as kubectl has them; the last one is not filled up."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    lines = []
    for row in (columns, *rows):
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths[:-1], strict=True)]
        lines.append("   ".join([*cells, row[-1]]).rstrip() + "\n")
    return "".join(lines)


def rich_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Any:
    """The same for a terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
    return table


def ago(moment: datetime | None, now: datetime | None = None) -> str:
    """How long ago, as kubectl writes ages: `"45s"`, `"12m"`, `"3h"`, `"5d"`; `"never"` for None."""
    if moment is None:
        return "never"
    seconds = max(0, int(((now or datetime.now(UTC)) - moment).total_seconds()))
    if seconds < 120:
        return f"{seconds}s"
    if seconds < 7200:
        return f"{seconds // 60}m"
    return f"{seconds // 3600}h" if seconds < 172_800 else f"{seconds // 86_400}d"


def moment(time: datetime | None) -> str:
    """A time in the reader's own zone; `"-"` for None."""
    return "-" if time is None else time.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def pairs(labels: dict[str, str]) -> str:
    """Labels as kubectl shows them: `env=prod,tier=web`; `<none>` for none."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "<none>"
