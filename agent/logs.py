"""The agent's log: where its lines go, and the ids of the command under way. A leaf anyone may import."""

import logging
import sys
from contextvars import ContextVar
from typing import Final, Literal

from schemas.logs import formatter

correlation_id: Final[ContextVar[str | None]] = ContextVar("correlation_id", default=None)
result_id: Final[ContextVar[str | None]] = ContextVar("result_id", default=None)

CONTEXT: Final = {"result_id": result_id, "correlation_id": correlation_id}


def configure(level: str, form: Literal["text", "json"]) -> None:
    """Send every logger's lines to stderr in one form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(form, CONTEXT))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    # At debug this library prints every header and frame, the token among them.
    logging.getLogger("websockets").setLevel(max(logging.INFO, logging.getLevelName(level.upper())))
