"""What a cluster's owner allows, as the hub tells it, and what would become of a command by it."""

import asyncio
from typing import Any

import msgspec
import pytest

from hub.settings import Commands
from schemas.frames import PolicyChanged
from tests.support.hub import ADMIN_KEY, TestHub, running_hub, settings
from tests.support.raw_agent import connected


def raw(**fields: Any) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()}


async def policy(hub: TestHub) -> Any:
    return (await hub.call("GET", "/clusters/alpha/policy")).body


async def verdict(hub: TestHub, command_type: str, *args: str, key: str = ADMIN_KEY) -> Any:
    body = {"cluster_id": "alpha", "command_type": command_type, "args": list(args)}
    answered = await hub.call("POST", "/debug/validate", body, key=key)
    assert answered.status == 200
    return answered.body


async def test_a_policy_is_told_at_hello_and_again_and_stays(hub: TestHub) -> None:
    token = await hub.register("alpha")
    assert await policy(hub) == {"cluster_id": "alpha", "policy": None, "told_at": None}
    async with connected(hub.url, token, policy=raw(verbs=["get"], denied_kinds=["secrets"])) as agent:
        await told(hub, ["get"])
        assert (await policy(hub))["policy"] == {
            "verbs": ["get"],
            "namespaces": ["*"],
            "kinds": ["*"],
            "denied_kinds": ["secrets"],
            "redaction": "on",
            "control_characters": "neutralise",
            "limits": {"max_seconds": None, "max_output_bytes": None, "max_commands": None, "max_streams": None},
            "problem": None,
        }
        await agent.send(PolicyChanged(raw(verbs=["logs"], problem="not YAML")))
        await told(hub, ["logs"])
        assert (await policy(hub))["policy"]["problem"] == "not YAML"
        await agent.send(PolicyChanged({"verbs": msgspec.Raw(b"7")}))  # is not understood, and changes nothing
        await agent.send(PolicyChanged(raw(verbs=["events"])))
        await told(hub, ["events"])
    assert (await policy(hub))["policy"]["verbs"] == ["events"]


async def told(hub: TestHub, verbs: list[str]) -> None:
    async with asyncio.timeout(5):
        while ((await policy(hub))["policy"] or {}).get("verbs") != verbs:
            await asyncio.sleep(0.01)


async def test_whose_rule_it_is_and_what_would_do(tmp_path: Any) -> None:
    commands = Commands(denied_kinds=("nodes",))
    async with running_hub(settings(tmp_path, commands=commands)) as hub:
        token = await hub.register("alpha")
        key = await hub.make_key(namespaces=["shop", "team-*"])
        unknown = await verdict(hub, "get", "pods")
        assert (unknown["allowed"], unknown["is_policy_known"]) == (True, False)
        async with connected(hub.url, token, policy=raw(verbs=["get", "describe"], denied_kinds=["secrets", "ev"])):
            await told(hub, ["get", "describe"])
        assert await verdict(hub, "get", "po", "-w") == {
            "allowed": True,
            "command": ["get", "--watch=true", "--", "pods"],
            "is_stream": True,
            "by": None,
            "rule": None,
            "reason": None,
            "argument": None,
            "nearest": None,
            "is_policy_known": True,
        }
        for argv, by, rule, nearest in (
            (("delete", "pods"), "grammar", "denied_verb", None),
            (("get", "pods", "--raw=/x"), "grammar", "denied_flag", ["get", "--namespace=shop", "--", "pods"]),
            (("get", "nodes"), "hub", "kind_not_allowed", None),
            (("get", "nodes,pods", "-A"), "hub", "kind_not_allowed", ["get", "--namespace=shop", "--", "pods"]),
            (("get", "pods", "-A"), "key", "namespace_not_allowed", ["get", "--namespace=shop", "--", "pods"]),
            (("get", "pods", "-n", "x"), "key", "namespace_not_allowed", ["get", "--namespace=shop", "--", "pods"]),
            (("logs", "web-0", "-n", "shop"), "agent", "verb_not_allowed", None),
            (
                ("get", "cm,secret", "-n", "shop"),
                "agent",
                "kind_not_allowed",
                ["get", "--namespace=shop", "--", "configmaps"],
            ),
            (
                ("describe", "pod", "x", "-n", "team-a"),
                "agent",
                "kind_not_allowed",
                ["describe", "--namespace=team-a", "--show-events=false", "--", "pods", "x"],
            ),
        ):
            said = await verdict(hub, argv[0], *argv[1:], key=key)
            assert (said["allowed"], said["by"], said["rule"], said["nearest"]) == (False, by, rule, nearest), argv
            assert said["reason"]
            if nearest is not None:
                assert (await verdict(hub, nearest[0], *nearest[1:], key=key))["allowed"]


@pytest.mark.parametrize("body", [{}, {"cluster_id": "alpha", "command_type": "get"}, {"cluster_id": "A", "args": []}])
async def test_what_is_no_question(hub: TestHub, body: dict[str, Any]) -> None:
    await hub.register("alpha")
    assert (await hub.call("POST", "/debug/validate", body)).status == 400
