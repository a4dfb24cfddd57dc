"""The running hub against its own OpenAPI document, by schemathesis, with all its checks."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from tests.support.hub import ADMIN_KEY, TestHub
from tests.support.raw_agent import canned, serving

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_the_api_keeps_what_its_document_says(hub: TestHub, tmp_path: Path) -> None:
    token = await hub.register("production-cluster")
    async with serving(hub.url, token, canned, "production-cluster"):
        run = await asyncio.create_subprocess_exec(
            *(Path(sys.executable).with_name("schemathesis"), "--config-file", ROOT / "schemathesis.toml"),
            *("run", f"{hub.url}/openapi.json", "--checks", "all", "--max-examples", "30", "--seed", "1"),
            *("-H", f"Authorization: Bearer {ADMIN_KEY}", "--request-timeout", "20"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=tmp_path,
        )
        output = (await run.communicate())[0].decode()
    assert run.returncode == 0, output
    tested = re.search(r"Tested: (\d+)", output)
    assert tested is not None
    assert int(tested[1]) >= 19
