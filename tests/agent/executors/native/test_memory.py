"""How much memory a long list takes: that of its pages, not of the whole. Measured in a process of its own."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web

from tests.support.fake_api_server import fake_api_server, objects

_PODS: Final = 5_000
_POD_BYTES: Final = 10_000
_PAGE: Final = 500
# One page, as JSON, as objects and as text, takes some 100 MiB; all ten, held at once, would take some 500.
_MAX_GROWTH_BYTES: Final = 160 * 2**20

_PROGRAM: Final = """
import asyncio, json, os, resource
from agent.executors.native.executor import NativeExecutor
from agent.settings import Execution
from schemas import kubectl

class SlowSink:
    written = 0

    async def write(self, stream, data):
        self.written += len(data)
        await asyncio.sleep(0.05)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

async def main():
    executor, sink = NativeExecutor(os.environ, Execution()), SlowSink()
    await executor.run(kubectl.parse("get", ["pods", "-o", "name", "--limit=1"]), SlowSink())
    before = peak()
    outcome = await executor.run(kubectl.parse("get", ["pods", "-A", "-o", FORM]), sink)
    await executor.close()
    print(json.dumps({"code": outcome.exit_code, "written": sink.written, "before": before, "peak": peak()}))

asyncio.run(main())
"""


@pytest.mark.parametrize("form", ["json", "name"])
async def test_a_long_list_takes_the_memory_of_its_pages(tmp_path: Path, form: str) -> None:
    environment = [{"name": f"VARIABLE_{number}", "value": f"value-{number}" * 4} for number in range(140)]
    pods = [
        {
            "metadata": {"name": f"pod-{number}", "namespace": "default", "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "main", "image": "example.com/main:1", "env": environment}]},
        }
        for number in range(_PAGE)
    ]
    page = json.dumps(objects("Pod", "v1", pods)).encode()
    assert len(page) / _PAGE == pytest.approx(_POD_BYTES, rel=0.2)
    marker = b'"resourceVersion": "1000"'
    assert page.count(marker) == 1

    async def answer(request: web.Request) -> web.Response:
        number = int(request.query.get("continue", "0")) + 1
        token = b', "continue": "%d"' % number if number < _PODS // _PAGE else b""
        return web.Response(body=page.replace(marker, marker + token), content_type="application/json")

    async with fake_api_server() as server:
        server.route("/api/v1/pods", answer)
        server.route("/api/v1/namespaces/default/pods", answer)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", f"FORM = {form!r}\n{_PROGRAM}"),
            env={"KUBECONFIG": str(server.kubeconfig(tmp_path)), "PYTHONPATH": str(Path.cwd())},
            stdout=asyncio.subprocess.PIPE,
        )
        stdout, _ = await process.communicate()
    measured = json.loads(stdout)
    assert measured["code"] == 0
    assert measured["written"] > _PODS * (_POD_BYTES if form == "json" else 10)
    assert measured["peak"] - measured["before"] < _MAX_GROWTH_BYTES, measured
