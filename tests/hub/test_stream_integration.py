"""A client's socket on a session: what it asks for, what it hears, and how it ends."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hub import keys
from hub.api import stream_outlet
from hub.settings import RateLimit, Streams
from schemas.frames import Cancel, Chunk, Exit, Output, Run
from schemas.stream import MAX_MALFORMED_IN_A_ROW, SUBPROTOCOL, CloseCode
from tests.support.floods import PIECE_BYTES, come_to_rest, flood, flooding
from tests.support.hub import ADMIN_KEY, TestHub, running_hub, settings
from tests.support.raw_agent import RawAgent, canned, connected, serving
from tests.support.stream_client import bearer_subprotocol, streaming
from tests.support.waiting import until


@pytest.fixture
async def agent(hub: TestHub) -> AsyncIterator[RawAgent]:
    """The agent of cluster alpha, spoken by hand."""
    async with connected(hub.url, await hub.register("alpha")) as link:
        yield link


@pytest.fixture
async def session_id(hub: TestHub, agent: RawAgent) -> str:
    """A session on alpha."""
    return await hub.open_session("alpha")


async def refused(hub: TestHub, session_id: str, **how: Any) -> aiohttp.WSServerHandshakeError:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with streaming(hub.url, session_id, **how):
            pass
    return caught.value


async def test_a_command_is_started_streamed_and_completed(hub: TestHub, agent: RawAgent, session_id: str) -> None:
    async with streaming(hub.url, session_id) as client:
        assert client.socket.protocol == SUBPROTOCOL
        await client.execute("r1", "get", "pods", "-A")
        run = await agent.expect(Run)
        started = await client.receive()
        assert started == {"type": "started", "request_id": "r1", "result_id": run.result_id, "status": "running"}
        await agent.send(Output(run.result_id, 1, "stdout", "one\n"))
        assert await client.receive() == {
            "type": "output",
            "result_id": run.result_id,
            "seq": 1,
            "stream": "stdout",
            "data": "one\n",
        }
        await agent.send(Output(run.result_id, 2, "stderr", "oops\n"))
        await agent.send(Exit(run.result_id, 3, "failed", exit_code=1, chunks=[Chunk("stdout", "ü\n")], output_bytes=7))
        completed = await client.expect("completed")
        assert [(m["seq"], m["stream"]) for m in client.received if m["type"] == "output"] == [
            (1, "stdout"),
            (2, "stderr"),
            (3, "stdout"),
        ]
        whole = (await hub.call("GET", f"/debug/result/{run.result_id}")).body
        assert (whole.pop("output"), whole.pop("error")) == ("one\nü\n", "oops\n")
        assert completed == {"type": "completed", "result": whole | {"error": None}}
        assert (whole["status"], whole["exit_code"], whole["reason"]) == ("failed", 1, None)


async def test_a_followed_log_may_go_on_and_is_cancelled(hub: TestHub, agent: RawAgent, session_id: str) -> None:
    async with streaming(hub.url, session_id) as client:
        await client.execute("r1", "logs", "-f", "web-0")
        run = await agent.expect(Run)
        assert run.is_stream
        assert 590 < run.timeout_seconds <= 600
        await agent.send(Output(run.result_id, 1, "stdout", "line\n"))
        await client.expect("output")
        await client.send("cancel", result_id=run.result_id)
        cancel = await agent.expect(Cancel)
        assert cancel.result_id == run.result_id
        await agent.exit(run, seq=2, status="cancelled", exit_code=None, error=cancel.reason)
        completed = await client.expect("completed")
        assert completed["result"]["status"] == "cancelled"
        assert completed["result"]["reason"] == completed["result"]["error"] == "the client cancelled it"
        await client.send("ping")
        assert await client.receive() == {"type": "pong"}  # and no second `completed`


async def test_a_follow_goes_on_behind_a_number(hub: TestHub, agent: RawAgent, session_id: str) -> None:
    async with streaming(hub.url, session_id) as client:
        await client.execute("r1", "logs", "-f", "web-0", keep=True)
        run = await agent.expect(Run)
        for seq in range(1, 6):
            await agent.send(Output(run.result_id, seq, "stdout", f"{seq}\n"))
        await client.expect("output", seq=5)
    async with streaming(hub.url, session_id) as client:
        await client.send("follow", result_id=run.result_id, after_seq=3)
        await client.expect("output", seq=4)
        await agent.send(Output(run.result_id, 6, "stdout", "6\n"))
        await client.expect("output", seq=6)
        await agent.exit(run, seq=7)
        await client.expect("completed")
        assert client.output(run.result_id) == "4\n5\n6\n"
        await client.send("follow", result_id=run.result_id)  # once more, from the store
        await client.expect("completed")
        assert client.output(run.result_id) == "4\n5\n6\n1\n2\n3\n4\n5\n6\n"


async def test_many_commands_on_one_socket(hub: TestHub) -> None:
    token = await hub.register("alpha")
    async with serving(hub.url, token, canned):
        session_id = await hub.open_session("alpha")
        async with streaming(hub.url, session_id) as client:
            for number in range(40):
                await client.execute(f"r{number}", "get", "pods", f"--namespace=n{number}")
            names: dict[str, str] = {}
            while sum(message["type"] == "completed" for message in client.received) < 40:
                message = await client.receive()
                assert message is not None
                if message["type"] == "started":
                    names[message["result_id"]] = message["request_id"]
            assert sorted(names.values()) == sorted(f"r{number}" for number in range(40))
            for result_id, request_id in names.items():
                assert f"--namespace=n{request_id[1:]} " in client.output(result_id)


async def test_refusals_name_the_request(hub: TestHub, agent: RawAgent, session_id: str) -> None:
    async with streaming(hub.url, session_id) as client:
        await client.execute("r1", "delete", "pod", "web-0")
        error = await client.receive()
        assert error is not None
        assert (error["type"], error["error"], error["request_id"]) == ("error", "command_refused", "r1")
        assert error["details"]["rule"] == "denied_verb"
        await client.send("follow", result_id="res_nope")
        error = await client.receive()
        assert error == {
            "type": "error",
            "error": "not_found",
            "message": "Result not found: res_nope",
            "result_id": "res_nope",
        }
        await client.send("cancel", result_id="res_nope")
        assert (await client.receive() or {})["error"] == "not_found"
        await client.execute("r2", "logs", "-f", "web-0", tail_lines=5)
        error = await client.expect("error")
        assert (error["request_id"], error["details"]["field"]) == ("r2", "tail_lines")
        assert "--tail" in error["message"]


@pytest.mark.parametrize(
    ("text", "field", "code"),
    [
        ("", "message", "malformed_json"),
        ("{", "message", "malformed_json"),
        ("[]", "message", "invalid_type"),
        ("{}", "type", "missing_required_field"),
        ('{"type": "run"}', "type", "invalid_value"),
        ('{"type": 7}', "type", "invalid_value"),
        ('{"type": "follow"}', "result_id", "missing_required_field"),
        ('{"type": "follow", "result_id": "r", "after_seq": -1}', "after_seq", "invalid_value"),
        ('{"type": "follow", "result_id": "r", "after_seq": 1e99}', "after_seq", "invalid_type"),
        ('{"type": "ping", "colour": "red"}', "colour", "unknown_field"),
        ('{"type": "execute", "request_id": "\\ud800"}', "message", "malformed_json"),
        ('{"type": "execute", "request_id": ""}', "request_id", "invalid_value"),
        ('{"type": "execute", "request_id": "r", "command_type": "get", "args": [1]}', "args.0", "invalid_type"),
        (
            '{"type": "execute", "request_id": "r", "command_type": "get", "args": [], "timeout": 1.5}',
            "timeout",
            "invalid_type",
        ),
        (
            '{"type": "execute", "request_id": "r", "command_type": "get", "args": [], "grep": "("}',
            "grep",
            "invalid_value",
        ),
        (
            '{"type": "execute", "request_id": "r", "command_type": "get", "args": [], "idempotency_key": "a\\nb"}',
            "idempotency_key",
            "invalid_value",
        ),
        ("[" * 100_000, "message", "invalid_type"),
    ],
)
async def test_what_is_no_message_names_the_field_and_the_socket_stays(
    hub: TestHub, agent: RawAgent, session_id: str, text: str, field: str, code: str
) -> None:
    async with streaming(hub.url, session_id) as client:
        await client.socket.send_str(text)
        error = await client.receive()
        assert error is not None
        assert (error["type"], error["error"]) == ("error", "invalid_request")
        assert error["details"] == {"field": field, "code": code}
        assert error.get("request_id", "r") == "r"
        await client.send("ping")
        assert await client.receive() == {"type": "pong"}


async def test_a_request_id_is_text_and_nothing_else(hub: TestHub, agent: RawAgent, session_id: str) -> None:
    async with streaming(hub.url, session_id) as client:
        for request_id in ('"},{"type":"pong', "a\r\nX-Injected: 1", "\x00\u2028😀", "x" * 64):
            await client.execute(request_id, "delete")
            assert (await client.receive() or {})["request_id"] == request_id
        await client.execute("x" * 65, "delete")
        error = await client.receive() or {}
        assert error["details"] == {"field": "request_id", "code": "invalid_value"}
        assert "request_id" not in error


async def test_too_much_nonsense_closes(hub: TestHub, agent: RawAgent, session_id: str) -> None:
    async with streaming(hub.url, session_id) as client:
        for number in range(2 * MAX_MALFORMED_IN_A_ROW - 1):
            await client.socket.send_str("nonsense")
            if number == MAX_MALFORMED_IN_A_ROW - 2:
                await client.send("ping")  # a good one in between begins the count anew
        assert await client.closed() == CloseCode.MALFORMED_MESSAGE
        assert len([m for m in client.received if m["type"] == "error"]) == 2 * MAX_MALFORMED_IN_A_ROW - 1


async def test_binary_and_huge_messages_close(hub: TestHub, agent: RawAgent, session_id: str) -> None:
    async with streaming(hub.url, session_id) as client:
        await client.socket.send_bytes(b'{"type": "ping"}')
        assert await client.closed() == CloseCode.MALFORMED_MESSAGE
    async with streaming(hub.url, session_id) as client:
        await client.socket.send_str('{"type": "ping", "x": "' + "y" * 1024 * 1024 + '"}')
        assert await client.closed() == CloseCode.TOO_LARGE
    assert (await hub.call("GET", "/health")).status == 200
    assert len(hub.app[keys.STREAMS]) == 0


# who may open one


async def test_a_browser_sends_its_key_as_a_subprotocol(hub: TestHub, agent: RawAgent, session_id: str) -> None:
    offered = (SUBPROTOCOL, bearer_subprotocol(ADMIN_KEY))
    for protocols in (offered, offered[::-1]):
        async with streaming(hub.url, session_id, key=None, protocols=protocols) as client:
            assert client.socket.protocol == SUBPROTOCOL  # the key is never sent back
            await client.send("ping")
            assert await client.receive() == {"type": "pong"}


@pytest.mark.parametrize(
    "protocols",
    [
        (SUBPROTOCOL,),
        (SUBPROTOCOL, bearer_subprotocol("wrong")),
        (SUBPROTOCOL, bearer_subprotocol("")),
        (SUBPROTOCOL, "kubently.bearer.!!!!"),
        (SUBPROTOCOL, "kubently.bearer.a"),
        (SUBPROTOCOL, "kubently.bearer._w"),
        (SUBPROTOCOL, bearer_subprotocol(ADMIN_KEY), bearer_subprotocol(ADMIN_KEY)),
        (SUBPROTOCOL, bearer_subprotocol(ADMIN_KEY) + "="),
        (SUBPROTOCOL, f"kubently.bearer.{ADMIN_KEY}"),
        (SUBPROTOCOL, bearer_subprotocol(ADMIN_KEY).upper()),
    ],
)
async def test_no_key_or_a_bad_one_is_401(
    hub: TestHub, agent: RawAgent, session_id: str, protocols: tuple[str, ...]
) -> None:
    error = await refused(hub, session_id, key=None, protocols=protocols)
    assert error.status == 401


async def test_the_header_counts_before_the_subprotocol(hub: TestHub, agent: RawAgent, session_id: str) -> None:
    offered = (SUBPROTOCOL, bearer_subprotocol(ADMIN_KEY))
    assert (await refused(hub, session_id, key="wrong", protocols=offered)).status == 401


async def test_refusals_come_before_the_upgrade_in_the_one_shape(
    hub: TestHub, agent: RawAgent, session_id: str
) -> None:
    key = await hub.make_key()
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol": SUBPROTOCOL,
    }
    path = f"/debug/session/{session_id}/stream"
    closed = await hub.open_session("alpha")
    await hub.call("DELETE", f"/debug/session/{closed}")
    for wanted, method, where, how, headers in (
        (401, "GET", path, {"key": "wrong"}, upgrade),
        (404, "GET", path, {"key": key}, upgrade),
        (404, "GET", "/debug/session/sess_nope/stream", {}, upgrade),
        (409, "GET", f"/debug/session/{closed}/stream", {}, upgrade),
        (426, "GET", path, {}, {}),
        (426, "GET", path, {}, upgrade | {"Sec-WebSocket-Protocol": "chat"}),
        (426, "GET", path, {}, upgrade | {"Sec-WebSocket-Protocol": SUBPROTOCOL.upper()}),
        (426, "GET", path, {}, upgrade | {"Upgrade": "h2c"}),
        (426, "GET", path, {}, upgrade | {"Sec-WebSocket-Version": "8"}),
        (400, "GET", path, {}, upgrade | {"Sec-WebSocket-Key": "short"}),
        (400, "GET", f"{path}?events=some", {}, upgrade),
        (400, "GET", f"{path}?api_key={ADMIN_KEY}", {}, upgrade),
        (401, "GET", f"{path}?api_key={ADMIN_KEY}", {"key": None}, upgrade),
        (403, "GET", path, {}, upgrade | {"Origin": "https://evil.example"}),
        (405, "HEAD", path, {}, upgrade),
        (405, "POST", path, {}, upgrade),
    ):
        answered = await hub.call(method, where, headers=headers, **how)
        assert answered.status == wanted, (where, how, headers)
        if method == "GET":
            assert set(answered.body) <= {"error", "message", "details"}
            assert ADMIN_KEY not in answered.body["message"]
        if wanted == 426:
            assert answered.headers["Upgrade"] == "websocket"
    assert len(hub.app[keys.STREAMS]) == 0


async def test_subprotocols_in_two_lines_are_refused_and_not_logged(
    hub: TestHub, agent: RawAgent, session_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = hub.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    secret = bearer_subprotocol(ADMIN_KEY)
    lines = [
        f"GET /debug/session/{session_id}/stream HTTP/1.1",
        f"Host: {host}:{port}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        f"Sec-WebSocket-Protocol: {secret}",
        f"Sec-WebSocket-Protocol: {SUBPROTOCOL}",
        "",
        "",
    ]
    writer.write("\r\n".join(lines).encode())
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 400 ")
    assert secret not in caplog.text


@pytest.mark.parametrize(
    ("origin", "is_allowed"),
    [
        ("http://{host}", True),
        ("https://{host}", True),  # TLS ends in front of the hub
        ("HTTP://{host}", True),
        ("https://console.example", True),
        ("https://console.example:443", False),
        ("https://console.example.evil.example", False),
        ("http://{host}.evil.example", False),
        ("http://{host}@evil.example", False),
        ("ftp://{host}", False),
        ("null", False),
        ("", False),
        ("http://[", False),
    ],
)
async def test_pages_of_other_sites_are_403(tmp_path: Path, origin: str, is_allowed: bool) -> None:
    streams = Streams(allowed_origins=("https://Console.example/",))
    async with running_hub(settings(tmp_path, streams=streams)) as hub:
        async with connected(hub.url, await hub.register("alpha")):
            session_id = await hub.open_session("alpha")
            headers = {"Origin": origin.format(host=hub.url.removeprefix("http://"))}
            if is_allowed:
                async with streaming(hub.url, session_id, headers=headers):
                    pass
            else:
                assert (await refused(hub, session_id, headers=headers)).status == 403


async def test_a_key_has_so_many_streams_and_no_more(tmp_path: Path) -> None:
    async with running_hub(settings(tmp_path, streams=Streams(max_sockets_per_key=2))) as hub:
        async with connected(hub.url, await hub.register("alpha")):
            session_id = await hub.open_session("alpha")
            async with streaming(hub.url, session_id), streaming(hub.url, session_id):
                assert (await refused(hub, session_id)).status == 429
                key = await hub.make_key(role="admin")
                async with streaming(hub.url, session_id, key=key):
                    pass
            await until(lambda: len(hub.app[keys.STREAMS]) == 0)
            async with streaming(hub.url, session_id):
                pass


async def test_opening_and_executing_draw_on_their_buckets(tmp_path: Path) -> None:
    limits = RateLimit(standard_per_minute=6, execute_per_minute=2, session_per_minute=0, address_per_minute=0)
    async with running_hub(settings(tmp_path, ratelimit=limits)) as hub:
        async with serving(hub.url, await hub.register("alpha"), canned):  # standard: 5 left
            session_id = await hub.open_session("alpha")
            async with streaming(hub.url, session_id) as client:  # 4
                for number in range(2):
                    await client.execute(f"r{number}", "get", "pods")
                    await client.expect("completed")
                await client.execute("r2", "get", "pods")
                error = await client.expect("error")
                assert (error["error"], error["request_id"]) == ("rate_limited", "r2")
                assert set(error["details"]) == {"limit", "window", "retry_after"}
                for _ in range(4):
                    await client.send("follow", result_id="res_nope")
                    assert (await client.expect("error"))["error"] == "not_found"
                await client.send("follow", result_id="res_nope")
                assert (await client.expect("error"))["error"] == "rate_limited"
                await client.send("cancel", result_id="res_nope")
                assert (await client.expect("error"))["error"] == "rate_limited"
            assert (await refused(hub, session_id)).status == 429


# how it ends


async def test_what_was_to_run_for_this_client_only_is_cancelled_when_it_leaves(
    hub: TestHub, agent: RawAgent, session_id: str
) -> None:
    runs: dict[str, Run] = {}
    async with streaming(hub.url, session_id) as client:
        wanted: dict[str, dict[str, Any]] = {"mine": {}, "kept": {"keep": True}, "again": {"idempotency_key": "k"}}
        for name, fields in wanted.items():
            await client.execute(name, "logs", "-f", name, **fields)
            runs[name] = await agent.expect(Run)
        followed = (await hub.execute(session_id, "logs", ("-f", "x"), headers={"Prefer": "respond-async"})).body
        await agent.expect(Run)
        await client.send("follow", result_id=followed["result_id"])
        await client.send("ping")
        await client.expect("pong")
    cancel = await agent.expect(Cancel)
    assert (cancel.result_id, cancel.reason) == (runs["mine"].result_id, "the client left")
    await agent.exit(runs["mine"], status="cancelled", exit_code=None, error=cancel.reason)
    for result_id in (runs["kept"].result_id, runs["again"].result_id, followed["result_id"]):
        assert (await hub.call("GET", f"/debug/result/{result_id}")).body["status"] == "running"
    assert not [frame for frame in agent.received if isinstance(frame, Cancel) and frame is not cancel]


async def test_a_client_that_vanishes_has_left_too(hub: TestHub, agent: RawAgent, session_id: str) -> None:
    for is_half_closed in (False, True):
        async with streaming(hub.url, session_id) as client:
            await client.execute("r1", "logs", "-f", "web-0")
            run = await agent.expect(Run)
            await client.expect("started")
            transport = client.socket._response.connection.transport  # type: ignore[union-attr]
            if is_half_closed:
                transport.write_eof()  # type: ignore[union-attr]
            else:
                transport.abort()  # type: ignore[union-attr]
            assert (await agent.expect(Cancel)).result_id == run.result_id
            await agent.exit(run, status="cancelled", exit_code=None)
    await until(lambda: len(hub.app[keys.STREAMS]) == 0)


async def test_a_command_that_is_still_being_accepted_is_cancelled_as_well(
    hub: TestHub, agent: RawAgent, session_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client leaves before it has an id."""
    accepting, go_on = asyncio.Event(), asyncio.Event()
    start = hub.app[keys.COMMANDS].start

    async def slow(caller: Any, request: Any) -> Any:
        accepting.set()
        await go_on.wait()
        return await start(caller, request)

    monkeypatch.setattr(hub.app[keys.COMMANDS], "start", slow)
    async with streaming(hub.url, session_id) as client:
        await client.execute("r1", "logs", "-f", "web-0")
        await accepting.wait()
    await until(lambda: len(hub.app[keys.STREAMS]) == 0)
    go_on.set()
    run = await agent.expect(Run)
    assert (await agent.expect(Cancel)).result_id == run.result_id


async def test_a_repeated_idempotency_key_is_followed_once(hub: TestHub, agent: RawAgent, session_id: str) -> None:
    async with streaming(hub.url, session_id) as client:
        for name in ("a", "b"):
            await client.execute(name, "logs", "-f", "web-0", idempotency_key="k")
        first, second = await client.expect("started"), await client.expect("started")
        assert first["result_id"] == second["result_id"]
        run = await agent.expect(Run)
        await agent.exit(run, "once\n")
        await client.expect("completed")
        await client.send("ping")
        assert (await client.receive() or {})["type"] == "pong"
        assert client.output(run.result_id) == "once\n"


async def test_the_end_of_a_session_is_told_and_then_closes(hub: TestHub, agent: RawAgent, session_id: str) -> None:
    async with streaming(hub.url, session_id) as client:
        await client.execute("r1", "logs", "-f", "web-0")
        run = await agent.expect(Run)
        await client.expect("started")
        closing = asyncio.create_task(hub.call("DELETE", f"/debug/session/{session_id}"))
        told = await client.expect("session")
        assert told == {"type": "session", "event": "closed", "session_id": session_id, "cluster_id": "alpha"}
        assert (await agent.expect(Cancel)).reason == "the session was closed"
        await client.execute("r2", "get", "pods")
        assert (await client.expect("error"))["error"] == "session_not_active"
        await agent.exit(run, status="cancelled", exit_code=None, error="the session was closed")
        assert (await client.expect("completed"))["result"]["status"] == "cancelled"
        assert await client.closed() == CloseCode.NORMAL
        await closing


async def test_events_of_the_session_and_its_cluster_or_of_all(hub: TestHub) -> None:
    token = await hub.register("alpha")
    await hub.register("gamma")
    beta = await hub.register("beta")
    prod = await hub.make_key(clusters=["alpha", "beta"])
    async with connected(hub.url, token) as agent:
        session_id = await hub.open_session("alpha")
        mine = await hub.open_session("alpha", key=prod)
        async with (
            streaming(hub.url, session_id) as some,
            streaming(hub.url, session_id, query="?events=all") as admin,
            streaming(hub.url, mine, key=prod, query="?events=all") as user,
        ):
            async with connected(hub.url, beta, "beta"):
                connect = {"type": "cluster", "event": "connected", "cluster_id": "beta"}
                assert await admin.receive() == await user.receive() == connect
                other = await hub.open_session("beta")
                assert await admin.receive() == {
                    "type": "session",
                    "event": "created",
                    "session_id": other,
                    "cluster_id": "beta",
                }
            for client in (admin, user):
                assert (await client.receive() or {})["event"] == "disconnected"
            await agent.socket.close()
            for client in (admin, user, some):
                gone = {"type": "cluster", "event": "disconnected", "cluster_id": "alpha"}
                assert await client.receive() == gone
        assert some.received[0]["cluster_id"] == "alpha"


async def test_a_removed_key_closes_its_streams(hub: TestHub, agent: RawAgent) -> None:
    made = (await hub.call("POST", "/admin/keys", {"name": "x", "role": "user"})).body
    session_id = await hub.open_session("alpha", key=made["api_key"])
    async with streaming(hub.url, session_id, key=made["api_key"]) as client:
        await client.execute("r1", "logs", "-f", "web-0")
        await client.expect("started")
        await hub.call("DELETE", f"/admin/keys/{made['key_id']}")
        assert await client.closed() == CloseCode.KEY_REVOKED
    assert (await agent.expect(Cancel)).reason == "the client left"


async def test_a_stopping_hub_says_where_to_go_on(tmp_path: Path) -> None:
    async with running_hub(settings(tmp_path)) as hub:
        token = await hub.register("alpha")
        async with connected(hub.url, token) as agent:
            session_id = await hub.open_session("alpha")
            async with streaming(hub.url, session_id) as client:
                await client.execute("r1", "logs", "-f", "web-0")
                run = await agent.expect(Run)
                for seq in (1, 2):
                    await agent.send(Output(run.result_id, seq, "stdout", "x\n"))
                await client.expect("output", seq=2)
                stopping = asyncio.create_task(hub.app.shutdown())
                error = await client.expect("error")
                assert (error["error"], error["details"]) == ("draining", {"results": {run.result_id: 2}})
                assert await client.closed() == CloseCode.GOING_AWAY
                await stopping
                assert (await refused(hub, session_id)).status == 503
            looked = await hub.call("GET", f"/debug/result/{run.result_id}")
            assert looked.body["status"] == "running"  # the next hub goes on with it


async def test_a_hub_stops_though_a_client_does_not_read(tmp_path: Path) -> None:
    async with running_hub(settings(tmp_path)) as hub:
        async with connected(hub.url, await hub.register("alpha")) as agent:
            session_id = await hub.open_session("alpha")
            async with streaming(hub.url, session_id) as client:
                await client.execute("r1", "logs", "-f", "web-0")
                async with flooding(agent, await agent.expect(Run), 64 * 1024 * 1024):
                    await come_to_rest(agent)
                    async with asyncio.timeout(8):
                        await hub.app.shutdown()


# clients that do not behave


async def test_a_client_that_does_not_read_is_cut_off_and_nobody_else(tmp_path: Path) -> None:
    async with running_hub(settings(tmp_path, streams=Streams(stall_seconds=1.5))) as hub:
        token, beta = await hub.register("alpha"), await hub.register("beta")
        async with connected(hub.url, token) as agent, serving(hub.url, beta, canned, "beta"):
            session_id, other_id = await hub.open_session("alpha"), await hub.open_session("beta")
            async with streaming(hub.url, session_id) as stalled, streaming(hub.url, other_id) as brisk:
                await stalled.execute("r1", "logs", "-f", "web-0")
                run = await agent.expect(Run)
                async with flooding(agent, run, 256 * 1024 * 1024) as pouring:
                    await come_to_rest(agent)
                    await brisk.execute("r2", "get", "pods")
                    await brisk.expect("completed", 1)
                    await until(lambda: any(isinstance(frame, Cancel) for frame in agent.received))
                    assert not pouring.done()  # the agent was held back as well
                cancels = [frame for frame in agent.received if isinstance(frame, Cancel)]
                assert cancels == [Cancel(run.result_id, "the client left")]
                assert await stalled.closed() == CloseCode.SLOW_CLIENT
                seqs = [message["seq"] for message in stalled.received if message["type"] == "output"]
                assert seqs == list(range(1, len(seqs) + 1))
                await brisk.send("ping")
                assert (await brisk.receive() or {})["type"] == "pong"


async def test_one_that_does_not_read_beside_ten_that_do(tmp_path: Path) -> None:
    async with running_hub(settings(tmp_path, streams=Streams(stall_seconds=1.5))) as hub:
        async with connected(hub.url, await hub.register("alpha")) as agent, contextlib.AsyncExitStack() as stack:
            session_id = await hub.open_session("alpha")
            stalled = await stack.enter_async_context(streaming(hub.url, session_id))
            await stalled.execute("r1", "logs", "-f", "web-0", keep=True)
            run = await agent.expect(Run)
            live = [await stack.enter_async_context(streaming(hub.url, session_id)) for _ in range(10)]
            for client in live:
                await client.send("follow", result_id=run.result_id)
            readers = [asyncio.create_task(client.expect("completed", 60)) for client in live]
            count = await flood(agent, run, 32 * 1024 * 1024)
            await agent.exit(run, seq=count + 1)
            await asyncio.gather(*readers)
            for client in live:
                seqs = [message["seq"] for message in client.received if message["type"] == "output"]
                assert seqs == list(range(1, count + 1))
            await asyncio.sleep(1.5)  # its stall_seconds
            assert await stalled.closed() == CloseCode.SLOW_CLIENT


async def test_a_client_that_reads_slowly_sets_the_pace_and_is_not_cut_off(tmp_path: Path) -> None:
    async with running_hub(settings(tmp_path, streams=Streams(stall_seconds=0.4))) as hub:
        async with connected(hub.url, await hub.register("alpha")) as agent:
            session_id = await hub.open_session("alpha")
            async with streaming(hub.url, session_id) as client:
                await client.execute("r1", "logs", "-f", "web-0")
                run = await agent.expect(Run)
                async with flooding(agent, run, 16 * 1024 * 1024) as pouring:
                    while not pouring.done():
                        await client.expect("output")
                        await asyncio.sleep(0.005)  # it is this slow
                    count = pouring.result()
                    await agent.exit(run, seq=count + 1)
                    await client.expect("completed")
                assert len(client.output(run.result_id)) == count * PIECE_BYTES


async def test_commands_take_turns_on_a_socket(hub: TestHub, agent: RawAgent, session_id: str) -> None:
    async with streaming(hub.url, session_id) as client:
        await client.execute("loud", "logs", "-f", "loud")
        loud = await agent.expect(Run)
        await client.execute("quiet", "logs", "-f", "quiet")
        quiet = await agent.expect(Run)
        async with flooding(agent, loud, 64 * 1024 * 1024) as pouring:
            await come_to_rest(agent)
            await agent.send(Output(quiet.result_id, 1, "stdout", "hear me\n"))
            await client.expect("output", result_id=quiet.result_id)
            assert not pouring.done()  # it did not wait for all of that


async def test_no_more_commands_than_may_be_are_under_way(tmp_path: Path) -> None:
    async with running_hub(settings(tmp_path, streams=Streams(max_commands_per_socket=3))) as hub:
        async with connected(hub.url, await hub.register("alpha")) as agent:
            session_id = await hub.open_session("alpha")
            async with streaming(hub.url, session_id) as client:
                runs = []
                for number in range(3):
                    await client.execute(f"r{number}", "logs", "-f", "web-0")
                    runs.append(await agent.expect(Run))
                    await client.expect("started")
                await client.execute("r3", "logs", "-f", "web-0")
                error = await client.expect("error")
                assert (error["error"], error["request_id"]) == ("too_many_streams", "r3")
                for _ in range(3000):
                    await client.send("follow", result_id=runs[0].result_id)
                await client.send("ping")
                await client.expect("pong")
                told = [message["error"] for message in client.received if message["type"] == "error"]
                assert told == ["too_many_streams"] * 3001
                await agent.exit(runs[0])
                await client.expect("completed")
                await client.execute("r4", "get", "pods")
                await client.expect("started")


async def test_a_result_is_followed_once_per_socket(hub: TestHub, agent: RawAgent, session_id: str) -> None:
    async with streaming(hub.url, session_id) as client:
        await client.execute("r1", "logs", "-f", "web-0")
        result_id = (await client.expect("started"))["result_id"]
        await client.send("follow", result_id=result_id)
        error = await client.expect("error")
        assert error["details"] == {"field": "result_id", "code": "already_followed"}


async def test_a_flood_of_pings_is_answered_and_starves_nobody(hub: TestHub, agent: RawAgent, session_id: str) -> None:
    async with streaming(hub.url, session_id) as client, streaming(hub.url, session_id) as other:

        async def pour() -> None:
            for _ in range(10_000):
                await client.socket.send_str('{"type": "ping"}')
                await client.socket.ping(b"x" * 125)

        async def drink() -> None:
            for _ in range(10_000):
                await client.expect("pong", 30)

        flooding = asyncio.gather(pour(), drink())
        for number in range(20):
            await other.execute(f"r{number}", "get", "pods")
            await agent.exit(await agent.expect(Run), "x\n")
            await other.expect("completed", 5)
        await flooding


async def test_pings_that_are_never_read_stall(tmp_path: Path) -> None:
    async with running_hub(settings(tmp_path, streams=Streams(stall_seconds=1.0))) as hub:
        async with connected(hub.url, await hub.register("alpha")):
            session_id = await hub.open_session("alpha")
            async with streaming(hub.url, session_id) as client:

                async def pour() -> None:
                    while True:
                        await client.socket.ping(b"x" * 125)

                pouring = asyncio.create_task(pour(), name="pings")
                await until(lambda: len(hub.app[keys.STREAMS]) == 0, 60)
                pouring.cancel()
                await asyncio.wait([pouring])


async def test_what_comes_behind_the_closing_is_nobodys(hub: TestHub, agent: RawAgent, session_id: str) -> None:
    host, port = hub.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = [
        f"GET /debug/session/{session_id}/stream HTTP/1.1",
        f"Host: {host}:{port}",
        f"Authorization: Bearer {ADMIN_KEY}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        f"Sec-WebSocket-Protocol: {SUBPROTOCOL}",
        "",
        "",
    ]
    execute = json.dumps({"type": "execute", "request_id": "r", "command_type": "get", "args": ["pods"]}).encode()
    close = b"\x88\x82\x00\x00\x00\x00" + (1000).to_bytes(2, "big")
    frame = b"\x81" + bytes([0x80 | len(execute)]) + b"\x00" * 4 + execute
    writer.write("\r\n".join(lines).encode() + close + frame)
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert answer.endswith(b"\x88\x02\x03\xe8")
    assert (await hub.call("GET", f"/debug/session/{session_id}")).body["commands_executed"] == 0


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x81\x00\x00\x00\x00\xff", CloseCode.INVALID_TEXT),
        (b"\xc1\x80\x00\x00\x00\x00", 1002),  # a bit of an extension that was not agreed on
        (b"\x81\xff" + (2**40).to_bytes(8, "big") + b"\x00" * 4, CloseCode.TOO_LARGE),
        (b"\x89\xfe\x00\x7e\x00\x00\x00\x00" + b"x" * 126, 1002),  # a control frame over 125 bytes
    ],
)
async def test_frames_against_the_rules_close(
    hub: TestHub, agent: RawAgent, session_id: str, frame: bytes, code: int
) -> None:
    async with streaming(hub.url, session_id) as client:
        client.socket._response.connection.transport.write(frame)  # type: ignore[union-attr]
        assert await client.closed() == code
    await until(lambda: len(hub.app[keys.STREAMS]) == 0)


async def test_a_fault_of_the_hub_closes_with_1011(
    hub: TestHub, agent: RawAgent, session_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("hub.services.commands.CommandService.follow", fail)
    async with streaming(hub.url, session_id) as client:
        await client.send("follow", result_id="res_1")
        assert await client.closed() == CloseCode.FAULT


async def test_what_the_store_has_let_go_of_is_said_with_where_to_begin(tmp_path: Path) -> None:
    async with running_hub(settings(tmp_path, streams=Streams(keep_bytes=1024**2))) as hub:
        async with connected(hub.url, await hub.register("alpha")) as agent:
            session_id = await hub.open_session("alpha")
            await hub.execute(session_id, "logs", ("-f", "web-0"), headers={"Prefer": "respond-async"})
            run = await agent.expect(Run)
            count = await flood(agent, run, 4 * 1024**2)
            await agent.exit(run, "end\n", seq=count + 1, output_bytes=count * PIECE_BYTES + 4)
            path = f"/debug/result/{run.result_id}"
            held = (await hub.call("GET", f"{path}?wait=10")).body
            assert held["expired_bytes"] > 2 * 1024**2
            assert held["expired_bytes"] + len(held["output"]) == held["output_bytes"]
            expired = await hub.call("GET", f"{path}?offset=0")
            assert (expired.status, expired.body["error"]) == (410, "output_expired")
            first = expired.body["details"]["first_offset"]
            assert first == held["expired_bytes"]
            assert (await hub.call("GET", f"{path}?offset={first}")).body == held
            expired = await hub.call("GET", f"{path}/stream")
            assert (expired.status, expired.body["error"]) == (410, "output_expired")
            first_seq = expired.body["details"]["first_seq"]
            async with streaming(hub.url, session_id) as client:
                await client.send("follow", result_id=run.result_id)
                error = await client.expect("error")
                assert (error["error"], error["details"]["first_seq"]) == ("output_expired", first_seq)
                await client.send("follow", result_id=run.result_id, after_seq=first_seq - 1)
                await client.expect("completed")
                assert client.output(run.result_id) == held["output"]


async def test_a_client_that_closes_and_does_not_read_is_cut_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is to be sent to it would wait for ever behind a socket that has ended."""
    parted: list[asyncio.Transport] = []
    part = stream_outlet.Outlet.part

    def noted(outlet: stream_outlet.Outlet) -> None:
        parted.append(outlet._transport)
        part(outlet)

    monkeypatch.setattr(stream_outlet, "CLOSE_SECONDS", 0.5)
    monkeypatch.setattr(stream_outlet.Outlet, "part", noted)
    async with running_hub(settings(tmp_path)) as hub:
        async with connected(hub.url, await hub.register("alpha")) as agent:
            session_id = await hub.open_session("alpha")
            async with streaming(hub.url, session_id) as client:
                await client.execute("r1", "logs", "-f", "web-0")
                run = await agent.expect(Run)
                async with flooding(agent, run, 256 * 1024 * 1024):
                    await come_to_rest(agent)
                    close = b"\x88\x82\x00\x00\x00\x00" + (1000).to_bytes(2, "big")
                    client.socket._response.connection.transport.write(close)  # type: ignore[union-attr]
                    await until(lambda: len(hub.app[keys.STREAMS]) == 0)
                    assert parted[0].get_write_buffer_size()
                    await until(lambda: not parted[0].get_write_buffer_size())
