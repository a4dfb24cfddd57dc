"""The agent's log lines: text for people or JSON for machines, each with its command's ids. A leaf anyone may import.

Text: `2026-01-20T10:30:45.123Z INFO agent.link.link connected to the hub hub_version=0.1.0`. Fields come from
`extra={...}` and from the context of the command; docs/operations.md explains every message.
"""

import datetime
import json
import logging
import sys
from contextvars import ContextVar
from typing import Final, Literal

correlation_id: Final[ContextVar[str | None]] = ContextVar("correlation_id", default=None)
result_id: Final[ContextVar[str | None]] = ContextVar("result_id", default=None)

_PLAIN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(level: str, form: Literal["text", "json"]) -> None:
    """Send every logger's lines to stderr in one form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    # At debug this library prints every header and frame, the token among them.
    logging.getLogger("websockets").setLevel(max(logging.INFO, logging.getLevelName(level.upper())))


def fields(record: logging.LogRecord) -> dict[str, object]:
    """Return the record's own fields and its command's ids: `{"result_id": "res_…", "correlation_id": "corr_…"}`."""
    found = {name: value for name, value in vars(record).items() if name not in _PLAIN}
    for name, variable in (("result_id", result_id), ("correlation_id", correlation_id)):
        value = variable.get()
        if value is not None:
            found.setdefault(name, value)
    return found


class TextLines(logging.Formatter):
    """One line per record, fields as `name=value`; control characters of foreign text are written as escapes."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a traceback, if any, follows on lines of its own."""
        parts = [_time(record), record.levelname, record.name, _printable(record.getMessage())]
        parts += [f"{name}={_printable(str(value))}" for name, value in fields(record).items()]
        line = " ".join(parts)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonLines(logging.Formatter):
    """One JSON object per record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object: `{"time": …, "level": …, "logger": …, "message": …, …fields}`."""
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **fields(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=True)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _printable(text: str) -> str:
    return text if text.isprintable() else text.encode("unicode_escape").decode()
