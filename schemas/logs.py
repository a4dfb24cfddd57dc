"""How hub and agent write their log lines: text for people or JSON for machines, with the ids of what is under way.

Text: `2026-01-20T10:30:45.123Z INFO hub.agents agent connected cluster_id=prod correlation_id=corr_…`. Fields come
from `extra={...}` and from context variables; docs/operations.md explains every message.
"""

import datetime
import json
import logging
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Final, Literal

Context = Mapping[str, ContextVar[str | None]]

_PLAIN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def formatter(form: Literal["text", "json"], context: Context) -> logging.Formatter:
    """Make the formatter of a form; `context` has the ids that go on every line, by name."""
    return JsonLines(context) if form == "json" else TextLines(context)


class _Lines(logging.Formatter):
    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context

    def fields(self, record: logging.LogRecord) -> dict[str, object]:
        """Return the record's own fields and the ids: `{"cluster_id": "prod", "correlation_id": "corr_…"}`."""
        found = {name: value for name, value in vars(record).items() if name not in _PLAIN}
        for name, variable in self._context.items():
            value = variable.get()
            if value is not None:
                found.setdefault(name, value)
        return found


class TextLines(_Lines):
    """One line per record, fields as `name=value`; control characters of foreign text are written as escapes."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a traceback, if any, follows on lines of its own."""
        parts = [_time(record), record.levelname, record.name, _printable(record.getMessage())]
        parts += [f"{name}={_printable(str(value))}" for name, value in self.fields(record).items()]
        line = " ".join(parts)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonLines(_Lines):
    """One JSON object per record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object: `{"time": …, "level": …, "logger": …, "message": …, …fields}`."""
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self.fields(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=True)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _printable(text: str) -> str:
    return text if text.isprintable() else text.encode("unicode_escape").decode()
