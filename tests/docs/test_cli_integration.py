"""docs/cli.md is true: its lines run on a real cluster, and its list of commands is that of the program."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from kubently.cli import failures
from kubently.cli.app import app
from tests.cluster.cluster import Cluster
from tests.support.documents import ROOT, blocks, code, rows, section
from tests.support.hub import ADMIN_KEY
from tests.support.kubently_cli import BIN, Cli
from tests.support.real_road import real_road

PAGE = ROOT / "docs" / "cli.md"


@pytest.mark.timeout(300)
async def test_the_lines_run(cluster: Cluster, tmp_path: Path) -> None:
    async with real_road(tmp_path, cluster, "production-cluster") as hub:
        key_file = tmp_path / "admin.key"
        key_file.write_text(f"{ADMIN_KEY}\n", encoding="utf-8")
        environment = Cli(tmp_path, {"HUB": hub.url, "KEY_FILE": str(key_file)}).environment
        environment["PATH"] = f"{BIN.parent}:{environment['PATH']}"
        said, exported, count = "", "", 0
        for block in blocks(PAGE):
            if block.language == "bash":
                code, said = await _bash(f"{exported}set -e -o pipefail\n{block.content}", environment, tmp_path)
                assert code in (0, 141), f"line {block.line}: {said}"  # 141: a followed log whose reader left
                exported += "".join(f"{line}\n" for line in block.content.splitlines() if line.startswith("export "))
                count += 1
            elif block.language == "text":
                assert _words(said) >= _words(block.content), f"line {block.line}: {said}"
        assert count >= 8
        assert (tmp_path / "staging-2.yaml").read_text(encoding="utf-8").startswith("apiVersion: v1\n")
        assert (tmp_path / "triage.key").read_text(encoding="utf-8").startswith("kubently_key_")


async def _bash(script: str, environment: dict[str, str], folder: Path) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", script),
        env=environment,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, said.decode()


def _words(text: str) -> set[str]:
    """The words of an answer that every run has: no numbers, names of pods or addresses."""
    return set(re.findall(r"(?<![\w.:/-])[A-Za-z✓()]{3,}(?![\w./:-])", text)) - {"min"}


def _commands(command: Any, name: str) -> Iterator[tuple[str, set[str]]]:
    for inner, found in getattr(command, "commands", {}).items():
        if not found.hidden:
            yield from _commands(found, f"{name} {inner}")
    if not hasattr(command, "commands"):
        arguments = [each for each in command.params if each.param_type_name == "argument"]
        words = [name, *(each.name.upper() if each.required else f"[{each.name.upper()}]" for each in arguments)]
        options = [each for each in command.params if each.param_type_name == "option" and each.name != "help"]
        yield " ".join(words), {word for each in options for word in (*each.opts, *each.secondary_opts)}


def test_every_command_and_option_is_listed_and_no_other() -> None:
    listed = {code(row[0]): set(re.findall(r"`(--[a-z-]+)`", row[1])) for row in rows(section(PAGE, "All commands"))}
    assert listed == dict(_commands(typer.main.get_command(app), "kubently"))


def test_every_exit_code_is_explained() -> None:
    codes = {int(row[0]) for row in rows(section(PAGE, "Exit codes"))}
    assert codes == {value for name, value in vars(failures).items() if name.startswith("EXIT_")}
