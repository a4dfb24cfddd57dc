"""docs/sdk-python.md is true: its examples run, in their order, against a hub and a real cluster."""

import ast
import asyncio
import contextlib
import inspect
import io
from pathlib import Path
from typing import Any

import pytest

import kubently
from kubently.errors import BY_CODE
from tests.cluster.cluster import Cluster
from tests.support.documents import ROOT, blocks, code, rows, section
from tests.support.hub import ADMIN_KEY
from tests.support.real_road import real_road

PAGE = ROOT / "docs" / "sdk-python.md"
REFERENCE = """\
async with client.debug_session("production-cluster") as session:
    # Get all pods
    result = await session.execute("get", ["pods", "-A"])
    print(result.output)
"""


async def run(source: str, names: dict[str, Any]) -> str:
    """Run a block with `await` outside of functions; what it printed."""
    compiled = compile(source, PAGE.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        found = eval(compiled, names)
        if inspect.isawaitable(found):
            await found
    return printed.getvalue()


@pytest.mark.timeout(300)
async def test_the_examples_run(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with real_road(tmp_path, cluster, "production-cluster", labels={"env": "prod"}) as hub:
        monkeypatch.setenv("KUBENTLY_ENDPOINT", hub.url)
        monkeypatch.setenv("KUBENTLY_API_KEY", ADMIN_KEY)
        names: dict[str, Any] = {}
        printed, count = "", 0
        for block in blocks(PAGE):
            if block.language == "python":
                source = block.content.replace("http://your-kubently-api:8080", hub.url)
                async with asyncio.timeout(60):
                    printed = await asyncio.create_task(_apart(source.replace("your-api-key", ADMIN_KEY), names))
                assert printed, f"line {block.line}"
                count += 1
            elif block.language == "text":
                assert block.content in printed, f"line {block.line}: {printed}"
        assert count >= 9


async def _apart(source: str, names: dict[str, Any]) -> str:
    """Blocks of the blocking client run in a thread, as they would in a program of their own."""
    if "kubently.sync" in source:
        return await asyncio.to_thread(lambda: asyncio.run(run(source, names)))
    return await run(source, names)


def test_the_example_of_the_reference_is_there() -> None:
    assert REFERENCE in PAGE.read_text(encoding="utf-8")


def test_every_class_of_error_is_listed() -> None:
    listed = [(code(row[0]), code(row[1])) for row in rows(section(PAGE, "Errors"))]
    classes = {(kind.__name__, name) for name, kind in BY_CODE.items()} | {("ClusterOffline", "service_unavailable")}
    assert set(listed) == classes
    for name, _ in listed:
        assert issubclass(getattr(kubently, name), kubently.HubError)
