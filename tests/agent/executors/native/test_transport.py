"""agent/executors/native/transport.py against a server that misbehaves in every way a server can."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest

from agent.executors.native.access import Access
from agent.executors.native.errors import CommandFailed, StatusError, Unreachable
from agent.executors.native.transport import TABLE, Transport
from tests.support.fake_api_server import (
    FakeApiServer,
    cut_off,
    later,
    never,
    pieces,
    redirect,
    respond,
    status,
    unauthorized,
    warning,
)

_MAX_BYTES = 1024 * 1024
_PODS = "/api/v1/pods"


@pytest.fixture
async def transport(server: FakeApiServer) -> AsyncIterator[Transport]:
    access = Access(server.config(namespace="web", user={"token": "t0ken"}))
    yield Transport(access, _MAX_BYTES)
    await access.close()


async def streamed(transport: Transport, path: str) -> list[bytes]:
    """The chunks of a body."""
    async with transport.stream(path) as response:
        return [chunk async for chunk in response.chunks()]


async def test_a_get(server: FakeApiServer, transport: Transport) -> None:
    server.route("/api/v1/namespaces/web/pods/a%20b%2E", {"kind": "Pod"})
    query = [("labelSelector", "a in (b, c),d=é&f"), ("limit", "500")]
    assert json.loads(await transport.get("/api/v1/namespaces/web/pods/a%20b%2E", query, accept=TABLE)) == {
        "kind": "Pod"
    }
    asked = server.requests[0]
    assert asked.query == dict(query)
    assert asked.headers["Accept"] == TABLE
    assert asked.headers["Authorization"] == "Bearer t0ken"
    assert asked.headers["User-Agent"].startswith("kubently-agent/")
    assert (transport.host, transport.namespace) == (server.url, "web")


async def test_nothing_but_the_reviews_can_be_posted(server: FakeApiServer, transport: Transport) -> None:
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    server.route(path, {"status": {"allowed": True}}, method="POST")
    body = {"kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": {"verb": "get"}}}
    assert await transport.review("selfsubjectaccessreviews", body) == {"status": {"allowed": True}}
    assert json.loads(server.requests[0].body) == {**body, "apiVersion": "authorization.k8s.io/v1"}
    with pytest.raises(KeyError):
        await transport.review("pods", {})  # type: ignore[arg-type]
    assert [asked.method for asked in server.requests] == ["POST"]


async def test_an_older_server_has_older_reviews(server: FakeApiServer, transport: Transport) -> None:
    server.route("/apis/authentication.k8s.io/v1alpha1/selfsubjectreviews", {"kind": "x"}, method="POST")
    assert await transport.review("selfsubjectreviews", {}) == {"kind": "x"}
    assert [asked.path.split("/")[3] for asked in server.requests] == ["v1", "v1beta1", "v1alpha1"]


async def test_a_review_that_is_forbidden_is_not_asked_for_in_another_version(
    server: FakeApiServer, transport: Transport
) -> None:
    server.route("/apis/authentication.k8s.io/v1/selfsubjectreviews", status(403, "Forbidden", "no"), method="POST")
    with pytest.raises(StatusError, match="no"):
        await transport.review("selfsubjectreviews", {})
    assert len(server.requests) == 1


async def test_a_status(server: FakeApiServer, transport: Transport) -> None:
    server.route(_PODS, status(404, "NotFound", 'pods "x" not found', name="x", kind="pods"))
    with pytest.raises(StatusError) as caught:
        await transport.get(_PODS)
    error = caught.value
    assert (error.code, error.reason, error.message) == (404, "NotFound", 'pods "x" not found')
    assert error.status["details"]["name"] == "x"


async def test_a_status_in_pieces(server: FakeApiServer, transport: Transport) -> None:
    """Longer than what arrives at once, and then one that never ends."""
    long = "x" * 200_000
    server.route(_PODS, status(403, "Forbidden", long), status(403, "Forbidden", "x" * (3 * _MAX_BYTES)))
    with pytest.raises(StatusError, match=long):
        await transport.get(_PODS)
    with pytest.raises(StatusError) as caught:
        await transport.get(_PODS)
    assert len(caught.value.message) < 2 * _MAX_BYTES


async def test_an_error_that_is_no_status(server: FakeApiServer, transport: Transport) -> None:
    server.route(_PODS, respond(b"oh\n", code=500, content_type="text/plain"))
    with pytest.raises(StatusError) as caught:
        await transport.get(_PODS)
    assert caught.value.reason == "InternalError"
    assert caught.value.message == 'an error on the server ("oh") has prevented the request from succeeding (get pods)'


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "api",
        "@169.254.169.254/latest",
        "//169.254.169.254/latest",
        "/api/../v1/secrets",
        "/api/v1/..",
        "/api/v1/.",
        "/api/v1/%2E%2E/secrets",
        "/apis/x.io/v1/..%2F..%2Fsecrets",
        "/apis/x.io/v1/pods?limit=1",
        "/apis/x.io/v1/pods#x",
        "/apis/x.io/v1/pods HTTP/1.1\r\nHost: elsewhere\r\n\r\n",
        "/apis/x.io/v1/p\x00",
        "/apis/x.io/v1/\uff0e\uff0e",
        "/apis/x.io/v1/%",
        "/apis/x.io/v1/%2",
    ],
)
async def test_paths_that_lead_elsewhere(server: FakeApiServer, transport: Transport, path: str) -> None:
    """Discovery gives parts of paths, and is the word of a server."""
    with pytest.raises(CommandFailed, match="a path that the agent does not take"):
        await transport.get(path)
    with pytest.raises(CommandFailed):
        await streamed(transport, path)
    assert server.requests == []


@pytest.mark.parametrize("path", ["/api/v1/.../..x", "/api/v1/a:b@c;d=e,f'(g)*+!$&~", "/api/v1/%E2%82%AC%5C%3F"])
async def test_odd_paths_that_do_not(server: FakeApiServer, transport: Transport, path: str) -> None:
    server.route(path, {})
    assert await transport.get(path) == b"{}"


async def test_redirects_are_not_followed(server: FakeApiServer, transport: Transport) -> None:
    server.route(_PODS, redirect("/api/v1/secrets"))
    with pytest.raises(Unreachable, match="redirect"):
        await transport.get(_PODS)
    assert server.paths == [_PODS]


@pytest.mark.parametrize("code", [429, 500, 503])
async def test_retry_after_is_heeded(server: FakeApiServer, transport: Transport, code: int) -> None:
    server.route(_PODS, later(0, code), later(0, code), {"kind": "PodList"})
    assert b"PodList" in await transport.get(_PODS)
    assert len(server.requests) == 3


async def test_retry_after_has_an_end(server: FakeApiServer, transport: Transport) -> None:
    server.route(_PODS, later(0))
    with pytest.raises(StatusError, match="too many requests"):
        await transport.get(_PODS)
    assert len(server.requests) == 11


@pytest.mark.parametrize("seconds", ["3600", "9" * 100, "Wed, 21 Oct 2015 07:28:00 GMT", "-1", "x"])
async def test_retry_after_that_is_not_waited_for(server: FakeApiServer, transport: Transport, seconds: str) -> None:
    server.route(_PODS, respond(b"", code=503, headers={"Retry-After": seconds}))
    with pytest.raises(StatusError):
        await transport.get(_PODS)
    assert len(server.requests) == 1


async def test_a_body_that_is_too_large(server: FakeApiServer, transport: Transport) -> None:
    server.route("/announced", bytes(_MAX_BYTES + 1))
    server.route("/flowing", pieces(*[bytes(64 * 1024)] * 17))
    server.route("/fits", bytes(_MAX_BYTES))
    for path in ("/announced", "/flowing"):
        with pytest.raises(CommandFailed, match=r"larger than the 1048576 bytes .* execution.max_response_bytes"):
            await transport.get(path)
    assert len(await transport.get("/fits")) == _MAX_BYTES


async def test_a_stream(server: FakeApiServer, transport: Transport) -> None:
    server.route("/log", pieces(b"one\n", b"two\n", bytes(300_000), content_type="text/plain"))
    async with transport.stream("/log") as response:
        assert response.headers["content-type"] == "text/plain"
    chunks = await streamed(transport, "/log")
    assert b"".join(chunks) == b"one\ntwo\n" + bytes(300_000)
    assert max(map(len, chunks)) <= 64 * 1024


async def test_leaving_a_stream_closes_it(server: FakeApiServer, transport: Transport) -> None:
    server.route("/log", pieces(b"one\n", is_endless=True))
    async with transport.stream("/log") as response:
        assert await anext(aiter(response.chunks())) == b"one\n"
    server.route(_PODS, {"kind": "PodList"})
    async with asyncio.timeout(5):
        assert b"PodList" in await transport.get(_PODS)


async def test_warnings_are_each_commands_own(server: FakeApiServer, transport: Transport) -> None:
    server.route(_PODS, warning({}, 'say "x"', "old", "old"))
    mine, other = transport.for_command(), transport.for_command()
    await mine.get(_PODS)
    assert mine.take_warnings() == ['say "x"', "old"]
    await mine.get(_PODS)
    mine.warn("own")
    assert mine.take_warnings() == ["own"]
    assert other.take_warnings() == []


@pytest.mark.parametrize(
    ("header", "texts"),
    [
        ('299 - "a", 299 - "b, \\"c\\""', ["a", 'b, "c"']),
        ('299 k8s "dated" "Wed, 21 Oct 2015 07:28:00 GMT"', ["dated"]),
        ('300 - "other"', []),
        ("299 - unquoted", []),
    ],
)
async def test_warning_headers(server: FakeApiServer, transport: Transport, header: str, texts: list[str]) -> None:
    server.route(_PODS, respond(b"{}", headers={"Warning": header}))
    await transport.get(_PODS)
    assert transport.take_warnings() == texts


async def test_warnings_have_a_bound(server: FakeApiServer, transport: Transport) -> None:
    """However many a server has, and however long each is: what is kept, and shown, is bounded for the command."""
    for number in range(150):
        server.route(f"/w{number}", warning({}, f"{number} {'x' * 6000}"))
        await transport.get(f"/w{number}")
    transport.warn("own")
    taken = transport.take_warnings()
    assert [text.partition(" ")[0] for text in taken] == [str(number) for number in range(100)]
    assert {len(text) for text in taken} == {4096}
    await transport.get("/w0")
    await transport.get("/w149")
    assert transport.take_warnings() == []


async def test_warnings_of_a_refusal(server: FakeApiServer, transport: Transport) -> None:
    server.route(_PODS, respond(b"", code=404, headers={"Warning": '299 - "gone soon"'}))
    with pytest.raises(StatusError):
        await transport.get(_PODS)
    assert transport.take_warnings() == ["gone soon"]


async def test_a_commands_time_limit_bounds_each_request(server: FakeApiServer, transport: Transport) -> None:
    server.route(_PODS, never())
    server.route("/log", pieces(b"one\n", is_endless=True))
    limited = transport.for_command(0.2)
    with pytest.raises(Unreachable, match=r"\(Client\.Timeout exceeded while awaiting headers\)"):
        await limited.get(_PODS)
    with pytest.raises(Unreachable, match=r"Original error: .* while reading body\)"):
        await limited.get("/log")
    with pytest.raises(Unreachable, match="error: net/http: request canceled"):
        await streamed(limited, "/log")


async def test_a_connection_that_breaks(server: FakeApiServer, transport: Transport) -> None:
    server.route(_PODS, cut_off(b'{"items": ['))
    with pytest.raises(Unreachable, match=r"error: unexpected error when reading response body\. .*: unexpected EOF"):
        await transport.get(_PODS)
    with pytest.raises(Unreachable, match="error: unexpected EOF"):
        await streamed(transport, _PODS)


async def test_nobody_there(server: FakeApiServer) -> None:
    server.url = "http://127.0.0.1:1"
    access = Access(server.config())
    with pytest.raises(Unreachable) as caught:
        await Transport(access, _MAX_BYTES).get(_PODS)
    assert str(caught.value) == (
        "The connection to the server 127.0.0.1:1 was refused - did you specify the right host or port?"
    )
    await access.close()


async def test_no_such_name(server: FakeApiServer) -> None:
    server.url = "http://cluster.invalid:6443"
    access = Access(server.config())
    with pytest.raises(Unreachable, match=r"Unable to connect to the server: dial tcp: lookup cluster\.invalid"):
        await Transport(access, _MAX_BYTES).get(_PODS)
    await access.close()


async def test_a_401_is_asked_about_once(server: FakeApiServer, transport: Transport) -> None:
    server.route(_PODS, unauthorized())
    with pytest.raises(StatusError, match="Unauthorized"):
        await transport.get(_PODS)
    assert len(server.requests) == 2


async def test_a_401_that_passes(server: FakeApiServer, transport: Transport) -> None:
    server.route(_PODS, unauthorized(), {"kind": "PodList"})
    assert b"PodList" in await transport.get(_PODS)


async def test_proxies_of_the_environment_are_not_asked(
    server: FakeApiServer, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server.route(_PODS, {"kind": "PodList"})
    assert b"PodList" in await transport.get(_PODS)


async def test_many_at_once(server: FakeApiServer, transport: Transport) -> None:
    server.route(_PODS, {"kind": "PodList"})
    began = time.monotonic()
    await asyncio.gather(*(transport.get(_PODS) for _ in range(150)))
    assert time.monotonic() - began < 10
