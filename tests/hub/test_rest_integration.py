"""The REST API as the reference has it, and where it is silent."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from hub.api.lasting import is_lasting
from hub.api.routes import ROUTES
from hub.keys import Access
from hub.settings import RateLimit
from schemas.errors import CATALOGUE
from schemas.frames import Run
from tests.support.hub import ADMIN_KEY, TestHub, running_hub, settings
from tests.support.raw_agent import canned, connected, serving


def shape(body: Any) -> None:
    """The one error shape."""
    assert isinstance(body, dict)
    assert set(body) <= {"error", "message", "details"}
    assert body["error"] in CATALOGUE
    assert isinstance(body["message"], str)
    assert body["message"]
    assert body.get("details", {"x": 1})


async def test_health_is_as_in_the_reference(hub: TestHub) -> None:
    answered = await hub.call("GET", "/health", key=None)
    assert answered.status == 200
    assert answered.body["status"] == "healthy"
    assert set(answered.body) == {"status", "version", "timestamp", "uptime_seconds"}
    assert (await hub.call("GET", "/ready", key=None)).body == {"status": "ready"}


async def test_a_session_from_open_to_closed(hub: TestHub) -> None:
    token = await hub.register("alpha")
    metadata = {"user": "debugging-agent", "correlation_id": "trace-123"}
    async with serving(hub.url, token, canned):
        opened = await hub.call("POST", "/debug/session", {"cluster_id": "alpha", "metadata": metadata})
        assert opened.status == 201
        session = opened.body
        assert session["status"] == "active"
        assert opened.headers["Location"] == f"/debug/session/{session['session_id']}"
        result = (await hub.execute(session["session_id"])).body
        assert result["correlation_id"] == "trace-123"
        looked = (await hub.call("GET", f"/debug/session/{session['session_id']}")).body
        assert looked["commands_executed"] == 1
        assert looked["metadata"] == metadata
        listed = (await hub.call("GET", "/debug/sessions")).body
        assert (listed["total"], listed["sessions"][0]["session_id"]) == (1, session["session_id"])
        closed = (await hub.call("DELETE", f"/debug/session/{session['session_id']}")).body
        assert set(closed) == {"session_id", "status", "closed_at"}
        assert (await hub.call("GET", "/debug/sessions")).body["total"] == 0
        assert (await hub.call("GET", "/debug/sessions?status=closed")).body["total"] == 1


async def test_a_session_expires_and_does_not_slide(hub: TestHub, monkeypatch: pytest.MonkeyPatch) -> None:
    token = await hub.register("alpha")
    async with serving(hub.url, token, canned):
        session_id = await hub.open_session("alpha", ttl_seconds=60)
        before = (await hub.call("GET", f"/debug/session/{session_id}")).body["expires_at"]
        await hub.execute(session_id)
        assert (await hub.call("GET", f"/debug/session/{session_id}")).body["expires_at"] == before
        now = time.time
        monkeypatch.setattr(time, "time", lambda: now() + 61)
        assert (await hub.call("GET", f"/debug/session/{session_id}")).body["status"] == "expired"
        refused = await hub.execute(session_id)
        assert (refused.status, refused.body["error"]) == (409, "session_not_active")


async def test_clusters_that_are_unknown_or_away(hub: TestHub) -> None:
    unknown = await hub.call("POST", "/debug/session", {"cluster_id": "nowhere"})
    assert (unknown.status, unknown.body["message"]) == (404, "Cluster not found: nowhere")
    await hub.register("alpha")
    started = time.perf_counter()
    away = await hub.call("POST", "/debug/session", {"cluster_id": "alpha"})
    assert time.perf_counter() - started < 1
    assert (away.status, away.body["error"]) == (503, "service_unavailable")
    assert away.body["details"] == {"cluster_id": "alpha", "last_seen": None}
    assert int(away.headers["Retry-After"]) > 0


async def test_an_agent_that_left_is_503_with_last_seen(hub: TestHub) -> None:
    token = await hub.register("alpha")
    async with connected(hub.url, token):
        session_id = await hub.open_session("alpha")
    async with asyncio.timeout(5):
        while (answered := await hub.execute(session_id)).status != 503:
            pass
    assert answered.body["details"]["last_seen"].endswith("Z")
    # What is wrong with the request itself is said first.
    assert (await hub.execute("sess_nope")).status == 404
    await hub.register("beta")
    other = await hub.execute(session_id, cluster_id="beta")
    assert (other.status, other.body["details"]["code"]) == (400, "cluster_mismatch")
    await hub.call("DELETE", f"/debug/session/{session_id}")
    assert (await hub.execute(session_id)).body["error"] == "session_not_active"


async def test_what_belongs_to_others_does_not_exist(hub: TestHub) -> None:
    token = await hub.register("alpha")
    mine, other = await hub.make_key(), await hub.make_key()
    async with serving(hub.url, token, canned):
        session_id = await hub.open_session("alpha", key=mine)
        result_id = (await hub.execute(session_id, key=mine)).body["result_id"]
        for path, name in ((f"/debug/session/{session_id}", session_id), (f"/debug/result/{result_id}", result_id)):
            assert (await hub.call("GET", path, key=mine)).status == 200
            assert (await hub.call("GET", path)).status == 200
            foreign = await hub.call("GET", path, key=other)
            missing = await hub.call("GET", path.replace(name, name[:-4] + "0000"), key=other)
            assert foreign.status == missing.status == 404
            assert foreign.body["message"].replace(name, "X") == missing.body["message"].replace(
                name[:-4] + "0000", "X"
            )
        assert (await hub.execute(session_id, key=other)).status == 404
        assert (await hub.call("DELETE", f"/debug/session/{session_id}", key=other)).status == 404


async def test_a_key_sees_only_its_clusters(hub: TestHub) -> None:
    for cluster_id in ("prod-a", "dev-a"):
        await hub.register(cluster_id)
    key = await hub.make_key(clusters=["prod-*"])
    assert (await hub.call("GET", "/clusters/prod-a/status", key=key)).status == 200
    hidden = await hub.call("GET", "/clusters/dev-a/status", key=key)
    assert (hidden.status, hidden.body["message"]) == (404, "Cluster not found: dev-a")
    assert (await hub.call("POST", "/debug/session", {"cluster_id": "dev-a"}, key=key)).status == 404


async def test_an_admin_of_some_clusters_is_none_of_the_others(hub: TestHub) -> None:
    for cluster_id in ("prod-a", "dev-a"):
        async with connected(hub.url, await hub.register(cluster_id), cluster_id):
            await hub.open_session(cluster_id)
    boundless = await hub.make_key(role="admin")
    admin = await hub.make_key(role="admin", clusters=["prod-*", "qa"], expires_at="2099-01-01T00:00:00Z")
    own = (await hub.call("GET", "/auth/self", key=admin)).body
    assert (own["role"], own["clusters"], own["expires_at"]) == ("admin", ["prod-*", "qa"], "2099-01-01T00:00:00Z")
    for clusters, expires_at, status in (
        (["prod-*"], "2098-01-01T00:00:00Z", 201),
        (["prod-a", "qa"], "2099-01-01T00:00:00Z", 201),
        (None, "2098-01-01T00:00:00Z", 403),
        (["*"], "2098-01-01T00:00:00Z", 403),
        (["prod-?*"], "2098-01-01T00:00:00Z", 403),
        (["prod-a", "dev-a"], "2098-01-01T00:00:00Z", 403),
        (["prod-*"], "2099-01-01T00:00:01Z", 403),
        (["prod-*"], None, 403),
    ):
        body = {"name": "x", "role": "admin", "clusters": clusters, "expires_at": expires_at}
        assert (await hub.call("POST", "/admin/keys", body, key=admin)).status == status, body
    listed = (await hub.call("GET", "/admin/keys", key=admin)).body["keys"]
    assert len(listed) == 3
    for key in (await hub.call("GET", "/admin/keys")).body["keys"]:
        if key["key_id"] not in {each["key_id"] for each in listed}:
            assert (await hub.call("DELETE", f"/admin/keys/{key['key_id']}", key=admin)).status == 404
    assert (await hub.call("GET", "/auth/self", key=boundless)).status == 200
    assert (await hub.call("POST", "/admin/clusters", {"cluster_id": "dev-b"}, key=admin)).status == 403
    assert (await hub.call("POST", "/admin/clusters", {"cluster_id": "dev-a"}, key=admin)).status == 403
    assert (await hub.call("POST", "/admin/clusters", {"cluster_id": "prod-b"}, key=admin)).status == 201
    sessions = (await hub.call("GET", "/debug/sessions", key=admin)).body
    assert ({each["cluster_id"] for each in sessions["sessions"]}, sessions["total"]) == ({"prod-a"}, 1)
    for path in ("/admin/clusters/dev-a", "/clusters/dev-a/status"):
        assert (await hub.call("GET", path, key=admin)).status == 404
    assert (await hub.call("POST", "/admin/clusters/dev-a/tokens", key=admin)).status == 404
    assert (await hub.call("GET", "/debug/sessions?cluster_id=dev-a", key=admin)).body["total"] == 0


async def test_admin_only_is_403_for_others(hub: TestHub) -> None:
    key = await hub.make_key()
    for method, path, body in (
        ("GET", "/debug/sessions", None),
        ("GET", "/clusters", None),
        ("GET", "/admin/clusters", None),
        ("POST", "/admin/clusters", {"cluster_id": "x"}),
        ("GET", "/admin/clusters/x", None),
        ("DELETE", "/admin/clusters/x", None),
        ("POST", "/admin/clusters/x/tokens", None),
        ("DELETE", "/admin/clusters/x/tokens/tok_1", None),
        ("GET", "/admin/keys", None),
        ("POST", "/admin/keys", {"name": "x", "role": "user"}),
        ("DELETE", "/admin/keys/key_1", None),
    ):
        answered = await hub.call(method, path, body, key=key)
        assert (answered.status, answered.body["error"]) == (403, "forbidden"), path
        shape(answered.body)


async def test_keys_are_shown_once_and_end(hub: TestHub) -> None:
    made = (await hub.call("POST", "/admin/keys", {"name": "ci", "role": "user"})).body
    assert made["api_key"].startswith("kubently_key_")
    listed = (await hub.call("GET", "/admin/keys")).body
    assert made["api_key"] not in json.dumps(listed)
    assert (await hub.call("GET", "/clusters/x/status", key=made["api_key"])).status == 404
    assert (await hub.call("DELETE", f"/admin/keys/{made['key_id']}")).status == 204
    assert (await hub.call("GET", "/clusters/x/status", key=made["api_key"])).status == 401
    assert (await hub.call("DELETE", f"/admin/keys/{made['key_id']}")).status == 404


async def test_an_expired_key_is_401(hub: TestHub, monkeypatch: pytest.MonkeyPatch) -> None:
    key = await hub.make_key(expires_at="2099-01-01T00:00:00Z")
    assert (await hub.call("GET", "/clusters/x/status", key=key)).status == 404
    monkeypatch.setattr(time, "time", lambda: 4_102_444_800.0)
    assert (await hub.call("GET", "/clusters/x/status", key=key)).status == 401
    past = {"name": "x", "role": "user", "expires_at": "2020-01-01T00:00:00Z"}
    assert (await hub.call("POST", "/admin/keys", past)).status == 400


async def test_statuses_of_commands_are_never_http_errors(hub: TestHub) -> None:
    token = await hub.register("alpha")

    async def fail(agent: Any, run: Run) -> None:
        await agent.exit(run, "partial\n", "boom\n", status="failed", exit_code=1)

    async with serving(hub.url, token, fail):
        session_id = await hub.open_session("alpha")
        answered = await hub.execute(session_id)
        assert answered.status == 200
        body = answered.body
        assert (body["status"], body["output"], body["error"], body["exit_code"]) == (
            "failed",
            "partial\n",
            "boom\n",
            1,
        )


async def test_a_refused_command_never_reaches_the_agent(hub: TestHub) -> None:
    token = await hub.register("alpha")
    async with connected(hub.url, token) as agent:
        session_id = await hub.open_session("alpha")
        answered = await hub.execute(session_id, "delete", ("pod", "x"))
        assert (answered.status, answered.body["error"]) == (403, "command_refused")
        assert {"argument", "rule", "allowed"} <= set(answered.body["details"])
        assert not [frame for frame in agent.received if isinstance(frame, Run)]
        assert (await hub.call("GET", f"/debug/session/{session_id}")).body["commands_executed"] == 0


async def test_async_answers_at_once_and_can_be_waited_for(hub: TestHub) -> None:
    token = await hub.register("alpha")
    async with connected(hub.url, token) as agent:
        session_id = await hub.open_session("alpha")
        started = await hub.execute(session_id, headers={"Prefer": "respond-async"})
        assert started.status == 202
        assert started.headers["Location"] == f"/debug/result/{started.body['result_id']}"
        assert started.body["status"] == "running"
        run = await agent.expect(Run)
        path = started.headers["Location"]
        assert (await hub.call("GET", path)).body["status"] == "running"
        waiting = asyncio.create_task(hub.call("GET", f"{path}?wait=20"))
        await agent.exit(run, "done\n")
        assert (await waiting).body["output"] == "done\n"


async def test_idempotency_key_gives_one_execution(hub: TestHub) -> None:
    token = await hub.register("alpha")
    async with serving(hub.url, token, canned) as agent:
        session_id = await hub.open_session("alpha")
        headers = {"Idempotency-Key": "once"}
        answers = await asyncio.gather(*(hub.execute(session_id, headers=headers) for _ in range(5)))
        assert len({answer.body["result_id"] for answer in answers}) == 1
        assert {answer.body["status"] for answer in answers} == {"completed"}
        assert len([frame for frame in agent.received if isinstance(frame, Run)]) == 1
        other = await hub.execute(session_id, args=("nodes",), headers=headers)
        assert (other.status, other.body["error"]) == (409, "idempotency_conflict")
        key = await hub.make_key()
        mine = await hub.open_session("alpha", key=key)
        assert (await hub.execute(mine, key=key, headers=headers)).status == 200
    async with asyncio.timeout(5):
        while (await hub.call("GET", "/clusters/alpha/status")).body["status"] == "connected":
            await asyncio.sleep(0.01)
    again = await hub.execute(session_id, headers=headers)
    assert again.body == answers[0].body


async def test_a_session_of_another_cluster_names_the_field(hub: TestHub) -> None:
    alpha, beta = await hub.register("alpha"), await hub.register("beta")
    async with connected(hub.url, alpha), connected(hub.url, beta, "beta"):
        session_id = await hub.open_session("alpha")
        answered = await hub.execute(session_id, cluster_id="beta")
        assert (answered.status, answered.body["details"]["field"]) == (400, "cluster_id")


async def test_output_by_offset_and_limit(hub: TestHub) -> None:
    token = await hub.register("alpha")

    async def long(agent: Any, run: Run) -> None:
        await agent.exit(run, "häßlich\n" * 1000)

    async with serving(hub.url, token, long):
        session_id = await hub.open_session("alpha")
        whole = (await hub.execute(session_id)).body
        path, offset, text = f"/debug/result/{whole['result_id']}", 0, ""
        while offset < whole["output_bytes"]:
            part = (await hub.call("GET", f"{path}?offset={offset}&limit=777")).body["output"]
            text += part
            offset += len(part.encode())
        assert text == whole["output"]


@pytest.mark.parametrize(
    ("data", "field", "code"),
    [
        (b"", "body", "missing_body"),
        (b"{", "body", "malformed_json"),
        (b"\xff\xfe", "body", "malformed_json"),
        (b'{"cluster_id": "\xff"}', "body", "malformed_json"),
        (b'{"cluster_id": "\\ud800"}', "body", "malformed_json"),
        (b"[]", "body", "invalid_type"),
        (b"{}", "cluster_id", "missing_required_field"),
        (b'{"cluster_id": 7}', "cluster_id", "invalid_type"),
        (b'{"cluster_id": null}', "cluster_id", "invalid_type"),
        (b'{"cluster_id": "UPPER"}', "cluster_id", "invalid_value"),
        (b'{"cluster_id": "a\\n"}', "cluster_id", "invalid_value"),
        (b'{"cluster_id": "a", "ttl": 5}', "ttl", "unknown_field"),
        (b'{"cluster_id": "a", "ttl_seconds": 59}', "ttl_seconds", "invalid_value"),
        (b'{"cluster_id": "a", "ttl_seconds": "60"}', "ttl_seconds", "invalid_type"),
        (b'{"cluster_id": "a", "ttl_seconds": true}', "ttl_seconds", "invalid_type"),
        (b'{"cluster_id": "a", "metadata": []}', "metadata", "invalid_type"),
        (json.dumps({"cluster_id": "a", "metadata": {"x": "y" * 5000}}).encode(), "metadata", "invalid_value"),
    ],
)
async def test_bad_bodies_name_the_field(hub: TestHub, data: bytes, field: str, code: str) -> None:
    answered = await hub.call("POST", "/debug/session", data=data)
    assert answered.status == 400
    shape(answered.body)
    assert answered.body["details"] == {"field": field, "code": code}


async def test_bad_execute_fields(hub: TestHub) -> None:
    good = {"cluster_id": "a", "session_id": "s", "command_type": "get", "args": []}
    for change, field in (
        ({"args": "pods"}, "args"),
        ({"args": [1]}, "args.0"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": 301}, "timeout"),
        ({"timeout": 1.5}, "timeout"),
    ):
        answered = await hub.call("POST", "/debug/execute", good | change)
        assert (answered.status, answered.body["details"]["field"]) == (400, field), change
    bad_header = await hub.call("POST", "/debug/execute", good, headers={"X-Request-Timeout": "soon"})
    assert (bad_header.status, bad_header.body["details"]["field"]) == (400, "X-Request-Timeout")


async def test_errors_have_one_shape_everywhere(hub: TestHub) -> None:
    too_large = await hub.call("POST", "/debug/session", data=b'{"x": "' + b"y" * 10_000_000 + b'"}')
    wrong_type = await hub.call("POST", "/debug/session", data=b"x=1", headers={"Content-Type": "text/plain"})
    for answered, status, code in (
        (await hub.call("GET", "/nowhere", key=None), 404, "not_found"),
        (await hub.call("GET", "/nowhere"), 404, "not_found"),
        (await hub.call("PUT", "/debug/session"), 405, "method_not_allowed"),
        (too_large, 413, "payload_too_large"),
        (wrong_type, 415, "unsupported_media_type"),
        (await hub.call("GET", "/clusters", key=None), 401, "unauthorized"),
        (await hub.call("GET", "/clusters", key="wrong"), 401, "unauthorized"),
        (await hub.call("GET", "/debug/sessions?limit=0"), 400, "invalid_request"),
        (await hub.call("GET", "/debug/sessions?cursor=%00"), 400, "invalid_request"),
        (await hub.call("GET", "/debug/sessions?colour=red"), 400, "invalid_request"),
        (await hub.call("GET", "/clusters", headers={"X-Service-Identity": "ü"}), 400, "invalid_request"),
    ):
        assert (answered.status, answered.body["error"]) == (status, code)
        shape(answered.body)
    assert (await hub.call("PUT", "/debug/session")).headers["Allow"] == "POST"


async def test_every_route_without_a_key_is_401_in_shape(hub: TestHub) -> None:
    for method, path, _, policy in ROUTES:
        if policy.access is not Access.PUBLIC:
            answered = await hub.call(method, path.replace("{", "").replace("}", ""), key=None)
            assert (answered.status, answered.body["error"]) == (401, "unauthorized"), path
            shape(answered.body)
            assert answered.headers["WWW-Authenticate"].startswith("Bearer")


def test_what_removes_is_not_cancelled_by_a_client_that_leaves() -> None:
    for method, path, handler, _ in ROUTES:
        assert is_lasting(handler) == (method == "DELETE"), path


async def test_a_fault_of_the_hub_is_500_with_a_request_id(hub: TestHub, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("hub.services.keys.KeyService.list_keys", fail)
    answered = await hub.call("GET", "/admin/keys")
    assert (answered.status, answered.body["error"]) == (500, "internal_error")
    assert answered.body["details"]["request_id"].startswith("req_")
    assert "ZeroDivision" not in json.dumps(answered.body)


async def test_correlation_ids_are_accepted_made_and_kept(hub: TestHub) -> None:
    token = await hub.register("alpha")
    a2a = {"X-Correlation-ID": "trace-9", "X-Service-Identity": "planner"}
    async with connected(hub.url, token) as agent:
        session_id = await hub.open_session("alpha")
        waiting = asyncio.create_task(hub.execute(session_id, headers=a2a))
        run = await agent.expect(Run)
        assert run.correlation_id == "trace-9"
        await agent.exit(run)
        answered = await waiting
        assert answered.headers["X-Correlation-ID"] == "trace-9"
        assert (answered.body["correlation_id"], answered.body["service_identity"]) == ("trace-9", "planner")
    made = await hub.call("GET", "/health", key=None)
    assert made.headers["X-Correlation-ID"].startswith("corr_")


async def test_the_request_timeout_header_counts_when_the_body_has_none(hub: TestHub) -> None:
    token = await hub.register("alpha")
    async with connected(hub.url, token) as agent:
        session_id = await hub.open_session("alpha")
        bodies: list[tuple[dict[str, Any], int]] = [({}, 7), ({"timeout": 3}, 3)]
        for fields, expected in bodies:
            headers = {"X-Request-Timeout": "7"}
            waiting = asyncio.create_task(hub.execute(session_id, headers=headers, **fields))
            run = await agent.expect(Run)
            assert expected - 1 < run.timeout_seconds <= expected
            await agent.exit(run)
            await waiting


async def test_rate_limits_per_key_and_bucket(tmp_path: Path) -> None:
    limits = RateLimit(standard_per_minute=5, execute_per_minute=2, session_per_minute=1, address_per_minute=3)
    async with running_hub(settings(tmp_path, ratelimit=limits)) as hub:
        answered = await hub.call("GET", "/clusters")
        assert answered.headers["X-RateLimit-Limit"] == "5"
        assert answered.headers["X-RateLimit-Remaining"] == "4"
        assert 0 < int(answered.headers["X-RateLimit-Reset"]) - time.time() <= 61
        body = {"cluster_id": "a", "session_id": "s", "command_type": "get", "args": []}
        statuses = [(await hub.call("POST", "/debug/execute", body)).status for _ in range(3)]
        assert statuses[-1] == 429
        limited = await hub.call("POST", "/debug/execute", body)
        assert limited.body["details"] == {
            "limit": 2,
            "window": "1m",
            "retry_after": int(limited.headers["Retry-After"]),
        }
        assert limited.headers["X-RateLimit-Limit"] == "2"
        await hub.call("POST", "/debug/session", {"cluster_id": "a"})
        assert (await hub.call("POST", "/debug/session", {"cluster_id": "a"})).status == 429
        assert (await hub.call("GET", "/clusters")).status == 200
        key = await hub.make_key()
        assert (await hub.call("POST", "/debug/execute", body, key=key)).status != 429
        for _ in range(4):
            failed = await hub.call("GET", "/clusters", key="wrong")
            assert failed.headers["X-RateLimit-Limit"] == "3"
        assert failed.status == 429
        for _ in range(10):
            free = await hub.call("GET", "/health", key="wrong")
            assert free.status == 200
        assert free.headers["X-RateLimit-Limit"] == "3"
        assert (await hub.call("GET", "/clusters")).status == 200


async def test_sessions_are_paged(hub: TestHub) -> None:
    token = await hub.register("alpha")
    async with connected(hub.url, token):
        made = [await hub.open_session("alpha") for _ in range(5)]
    seen: list[str] = []
    path = "/debug/sessions?limit=2"
    while True:
        page = (await hub.call("GET", path)).body
        assert page["total"] == 5
        seen += [session["session_id"] for session in page["sessions"]]
        if page["next_cursor"] is None:
            break
        path = f"/debug/sessions?limit=2&cursor={page['next_cursor']}"
    assert seen == made[::-1]


async def test_clusters_are_registered_listed_and_removed(hub: TestHub) -> None:
    made = await hub.call("POST", "/admin/clusters", {"cluster_id": "prod", "name": "Production Cluster"})
    assert made.status == 201
    assert made.body["agent_token"].startswith("kubently_agent_")
    assert (await hub.call("POST", "/admin/clusters", {"cluster_id": "prod"})).status == 409
    listed = (await hub.call("GET", "/clusters")).body
    assert [cluster["name"] for cluster in listed["clusters"]] == ["Production Cluster"]
    status = (await hub.call("GET", "/clusters/prod/status")).body
    assert (status["status"], status["active_sessions"], status["queue_depth"]) == ("disconnected", 0, 0)
    looked = (await hub.call("GET", "/admin/clusters/prod")).body
    assert [token["token_id"] for token in looked["tokens"]] == [made.body["token_id"]]
    assert made.body["agent_token"] not in json.dumps(looked)
    async with connected(hub.url, made.body["agent_token"], "prod") as agent:
        session_id = await hub.open_session("prod")
        assert (await hub.call("GET", "/clusters/prod/status")).body["active_sessions"] == 1
        assert (await hub.call("DELETE", "/admin/clusters/prod")).status == 204
        assert await agent.receive() is None
    assert (await hub.call("GET", "/clusters/prod/status")).status == 404
    assert (await hub.call("GET", f"/debug/session/{session_id}")).body["status"] == "closed"


async def test_only_hashes_are_on_disk(hub: TestHub, tmp_path: Path) -> None:
    token, key = await hub.register("alpha"), await hub.make_key()
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for secret in (token, key, ADMIN_KEY):
        assert secret.encode() not in stored
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


async def test_openapi_and_docs_are_served(hub: TestHub) -> None:
    document = (await hub.call("GET", "/openapi.json", key=None)).body
    assert document["openapi"] == "3.0.3"
    for method, path, _, policy in ROUTES:
        if path.startswith(("/debug", "/clusters", "/admin", "/health", "/ready")):
            operation = document["paths"][path][method.lower()]
            assert operation["summary"]
            assert ("401" in operation["responses"]) == (policy.access is Access.KEY)
    async with hub.http.get(hub.url + "/docs") as response:
        page = await response.text()
        assert "swagger-ui-bundle.js" in page
        assert "//" not in page.replace("<!doctype", "")
    for name in ("swagger-ui.css", "swagger-ui-bundle.js", "start.js", "favicon-32x32.png"):
        async with hub.http.get(f"{hub.url}/docs/{name}") as response:
            assert response.status == 200
    assert (await hub.call("GET", "/docs/../routes.py", key=None)).status == 404


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"X-Many: x\r\n" * 200 + b"\r\n",
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /debug/session HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
    ],
)
async def test_what_is_not_http_gets_the_error_shape(hub: TestHub, request_bytes: bytes) -> None:
    host, port = hub.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request_bytes)
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    head, _, content = answer.partition(b"\r\n\r\n")
    assert b" 400 " in head.split(b"\r\n")[0]
    shape(json.loads(content))
