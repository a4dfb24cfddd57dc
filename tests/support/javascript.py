"""Node programs of the tests, run with a hub and a key in their environment."""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.hub import ADMIN_KEY

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "sdk" / "javascript"
# What whoever runs the tests has of these must not reach the programs.
_NOT_THEIRS: Final = {"KUBENTLY_ENDPOINT", "KUBENTLY_API_KEY", "NODE_OPTIONS"}

# Every script begins with this: the library, what it prints with, and somewhere to wait.
_HEAD = """
import * as kubently from {library};
import {{ setTimeout as sleep }} from "node:timers/promises";
const print = (value) => console.log(JSON.stringify(value));
const nameOf = (error) => error.name;
const whole = async (stream) => {{
  let text = "";
  for await (const piece of stream) text += piece;
  return text;
}};
"""


class ProgramFailed(AssertionError):
    """A program ended with another exit code than 0; the message has what it said."""


@contextlib.asynccontextmanager
async def started(*words: str | Path, folder: Path, environment: Mapping[str, str]) -> AsyncIterator[Process]:
    """A program that runs; it is killed when the context ends."""
    program = await asyncio.create_subprocess_exec(
        *(str(word) for word in words),
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name not in _NOT_THEIRS} | dict(environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        limit=2**26,
    )
    try:
        yield program
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()


async def ended(program: Process, seconds: float = 60) -> str:
    """Wait for a program's end; what it printed that was not read yet. Raises ProgramFailed, TimeoutError."""
    async with asyncio.timeout(seconds):
        printed, said = await program.communicate()
    if program.returncode != 0:
        raise ProgramFailed(f"exit code {program.returncode}\n{said.decode()[-4000:]}\n{printed.decode()[-4000:]}")
    return printed.decode()


async def run(
    *words: str | Path, folder: Path = ROOT, environment: Mapping[str, str] | None = None, seconds: float = 60
) -> str:
    """Run a program to its end; what it printed. Raises ProgramFailed, TimeoutError."""
    async with started(*words, folder=folder, environment=environment or {}) as program:
        return await ended(program, seconds)


async def node(
    *words: str | Path, url: str, folder: Path = ROOT, seconds: float = 60, key: str = ADMIN_KEY, **more: str
) -> str:
    """Run Node with a hub in its environment; what it printed."""
    return await run("node", *words, folder=folder, environment=_environment(url, key, more), seconds=seconds)


@contextlib.asynccontextmanager
async def running(source: str, url: str, **more: str) -> AsyncIterator[Process]:
    """A script, see `script`, that runs."""
    words = ("--input-type=module", "--eval", _head() + source)
    async with started("node", *words, folder=ROOT, environment=_environment(url, ADMIN_KEY, more)) as program:
        yield program


async def script(source: str, url: str, *, seconds: float = 60, **more: str) -> list[Any]:
    """Run the text of an ES module; the values that it gave to `print`, one to a line."""
    async with running(source, url, **more) as program:
        return [json.loads(line) for line in (await ended(program, seconds)).splitlines()]


def _head() -> str:
    return _HEAD.format(library=json.dumps((PACKAGE / "src" / "index.js").as_uri()))


def _environment(url: str, key: str, more: Mapping[str, str]) -> dict[str, str]:
    return {"KUBENTLY_ENDPOINT": url, "KUBENTLY_API_KEY": key} | dict(more)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the package is installed from its tarball, without asking any registry."""
    folder = tmp_path_factory.mktemp("javascript")
    source = copied(folder / "source")
    _npm("pack", "--pack-destination", str(folder), folder=source)
    (tarball,) = folder.glob("*.tgz")
    program = folder / "program"
    program.mkdir()
    (program / "package.json").write_text('{"name": "program", "private": true}')
    _npm("install", "--offline", "--no-audit", "--no-fund", "--no-package-lock", str(tarball), folder=program)
    return program


def copied(folder: Path) -> Path:
    """A copy of the package's folder as a clone has it, so that nothing is built or installed in the project."""
    shutil.copytree(PACKAGE, folder, ignore=shutil.ignore_patterns("node_modules", "dist", "*.tgz"))
    return folder


def _npm(*words: str, folder: Path) -> None:
    done = subprocess.run(["npm", *words], cwd=folder, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise ProgramFailed(f"npm {words[0]}: {done.stderr[-4000:]}")
