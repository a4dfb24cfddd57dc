"""docs/api.md is true: every route is in it, and its calls, run by bash and curl, answer what it says."""

import asyncio
import contextlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from hub.api.routes import ROUTES
from hub.keys import Access
from hub.settings import Agents, Commands, Database, RateLimit
from schemas.api import commands as wire
from tests.cluster.cluster import Cluster
from tests.support.documents import ROOT, Block, all_code, blocks, code, rows, section
from tests.support.hub import ADMIN_KEY
from tests.support.kubectl import kubectl_binary
from tests.support.program import Client, agent_program, hub_program

API = ROOT / "docs" / "api.md"
CLUSTER_ID = "production-cluster"
BLOCK_SECONDS = 30.0

# Stands before curl in PATH: runs it and keeps what it answered, numbered within the block.
CURL = """\
#!/usr/bin/env bash
set -euo pipefail
number=$(find "$ANSWERS" -name '*.status' | wc -l)
{curl} --max-time 20 --dump-header "$ANSWERS/$number.headers" --output "$ANSWERS/$number.body" "$@"
sed -n 's/^HTTP[^ ]* \\([0-9]*\\).*/\\1/p' "$ANSWERS/$number.headers" | tail -n 1 >"$ANSWERS/$number.status"
cat "$ANSWERS/$number.body"
"""
# Variables outlive their block.
SCRIPT = """\
set -euo pipefail
[ -f "$STATE" ] && source "$STATE"
set -a
{block}
set +a
export -p | grep -v ' \\(ANSWERS\\|STATE\\|PATH\\)=' >"$STATE"
"""


def test_every_route_is_listed_with_its_access_and_bucket() -> None:
    listed = {(row[0], code(row[1])): (row[2], row[3]) for row in rows(section(API, "All calls"))}
    assert set(listed) == {(method, path) for method, path, _, _ in ROUTES}
    for method, path, _, policy in ROUTES:
        who, bucket = listed[method, path]
        assert bucket == (policy.bucket or "none"), path
        assert (who == "anyone") == (policy.access is Access.PUBLIC), path
        assert (who == "agents") == (policy.access is Access.AGENT), path


def test_every_field_and_status_of_a_result_is_explained() -> None:
    cells = [row[0] for row in rows(section(API, "Run a command"))]
    named = {word for cell in cells for word in all_code(cell)}
    assert set(wire.Result().fields) <= named
    assert set(wire.RESULT_STATUSES) <= named


@pytest.mark.parametrize(
    "text",
    [
        f"execute bucket ({RateLimit.execute_per_minute})",
        f"session bucket ({RateLimit.session_per_minute})",
        f"standard one ({RateLimit.standard_per_minute})",
        f"client's address ({RateLimit.address_per_minute})",
        f"a whole number from {wire.MIN_TIMEOUT_SECONDS} to {wire.MAX_TIMEOUT_SECONDS}",
        f"else {wire.DEFAULT_TIMEOUT_SECONDS} |",
        f"{wire.MAX_WAIT_SECONDS} seconds at most",
        f"for {Database.keep_results_seconds / 86_400:.0f} days",
        f"{Agents.max_concurrent_commands} at a time",
        f"Up to {Agents.max_queued_commands} more",
        f"({Commands.max_output_bytes // 2**20} MiB)",
    ],
)
def test_a_number_of_the_page_is_that_of_the_source(text: str) -> None:
    assert text in API.read_text(encoding="utf-8").replace("\n", " ")


@pytest.mark.timeout(300)
async def test_the_calls_answer_what_the_page_says(cluster: Cluster, tmp_path: Path) -> None:
    """Statuses as in the comments, and JSON of the shape that is shown; hub, agent and cluster are real."""
    kubernetes = {"KUBECONFIG": str(cluster.agent_kubeconfig), "KUBENTLY_AGENT_KUBECTL": kubectl_binary()}
    async with contextlib.AsyncExitStack() as stack:
        _, client = await stack.enter_async_context(hub_program(tmp_path))
        shell = _Shell(tmp_path, client.url)
        answer: Any = None
        has_agent = False
        calls = 0
        for block in blocks(API):
            if block.language == "bash":
                statuses, answer = await shell.run(block)
                calls += len(statuses)
                if "offset=" in block.content:
                    assert len(answer["output"].encode()) == 2048
                if not has_agent and (token := shell.variable("AGENT_TOKEN")):
                    has_agent = True
                    await stack.enter_async_context(
                        agent_program(client.url, token, cluster_id=CLUSTER_ID, env=kubernetes)
                    )
                    await _connected(client)
            elif block.language == "json":
                assert _shape(answer) == _shape(json.loads(block.content)), f"line {block.line}: {answer}"
        assert has_agent
        assert calls >= 30


async def _connected(client: Client) -> None:
    async with asyncio.timeout(20):
        while (await client.call("GET", f"/clusters/{CLUSTER_ID}/status")).body["status"] != "connected":
            await asyncio.sleep(0.05)


class _Shell:
    """Runs blocks one after the other, each in a bash of its own that inherits the variables of those before."""

    def __init__(self, folder: Path, url: str) -> None:
        curl = shutil.which("curl")
        assert curl is not None, "curl is not installed (on Debian: apt-get install curl)"
        assert shutil.which("jq") is not None, "jq is not installed (on Debian: apt-get install jq)"
        self._folder = folder
        self._state = folder / "state"
        self._bin = folder / "bin"
        self._bin.mkdir()
        (self._bin / "curl").write_text(CURL.format(curl=curl), encoding="utf-8")
        (self._bin / "curl").chmod(0o755)
        self._environment = {"HUB": url, "KEY": ADMIN_KEY, "STATE": str(self._state)}
        self._number = 0

    async def run(self, block: Block) -> tuple[list[int], Any]:
        """Run one block and hold it to its comments; its statuses, and the JSON of its last answer (None: none)."""
        self._number += 1
        answers = self._folder / f"answers-{self._number}"
        answers.mkdir()
        process = await asyncio.create_subprocess_exec(
            "bash", "-c", SCRIPT.format(block=block.content),
            env=self._environment | {"ANSWERS": str(answers), "PATH": f"{self._bin}:/usr/local/bin:/usr/bin:/bin"},
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            said, _ = await asyncio.wait_for(process.communicate(), BLOCK_SECONDS)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        where = f"{API.name}, line {block.line}:\n{block.content}\n{said.decode()}"
        assert process.returncode == 0, where
        files = sorted(answers.glob("*.status"), key=lambda path: int(path.stem))
        statuses = [int(path.read_text()) for path in files]
        assert statuses == [int(status) for status in re.findall(r"^# (\d{3})$", block.content, re.MULTILINE)], where
        assert len(statuses) == len(re.findall(r"\bcurl\b", block.content)), where
        if not files:
            return statuses, None
        try:
            return statuses, json.loads(files[-1].with_suffix(".body").read_text())
        except json.JSONDecodeError:
            return statuses, None

    def variable(self, name: str) -> str | None:
        """What a block before has set."""
        found = re.search(rf'^declare -x {name}="([^"]*)"$', self._state.read_text(), re.MULTILINE)
        return found[1] if found else None


def _shape(value: Any) -> Any:
    """Names and kinds: `{"total": 1, "names": ["a", "b"]}` is `{"total": "number", "names": ["text"]}`.

    Null counts as text; of a list only the first element counts.
    """
    if isinstance(value, dict):
        return {name: _shape(inner) for name, inner in sorted(value.items())}
    if isinstance(value, list):
        return [_shape(inner) for inner in value[:1]]
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "text"
