"""How agents are let in, kept and cut, seen from the socket."""

import asyncio
import contextlib
import time
from pathlib import Path

import aiohttp
import pytest

from hub.settings import Agents
from schemas import codec
from schemas.api.fields import rfc3339
from schemas.frames import CLUSTER_HEADER, CONNECT_PATH, SUBPROTOCOL, CloseCode, Heartbeat, Hello, Leaving, Welcome
from tests.support.hub import TestHub, running_hub, settings
from tests.support.raw_agent import connected, dialled

HELLO = Hello("alpha", "1", "boot")


async def refused(hub: TestHub, token: str, **headers: str) -> aiohttp.WSServerHandshakeError:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with dialled(hub.url, token, **headers):
            pass
    return caught.value


async def test_a_bad_token_is_401_before_the_upgrade(hub: TestHub) -> None:
    assert (await refused(hub, "kubently_agent_wrong")).status == 401


async def test_an_api_key_is_no_agent_token(hub: TestHub) -> None:
    assert (await refused(hub, await hub.make_key(role="admin"))).status == 401


async def test_a_token_of_another_cluster_is_403(hub: TestHub) -> None:
    token = await hub.register("alpha")
    assert (await refused(hub, token, **{CLUSTER_HEADER: "beta"})).status == 403


async def test_no_common_subprotocol_is_426(hub: TestHub) -> None:
    token = await hub.register("alpha")
    async with hub.http.get(hub.url + CONNECT_PATH, headers={"Authorization": f"Bearer {token}"}) as response:
        assert response.status == 426
        assert (await response.json())["error"] == "upgrade_required"


async def test_too_many_at_once_are_sent_away_with_retry_after(tmp_path: Path) -> None:
    async with running_hub(settings(tmp_path, agents=Agents(admissions_per_second=1))) as hub:
        token = await hub.register("alpha")
        statuses = set()
        for _ in range(3):
            try:
                async with dialled(hub.url, token):
                    pass
            except aiohttp.WSServerHandshakeError as error:
                statuses.add(error.status)
                assert error.headers is not None
                assert int(error.headers["Retry-After"]) >= 1
        assert statuses == {503}


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ("not json", CloseCode.MALFORMED_FRAME),
        ('{"type": "exit", "result_id": 7}', CloseCode.MALFORMED_FRAME),
        (codec.encode(Heartbeat()), CloseCode.PROTOCOL_VIOLATION),
        (codec.encode(Hello("beta", "1", "boot")), CloseCode.PROTOCOL_VIOLATION),
        (codec.encode(Hello("alpha", "1", "boot", protocol_version=0)), CloseCode.VERSION_UNSUPPORTED),
        (None, CloseCode.HELLO_TIMEOUT),
    ],
)
async def test_a_wrong_hello_closes_with_its_code(hub: TestHub, first: str | None, code: int) -> None:
    token = await hub.register("alpha")
    async with dialled(hub.url, token) as agent:
        if first is not None:
            await agent.socket.send_str(first)
        assert await agent.receive() is None
        assert agent.socket.close_code == code


@pytest.mark.parametrize("garbage", ["{", "[1]", '{"type": "output", "result_id": "r", "seq": 0}', "\x00" * 100])
async def test_garbage_cuts_the_link_and_nothing_else(hub: TestHub, garbage: str) -> None:
    token = await hub.register("alpha")
    async with connected(hub.url, token) as agent:
        await agent.socket.send_str(garbage)
        assert await agent.receive() is None
        assert agent.socket.close_code == CloseCode.MALFORMED_FRAME
    async with connected(hub.url, token):
        assert (await hub.call("GET", "/clusters/alpha/status")).body["status"] == "connected"


async def test_a_huge_frame_cuts_the_link(hub: TestHub) -> None:
    token = await hub.register("alpha")
    async with connected(hub.url, token) as agent:
        with contextlib.suppress(ConnectionError):  # the hub need not read it all to say no
            await agent.socket.send_str("x" * 100_000_000)
        while await agent.receive(30) is not None:
            pass
    assert (await hub.call("GET", "/health")).status == 200


async def test_unknown_types_and_fields_are_ignored(hub: TestHub) -> None:
    token = await hub.register("alpha")
    async with connected(hub.url, token) as agent:
        await agent.socket.send_str('{"type": "from_the_future", "x": 1}')
        await agent.socket.send_str('{"type": "heartbeat", "mood": "fine"}')
        await agent.socket.send_str(
            '{"type": "output", "result_id": "res_unknown", "seq": 1, "stream": "stdout", "data": "x"}'
        )
        assert (await hub.call("GET", "/clusters/alpha/status")).body["status"] == "connected"


async def test_both_sides_beat_and_a_silent_agent_is_cut(tmp_path: Path) -> None:
    async with running_hub(settings(tmp_path, agents=Agents(heartbeat_interval_seconds=0.4))) as hub:
        token = await hub.register("alpha")
        async with connected(hub.url, token) as agent:
            assert isinstance(await agent.receive(), Heartbeat)
            while await agent.receive(10) is not None:
                pass
            assert agent.socket.close_code == CloseCode.SILENT_PEER
        assert (await hub.call("GET", "/clusters/alpha/status")).body["status"] == "disconnected"


async def test_a_leaving_agent_gets_nothing_new(hub: TestHub) -> None:
    token = await hub.register("alpha")
    async with connected(hub.url, token) as agent:
        session_id = await hub.open_session("alpha")
        await agent.send(Leaving("SIGTERM"))
        async with asyncio.timeout(5):
            # Without waiting for its end: this agent answers nothing that comes before the hub has heard it.
            while (answered := await hub.execute(session_id, headers={"Prefer": "respond-async"})).status != 503:
                pass
        assert answered.body["error"] == "service_unavailable"
        assert answered.body["details"]["last_seen"].endswith("Z")
        assert "Retry-After" in answered.headers


async def test_a_revoked_token_closes_its_link(hub: TestHub) -> None:
    token = await hub.register("alpha")
    second = (await hub.call("POST", "/admin/clusters/alpha/tokens")).body
    async with connected(hub.url, token) as old, connected(hub.url, second["agent_token"]) as new:
        assert await old.receive() is None  # replaced by the newer
        path = f"/admin/clusters/alpha/tokens/{second['token_id']}"
        removing = asyncio.create_task(hub.call("DELETE", path))
        assert await new.receive() is None
        assert (await removing).status == 204
        assert new.socket.close_code == CloseCode.TOKEN_REVOKED
    assert (await refused(hub, second["agent_token"])).status == 401


async def test_an_expired_token_closes_its_link_and_opens_none(hub: TestHub) -> None:
    await hub.register("alpha")
    path = "/admin/clusters/alpha/tokens"
    for wrong in ("2020-01-01T00:00:00Z", "soon"):
        refusal = await hub.call("POST", path, {"expires_at": wrong})
        assert (refusal.status, refusal.body["details"]["field"]) == (400, "expires_at")
    expires_at = rfc3339(time.time() + 1.5)
    made = (await hub.call("POST", path, {"expires_at": expires_at})).body
    assert made["expires_at"] == expires_at
    assert (await hub.call("POST", path, {})).body["expires_at"] is None
    async with connected(hub.url, made["agent_token"]) as agent:
        assert await agent.receive() is None
        assert agent.socket.close_code == CloseCode.TOKEN_REVOKED
    assert (await refused(hub, made["agent_token"])).status == 401


async def test_two_hundred_agents_at_once(hub: TestHub) -> None:
    tokens = {f"c{number}": await hub.register(f"c{number}") for number in range(200)}
    ready, leave = asyncio.Semaphore(0), asyncio.Event()

    async def stay(http: aiohttp.ClientSession, cluster_id: str, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        async with http.ws_connect(hub.url + CONNECT_PATH, headers=headers, protocols=[SUBPROTOCOL]) as socket:
            await socket.send_str(codec.encode(Hello(cluster_id, "1", "boot")))
            assert isinstance(codec.decode_hub(await socket.receive_str()), Welcome)
            ready.release()
            await leave.wait()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        tasks = [asyncio.create_task(stay(http, *row)) for row in tokens.items()]
        async with asyncio.timeout(20):
            for _ in tokens:
                await ready.acquire()
        listed = await hub.call("GET", "/clusters?status=connected&limit=500")
        assert listed.body["total"] == 200
        leave.set()
        await asyncio.gather(*tasks)
