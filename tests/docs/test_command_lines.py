"""Every command line of ours that a document shows is one the programs take."""

import re
import shlex
import tomllib

import pytest

import agent.__main__
import hub.__main__
from hub.settings import Settings
from schemas.settings import load
from tests.support.documents import ROOT, Block, blocks, code, documents, modules, rows, section

PARSERS = {"kubently-hub": hub.__main__._parser(), "kubently-agent": agent.__main__._parser()}
ASSIGNMENT = re.compile(r"[A-Z_]+=.*")


def _command_lines() -> list[tuple[str, list[str]]]:
    """The program and its arguments, of each line in a shell block that starts one of ours."""
    found = []
    for path in documents():
        for block in blocks(path):
            if block.language not in {"sh", "bash"}:
                continue
            for line in block.content.replace("\\\n", " ").split("\n"):
                if not any(program in line for program in PARSERS):
                    continue
                words = shlex.split(line, comments=True)
                while words and ASSIGNMENT.fullmatch(words[0]):
                    del words[0]
                if words and words[0] in PARSERS:
                    found.append((words[0], words[1:]))
    return found


@pytest.mark.parametrize(("program", "arguments"), _command_lines(), ids=lambda value: str(value)[:60])
def test_a_command_line_is_understood(program: str, arguments: list[str]) -> None:
    PARSERS[program].parse_args(arguments)


def test_there_are_command_lines_of_both() -> None:
    assert {program for program, _ in _command_lines()} == set(PARSERS)


def test_the_settings_file_that_is_shown_is_one() -> None:
    shown: list[Block] = [block for block in blocks(ROOT / "docs" / "settings.md") if block.language == "toml"]
    assert len(shown) == 1
    load(Settings, file=tomllib.loads(shown[0].content), environ={}, prefix="KUBENTLY_HUB_", flags={})


def test_what_a_hub_says_that_cannot_start_is_in_its_source() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for package in ("hub", "schemas") for path in modules(package))
    table = [row for row in rows(section(ROOT / "docs" / "operations.md", "Run a hub")) if len(row) == 3]
    assert len(table) >= 8
    for row in table:
        for piece in re.split(r"\.\.\.|\[Errno 98\]", code(row[0])):
            assert piece.strip() in source, row[0]
