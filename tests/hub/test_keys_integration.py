"""Limited keys over REST and on streams, their own rates and bounds, and secrets that are replaced."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hub.settings import Commands, Settings
from schemas.frames import Run
from schemas.stream import CloseCode
from tests.support.hub import TestHub, running_hub, settings
from tests.support.raw_agent import canned, connected, serving
from tests.support.stream_client import streaming


@pytest.fixture
async def served(hub: TestHub) -> AsyncIterator[TestHub]:
    token = await hub.register("alpha")
    async with serving(hub.url, token, canned):
        yield hub


async def test_a_key_says_what_it_may_do(hub: TestHub) -> None:
    limits = {
        "clusters": ["alpha"],
        "namespaces": ["team-*"],
        "command_types": ["get", "logs"],
        "kinds": ["po", "widgets.example.com"],
        "denied_kinds": ["secrets"],
        "rate_limits": {"standard_per_minute": 5, "execute_per_minute": None, "session_per_minute": 2},
        "max_output_bytes": 4096,
    }
    made = (await hub.call("POST", "/admin/keys", {"name": "x", "role": "user"} | limits)).body
    own = (await hub.call("GET", "/auth/self", key=made["api_key"])).body
    assert {name: own[name] for name in limits} == limits
    assert own == {name: value for name, value in made.items() if name != "api_key"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("role", "root"), ("clusters", []), ("namespaces", []), ("namespaces", "team"), ("command_types", ["delete"]),
        ("kinds", ["all"]), ("kinds", ["widgets"]), ("denied_kinds", ["a b"]), ("kinds", ["ѕecrets"]),
        ("rate_limits", {"execute_per_minute": 0}), ("rate_limits", {"other": 1}), ("max_output_bytes", 0),
        ("max_output_bytes", "1"),
    ],
)  # fmt: skip
async def test_a_wrong_limit_is_named(hub: TestHub, field: str, value: Any) -> None:
    answered = await hub.call("POST", "/admin/keys", {"name": "x", "role": "user"} | {field: value})
    assert answered.status == 400
    assert answered.body["details"]["field"].startswith(field)


async def test_what_is_beyond_a_key_is_refused_with_the_rule_and_the_way(served: TestHub) -> None:
    key = await served.make_key(namespaces=["team-*"], command_types=["get"], denied_kinds=["secrets"])
    session_id = await served.open_session("alpha", key=key)

    async def refusal(*argv: str) -> dict[str, Any]:
        answered = await served.execute(session_id, argv[0], argv[1:], key=key)
        assert (answered.status, answered.body["error"], answered.body["details"]["by"]) == (
            403,
            "command_refused",
            "key",
        )
        details: dict[str, Any] = answered.body["details"]
        return details

    assert (await refusal("get", "pods"))["allowed"] == ["-n team-*"]
    assert (await refusal("get", "cm,Secret", "-n", "team-a"))["rule"] == "kind_not_allowed"
    assert (await refusal("logs", "web-0", "-n", "team-a"))["allowed"] == ["get"]
    assert (await served.execute(session_id, "get", ("pods", "-n", "team-a"), key=key)).status == 200
    async with streaming(served.url, session_id, key=key) as client:
        await client.execute("r1", "get", "pods", "-A")
        error = await client.expect("error", request_id="r1")
        assert (error["error"], error["details"]["rule"]) == ("command_refused", "namespace_not_allowed")


async def test_an_auditor_looks_and_touches_nothing(served: TestHub) -> None:
    session_id = await served.open_session("alpha")
    result_id = (await served.execute(session_id)).body["result_id"]
    key = await served.make_key(role="auditor")
    for path in ("/debug/sessions", f"/debug/session/{session_id}", "/clusters", "/admin/keys", "/auth/self"):
        assert (await served.call("GET", path, key=key)).status == 200, path
    touching = [
        ("POST", "/debug/session", {"cluster_id": "alpha"}),
        ("DELETE", f"/debug/session/{session_id}", None),
        ("GET", f"/debug/result/{result_id}", None),
        ("GET", f"/debug/result/{result_id}/stream", None),
        ("DELETE", f"/debug/result/{result_id}", None),
        ("GET", "/admin/clusters/alpha", None),
        ("POST", "/admin/clusters", {"cluster_id": "beta"}),
        ("POST", "/admin/keys", {"name": "x", "role": "user"}),
    ]
    for method, path, body in touching:
        assert (await served.call(method, path, body, key=key)).status == 403, (method, path)
    assert (await served.execute(session_id, key=key)).status == 403


async def test_a_limited_admin_sees_of_others_what_it_could_have_run(served: TestHub) -> None:
    session_id = await served.open_session("alpha")
    inside = (await served.execute(session_id, "get", ("pods", "-n", "shop"))).body["result_id"]
    outside = (await served.execute(session_id, "get", ("pods", "-n", "bank"))).body["result_id"]
    key = await served.make_key(role="admin", namespaces=["shop"])
    assert (await served.call("GET", f"/debug/result/{inside}", key=key)).status == 200
    hidden = await served.call("GET", f"/debug/result/{outside}", key=key)
    assert (hidden.status, hidden.body["message"]) == (404, f"Result not found: {outside}")


async def test_no_key_makes_one_that_may_do_more(hub: TestHub) -> None:
    limited = {
        "namespaces": ["team-*"],
        "command_types": ["get", "logs"],
        "denied_kinds": ["secrets"],
        "rate_limits": {"execute_per_minute": 10},
        "max_output_bytes": 1000,
    }
    key = await hub.make_key(role="admin", **limited)

    async def status(**fields: Any) -> int:
        return (await hub.call("POST", "/admin/keys", {"name": "y", "role": "user"} | limited | fields, key=key)).status

    assert await status() == 201
    assert await status(namespaces=["team-a"], command_types=["get"], max_output_bytes=10) == 201
    for field, value in {
        "namespaces": None, "command_types": ["get", "describe"], "denied_kinds": None, "rate_limits": None,
        "max_output_bytes": 1001,
    }.items():  # fmt: skip
        assert await status(**{field: value}) == 403, field
    assert await status(namespaces=["*"]) == 403
    assert await status(rate_limits={"execute_per_minute": 11}) == 403
    seen = (await hub.call("GET", "/admin/keys", key=key)).body
    assert seen["total"] == 3  # itself and the two that it made
    everything = (await hub.call("GET", "/admin/keys")).body["keys"]
    first = next(each["key_id"] for each in everything if each["name"] == "first admin")
    for method, path in (("DELETE", f"/admin/keys/{first}"), ("POST", f"/admin/keys/{first}/rotate")):
        answered = await hub.call(method, path, {} if method == "POST" else None, key=key)
        assert (answered.status, answered.body["message"]) == (404, f"Key not found: {first}")


async def test_a_key_has_its_own_rate(hub: TestHub) -> None:
    key = await hub.make_key(rate_limits={"standard_per_minute": 3})
    answers = [await hub.call("GET", "/auth/self", key=key) for _ in range(4)]
    assert [answered.status for answered in answers] == [200, 200, 200, 429]
    assert answers[0].headers["X-RateLimit-Limit"] == "3"
    assert answers[-1].body["details"]["limit"] == 3


async def test_a_key_has_its_own_bound_of_output(hub: TestHub) -> None:
    token = await hub.register("alpha")
    async with connected(hub.url, token) as agent:
        key = await hub.make_key(max_output_bytes=100)
        session_id = await hub.open_session("alpha", key=key)
        for wanted in ({}, {"max_output_bytes": 5000}, {"keep_full_output": True}):
            call = asyncio.create_task(hub.execute(session_id, key=key, **wanted))
            run = await agent.expect(Run)
            assert run.max_output_bytes == 100
            assert run.contract is None or run.contract.max_full_bytes == 100
            await agent.exit(run, "x")
            await call


async def test_a_rotated_key_changes_over(served: TestHub) -> None:
    made = (await served.call("POST", "/admin/keys", {"name": "x", "role": "user"})).body
    path = f"/admin/keys/{made['key_id']}/rotate"
    first = made["api_key"]
    rotated = (await served.call("POST", path, {})).body
    second = rotated["api_key"]
    assert rotated["key_id"] == made["key_id"]
    assert rotated["retired_until"] is not None
    assert rotated["expires_at"] is None
    selves = [(await served.call("GET", "/auth/self", key=key)).body for key in (first, second)]
    assert [each["key_id"] for each in selves] == [made["key_id"]] * 2
    assert [each["expires_at"] for each in selves] == [rotated["retired_until"], None]
    third = (await served.call("POST", path, {"overlap_seconds": 0})).body["api_key"]
    assert [(await served.call("GET", "/auth/self", key=key)).status for key in (first, second, third)] == [
        401,
        401,
        200,
    ]


async def test_rotation_is_for_admins_and_says_what_is_wrong(hub: TestHub) -> None:
    made = (await hub.call("POST", "/admin/keys", {"name": "x", "role": "user"})).body
    path = f"/admin/keys/{made['key_id']}/rotate"
    assert (await hub.call("POST", path, {}, key=made["api_key"])).status == 403
    assert (await hub.call("POST", "/admin/keys/key_none/rotate", {})).status == 404
    wrong = await hub.call("POST", path, {"overlap_seconds": -1})
    assert (wrong.status, wrong.body["details"]["field"]) == (400, "overlap_seconds")
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    key = await hub.make_key(role="admin", expires_at=soon)
    assert (await hub.call("POST", path, {}, key=key)).status == 403


@pytest.mark.parametrize("overlap_seconds", [0, 1])
async def test_streams_end_with_the_secret_they_were_opened_with(served: TestHub, overlap_seconds: int) -> None:
    made = (await served.call("POST", "/admin/keys", {"name": "x", "role": "user"})).body
    session_id = await served.open_session("alpha", key=made["api_key"])
    async with streaming(served.url, session_id, key=made["api_key"]) as client:
        path = f"/admin/keys/{made['key_id']}/rotate"
        rotated = (await served.call("POST", path, {"overlap_seconds": overlap_seconds})).body
        async with streaming(served.url, session_id, key=rotated["api_key"]) as other:
            assert await client.closed(overlap_seconds + 2.5) == CloseCode.KEY_REVOKED
            await other.send("ping")
            await other.expect("pong")


async def test_a_removed_key_ends_its_streams_at_once(hub: TestHub) -> None:
    token = await hub.register("alpha")
    made = (await hub.call("POST", "/admin/keys", {"name": "x", "role": "user"})).body
    async with connected(hub.url, token):
        session_id = await hub.open_session("alpha", key=made["api_key"])
        async with streaming(hub.url, session_id, key=made["api_key"]) as client:
            begun = time.monotonic()
            await hub.call("DELETE", f"/admin/keys/{made['key_id']}")
            assert await client.closed() == CloseCode.KEY_REVOKED
            assert time.monotonic() - begun < 0.9  # it does not wait for the next look


async def test_the_hub_may_be_limited_for_all(tmp_path: Path) -> None:
    commands = Commands(verbs=("get",), namespaces=("shop",), denied_kinds=("secrets",))
    async with running_hub(settings(tmp_path, commands=commands)) as hub:
        token = await hub.register("alpha")
        async with serving(hub.url, token, canned):
            session_id = await hub.open_session("alpha")
            for argv in (("logs", "x", "-n", "shop"), ("get", "pods"), ("get", "secrets", "-n", "shop")):
                answered = await hub.execute(session_id, argv[0], argv[1:])
                assert (answered.status, answered.body["details"]["by"]) == (403, "hub")
            assert (await hub.execute(session_id, "get", ("pods", "-n", "shop"))).status == 200


def test_a_hub_is_not_limited_by_words_that_are_none() -> None:
    for commands in (Commands(verbs=("delete",)), Commands(denied_kinds=("widgets",))):
        with pytest.raises(ValueError, match=r"commands\."):
            Settings(commands=commands)
