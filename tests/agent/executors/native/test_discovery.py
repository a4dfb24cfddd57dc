"""agent/executors/native/discovery.py: every form of discovery, and how rarely it is asked for."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiohttp import web

from agent.executors.native import discovery as discovery_module
from agent.executors.native.access import Access
from agent.executors.native.discovery import Discovery
from agent.executors.native.errors import CommandFailed, StatusError, Unreachable
from agent.executors.native.resources import Resource
from agent.executors.native.transport import Transport
from tests.support.fake_api_server import (
    RESOURCES,
    DiscoveryForm,
    FakeApiServer,
    never,
    respond,
    status,
)

_FORMS: list[DiscoveryForm] = ["v2", "v2beta1", "legacy"]


@pytest.fixture
async def transport(server: FakeApiServer) -> AsyncIterator[Transport]:
    access = Access(server.config())
    yield Transport(access, 1 << 20)
    await access.close()


@pytest.fixture
async def under_test(transport: Transport) -> AsyncIterator[Discovery]:
    made = Discovery(transport)
    yield made
    await made.close()


@pytest.mark.parametrize("form", _FORMS)
async def test_every_form_tells_the_same(server: FakeApiServer, under_test: Discovery, form: DiscoveryForm) -> None:
    server.discovery = form
    assert tuple(await under_test.resources()) == RESOURCES
    discovered = await under_test.discovered()
    assert discovered.group_versions == ("v1", "apps/v1", "autoscaling/v2", "autoscaling/v1", "example.com/v1")
    assert discovered.failed == {}
    assert len(server.requests) == (7 if form == "legacy" else 2)


async def test_a_real_server_of_the_old_kind_gives_no_singular(server: FakeApiServer, under_test: Discovery) -> None:
    server.discovery = "legacy"
    server.resources = [replace(RESOURCES[2], singular="")]
    assert (await under_test.resolve("pod")).plural == "pods"


@pytest.mark.parametrize(
    ("form", "failed"), [("v2", {}), ("legacy", {"apps/v1": "the server is currently unable to handle the request"})]
)
async def test_a_group_that_fails_is_passed_over(
    server: FakeApiServer, under_test: Discovery, form: DiscoveryForm, failed: dict[str, str]
) -> None:
    server.discovery = form
    server.failing = ["apps/v1"]
    discovered = await under_test.discovered()
    assert discovered.failed == failed
    assert ("apps/v1" in discovered.group_versions) is bool(failed)
    assert [resource for resource in await under_test.resources() if resource.group == "apps"] == []
    assert (await under_test.resolve("pods")).kind == "Pod"


async def test_it_is_kept(server: FakeApiServer, under_test: Discovery) -> None:
    await under_test.resolve("pods")
    await under_test.category("all")
    assert await under_test.preferred("HorizontalPodAutoscaler", "autoscaling") == RESOURCES[6]
    assert len(server.requests) == 2


async def test_a_miss_looks_again_but_not_at_once(
    server: FakeApiServer, under_test: Discovery, monkeypatch: pytest.MonkeyPatch
) -> None:
    await under_test.resources()
    new = replace(RESOURCES[8], plural="gadgets", singular="gadget", kind="Gadget", short_names=())
    server.resources = [*RESOURCES, new]
    for _ in range(3):
        with pytest.raises(CommandFailed, match='error: the server doesn\'t have a resource type "gadgets"'):
            await under_test.resolve("gadgets.example.com")
    assert len(server.requests) == 2
    monkeypatch.setattr(discovery_module, "_REFRESH_SECONDS", 0.0)
    assert await under_test.resolve("gadgets.example.com") == new
    assert len(server.requests) == 4


async def test_what_has_not_changed_is_not_sent_again(
    server: FakeApiServer, under_test: Discovery, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await under_test.discovered()
    monkeypatch.setattr(discovery_module, "_KEEP_SECONDS", 0.0)
    assert await under_test.discovered() is first
    assert "If-None-Match" in server.requests[-1].headers
    server.resources = RESOURCES[:1]
    assert tuple(await under_test.resources()) == RESOURCES[:1]
    server.has_etags = False
    assert tuple(await under_test.resources()) == RESOURCES[:1]


async def test_many_share_one_look(server: FakeApiServer, under_test: Discovery, transport: Transport) -> None:
    commands = [under_test.for_command(transport.for_command()) for _ in range(20)]
    await asyncio.gather(*(command.resources() for command in commands))
    assert len(server.requests) == 2


async def test_one_that_leaves_takes_nothing_from_the_others(server: FakeApiServer, under_test: Discovery) -> None:
    first = asyncio.create_task(under_test.resources(), name="first")
    second = asyncio.create_task(under_test.resources(), name="second")
    await asyncio.sleep(0)
    first.cancel()
    assert len(await second) == len(RESOURCES)
    assert first.cancelled()


async def test_a_command_waits_no_longer_than_its_limit(
    server: FakeApiServer, under_test: Discovery, transport: Transport
) -> None:
    server.route("/apis", never())
    with pytest.raises(Unreachable, match=r"Client\.Timeout"):
        await under_test.for_command(transport.for_command(0.1)).resources()


async def test_a_look_that_never_ends_has_an_end(
    server: FakeApiServer, under_test: Discovery, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that drips keeps every timeout of silence from passing."""
    monkeypatch.setattr(discovery_module, "_LOOK_SECONDS", 0.3)
    is_left = asyncio.Event()

    async def dripping(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b" ")
                await asyncio.sleep(0.01)
        finally:
            is_left.set()

    server.route("/apis", dripping)
    commands = [under_test.for_command(transport.for_command()) for _ in range(3)]
    async with asyncio.timeout(5):
        failures = await asyncio.gather(*(command.resources() for command in commands), return_exceptions=True)
        await is_left.wait()
    assert {str(failure) for failure in failures} == {
        "Unable to connect to the server: net/http: request canceled (Client.Timeout exceeded while awaiting headers)"
    }
    server.route("/apis", {"kind": "APIGroupList", "groups": []})
    monkeypatch.undo()
    assert (await under_test.resolve("pods")).kind == "Pod"


async def test_a_failure_ends_the_rest_of_the_look(server: FakeApiServer, under_test: Discovery) -> None:
    is_asked, is_left = asyncio.Event(), asyncio.Event()

    async def refusing(request: web.Request) -> web.StreamResponse:
        await is_asked.wait()
        return await status(403, "Forbidden", "no")(request)

    async def waiting(_: web.Request) -> web.StreamResponse:
        is_asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            is_left.set()
        raise AssertionError("unreachable")

    server.route("/api", refusing)
    server.route("/apis", waiting)
    with pytest.raises(StatusError):
        await under_test.resources()
    async with asyncio.timeout(5):
        await is_left.wait()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "discovery"]


async def test_warnings_go_to_who_asked(under_test: Discovery, transport: Transport) -> None:
    mine = transport.for_command()
    assert (await under_test.for_command(mine).resolve("po")).kind == "Pod"
    assert mine.take_warnings() == ['short name "po" could also match lower priority resource widgets.example.com']
    assert transport.take_warnings() == []


async def test_a_server_without_a_core_group(server: FakeApiServer, under_test: Discovery) -> None:
    server.route("/api", status(404, "NotFound", "no"))
    assert "" not in {resource.group for resource in await under_test.resources()}


@pytest.mark.parametrize(("path", "code"), [("/api", 403), ("/apis", 403), ("/apis", 404)])
async def test_discovery_that_is_refused(server: FakeApiServer, under_test: Discovery, path: str, code: int) -> None:
    server.route(path, status(code, "Forbidden", "no"))
    with pytest.raises(StatusError):
        await under_test.resources()


@pytest.mark.parametrize("body", [b"hello", b"[]", b'{"kind": "APIGroupDiscoveryList", "items": [1]}', b"\xff"])
async def test_discovery_that_cannot_be_read(server: FakeApiServer, under_test: Discovery, body: bytes) -> None:
    server.route("/apis", body)
    with pytest.raises(Unreachable, match="its discovery cannot be read"):
        await under_test.resources()


async def test_nulls_and_things_without_a_kind(server: FakeApiServer, under_test: Discovery) -> None:
    server.route("/api", b'{"kind": "APIVersions", "versions": null}')
    server.route(
        "/apis",
        b"""{"kind": "APIGroupDiscoveryList", "items": [
            {"metadata": {"name": "a"}, "versions": null},
            {"metadata": {"name": "b"}, "versions": [{"version": "v1", "resources": null}]},
            {"metadata": {"name": "c"}, "versions": [{"version": "v1", "resources": [
                {"resource": "xs", "responseKind": null, "scope": "Cluster", "shortNames": null}]}]}]}""",
    )
    discovered = await under_test.discovered()
    assert discovered.catalogue.resources == ()
    assert discovered.group_versions == ("b/v1", "c/v1")


async def test_an_error_is_not_kept(server: FakeApiServer, under_test: Discovery) -> None:
    server.route("/apis", respond(b"", code=500), {"kind": "APIGroupList", "groups": []})
    with pytest.raises(StatusError):
        await under_test.resources()
    assert {resource.group for resource in await under_test.resources()} == {""}


@pytest.mark.parametrize("body", [b"junk", b"[]", b"[" * 100_000, b'{"resources": [{"name": 7}]}', b" " * (1 << 21)])
async def test_a_group_that_cannot_be_read_is_alone_in_that(
    server: FakeApiServer, under_test: Discovery, body: bytes
) -> None:
    server.discovery = "legacy"
    server.route("/apis/apps/v1", respond(body))
    assert (await under_test.resolve("pods")).plural == "pods"
    assert list((await under_test.discovered()).failed) == ["apps/v1"]


@pytest.mark.parametrize("form", _FORMS)
async def test_names_that_lead_elsewhere_are_not_followed(
    server: FakeApiServer, transport: Transport, under_test: Discovery, form: DiscoveryForm
) -> None:
    """Group, version and plural make `/apis/../api/v1/secrets`, were they taken at their word."""
    server.discovery = form
    server.resources = [*RESOURCES, Resource("..", "api", "Up", "v1", "up", False, ("upward",))]
    assert (await under_test.resolve("pods")).plural == "pods"
    if form == "legacy":
        assert list((await under_test.discovered()).failed) == ["../api"]
        return
    with pytest.raises(CommandFailed, match="a path that the agent does not take"):
        await transport.get((await under_test.resolve("upward")).path(None, "secrets"))
