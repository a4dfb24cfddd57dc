"""Roles and limits against every route and every message of the stream: what each is answered with.

What is expected is worked out here, from the tables of this file, and by nothing of the hub's own. A route that
is in no row fails the test.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import pytest

from hub import keys
from hub.api.routes import ROUTES
from schemas.ids import hash_secret
from schemas.stream import SUBPROTOCOL
from tests.support.hub import ADMIN_KEY, Answered, TestHub
from tests.support.raw_agent import canned, serving
from tests.support.stream_client import streaming

HIDDEN: Final = "alpha"  # the cluster that those limited to others do not see
OTHER: Final = "beta"


@dataclass(frozen=True, slots=True)
class Who:
    """One kind of caller: its name here, and the fields of its key; None: it has none that is valid."""

    name: str
    fields: dict[str, Any] | None = field(default_factory=dict)
    owns: bool = False  # whether what is asked for was made with its key

    @property
    def role(self) -> str | None:
        return None if self.fields is None else self.fields.get("role", "user")

    @property
    def sees_cluster(self) -> bool:
        return self.fields is not None and "clusters" not in self.fields

    @property
    def is_limited(self) -> bool:
        return bool(self.fields) and set(self.fields or ()) - {"role"} != set()

    def __str__(self) -> str:
        return self.name


NOT_ALPHA: Final = {"clusters": ["beta", "gamma-*"]}
NO_PODS: Final = {"kinds": ["configmaps"]}
CALLERS: Final = (
    Who("nobody", None),
    Who("garbage", None),
    Who("expired", None),
    Who("removed", None),
    Who("agent token", None),
    Who("owner", {}, owns=True),
    Who("user", {}),
    Who("user elsewhere", NOT_ALPHA),
    Who("user without pods", NO_PODS),
    Who("auditor", {"role": "auditor"}),
    Who("auditor elsewhere", {"role": "auditor"} | NOT_ALPHA),
    Who("admin", {"role": "admin"}),
    Who("admin elsewhere", {"role": "admin"} | NOT_ALPHA),
    Who("admin without pods", {"role": "admin"} | NO_PODS),
)


def anyone(_: Who) -> int:
    return 200


def any_key(_: Who) -> int:
    return 200


def hands(who: Who) -> int:
    return 403 if who.role == "auditor" else 200


def on_cluster(who: Who) -> int:
    return 200 if who.sees_cluster else 404


def hands_on_cluster(who: Who) -> int:
    return 403 if who.role == "auditor" else on_cluster(who)


def overview(who: Who) -> int:
    return 200 if who.role in ("admin", "auditor") else 403


def admin(who: Who) -> int:
    return 200 if who.role == "admin" else 403


def admin_on_cluster(who: Who) -> int:
    return on_cluster(who) if who.role == "admin" else 403


def admin_of_new_cluster(who: Who) -> int:
    return 200 if who.role == "admin" and who.sees_cluster else 403


def admin_of_unlimited_key(who: Who) -> int:
    if who.role != "admin":
        return 403
    return 404 if who.is_limited else 200


def maker_of_unlimited_key(who: Who) -> int:
    return 200 if who.role == "admin" and not who.is_limited else 403


def on_session(who: Who) -> int:
    return 200 if who.sees_cluster and (who.owns or who.role in ("admin", "auditor")) else 404


def hands_on_session(who: Who) -> int:
    return 403 if who.role == "auditor" else on_session(who)


def on_result(who: Who) -> int:
    if who.role == "auditor":
        return 403
    sees = who.sees_cluster and (who.owns or (who.role == "admin" and "kinds" not in (who.fields or {})))
    return 200 if sees else 404


def running(who: Who) -> int:
    """`get pods` in the owner's session."""
    if who.role == "auditor" or "kinds" in (who.fields or {}):
        return 403
    return on_session(who)


def running_on_clusters(who: Who) -> int:
    """`get pods` on those that a glob takes in."""
    if who.role == "auditor" or "kinds" in (who.fields or {}):
        return 403
    return on_cluster(who)


# Method and path: what a caller with a valid key is answered with. Without one: 401, but for `anyone`.
EXPECTED: Final[dict[tuple[str, str], Callable[[Who], int]]] = {
    ("GET", "/health"): anyone,
    ("GET", "/ready"): anyone,
    ("GET", "/openapi.json"): anyone,
    ("GET", "/docs"): anyone,
    ("GET", "/docs/{name}"): anyone,
    ("POST", "/debug/session"): hands_on_cluster,
    ("GET", "/debug/session/{session_id}"): on_session,
    ("DELETE", "/debug/session/{session_id}"): hands_on_session,
    ("GET", "/debug/session/{session_id}/stream"): on_session,
    ("GET", "/debug/sessions"): overview,
    ("POST", "/debug/execute"): running,
    ("GET", "/debug/result/{result_id}"): on_result,
    ("DELETE", "/debug/result/{result_id}"): on_result,
    ("GET", "/debug/result/{result_id}/stream"): on_result,
    ("POST", "/debug/fleet/execute"): running_on_clusters,
    ("POST", "/debug/validate"): hands_on_cluster,
    ("GET", "/auth/self"): any_key,
    ("GET", "/clusters"): overview,
    ("GET", "/clusters/{cluster_id}/status"): on_cluster,
    ("GET", "/clusters/{cluster_id}/policy"): on_cluster,
    ("GET", "/admin/clusters"): overview,
    ("POST", "/admin/clusters"): admin_of_new_cluster,
    ("GET", "/admin/clusters/{cluster_id}"): admin_on_cluster,
    ("PATCH", "/admin/clusters/{cluster_id}"): admin_on_cluster,
    ("DELETE", "/admin/clusters/{cluster_id}"): admin_on_cluster,
    ("POST", "/admin/clusters/{cluster_id}/tokens"): admin_on_cluster,
    ("DELETE", "/admin/clusters/{cluster_id}/tokens/{token_id}"): admin_on_cluster,
    ("GET", "/admin/keys"): overview,
    ("POST", "/admin/keys"): maker_of_unlimited_key,
    ("POST", "/admin/keys/{key_id}/rotate"): admin_of_unlimited_key,
    ("DELETE", "/admin/keys/{key_id}"): admin_of_unlimited_key,
    ("GET", "/audit"): overview,
    ("GET", "/agent/connect"): lambda _: 401,
}
# What does not exist, in place of each part of a path.
NOWHERE: Final = {
    "session_id": "sess_nowhere",
    "result_id": "res_nowhere",
    "cluster_id": "nowhere",
    "token_id": "tok_nowhere",
    "key_id": "key_nowhere",
    "name": "swagger-ui.css",
}


class House:
    """A hub with a cluster, and one caller's key beside that of an owner of things."""

    def __init__(self, hub: TestHub, owner: str) -> None:
        self.hub = hub
        self.owner = owner
        self.token_id = ""
        self._count = 0

    async def key_of(self, who: Who) -> str | None:
        """A key for a caller; None: none at all."""
        if who.owns:
            return self.owner
        if who.fields is not None:
            return await self.hub.make_key(**who.fields)
        match who.name:
            case "nobody":
                return None
            case "expired":
                made = await self.hub.make_key(expires_at="2099-01-01T00:00:00Z")
                await _expire(self.hub.app, made)  # the past cannot be had by the front door
                return made
            case "removed":
                made = (await self.hub.call("POST", "/admin/keys", {"name": "x", "role": "user"})).body
                await self.hub.call("DELETE", f"/admin/keys/{made['key_id']}")
                return str(made["api_key"])
            case "agent token":
                return str((await self.hub.call("POST", f"/admin/clusters/{HIDDEN}/tokens", {})).body["agent_token"])
            case _:
                return "kubently_key_" + "x" * 43

    async def things(self) -> dict[str, str]:
        """Fresh ones, each made by the owner or, of clusters and keys, by the first admin."""
        self._count += 1
        hub = self.hub
        session_id = await hub.open_session(HIDDEN, key=self.owner)
        result_id = (await hub.execute(session_id, key=self.owner)).body["result_id"]
        token = (await hub.call("POST", f"/admin/clusters/{HIDDEN}/tokens", {})).body
        key = (await hub.call("POST", "/admin/keys", {"name": "thing", "role": "user"})).body
        return {
            "session_id": session_id,
            "result_id": result_id,
            "cluster_id": HIDDEN,
            "token_id": token["token_id"],
            "key_id": key["key_id"],
            "name": "swagger-ui.css",
        }

    def body(self, method: str, path: str, things: dict[str, str]) -> Any:
        """A body that is right, for what wants one."""
        bodies: dict[str, Any] = {
            "/debug/session": {"cluster_id": things["cluster_id"]},
            "/debug/execute": {
                "cluster_id": things["cluster_id"],
                "session_id": things["session_id"],
                "command_type": "get",
                "args": ["pods"],
            },
            "/debug/fleet/execute": {"clusters": [f"{HIDDEN}*"], "command_type": "get", "args": ["pods"]},
            "/debug/validate": {"cluster_id": things["cluster_id"], "command_type": "get", "args": ["pods"]},
            "/admin/clusters": {"cluster_id": f"new-{self._count}"},
            "/admin/clusters/{cluster_id}": {"labels": {"env": "prod"}},
            "/admin/clusters/{cluster_id}/tokens": {},
            "/admin/keys": {"name": "new", "role": "user"},
            "/admin/keys/{key_id}/rotate": {},
        }
        return bodies[path] if method in ("POST", "PATCH") else None

    async def ask(self, key: str | None, method: str, path: str, things: dict[str, str]) -> Answered:
        """One call; a socket's 101 is 200 here."""
        where = path.format(**things)
        if path.endswith("/stream") and "session" in path:
            headers = {} if key is None else {"Authorization": f"Bearer {key}"}
            try:
                async with self.hub.http.ws_connect(self.hub.url + where, headers=headers, protocols=[SUBPROTOCOL]):
                    return Answered(200, None, {})
            except aiohttp.WSServerHandshakeError as refused:
                return Answered(refused.status, None, {})
        return await self.hub.call(method, where, self.body(method, path, things), key=key)


async def _expire(app: Any, secret: str) -> None:
    store = app[keys.STORE]
    await store._write(
        lambda db: db.execute("UPDATE keys SET expires_at = 1 WHERE secret_hash = ?", (hash_secret(secret),))
    )


@pytest.fixture
async def house(hub: TestHub) -> AsyncIterator[House]:
    token = await hub.register(HIDDEN)
    await hub.register(OTHER)
    owner = await hub.make_key()
    async with serving(hub.url, token, canned):
        yield House(hub, owner)


def test_every_route_is_in_the_table() -> None:
    assert {(method, path) for method, path, _, _ in ROUTES} == set(EXPECTED)


@pytest.mark.parametrize("who", CALLERS, ids=str)
async def test_every_route(house: House, who: Who) -> None:
    wrong: list[tuple[object, ...]] = []
    for (method, path), expect in EXPECTED.items():
        if (method, path) == ("DELETE", "/admin/clusters/{cluster_id}"):
            continue  # below, since nothing is left of it
        key = await house.key_of(who)
        things = await house.things()
        answered = await house.ask(key, method, path, things)
        expected = expect(who) if who.role is not None or expect is anyone else 401
        if (who.name, path) == ("agent token", "/agent/connect"):
            expected = 426  # this is its door, and this no WebSocket
        status = 200 if answered.status < 300 else answered.status
        if status != expected:
            wrong.append((method, path, expected, answered.status, answered.body))
        if status == 404 and answered.body is not None:
            # The same words as for what does not exist.
            unknown = {name: HIDDEN if name == "cluster_id" and who.sees_cluster else NOWHERE[name] for name in things}
            nowhere = await house.ask(key, method, path, unknown)
            said = str(answered.body)
            for name, value in things.items():
                said = said.replace(value, unknown[name])
            if (nowhere.status, str(nowhere.body)) != (404, said):
                wrong.append((method, path, "as nowhere", said, nowhere.body))
    assert wrong == []


@pytest.mark.parametrize("who", CALLERS, ids=str)
async def test_removing_the_cluster(house: House, who: Who) -> None:
    key = await house.key_of(who)
    answered = await house.hub.call("DELETE", f"/admin/clusters/{HIDDEN}", key=key)
    expected = admin_on_cluster(who) if who.role is not None else 401
    assert answered.status == {200: 204}.get(expected, expected)


@pytest.mark.parametrize("who", [who for who in CALLERS if who.fields is not None], ids=str)
async def test_every_message_of_the_stream(house: House, who: Who) -> None:
    """On a session that the caller may see: his own, or of another cluster where his key reaches no other."""
    hub = house.hub
    key = await house.key_of(who)
    assert key is not None
    things = await house.things()
    token = (await hub.call("POST", f"/admin/clusters/{OTHER}/tokens", {})).body["agent_token"]
    where = HIDDEN if who.sees_cluster else OTHER
    async with serving(hub.url, token, canned, OTHER):
        session_id = await hub.open_session(where, key=ADMIN_KEY if who.role == "auditor" else key)
        async with streaming(hub.url, session_id, key=key) as client:
            await client.send("ping")
            await client.expect("pong")
            await client.execute("r1", "get", "pods")
            said = await client.until(lambda message: message.get("request_id") == "r1")
            allowed = who.role != "auditor" and "kinds" not in (who.fields or {})
            assert said["type"] == ("started" if allowed else "error")
            if allowed:
                await client.expect("completed")
            else:
                assert said["error"] == ("forbidden" if who.role == "auditor" else "command_refused")
            for kind in ("follow", "cancel"):
                await client.send(kind, result_id=things["result_id"])
                said = await client.until(lambda message: message["type"] == "completed" or about(message, things))
                assert (said.get("error"), said["type"] == "completed") == {
                    200: (None, True),
                    403: ("forbidden", False),
                    404: ("not_found", False),
                }[on_result(who)], kind


def about(message: dict[str, Any], things: dict[str, str]) -> bool:
    """Whether a message is an error about the result that is asked for."""
    return message["type"] == "error" and message.get("result_id") == things["result_id"]


async def test_lists_and_events_tell_nothing_of_what_is_hidden(house: House) -> None:
    hub = house.hub
    key = await hub.make_key(role="admin", **NOT_ALPHA)
    await house.things()
    for path in ("/debug/sessions", "/clusters", "/admin/clusters"):
        page = await hub.call("GET", path, key=key)
        assert HIDDEN not in str(page.body)
        assert page.body["total"] == (0 if path == "/debug/sessions" else 1)
    for query in (f"/clusters?cluster_id={HIDDEN}", f"/debug/sessions?cluster_id={HIDDEN}"):
        assert (await hub.call("GET", query, key=key)).body["total"] == 0
    token = (await hub.call("POST", f"/admin/clusters/{OTHER}/tokens", {})).body["agent_token"]
    async with serving(hub.url, token, canned, OTHER):
        session_id = await hub.open_session(OTHER, key=key)
        async with streaming(hub.url, session_id, key=key, query="?events=all") as client:
            await house.things()
            await hub.open_session(OTHER, key=key)
            seen = await client.expect("session", event="created")
            assert seen["cluster_id"] == OTHER
        assert HIDDEN not in str(client.received)
