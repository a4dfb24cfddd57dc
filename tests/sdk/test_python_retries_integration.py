"""What the Python library does with hubs, and things in front of them, that misbehave, byte by byte."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import kubently
from kubently import retries
from tests.support import scripted_answers
from tests.support.hub import ADMIN_KEY
from tests.support.raw_server import raw_server
from tests.support.scripted_answers import SILENCE, Answer, Script, response
from tests.support.sdk_world import OFFLINE_ID, sdk_world

KEY = "kubently_key_of_the_tests"
HEALTH = {"status": "healthy", "version": "9", "timestamp": "2026-01-20T10:30:45Z", "uptime_seconds": 1}


# aiohttp itself asks once more where a connection ends before any answer, but not behind a part of one.
BROKEN = response(200, b"short", Connection="close").replace(b"Content-Length: 5", b"Content-Length: 50")


@asynccontextmanager
async def scripted(*answers: Answer, **options: Any) -> AsyncIterator[tuple[Script, kubently.Client]]:
    async with scripted_answers.scripted(*answers) as script:
        yield script, kubently.Client(script.url, KEY, **options)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_WAIT_SECONDS", 0.01)


def refusal(status: int, code: str, **details: Any) -> dict[str, Any]:
    return {"error": code, "message": f"no: {code}", "details": details}


async def test_what_may_come_right_is_tried_again() -> None:
    limited = response(429, refusal(429, "rate_limited", retry_after=0), Retry_After="0")
    full = response(503, refusal(503, "queue_full", queue_depth=100), Retry_After="0")
    draining = response(503, refusal(503, "draining"))
    async with scripted(limited, full, None, draining, response(200, HEALTH)) as (script, client):
        assert (await client.health()).version == "9"
        assert len(script.heads) == 5
        assert all(f"Authorization: Bearer {KEY}" in head for head in script.heads)


async def test_what_is_news_is_told_at_once() -> None:
    for body, kind in (
        (refusal(503, "service_unavailable", cluster_id="a", last_seen=None), kubently.ClusterOffline),
        (refusal(503, "store_full"), kubently.StoreFull),
        (refusal(401, "unauthorized"), kubently.Unauthorized),
        (refusal(500, "internal_error"), kubently.InternalError),
    ):
        status = {"unauthorized": 401, "internal_error": 500}.get(body["error"], 503)
        async with scripted(response(status, body, Retry_After="1", X_Correlation_ID="corr_1")) as (script, client):
            with pytest.raises(kind) as raised:
                await client.health()
            assert len(script.heads) == 1
            assert raised.value.correlation_id == "corr_1"
            assert raised.value.retry_after == 1.0


async def test_a_wait_that_is_too_long_is_the_callers_to_decide() -> None:
    async with scripted(response(429, refusal(429, "rate_limited", retry_after=600), Retry_After="600")) as (
        script,
        client,
    ):
        with pytest.raises(kubently.RateLimited) as raised:
            await client.health()
        assert (raised.value.retry_after, len(script.heads)) == (600.0, 1)


async def test_as_often_as_was_asked_for_and_no_more() -> None:
    async with scripted(BROKEN, retries=2) as (script, client):
        with pytest.raises(kubently.ConnectionFailed):
            await client.health()
        assert len(script.heads) == 3


async def test_what_may_have_happened_is_not_done_twice() -> None:
    bad_gateway = response(502, b"<html>", content_type="text/html")
    from_a_proxy = response(503, b"<html>", content_type="text/html", Retry_After="0")
    for answer in (BROKEN, bad_gateway, from_a_proxy):
        async with scripted(answer) as (script, client):
            with pytest.raises((kubently.ConnectionFailed, kubently.HubError)):
                await client.admin.add_cluster("fresh")
            assert len(script.heads) == 1, answer
        async with scripted(answer, retries=3) as (script, client):
            with pytest.raises((kubently.ConnectionFailed, kubently.HubError)):
                await client.health()
            assert len(script.heads) == 4, answer


async def test_a_command_is_repeated_under_one_key(tmp_path: Path) -> None:
    session = {"session_id": "sess_1", "cluster_id": "a", "status": "active"}
    result = {"result_id": "res_1", "status": "completed", "output": "x\n"}
    answers = (response(201, session), None, None, response(200, result), response(200, {}))
    async with scripted(*answers) as (script, client):
        async with client.debug_session("a") as opened:
            assert (await opened.execute("get", ["pods"])).output == "x\n"
        names = [line for head in script.heads for line in head.splitlines() if line.startswith("Idempotency-Key: ")]
        assert len(names) == 3
        assert len(set(names)) == 1
        assert len(set(script.bodies[1:4])) == 1


async def test_a_hub_that_says_nothing_is_not_waited_for_for_ever() -> None:
    async with scripted(SILENCE, timeout=0.1, retries=1) as (script, client):
        begun = time.monotonic()
        with pytest.raises(kubently.TimedOut):
            await client.health()
        assert time.monotonic() - begun < 2
        assert len(script.heads) == 2


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (response(302, b"", Location="https://elsewhere.example.com/"), "sends on to https://elsewhere.example.com/"),
        (response(200, b"<html>hello", content_type="text/html"), "no JSON object"),
        (response(200, b"[1]"), "no JSON object"),
        (response(200, b"{", content_type="application/json"), "no JSON object"),
        (response(404, b"<html>", content_type="text/html"), "not from a Kubently hub"),
        (response(403, b"x" * 100_000, content_type="text/html"), "not from a Kubently hub"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "broke off"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "broke off"),
    ],
)
async def test_what_is_no_hub_is_said_to_be_none(answer: bytes, words: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async with raw_server(serve) as port:
        with pytest.raises(kubently.KubentlyError, match=words) as raised:
            await kubently.Client(f"http://127.0.0.1:{port}", KEY, retries=0).health()
        assert KEY not in str(raised.value)


@pytest.mark.parametrize(
    "line", [b"no json\n", b"[]\n", b'"' + b"x" * 9_000_000, b'{"type": "output"}\n', b'{"type": "completed"}\n']
)
async def test_lines_that_are_none_end_a_stream(line: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubently.stream._AWAY_SECONDS", 0.2)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n"
    async with scripted(head + line, None) as (_, client):
        with pytest.raises(kubently.KubentlyError):
            async for _ in client.follow("res_1"):
                pass


async def test_newer_hubs_and_older_ones() -> None:
    strange = {"error": "brand_new", "message": "what is this", "details": {"x": 1}}
    async with scripted(response(418, strange)) as (_, client):
        with pytest.raises(kubently.HubError) as raised:
            await client.health()
        assert (type(raised.value), raised.value.code) == (kubently.HubError, "brand_new")
    async with scripted(response(200, {"status": "healthy", "more": 1})) as (_, client):
        health = await client.health()
        assert health.raw == {"status": "healthy", "more": 1}
        assert getattr(health, "version") is None  # noqa: B009 - the type says that a hub of today has one


async def test_nobody_there() -> None:
    async with raw_server(lambda _r, _w: asyncio.sleep(0)) as port:
        pass
    client = kubently.Client(f"http://127.0.0.1:{port}", KEY, retries=1)
    with pytest.raises(kubently.ConnectionFailed, match="cannot be reached") as raised:
        await client.health()
    assert not raised.value.is_sent
    with pytest.raises(kubently.ConnectionFailed, match="cannot be reached"):
        await kubently.Client("http://no-such-host.invalid", KEY, retries=0).health()


async def test_a_client_may_be_used_in_one_loop_after_another(tmp_path: Path) -> None:
    async with scripted(response(200, HEALTH)) as (_, client):

        def elsewhere() -> str:
            return asyncio.run(client.health()).status

        assert await asyncio.to_thread(elsewhere) == "healthy"
        assert (await client.health()).status == "healthy"
        async with client:
            with pytest.raises(RuntimeError, match="another event loop"):
                await asyncio.to_thread(elsewhere)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: kubently.Client(api_key=KEY), "KUBENTLY_ENDPOINT"),
        (lambda: kubently.Client("http://hub"), "KUBENTLY_API_KEY"),
        (lambda: kubently.Client("hub:8080", KEY), "no address of a hub"),
        (lambda: kubently.Client("ftp://hub", KEY), "no address of a hub"),
        (lambda: kubently.Client("http://", KEY), "no address of a hub"),
        (lambda: kubently.Client("http://hub:port", KEY), "no address of a hub"),
        (lambda: kubently.Client("http://hub:99999", KEY), "no address of a hub"),
        (lambda: kubently.Client("http://me:secret@hub", KEY), "no address of a hub"),
        (lambda: kubently.Client("http://hub?x=1", KEY), "no address of a hub"),
        (lambda: kubently.Client("http://hub\n", KEY), "no address of a hub"),
        (lambda: kubently.Client("http://hub", KEY + "\n"), "api_key"),
        (lambda: kubently.Client("http://hub", "schlüssel"), "api_key"),
        (lambda: kubently.Client("http://hub", KEY, timeout=0), "timeout"),
        (lambda: kubently.Client("http://hub", KEY, retries=-1), "retries"),
        (lambda: kubently.Client("http://hub", KEY, ca_file="/no/such/file"), "ca_file"),
        (lambda: kubently.Client("http://hub", KEY, ca_file="/etc/hostname"), "ca_file"),
        (lambda: kubently.Client("http://hub", KEY, service_identity="a\r\nb: c"), "service_identity"),
        (lambda: kubently.sync.Client("hub", KEY), "no address of a hub"),
    ],
)
def test_what_cannot_work_is_said_when_the_client_is_made(
    make: Callable[[], object], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("KUBENTLY_ENDPOINT", "KUBENTLY_API_KEY", "KUBENTLY_CA_FILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(kubently.ConfigurationError, match=words) as raised:
        make()
    assert KEY not in str(raised.value)


async def test_secrets_are_in_no_repr() -> None:
    client = kubently.Client("http://hub", KEY)
    assert KEY not in repr(client) + repr(client._transport.settings)
    made = {"key_id": "key_1", "api_key": "kubently_key_secret"}
    async with scripted(response(201, made)) as (_, other):
        assert "secret" not in repr(await other.admin.add_key("x"))


def test_words_in_one_string_are_a_mistake() -> None:
    session = kubently.Client("http://hub", KEY).debug_session("a")
    with pytest.raises(TypeError, match="list of words"):
        session.stream("get", "pods -A")


async def test_ids_stay_one_part_of_the_path() -> None:
    async with scripted(response(404, refusal(404, "not_found"))) as (script, client):
        for name in ("../../admin/keys", "a/b?c=d", "%2e%2e"):
            with pytest.raises(kubently.NotFound):
                await client.result(name)
        assert all(head.startswith("GET /debug/result/") for head in script.heads)
        assert not any("/admin" in head.splitlines()[0] or "?" in head.splitlines()[0] for head in script.heads)
        for name in ("", ".", ".."):
            with pytest.raises(ValueError, match="is no id"):
                await client.result(name)


async def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted(response(200, HEALTH)) as (script, proxy):
        monkeypatch.setenv("HTTP_PROXY", proxy.endpoint)
        monkeypatch.setenv("NO_PROXY", "")
        assert (await kubently.Client("http://hub.example.com:8080", KEY).health()).status == "healthy"
        explicit = kubently.Client("http://hub.example.com:8080", KEY, proxy=proxy.endpoint)
        assert (await explicit.health()).status == "healthy"
        assert script.heads[0].startswith("GET http://hub.example.com:8080/health ")


async def test_a_client_waits_for_an_agent_that_is_on_its_way(tmp_path: Path) -> None:
    async with sdk_world(tmp_path) as world:
        client = kubently.Client(world.url, ADMIN_KEY)
        with pytest.raises(kubently.ClusterOffline):
            await client.debug_session(OFFLINE_ID).open()
        begun = time.monotonic()
        with pytest.raises(kubently.ClusterOffline) as raised:
            await client.debug_session(OFFLINE_ID, wait=1).open()
        assert 1 <= time.monotonic() - begun < 4
        assert (raised.value.cluster_id, raised.value.last_seen) == (OFFLINE_ID, None)
        with pytest.raises(kubently.NotFound):
            await client.debug_session("nowhere", wait=20).open()
