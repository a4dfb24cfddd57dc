"""Pages of other sites: which may call the API, and what their browsers are told."""

from pathlib import Path

import pytest

from hub.settings import RateLimit, Server, Settings
from tests.support.hub import TestHub, running_hub, settings
from tests.support.raw_agent import canned, serving

CONSOLE = "https://console.example.com"
QUESTION = {"Origin": CONSOLE, "Access-Control-Request-Method": "POST"}


async def test_by_default_nobody_is_told_anything(hub: TestHub) -> None:
    for method, path in (("GET", "/clusters"), ("OPTIONS", "/clusters"), ("GET", "/nowhere")):
        answered = await hub.call(method, path, headers=QUESTION)
        assert not [name for name in answered.headers if name.startswith("Access-Control")]
        assert "Vary" not in answered.headers
    assert (await hub.call("OPTIONS", "/clusters", headers=QUESTION)).status == 405


async def test_the_pages_that_may(tmp_path: Path) -> None:
    limits = RateLimit(standard_per_minute=6, execute_per_minute=0, session_per_minute=0, address_per_minute=5)
    server = Server(port=0, cors_origins=(CONSOLE, "http://localhost:3000"))
    async with running_hub(settings(tmp_path, server=server, ratelimit=limits)) as hub:
        for _ in range(20):  # a question has no key, draws on nothing and is none of the audit log's business
            asked = await hub.call("OPTIONS", "/debug/execute", key=None, headers=QUESTION)
            assert (asked.status, asked.headers["Access-Control-Allow-Origin"]) == (204, CONSOLE)
        assert {"Authorization", "Idempotency-Key", "Prefer"} <= set(
            asked.headers["Access-Control-Allow-Headers"].split(", ")
        )
        assert "PATCH" in asked.headers["Access-Control-Allow-Methods"]
        assert "Access-Control-Allow-Credentials" not in asked.headers
        token = await hub.register("alpha")
        async with serving(hub.url, token, canned):
            session_id = await hub.open_session("alpha")
            result = await hub.execute(session_id, headers={"Origin": CONSOLE})
            lines = await hub.call(
                "GET", f"/debug/result/{result.body['result_id']}/stream", headers={"Origin": CONSOLE}
            )
            missing = await hub.call("GET", "/debug/result/res_x", headers={"Origin": CONSOLE})
            nobody = await hub.call("GET", "/clusters", key=None, headers={"Origin": CONSOLE})
            for answered, status in ((result, 200), (lines, 200), (missing, 404), (nobody, 401)):
                assert answered.status == status
                assert answered.headers["Access-Control-Allow-Origin"] == CONSOLE
                assert answered.headers["Vary"] == "Origin"
                assert "Retry-After" in answered.headers["Access-Control-Expose-Headers"]
            for other in (
                "https://evil.example.com",
                "null",
                CONSOLE + ".evil.com",
                CONSOLE.upper(),
                "https://console",
            ):
                answered = await hub.call("GET", "/clusters", headers={"Origin": other})
                assert "Access-Control-Allow-Origin" not in answered.headers
                assert answered.headers["Vary"] == "Origin"
            refused = await hub.call("GET", "/clusters", headers={"Origin": CONSOLE})
            assert (refused.status, refused.headers["Access-Control-Allow-Origin"]) == (429, CONSOLE)
            assert (
                await hub.call("OPTIONS", "/clusters", headers=QUESTION | {"Origin": "https://evil.com"})
            ).status == 405


async def test_every_page_where_the_operator_says_so(tmp_path: Path) -> None:
    async with running_hub(settings(tmp_path, server=Server(port=0, cors_origins=("*",)))) as hub:
        answered = await hub.call("GET", "/health", headers={"Origin": "https://any.example.com"})
        assert answered.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Origin" not in (await hub.call("GET", "/health")).headers


@pytest.mark.parametrize(
    ("origin", "is_one"),
    [
        ("https://console.example.com", True),
        ("http://localhost:3000", True),
        ("http://[::1]:3000", True),
        ("https://console.example.com/", False),
        ("https://console.example.com:443", False),
        ("http://console.example.com:80", False),
        ("https://Console.example.com", False),
        ("console.example.com", False),
        ("https://*.example.com", False),
        ("null", False),
        ("", False),
    ],
)
def test_what_is_an_origin(origin: str, is_one: bool) -> None:
    def made() -> Settings:
        return Settings(server=Server(cors_origins=(origin,)))

    if is_one:
        made()
    else:
        with pytest.raises(ValueError, match="cors_origins"):
            made()
