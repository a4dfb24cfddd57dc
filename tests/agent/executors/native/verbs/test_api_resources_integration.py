"""`api-resources` and `api-versions` beside kubectl, on servers old and new, and on broken ones."""

import shlex
from pathlib import Path
from typing import Final

import pytest

from agent.executors.native import discovery
from agent.executors.native.executor import NativeExecutor
from agent.executors.native.resources import Resource
from agent.settings import Execution
from tests.differential.harness import Kubectl, environment, run_native
from tests.support.beside_kubectl import differences
from tests.support.fake_api_server import RESOURCES, Answer, DiscoveryForm, FakeApiServer, fake_api_server, status
from tests.support.kubectl import kubectl_binary


def thing(group: str, version: str, plural: str = "things", kind: str = "Thing") -> Resource:
    return Resource(group, version, kind, plural, kind.lower(), group != "mid.io", ("t", "th"), ("all", "x"), ("list",))


ODD: Final = (
    *RESOURCES,
    thing("", "v1"),
    Resource("", "v1", "Silent", "silents", "silent", is_namespaced=True),
    thing("zeta.io", "v2"),
    thing("zeta.io", "v2", "newones", "Newone"),
    thing("zeta.io", "v1"),
    thing("zeta.io", "v1", "oldones", "Oldone"),
    thing("alpha.io", "v2beta1"),
    thing("mid.io", "v1"),
    thing("mid.io", "v1", "b"),
    thing("mid.io", "v1", "a"),
)
LINES: Final = (
    *("api-versions", "api-resources", "api-resources -o wide", "api-resources --sort-by=kind -o name"),
    *("api-resources --sort-by=name -o name", "api-resources --api-group=zeta.io --no-headers"),
    *("api-resources --categories=all,x --verbs=list", "api-resources --namespaced=false -o wide"),
    *("api-resources --api-group= -o name",),
)  # fmt: skip


@pytest.mark.parametrize("form", ["v2", "v2beta1", "legacy"])
async def test_every_form_of_discovery_gives_what_kubectl_prints(tmp_path: Path, form: DiscoveryForm) -> None:
    async with fake_api_server(ODD, discovery=form) as server:
        assert await differences(server, tmp_path, LINES) == []


@pytest.mark.parametrize("form", ["v2", "legacy"])
@pytest.mark.parametrize(
    "failing", [("apps/v1", "example.com/v1"), ("v1",), ("autoscaling/v2",), ("autoscaling/v1", "autoscaling/v2")]
)
async def test_what_cannot_be_discovered_is_told_as_kubectl_tells_it(
    tmp_path: Path, form: DiscoveryForm, failing: tuple[str, ...]
) -> None:
    async with fake_api_server(discovery=form) as server:
        server.failing = failing
        for line in ("api-resources", "api-resources --api-group=apps -o name", "api-versions"):
            await assert_alike_but_for_the_log(server, tmp_path, line)


@pytest.mark.parametrize("path", ["/api", "/apis"])
@pytest.mark.parametrize(
    "answer",
    [
        status(401, "Unauthorized", "the server has asked for the client to provide credentials"),
        status(404, "NotFound", "the server could not find the requested resource"),
        status(503, "ServiceUnavailable", "the server is currently unable to handle the request"),
    ],
    ids=["401", "404", "503"],
)
async def test_a_server_without_discovery_is_told_as_kubectl_tells_it(
    tmp_path: Path, path: str, answer: Answer
) -> None:
    async with fake_api_server() as server:
        server.route(path, answer)
        for line in ("api-resources", "api-resources -o name", "api-versions"):
            await assert_alike_but_for_the_log(server, tmp_path, line)


@pytest.mark.parametrize(("line", "is_asked"), [("api-resources", True), ("api-resources --cached", False)])
async def test_what_is_known_is_asked_for_again_unless_cached_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, is_asked: bool
) -> None:
    monkeypatch.setattr(discovery, "_REFRESH_SECONDS", 0.0)
    async with fake_api_server() as server:
        executor = NativeExecutor(environment(server.kubeconfig(tmp_path)), Execution())
        try:
            await run_native(executor, ["api-versions"])
            server.requests.clear()
            await run_native(executor, line.split())
        finally:
            await executor.close()
        assert bool(server.requests) is is_asked


async def assert_alike_but_for_the_log(server: FakeApiServer, folder: Path, line: str) -> None:
    """kubectl's stderr has lines of its own log here, with times and process ids: only its last line is an answer."""
    kubeconfig = server.kubeconfig(folder)
    oracle, executor = Kubectl(kubectl_binary(), kubeconfig), NativeExecutor(environment(kubeconfig), Execution())
    try:
        wanted, got = await oracle.run(shlex.split(line)), await run_native(executor, shlex.split(line))
    finally:
        await executor.close()
        oracle.close()
    answers = [said for said in wanted.stderr.splitlines(keepends=True) if b"memcache.go" not in said]
    assert (got.stdout, got.stderr, got.exit_code) == (wanted.stdout, b"".join(answers), wanted.exit_code)
