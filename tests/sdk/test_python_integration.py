"""The Python library against a real hub, a real agent and an API server."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.sdk.scenario import lines
from tests.support.hub import ADMIN_KEY
from tests.support.sdk_world import sdk_world

_HERE = Path(__file__).parent
SCENARIO = _HERE / "scenario.json"
EXPECTED = _HERE / "scenario.expected.jsonl"


async def test_the_scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = json.loads(SCENARIO.read_text(encoding="utf-8"))
    async with sdk_world(tmp_path) as world, asyncio.timeout(60):
        monkeypatch.setenv("KUBENTLY_ENDPOINT", world.url)
        monkeypatch.setenv("KUBENTLY_API_KEY", ADMIN_KEY)
        printed = [line async for line in lines(steps)]
    assert printed == EXPECTED.read_text(encoding="utf-8").splitlines()
