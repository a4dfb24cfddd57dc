"""Labels: set by admins, announced by agents, chosen by selectors."""

import asyncio
from typing import Any

import pytest

from tests.support.hub import TestHub
from tests.support.raw_agent import connected


async def labels_are(hub: TestHub, wanted: dict[str, str]) -> None:
    """Soon: what a hello says is stored behind its welcome."""
    async with asyncio.timeout(5):
        for path in ("/clusters/alpha/status", "/admin/clusters/alpha"):
            while (await hub.call("GET", path)).body["labels"] != wanted:
                await asyncio.sleep(0.01)


async def test_labels_of_admins_and_agents_are_one_set(hub: TestHub) -> None:
    made = await hub.call("POST", "/admin/clusters", {"cluster_id": "alpha", "labels": {"env": "prod"}})
    assert (made.status, made.body["labels"]) == (201, {"env": "prod"})
    token = made.body["agent_token"]
    async with connected(hub.url, token, labels={"env": "dev", "region": "eu"}):
        await labels_are(hub, {"env": "prod", "region": "eu"})
        changed = await hub.call("PATCH", "/admin/clusters/alpha", {"labels": {"tier": "a"}, "name": "Alpha One"})
        assert (changed.status, changed.body["labels"]) == (200, {"env": "dev", "region": "eu", "tier": "a"})
        assert changed.body["name"] == "Alpha One"
    await labels_are(hub, {"env": "dev", "region": "eu", "tier": "a"})
    async with connected(hub.url, token):
        await labels_are(hub, {"tier": "a"})
    async with connected(hub.url, token, labels={"no label": "x", "env": "dev"}):
        await labels_are(hub, {"tier": "a"})
    same = await hub.call("PATCH", "/admin/clusters/alpha", {})
    assert (same.status, same.body["labels"], same.body["name"]) == (200, {"tier": "a"}, "Alpha One")


async def test_the_longest_key_there_may_be_is_no_reason_to_refuse_an_agent(hub: TestHub) -> None:
    token = await hub.register("alpha")
    longest = ".".join(["a" * 62] * 4) + "aa/" + "n" * 63
    async with connected(hub.url, token, labels={longest: "v" * 63}):
        await labels_are(hub, {longest: "v" * 63})
    longer = "a" + longest
    async with connected(hub.url, token, labels={longer: "", "x": "v" * 300}):
        await labels_are(hub, {})
    assert (await hub.call("PATCH", "/admin/clusters/alpha", {"labels": {longest: ""}})).status == 200
    assert (await hub.call("PATCH", "/admin/clusters/alpha", {"labels": {longer: ""}})).status == 400


async def test_clusters_are_chosen_by_selectors(hub: TestHub) -> None:
    for name, labels in (("a", {"env": "prod", "tier": "web"}), ("b", {"env": "prod"}), ("c", {})):
        await hub.call("POST", "/admin/clusters", {"cluster_id": name, "labels": labels})
    for selector, names in (("env=prod", "ab"), ("env=prod,tier", "a"), ("!env", "c"), ("tier notin (web)", "bc")):
        for path in ("/clusters", "/admin/clusters"):
            page = (await hub.call("GET", f"{path}?selector={selector}")).body
            assert "".join(row["cluster_id"] for row in page["clusters"]) == names
            assert page["total"] == len(names)


@pytest.mark.parametrize(
    "labels", [{"a b": "x"}, {"a": "x y"}, {"a": 1}, [], {f"k{number}": "" for number in range(33)}, {"": "x"}]
)
async def test_what_is_no_label_is_refused(hub: TestHub, labels: Any) -> None:
    await hub.register("alpha")
    for method, path, body in (
        ("POST", "/admin/clusters", {"cluster_id": "beta", "labels": labels}),
        ("PATCH", "/admin/clusters/alpha", {"labels": labels}),
    ):
        answered = await hub.call(method, path, body)
        assert (answered.status, answered.body["details"]["field"].split(".")[0]) == (400, "labels")
    refused = await hub.call("GET", "/clusters?selector=env in")
    assert (refused.status, refused.body["details"]["field"]) == (400, "selector")
    nobody = await hub.call("PATCH", "/admin/clusters/nowhere", {"labels": {}})
    assert nobody.status == 404
