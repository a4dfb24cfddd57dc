"""Nothing of the API is without its counterpart in the Python library: endpoints, fields, parameters, error codes."""

import asyncio
import dataclasses
import inspect
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import kubently
from kubently.errors import BY_CODE
from kubently.models import Model
from schemas.errors import CATALOGUE
from tests.support.hub import ADMIN_KEY
from tests.support.sdk_world import CLUSTER_ID, SdkWorld, sdk_world

# What is no call: the socket, which carries what the lines carry.
NO_CALLS = {"GET /debug/session/{session_id}/stream"}
# The schemas of answers, and the values they become. Pages become lists.
MODELS: dict[str, type[Model]] = {
    "AuditRow": kubently.AuditRow,
    "Cluster": kubently.Cluster,
    "ClusterPolicy": kubently.ClusterPolicy,
    "ClusterState": kubently.ClusterState,
    "ClusterTokens": kubently.ClusterTokens,
    "CreatedKey": kubently.NewKey,
    "Health": kubently.Health,
    "Key": kubently.Key,
    "NewToken": kubently.NewToken,
    "Policy": kubently.Policy,
    "PolicyLimits": kubently.PolicyLimits,
    "RateLimits": kubently.RateLimits,
    "RegisteredCluster": kubently.NewCluster,
    "Result": kubently.Result,
    "RotatedKey": kubently.RotatedKey,
    "Session": kubently.Session,
    "Token": kubently.Token,
    "Verdict": kubently.Verdict,
}
PAGES = {"AuditList", "ClusterList", "KeyList", "SessionList"}
# Answers that say no more than that it was done.
DONE = {"ClosedSession", "Ready", "StreamLine", "FleetLine", "ErrorBody"}
# The bodies of requests, and the methods that make them. Fields of other names there.
REQUESTS: dict[str, Any] = {
    "Execute": kubently.DebugSession.execute,
    "ClusterChange": kubently.Admin.change_cluster,
    "FleetExecute": kubently.Client.fleet,
    "NewCluster": kubently.Admin.add_cluster,
    "NewKey": kubently.Admin.add_key,
    "NewSession": kubently.Client.debug_session,
    "Rotation": kubently.Admin.rotate_key,
    "TokenTerms": kubently.Admin.add_token,
    "Validate": kubently.Client.validate,
}
FROM_THE_SESSION = {"cluster_id", "session_id"}
QUERIES: dict[str, Any] = {
    "GET /audit": kubently.Client.audit,
    "GET /clusters": kubently.Client.clusters,
    "GET /admin/clusters": kubently.Admin.clusters,
    "GET /debug/sessions": kubently.Client.sessions,
    "GET /debug/result/{result_id}": kubently.Client.result,
    "GET /debug/result/{result_id}/stream": kubently.Client.follow,
}
# `cursor` is turned by the library; one cluster is `cluster`; the audit log as CSV is for spreadsheets.
NO_PARAMETERS = {"cursor", "format", "cluster_id"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[SdkWorld]:
    async with sdk_world(tmp_path) as made:
        yield made


def parameters(method: Any) -> set[str]:
    return set(inspect.signature(method).parameters) - {"self"}


async def test_every_endpoint_is_called(world: SdkWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    called: set[tuple[str, str]] = set()

    async def note(_session: Any, _context: Any, params: aiohttp.TraceRequestStartParams) -> None:
        called.add((params.method, params.url.path))

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(note)
    made = aiohttp.ClientSession
    monkeypatch.setattr("aiohttp.ClientSession", lambda **options: made(**options, trace_configs=[trace]))
    client = kubently.Client(world.url, ADMIN_KEY)
    await _everything(client)
    paths = (await client.openapi())["paths"]
    operations = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    operations = {operation for operation in operations if not operation.startswith(("PARAMETERS ", "HEAD "))}
    found = {operation for operation in operations if any(_is_of(operation, *call) for call in called)}
    assert operations - found == NO_CALLS


def _is_of(operation: str, method: str, path: str) -> bool:
    wanted, template = operation.split(" ", 1)
    pattern = re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(template))
    return method == wanted and re.fullmatch(pattern, path) is not None


async def _everything(client: kubently.Client) -> None:
    async with client.debug_session(CLUSTER_ID) as session:
        result = await session.execute("get", ["pods"])
        async for _ in session.follow(result.result_id):
            pass
        begun = await session.start("logs", ["-f", "quiet"])
        await asyncio.gather(client.cancel(begun.result_id), client.result(result.result_id))
        await client.session(session.session_id)
    assert [answer.ok async for answer in client.fleet("get", ["pods"], clusters=["al*"])] == [True]
    await asyncio.gather(
        *(client.health(), client.ready(), client.openapi(), client.key(), client.audit(), client.sessions()),
        *(client.clusters(), client.admin.clusters(), client.cluster(CLUSTER_ID), client.policy(CLUSTER_ID)),
        *(client.validate(CLUSTER_ID, "get", ["pods"]), client.admin.keys()),
    )
    await client.admin.add_cluster("fresh")
    token = await client.admin.add_token("fresh")
    await client.admin.cluster("fresh")
    await client.admin.change_cluster("fresh", labels={"env": "dev"})
    await client.admin.remove_token("fresh", token.token_id)
    await client.admin.remove_cluster("fresh")
    key = await client.admin.add_key("fresh")
    await client.admin.rotate_key(key.key_id)
    await client.admin.remove_key(key.key_id)


async def test_every_field_has_its_counterpart(world: SdkWorld) -> None:
    schemas = (await kubently.Client(world.url, ADMIN_KEY).openapi())["components"]["schemas"]
    assert set(schemas) == set(MODELS) | PAGES | DONE | set(REQUESTS)
    for name, model in MODELS.items():
        fields = {field.name for field in dataclasses.fields(model)} - {"raw"}
        assert fields == set(schemas[name]["properties"]), name
    for name, method in REQUESTS.items():
        fields = set(schemas[name]["properties"])
        if name == "NewKey":
            fields = (fields - {"rate_limits"}) | set(schemas["RateLimits"]["properties"])
        if name == "Execute":
            fields -= FROM_THE_SESSION
        assert fields <= parameters(method), name


async def test_every_query_parameter_has_its_counterpart(world: SdkWorld) -> None:
    paths = (await kubently.Client(world.url, ADMIN_KEY).openapi())["paths"]
    asked = {}
    for path, methods in paths.items():
        for method, operation in methods.items():
            if isinstance(operation, dict):
                names = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"}
                if names and f"{method.upper()} {path}" not in NO_CALLS:
                    asked[f"{method.upper()} {path}"] = names
    assert set(asked) == set(QUERIES)
    for name, names in asked.items():
        assert names - NO_PARAMETERS <= parameters(QUERIES[name]), name


def test_every_error_code_has_its_class() -> None:
    assert set(BY_CODE) == set(CATALOGUE)
    for code, kind in BY_CODE.items():
        assert kind.__name__ == "".join(word.title() for word in code.split("_"))
        assert getattr(kubently, kind.__name__) is kind


def test_the_package_exports_what_it_raises_and_returns() -> None:
    assert {name for name in dir(kubently) if name[0].isupper()} == {
        name for name in kubently.__all__ if name[0].isupper()
    }
    for name in kubently.__all__:
        assert inspect.ismodule(getattr(kubently, name)) or getattr(kubently, name).__doc__, name


@pytest.mark.parametrize("name", ["Client", "DebugSession", "Admin", "Stream", "Fleet"])
def test_the_blocking_client_has_the_same_names_and_arguments(name: str) -> None:
    asynchronous, blocking = getattr(kubently, name), getattr(kubently.sync, name)
    renamed = {"aclose": "close"} if name == "Stream" else {}
    public = {renamed.get(each, each): each for each in vars(asynchronous) if not each.startswith("_")}
    # What the asynchronous ones set when they are made, and a way to end the thread.
    extra = {
        "Client": {"close"},
        "DebugSession": {"cluster_id"},
        "Fleet": {"clusters"},
        "Stream": {"result_id", "last_seq", "result"},
    }
    assert {each for each in vars(blocking) if not each.startswith("_")} == set(public) | extra.get(name, set())
    for each, original in public.items():
        if callable(getattr(blocking, each)):
            theirs, ours = (
                inspect.signature(getattr(asynchronous, original)),
                inspect.signature(getattr(blocking, each)),
            )
            assert ours.parameters == theirs.parameters, each
            assert getattr(blocking, each).__doc__, each
    if name == "Client":
        assert inspect.signature(blocking).parameters == inspect.signature(asynchronous).parameters
