"""docs/streaming.md is true: its examples are run against a real hub, with an agent spoken by hand at its other side.

docs/protocol.md has every message of the client stream with its fields, and every close code.
"""

import asyncio
import contextlib
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hub.settings import Agents, Streams
from schemas import stream
from schemas.frames import Cancel, Exit, Held, Output, Run
from schemas.stream import CLOSE_REASONS, ClientMessage, CloseCode, Heartbeat, HubMessage
from tests.support.documents import ROOT, blocks, code, headings, read, rows, section
from tests.support.hub import ADMIN_KEY
from tests.support.program import Client, hub_program
from tests.support.raw_agent import RawAgent, connected, serving

STREAMING = ROOT / "docs" / "streaming.md"
PROTOCOL = ROOT / "docs" / "protocol.md"


def _tag(kind: type[msgspec.Struct]) -> str:
    return str(kind.__struct_config__.tag)


MESSAGES: dict[str, type[msgspec.Struct]] = {
    **{f"{_tag(kind)}, from the client": kind for kind in ClientMessage.__args__},
    **{f"{_tag(kind)}, from the hub": kind for kind in HubMessage.__args__ if kind is not Heartbeat},
    "heartbeat, on lines": Heartbeat,
}


def test_every_message_has_its_heading() -> None:
    assert set(MESSAGES) == {heading for heading in headings(PROTOCOL, 3) if ", " in heading}


@pytest.mark.parametrize("name", MESSAGES)
def test_every_field_is_described(name: str) -> None:
    listed = {code(row[0]): row[2].startswith("yes") for row in rows(section(PROTOCOL, name))}
    assert listed == {field.encode_name: field.required for field in msgspec.structs.fields(MESSAGES[name])}


@pytest.mark.parametrize("name", MESSAGES)
def test_every_example_is_a_message(name: str) -> None:
    examples = [block.content for block in blocks(PROTOCOL) if block.heading == name and block.language == "json"]
    assert len(examples) == 1
    message: Any = msgspec.json.decode(examples[0], type=MESSAGES[name])
    shown = json.loads(stream.encode(message))
    assert shown == json.loads(examples[0])
    if name.endswith("client"):
        assert stream.decode(examples[0]) == message


def test_every_close_code_is_explained() -> None:
    listed = {int(row[0]) for row in rows(section(PROTOCOL, "Close codes of the client stream"))}
    codes = {value for name, value in vars(CloseCode).items() if name.isupper()}
    assert listed == codes == set(CLOSE_REASONS)


@pytest.mark.parametrize(
    "value",
    [
        stream.SUBPROTOCOL,
        stream.BEARER_SUBPROTOCOL_PREFIX,
        f"at most {stream.MAX_MESSAGE_BYTES} bytes",
        f"After {stream.MAX_MALFORMED_IN_A_ROW} of them",
        f"nothing for {stream.PING_INTERVAL_SECONDS:.0f} s",
        f"for {stream.PINGS_MISSED} times",
        f"after {stream.HEARTBEAT_SECONDS:.0f} s without any",
        f"nothing for {Streams.stall_seconds:.0f} s (`streams.stall_seconds`)",
        f"(`streams.max_sockets_per_key`, {Streams.max_sockets_per_key})",
        f"{Streams.max_seconds:.0f} (`streams.max_seconds`)",
    ],
)
def test_every_number_of_the_protocol_is_that_of_the_source(value: str) -> None:
    assert value in " ".join(read("docs/protocol.md").split())


@pytest.mark.parametrize(
    "value",
    [
        f"last {Streams.keep_bytes // 2**20} MiB (`streams.keep_bytes`)",
        f"at most {Agents.window_bytes // 2**10} KiB ahead (`agents.window_bytes`)",
        f"for {Streams.stall_seconds:.0f} s (`streams.stall_seconds`)",
        f"for {Streams.max_seconds:.0f} s (`streams.max_seconds`)",
        f"has {Streams.max_sockets_per_key} streams open at most",
        f"has {Streams.max_commands_per_socket} commands under way",
        f"every {stream.PING_INTERVAL_SECONDS:.0f} s on a socket",
        f"every {stream.HEARTBEAT_SECONDS:.0f} s on lines",
    ],
)
def test_every_number_of_the_page_is_that_of_the_source(value: str) -> None:
    assert value in " ".join(read("docs/streaming.md").split())


async def _web(agent: RawAgent, run: Run) -> None:
    """Two lines of a log, then its end; a watch, and a log without end, wait to be cancelled."""
    for seq, line in enumerate(("GET /healthz 200\n", "GET /cart 500\n"), start=1):
        await agent.send(Output(run.result_id, seq, "stdout", line))
    if run.command_type == "logs" and run.timeout_seconds <= 300:
        await agent.send(Exit(run.result_id, 3, "completed", exit_code=0, output_bytes=31, executor="native"))


@contextlib.asynccontextmanager
async def _production(client: Client) -> AsyncIterator[RawAgent]:
    token = (await client.call("POST", "/admin/clusters", {"cluster_id": "production-cluster"})).body["agent_token"]
    async with connected(client.url, token, "production-cluster") as agent:

        async def serve() -> None:
            while (frame := await agent.receive(3600)) is not None:
                if isinstance(frame, Run):
                    await _web(agent, frame)
                elif isinstance(frame, Cancel):
                    await agent.send(Exit(frame.result_id, 3, "cancelled", error=frame.reason))

        task = asyncio.create_task(serve(), name="scripted agent")
        try:
            yield agent
        finally:
            task.cancel()
            await asyncio.wait([task])


async def _shell(script: str, folder: Path, url: str) -> str:
    """Run a script as a reader of the page would; what it printed."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    assert shutil.which("websocat", path=path) is not None, "websocat is not installed (scripts/bootstrap does)"
    shell = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", script),
        env={"HUB": url, "KEY": ADMIN_KEY, "PATH": path},
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        printed, _ = await asyncio.wait_for(shell.communicate(), 60)
    finally:
        if shell.returncode is None:
            shell.kill()
            await shell.wait()
    assert shell.returncode == 0, printed.decode()
    return printed.decode()


async def test_the_calls_of_the_page_answer_what_it_says(tmp_path: Path) -> None:
    script = "\n".join(block.content for block in blocks(STREAMING) if block.language == "bash")
    async with hub_program(tmp_path) as (_, client), _production(client):
        printed = await _shell(script, tmp_path, client.url)
    lines = printed.split("\n")
    assert [json.loads(line)["type"] for line in lines[:3]] == ["output", "output", "completed"]
    assert lines[3:6] == ["GET /cart 500", "completed", "closed"]
    counted = {kind: int(count) for count, kind in (line.split() for line in lines[6:] if line)}
    assert counted == {"started": 2, "output": 4, "session": 1, "completed": 2}


def _python(number: int) -> str:
    return [block.content for block in blocks(STREAMING) if block.language == "python"][number]


async def test_the_python_of_the_page_prints_a_command(tmp_path: Path) -> None:
    script = tmp_path / "follow.py"
    script.write_text(_python(0), encoding="utf-8")
    async with hub_program(tmp_path) as (_, client):
        token = (await client.call("POST", "/admin/clusters", {"cluster_id": "alpha"})).body["agent_token"]

        async def answer(agent: RawAgent, run: Run) -> None:
            assert run.contract is not None
            assert run.contract.grep == "cart"
            await agent.exit(run, "GET /cart 500\n")

        async with serving(client.url, token, answer):
            session = (await client.call("POST", "/debug/session", {"cluster_id": "alpha"})).body["session_id"]
            environment = os.environ | {"HUB": client.url, "KEY": ADMIN_KEY, "SESSION": session}
            program = await asyncio.create_subprocess_exec(
                sys.executable, script, env=environment, stdout=asyncio.subprocess.PIPE
            )
            printed, _ = await asyncio.wait_for(program.communicate(), 30)
    assert (program.returncode, printed.decode()) == (0, "GET /cart 500\nended as completed\n")


async def test_the_reader_of_the_page_loses_nothing_when_the_hub_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "read.py"
    script.write_text(_python(1), encoding="utf-8")
    async with contextlib.AsyncExitStack() as stack:
        async with hub_program(tmp_path) as (hub, client):
            port = int(client.url.rpartition(":")[2])
            token = (await client.call("POST", "/admin/clusters", {"cluster_id": "alpha"})).body["agent_token"]
            async with connected(client.url, token) as agent:
                session = (await client.call("POST", "/debug/session", {"cluster_id": "alpha"})).body["session_id"]
                environment = {"HUB": client.url, "KEY": ADMIN_KEY, "SESSION": session, "ONCE": "once"}
                program = await asyncio.create_subprocess_exec(
                    sys.executable, script, env=os.environ | environment, stdout=asyncio.subprocess.PIPE
                )
                stack.push_async_callback(program.wait)
                assert program.stdout is not None
                run = await agent.expect(Run)
                for seq in (1, 2):
                    await agent.send(Output(run.result_id, seq, "stdout", f"{seq}\n"))
                printed = [await asyncio.wait_for(program.stdout.readline(), 10) for _ in range(2)]
                hub.kill()
                assert await agent.receive() is None
        async with hub_program(tmp_path, port=port) as (_, client):
            held = [Held(run.result_id, last_seq=2, is_running=True)]
            async with connected(client.url, token, held=held) as agent:
                await agent.send(Output(run.result_id, 3, "stdout", "3\n"))
                await agent.exit(run, "4\n", seq=4, output_bytes=8)
                rest, _ = await asyncio.wait_for(program.communicate(), 30)
    text = b"".join(printed).decode() + rest.decode()
    assert program.returncode == 0
    assert text == "1\n2\n3\n4\n"
