"""docs/operations.md explains every message hub and agent log at info or above, each with an example line."""

import ast
import asyncio
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.documents import ROOT, blocks, modules, section
from tests.support.program import hub_program

OPERATIONS = ROOT / "docs" / "operations.md"
LEVELS = {"info": "INFO", "warning": "WARNING", "error": "ERROR", "exception": "ERROR", "critical": "CRITICAL"}
CONTEXT = {"correlation_id", "request_id", "result_id"}  # hub/logs.py and agent/logs.py add them
PROGRAMS = {"hub": "Log messages of the hub", "agent": "Log messages of the agent"}


@dataclass(frozen=True, slots=True)
class Message:
    """One call of a logger. `level` None: chosen when it is called. `fields` are the names of its `extra`."""

    text: str
    level: str | None
    logger: str
    fields: frozenset[str]


def messages(package: str) -> list[Message]:
    """Every message of a package at info or above, as its source has it."""
    found = []
    for path, tree in modules(package).items():
        logger = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            owner, method = node.func.value, node.func.attr
            if not (isinstance(owner, ast.Name) and owner.id == "_log" and method in {*LEVELS, "log"}):
                continue
            text = node.args[1 if method == "log" else 0]
            assert isinstance(text, ast.Constant), f"{path}:{node.lineno}: a message is one constant text"
            found.append(Message(str(text.value), LEVELS.get(method), logger, _fields(node)))
    return found


def _fields(call: ast.Call) -> frozenset[str]:
    extra = next((keyword.value for keyword in call.keywords if keyword.arg == "extra"), None)
    if extra is None:
        return frozenset()
    assert isinstance(extra, ast.Dict), "the fields of a message are written out"
    return frozenset(str(key.value) for key in extra.keys if isinstance(key, ast.Constant))


def entries(package: str) -> dict[str, str]:
    """What the page says of each message."""
    parts = re.split(r"^#### `(.*)`$", section(OPERATIONS, PROGRAMS[package]), flags=re.MULTILINE)[1:]
    assert len(set(parts[::2])) == len(parts[::2])
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize("package", PROGRAMS)
def test_every_message_has_its_entry_and_no_other_has(package: str) -> None:
    assert set(entries(package)) == {message.text for message in messages(package)}


@pytest.mark.parametrize("package", PROGRAMS)
def test_every_entry_has_example_cause_and_action(package: str) -> None:
    said = entries(package)
    for message in messages(package):
        entry = said[message.text]
        examples = entry.partition("```text\n")[2].partition("\n```")[0].split("\n")
        assert any(_is_example(line, message) for line in examples), (message, examples)
        assert re.search(r"^Cause: \S", entry, re.MULTILINE), message.text
        assert re.search(r"^Action: \S", entry, re.MULTILINE), message.text


def _is_example(line: str, message: Message) -> bool:
    """Whether a line is one this message may look like; ids of its context may be there or not."""
    found = re.fullmatch(rf"([A-Z]+) ([a-z_.]+) {re.escape(message.text)}((?: [a-z_]+=.*)?)", line)
    if found is None:
        return False
    level, logger, fields = found.groups()
    shown = set(re.findall(r" ([a-z_]+)=", fields))
    return (
        logger == message.logger
        and message.level in (None, level)
        and message.fields <= shown <= message.fields | CONTEXT
    )


async def test_the_backup_of_a_running_hub_is_whole(tmp_path: Path) -> None:
    command = [block for block in blocks(OPERATIONS) if block.language == "bash"]
    assert len(command) == 1
    restored = tmp_path / "restored"
    restored.mkdir()
    async with hub_program(tmp_path) as (_, client):
        await client.call("POST", "/admin/clusters", {"cluster_id": "alpha"})
        environment = {"DB": str(tmp_path / "hub.db"), "BACKUP": str(restored / "hub.db")}
        shell = await asyncio.create_subprocess_exec(
            "bash", "-ec", command[0].content, env=os.environ | environment, stdin=asyncio.subprocess.DEVNULL
        )
        assert await asyncio.wait_for(shell.wait(), 20) == 0
        shutil.copy(tmp_path / "hub.db.audit-key", restored)  # which the backup does not have, as the page says
        await client.call("POST", "/admin/clusters", {"cluster_id": "after-the-backup"})
    async with hub_program(restored) as (_, client):
        listed = await client.call("GET", "/clusters")
        assert [cluster["cluster_id"] for cluster in listed.body["clusters"]] == ["alpha"]
