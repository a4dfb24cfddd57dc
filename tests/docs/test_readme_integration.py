"""README's three ways in, run as they are shown, with the endpoint and the key of a hub that runs."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.support.documents import ROOT, blocks
from tests.support.hub import ADMIN_KEY
from tests.support.kubently_cli import BIN, Cli
from tests.support.real_road import real_road


@pytest.mark.timeout(300)
async def test_the_three_ways_in(cluster: Cluster, tmp_path: Path) -> None:
    async with real_road(tmp_path, cluster, "production-cluster") as hub:
        shown = [block for block in blocks(ROOT / "README.md") if block.heading == "Three ways in"]
        assert [block.language for block in shown] == ["sh", "python", "sh"]
        environment = Cli(tmp_path, {"KUBENTLY_ENDPOINT": hub.url, "KUBENTLY_API_KEY": ADMIN_KEY}).environment
        environment["PATH"] = f"{BIN.parent}:{environment['PATH']}"
        for block in shown:
            # It is installed already, and the hub is another one.
            lines = [line for line in block.content.splitlines() if not line.startswith("pip install")]
            source = "\n".join(lines).replace("http://127.0.0.1:8080", hub.url).replace("=... ", f"={ADMIN_KEY} ")
            program = (sys.executable, "-c") if block.language == "python" else ("bash", "-e", "-o", "pipefail", "-c")
            process = await asyncio.create_subprocess_exec(
                *(*program, source),
                env=environment,
                cwd=tmp_path,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            said, _ = await asyncio.wait_for(process.communicate(), 60)
            assert process.returncode == 0, said.decode()
            assert b"CrashLoopBackOff" in said
