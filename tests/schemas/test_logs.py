"""Log lines: text and JSON, one record each."""

import json
import logging

import pytest

from agent import logs
from schemas.logs import JsonLines, TextLines


@pytest.fixture
def record() -> logging.LogRecord:
    made = logging.LogRecord("agent.link", logging.INFO, __file__, 1, "connected %s", ("now",), None)
    made.hub_url = "wss://hub\n2026 ERROR forged"
    return made


def test_text_is_one_line_with_fields_and_ids(record: logging.LogRecord) -> None:
    token = logs.result_id.set("res_1")
    line = TextLines(logs.CONTEXT).format(record)
    logs.result_id.reset(token)
    assert line.endswith(r" INFO agent.link connected now hub_url=wss://hub\n2026 ERROR forged result_id=res_1")
    assert "\n" not in line


def test_json_is_one_object(record: logging.LogRecord) -> None:
    token = logs.correlation_id.set("corr_1")
    line = json.loads(JsonLines(logs.CONTEXT).format(record))
    logs.correlation_id.reset(token)
    assert (line["level"], line["message"], line["correlation_id"]) == ("info", "connected now", "corr_1")
    assert line["hub_url"] == "wss://hub\n2026 ERROR forged"


def test_a_traceback_follows(record: logging.LogRecord) -> None:
    try:
        raise ValueError("oops")
    except ValueError as error:
        record.exc_info = (ValueError, error, error.__traceback__)
    assert TextLines(logs.CONTEXT).format(record).endswith("ValueError: oops")
    assert "ValueError: oops" in json.loads(JsonLines(logs.CONTEXT).format(record))["traceback"]
