"""docs/protocol.md has every frame with its fields, every close code and every limit; its examples are frames."""

import asyncio
import json
import os
import sys
from pathlib import Path

import msgspec
import pytest

from schemas import codec, frames
from schemas.frames import CLOSE_REASONS, AgentFrame, Chunk, CloseCode, Contract, Held, HubFrame
from tests.support.documents import ROOT, blocks, code, headings, read, rows, section
from tests.support.program import Client, hub_program

PROTOCOL = ROOT / "docs" / "protocol.md"
FROM_HUB = {str(kind.__struct_config__.tag): kind for kind in HubFrame.__args__}
FROM_AGENT = {str(kind.__struct_config__.tag): kind for kind in AgentFrame.__args__}
PARTS: dict[str, type[msgspec.Struct]] = {"held": Held, "chunk": Chunk, "contract": Contract}
STRUCTS: dict[str, type[msgspec.Struct]] = {**FROM_HUB, **FROM_AGENT, **PARTS}


def test_every_frame_has_its_heading() -> None:
    without_code = {""}  # those of the client stream
    assert {code(heading) for heading in headings(PROTOCOL, 3)} - without_code == {*FROM_HUB, *FROM_AGENT}
    assert {code(heading) for heading in headings(PROTOCOL, 4)} == set(PARTS)


@pytest.mark.parametrize("name", STRUCTS)
def test_every_field_is_described(name: str) -> None:
    text = section(PROTOCOL, f"`{name}`").partition("\n#### ")[0]
    listed = {code(row[0]): row[2].startswith("yes") for row in rows(text)}
    assert listed == {field.encode_name: field.required for field in msgspec.structs.fields(STRUCTS[name])}


@pytest.mark.parametrize("name", [*FROM_HUB, *FROM_AGENT])
def test_every_example_is_a_frame(name: str) -> None:
    examples = [
        block.content for block in blocks(PROTOCOL) if block.heading == f"`{name}`" and block.language == "json"
    ]
    assert len(examples) == 1
    for table, decode in ((FROM_HUB, codec.decode_hub), (FROM_AGENT, codec.decode_agent)):
        if name not in table:
            continue
        frame = decode(examples[0])
        assert frame is not None
        assert type(frame) is table[name]
        assert json.loads(codec.encode(frame)) == json.loads(examples[0])  # all fields are shown, and none besides


def test_every_close_code_is_explained_in_its_own_words() -> None:
    listed = {int(row[0]): row[2] for row in rows(section(PROTOCOL, "Close codes"))}
    codes = {value for name, value in vars(CloseCode).items() if name.isupper()}
    assert set(listed) == codes == set(CLOSE_REASONS)


@pytest.mark.parametrize(
    "value",
    [
        frames.SUBPROTOCOL,
        frames.CONNECT_PATH,
        frames.CLUSTER_HEADER,
        str(frames.MAX_DATA_BYTES),
        str(frames.MAX_FRAME_BYTES),
        str(frames.WINDOW_BYTES),
        f"bytes of its data and {frames.FRAME_OVERHEAD_BYTES}",
        str(frames.UNBOUNDED),
        f"{frames.HEARTBEATS_MISSED} intervals",
        f"{frames.MAX_HEARTBEAT_INTERVAL_SECONDS:.0f} at most",
    ],
)
def test_every_constant_of_the_wire_is_named(value: str) -> None:
    assert value in read("docs/protocol.md")


async def test_the_agent_of_the_page_works(tmp_path: Path) -> None:
    example = [block.content for block in blocks(PROTOCOL) if block.language == "python"]
    assert len(example) == 1
    (tmp_path / "agent.py").write_text(example[0], encoding="utf-8")
    async with hub_program(tmp_path) as (_, client):
        token = (await client.call("POST", "/admin/clusters", {"cluster_id": "mine"})).body["agent_token"]
        environment = {"HUB_URL": client.url.replace("http", "ws", 1), "AGENT_TOKEN": token, "CLUSTER_ID": "mine"}
        agent = await asyncio.create_subprocess_exec(
            sys.executable, str(tmp_path / "agent.py"), env=os.environ | environment, stdin=asyncio.subprocess.DEVNULL
        )
        try:
            assert await _run(client) == "get -- pods\n"
        finally:
            agent.kill()
            await agent.wait()


async def _run(client: Client) -> str:
    async with asyncio.timeout(20):
        while (await client.call("GET", "/clusters/mine/status")).body["status"] != "connected":
            await asyncio.sleep(0.05)
    session = (await client.call("POST", "/debug/session", {"cluster_id": "mine"})).body["session_id"]
    body = {"cluster_id": "mine", "session_id": session, "command_type": "get", "args": ["pods"]}
    return str((await client.call("POST", "/debug/execute", body)).body["output"])
