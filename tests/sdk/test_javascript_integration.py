"""The JavaScript library against a real hub, a real agent and an API server."""

from pathlib import Path

import pytest

from tests.sdk.test_python_integration import EXPECTED, SCENARIO
from tests.support.javascript import node
from tests.support.sdk_world import sdk_world

RUNNER = Path(__file__).with_name("scenario.mjs")


@pytest.mark.timeout(120)
async def test_the_scenario(tmp_path: Path) -> None:
    async with sdk_world(tmp_path) as world:
        printed = await node(RUNNER, SCENARIO, url=world.url)
    assert printed.splitlines() == EXPECTED.read_text(encoding="utf-8").splitlines()
