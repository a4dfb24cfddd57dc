"""The Python library as its users get it: a wheel, installed into an empty environment that has nothing of the hub."""

import asyncio
import os
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.hub import ADMIN_KEY
from tests.support.sdk_world import CLUSTER_ID, sdk_world

ROOT = Path(__file__).parents[2]
PROGRAM = """
import asyncio, importlib.util, kubently

assert not any(importlib.util.find_spec(name) for name in ("hub", "agent", "schemas", "typer", "rich"))

async def main():
    client = kubently.Client()
    async with client.debug_session("alpha") as session:
        print((await session.execute("get", ["pods", "-o", "name"])).output, end="")

asyncio.run(main())
with kubently.sync.Client() as client:
    print(client.cluster("alpha").status)
"""


async def ran(*words: str | Path, **environment: str) -> tuple[int, str]:
    """A process with what pip needs of this one's environment; its exit code, and all it printed."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("KUBENTLY_", "PYTHON"))}
    process = await asyncio.create_subprocess_exec(
        *words,
        env=inherited | environment,
        cwd="/",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_wheel_in_an_empty_environment(tmp_path: Path) -> None:
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    source = shutil.copytree(ROOT / "sdk" / "python", tmp_path / "source")  # building leaves things beside it
    code, said = await ran(*pip, "wheel", "--quiet", "--no-deps", "-w", tmp_path, source)
    assert code == 0, said
    (wheel,) = tmp_path.glob("kubently-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"kubently/py.typed", "kubently/cli/agent.yaml", "kubently/sync.py"} <= set(names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"kubently"}
    venv = tmp_path / "venv"
    code, said = await ran(sys.executable, "-m", "venv", venv)
    assert code == 0, said
    code, said = await ran(venv / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
    assert code == 0, said
    async with sdk_world(tmp_path) as world:
        here = {"KUBENTLY_ENDPOINT": world.url, "KUBENTLY_API_KEY": ADMIN_KEY, "KUBENTLY_CLUSTER": CLUSTER_ID}
        assert await ran(venv / "bin" / "python", "-c", PROGRAM, **here) == (
            0,
            "pod/quiet\npod/talker\npod/web-0\nconnected\n",
        )
        # kubectl's verbs need nothing more; tables and the like do, and say so.
        assert await ran(venv / "bin" / "kubently", "get", "pod", "-o", "name", **here) == (
            0,
            "pod/quiet\npod/talker\npod/web-0\n",
        )
        code, said = await ran(venv / "bin" / "kubently", "clusters", **here)
        assert (code, "pip install 'kubently[cli]'" in said) == (2, True)
        code, said = await ran(
            venv / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", f"{wheel}[cli]"
        )
        assert code == 0, said
        code, said = await ran(venv / "bin" / "kubently", "clusters", **here)
        assert (code, said.split()[:2]) == (0, ["NAME", "STATUS"])
