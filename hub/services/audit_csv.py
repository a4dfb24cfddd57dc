"""Rows of the audit log for those who read them: flat, as JSON objects and as CSV."""

import csv
import datetime
import io
import shlex
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from hub.records import AuditDetail, AuditRow

COLUMNS: Final = ("seq", "at", "kind", *AuditDetail.__struct_fields__, "mac")
# A spreadsheet takes a cell that begins so for a formula, and runs it.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def flat(row: AuditRow) -> dict[str, Any]:
    """A row as one JSON object; what does not apply is left out, an omitted decision is `allowed`."""
    detail = {"decision": "allowed"} | row.detail
    if isinstance(detail.get("since"), int | float):
        detail["since"] = written(detail["since"])
    return {"seq": row.seq, "at": written(row.at), "kind": row.kind, **detail, "mac": row.mac}


def header() -> str:
    """The first line of the CSV."""
    return _line(COLUMNS)


def lines(rows: Iterable[AuditRow]) -> str:
    """Lines of CSV, one for each row."""
    return "".join(_line([_cell(content.get(name)) for name in COLUMNS]) for content in map(flat, rows))


def written(at: float) -> str:
    """A time with milliseconds: `2026-01-20T10:30:45.123Z`."""
    try:
        moment = datetime.datetime.fromtimestamp(at, datetime.UTC)
    except (OverflowError, ValueError, OSError):  # of a row that somebody has changed
        return str(at)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        text = shlex.join(map(str, value))
    elif isinstance(value, str):
        text = value
    else:
        text = msgspec.json.encode(value).decode()
    return f"'{text}" if text.startswith(_FORMULA) else text


def _line(cells: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue()
