"""Fixtures every test may ask for."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.cluster import WITHOUT, cluster
from tests.support.hub import TestHub, running_hub, settings

__all__ = ["cluster", "hub"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the suite's own options."""
    parser.addoption(
        "--all-kubectls",
        action="store_true",
        help="tests/differential: compare with every kubectl that is found, not only with the newest",
    )


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[TestHub]:
    """A running hub without rate limits."""
    async with running_hub(settings(tmp_path)) as running:
        yield running


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly when the suite ran without its cluster."""
    if os.environ.get(WITHOUT) == "1":
        terminalreporter.write_sep("!", f"{WITHOUT}=1: nothing was tried on a real cluster", red=True)
