"""The hub's socket: clients that take their time, certificates that change, and agents that must have one."""

import asyncio
import contextlib
import json
import shutil
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from hub.settings import RateLimit, Server, Settings
from schemas.frames import CLUSTER_HEADER, CONNECT_PATH, SUBPROTOCOL
from tests.support.hub import ADMIN_KEY, TestHub, running_hub, settings
from tests.support.tls import Certificate, make_certificate
from tests.support.waiting import until

QUICK = Server(port=0, head_timeout_seconds=0.3, body_timeout_seconds=0.3, keep_alive_seconds=0.3)


@contextlib.asynccontextmanager
async def talking(hub: TestHub) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, port = hub.url.partition("://")[2].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()


async def rest(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(5):
        return await reader.read()


@pytest.mark.parametrize("sent", [b"", b"GET /health HT", b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_a_head_that_does_not_end_is_not_waited_for(tmp_path: Path, sent: bytes) -> None:
    async with running_hub(settings(tmp_path, server=QUICK)) as hub, talking(hub) as (reader, writer):
        begun = time.monotonic()
        writer.write(sent)
        assert await rest(reader) == b""
        assert time.monotonic() - begun >= 0.29


async def test_a_head_that_dribbles_is_not_waited_for(tmp_path: Path) -> None:
    async with running_hub(settings(tmp_path, server=QUICK)) as hub, talking(hub) as (reader, writer):
        ended = asyncio.create_task(rest(reader))
        for byte in b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"x" * 1000:
            if ended.done():
                break
            with contextlib.suppress(ConnectionError):
                writer.write(bytes([byte]))
            await asyncio.sleep(0.02)
        assert await ended == b""


async def test_the_second_head_of_a_connection_is_not_waited_for_either(tmp_path: Path) -> None:
    server = Server(port=0, head_timeout_seconds=0.3, keep_alive_seconds=60)
    async with running_hub(settings(tmp_path, server=server)) as hub, talking(hub) as (reader, writer):
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"}")
        await asyncio.sleep(0.4)  # an idle connection is not one that is slow
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /he")
        await reader.readuntil(b"}")
        writer.write(b"alth")
        assert await rest(reader) == b""


async def test_an_idle_connection_is_closed(tmp_path: Path) -> None:
    async with running_hub(settings(tmp_path, server=QUICK)) as hub, talking(hub) as (reader, writer):
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"}")
        assert await rest(reader) == b""


async def test_a_body_that_does_not_end_is_408(tmp_path: Path) -> None:
    async with running_hub(settings(tmp_path, server=QUICK)) as hub, talking(hub) as (reader, writer):
        writer.write(
            b"POST /debug/execute HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
            b"Authorization: Bearer " + ADMIN_KEY.encode() + b'\r\n\r\n{"cluster'
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        assert head.startswith("HTTP/1.1 408 ")
        assert json.loads(await reader.readuntil(b"}"))["error"] == "request_timeout"


async def test_strangers_are_told_no_versions(hub: TestHub) -> None:
    for path in ("/health", "/nowhere", "/docs", "/docs/start.js", "/debug/sessions"):
        async with hub.http.get(hub.url + path) as response:
            assert response.headers["Server"] == "kubently-hub"
    async with talking(hub) as (reader, writer):
        writer.write(b"nonsense\r\n\r\n")
        answer = await rest(reader)
        assert b"Server: kubently-hub\r\n" in answer
        assert b"aiohttp" not in answer


async def test_failures_count_for_the_client_and_not_for_the_proxy(tmp_path: Path) -> None:
    limited = RateLimit(standard_per_minute=0, execute_per_minute=0, session_per_minute=0, address_per_minute=3)
    server = Server(port=0, trusted_proxies=("127.0.0.0/8",))
    async with running_hub(settings(tmp_path, server=server, ratelimit=limited)) as hub:

        async def status(client: str) -> int:
            return (await hub.call("GET", "/clusters", key="wrong", headers={"X-Forwarded-For": client})).status

        assert [await status("203.0.113.1") for _ in range(5)] == [401, 401, 401, 429, 429]
        assert await status("203.0.113.2") == 401
        assert await status("1.1.1.1, 203.0.113.1") == 429


def trusting(*authorities: Certificate, own: Certificate | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    for authority in authorities:
        context.load_verify_locations(authority.cert)
    if own is not None:
        context.load_cert_chain(own.cert, own.key)
    return context


async def is_greeted(hub: TestHub, context: ssl.SSLContext) -> bool:
    try:
        async with aiohttp.ClientSession() as http, http.get(hub.url + "/health", ssl=context) as response:
            return response.status == 200
    except aiohttp.ClientConnectorError:
        return False


def tls(folder: Path, certificate: Certificate, client_ca: Path | None = None) -> Settings:
    server = Server(
        port=0,
        tls_cert=str(certificate.cert),
        tls_key=str(certificate.key),
        tls_client_ca=None if client_ca is None else str(client_ca),
    )
    return settings(folder, server=server)


async def test_a_new_certificate_is_used_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("hub.certificates._LOOK_SECONDS", 0.02)
    served, second = make_certificate(tmp_path / "served"), make_certificate(tmp_path / "second")
    first = Certificate(Path(shutil.copy(served.cert, tmp_path / "first.crt")), served.key)
    async with running_hub(tls(tmp_path, served)) as hub:
        assert await is_greeted(hub, trusting(first))
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(  # one that is open stays
                hub.url.replace("https", "wss") + CONNECT_PATH,
                ssl=trusting(first),
                protocols=(SUBPROTOCOL,),
                headers={"Authorization": f"Bearer {await _token(hub, trusting(first))}", CLUSTER_HEADER: "alpha"},
            ) as link,
        ):
            served.cert.write_text("not a certificate")
            await until(lambda: "the old one stays" in caplog.text)
            assert await is_greeted(hub, trusting(first))
            shutil.copy(second.cert, served.cert)
            shutil.copy(second.key, served.key)
            async with asyncio.timeout(5):
                while not await is_greeted(hub, trusting(second)):
                    await asyncio.sleep(0.02)
            assert not await is_greeted(hub, trusting(first))
            assert not link.closed


async def test_agents_may_have_to_show_a_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.certificates._LOOK_SECONDS", 0.02)
    served, known = make_certificate(tmp_path / "served"), make_certificate(tmp_path / "known")
    stranger = make_certificate(tmp_path / "stranger")
    authorities = tmp_path / "authorities.pem"
    shutil.copy(known.cert, authorities)
    async with running_hub(tls(tmp_path, served, authorities)) as hub:
        token = await _token(hub, trusting(served))

        async def status(own: Certificate | None) -> int:
            headers = {"Authorization": f"Bearer {token}", CLUSTER_HEADER: "alpha", "Connection": "close"}
            async with (
                aiohttp.ClientSession() as http,
                http.get(hub.url + CONNECT_PATH, ssl=trusting(served, own=own), headers=headers) as response,
            ):
                return response.status

        assert await is_greeted(hub, trusting(served))  # clients of the API have none
        assert await status(None) == 403
        assert await status(known) == 426  # it is no WebSocket, but it came so far
        with pytest.raises(aiohttp.ClientError):
            await status(stranger)
        shutil.copy(stranger.cert, authorities)
        async with asyncio.timeout(5):
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    if await status(stranger) == 426:
                        break
                await asyncio.sleep(0.02)
        with pytest.raises(aiohttp.ClientError):
            await status(known)


async def test_tls_1_1_is_refused(tmp_path: Path) -> None:
    served = make_certificate(tmp_path / "served")
    async with running_hub(tls(tmp_path, served)) as hub:
        context = trusting(served)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
        assert await is_greeted(hub, context)
        old = trusting(served)
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        assert not await is_greeted(hub, old)


async def _token(hub: TestHub, context: ssl.SSLContext) -> str:
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(hub.url + "/admin/clusters", ssl=context, headers=headers, json={"cluster_id": "alpha"}) as response,
    ):
        return str((await response.json())["agent_token"])
