"""No planted credential leaves a real cluster, whatever is asked for in whatever form, by either executor."""

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.e2e.test_cluster_integration import Road, road
from tests.support.kubectls import stub_kubectl
from tests.support.namespaces import apply, own_namespace
from tests.support.plants import PLACES, objects, plant, traces
from tests.support.program import agent_program, hub_program

pytestmark = pytest.mark.timeout(300)

KINDS = (
    *("pods", "deployments", "replicasets", "jobs", "configmaps", "events", "serviceaccounts", "all"),
    *("cm,pods", "pods/planted", "deploy/planted", "cm/by-file", "controllerrevisions"),
)
SECRETS = ("secrets", "secret/db", "Secrets", "secret.v1.", "cm,secret")
FORMS = (
    *("", "wide", "name", "yaml", "json", "jsonpath={.items[*]}{.spec}{.data}", "jsonpath-as-json={.}"),
    *("custom-columns=A:.data,B:.metadata.annotations,C:.spec.containers[*].env[*].value,D:.spec", "go-template={{.}}"),
)


@pytest.fixture(scope="module")
def planted(cluster: Cluster) -> Iterator[str]:
    """A namespace with a credential in every place."""
    with own_namespace(cluster, "leaks") as namespace:
        apply(cluster, namespace, *objects(namespace))
        yield namespace


def commands(namespace: str) -> Iterator[tuple[str, ...]]:
    """What may be asked for."""
    where = ("-n", namespace)
    for kind in (*KINDS, *SECRETS):
        for form in FORMS:
            yield ("get", kind, *where, *(("-o", form) if form else ()))
        yield ("get", kind, *where, "--show-labels")
        yield ("get", kind, *where, "-L", "token")
        yield ("get", kind, *where, "--sort-by", ".data")
        yield ("get", kind, *where, "-o", "yaml", "--show-managed-fields")
        yield ("describe", kind, *where)
    yield ("get", "pods", "-A", "-o", "json")
    yield ("events", *where)
    yield ("events", *where, "-o", "yaml")
    yield ("rollout-history", "deployment/planted", *where, "--revision=1")
    yield ("rollout-history", "deployment/planted", *where, "-o", "yaml")
    yield ("rollout-status", "deployment/planted", *where, "--timeout=1s")
    yield ("logs", "planted", *where)
    yield ("top", "pods", *where)


async def answers(way: Road, namespace: str) -> list[tuple[str, str]]:
    """Each command, and all that came of it."""
    free = asyncio.Semaphore(6)

    async def answer(words: tuple[str, ...]) -> tuple[str, str]:
        async with free:
            return " ".join(words), str(await way.run(*words))

    return await asyncio.gather(*map(answer, commands(namespace)))


def leaks(said: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Which credential got out, and by which commands."""
    found: dict[str, list[str]] = {}
    for place in PLACES:
        for trace in traces(plant(place)):
            found.setdefault(place, []).extend(command for command, text in said if trace in text)
    return {place: names for place, names in found.items() if names}


@pytest.mark.parametrize("executors", ["native,kubectl", "native", "kubectl"])
async def test_nothing_planted_gets_out(cluster: Cluster, planted: str, tmp_path: Path, executors: str) -> None:
    env = {"KUBECONFIG": str(cluster.kubeconfig), "KUBENTLY_AGENT_EXECUTORS": executors}
    async with road(tmp_path, env) as way:
        said = await answers(way, planted)
    assert leaks(said) == {}
    completed = sum("'status': 'completed'" in text for _, text in said)
    assert completed > (40 if executors == "kubectl" else 100)  # a wall that lets nothing through hides everything
    with sqlite3.connect(tmp_path / "hub.db") as db:
        dump = "\n".join(db.iterdump())
    assert leaks([("the database", dump)]) == {}


async def test_without_redaction_it_does(cluster: Cluster, planted: str, tmp_path: Path) -> None:
    """So that the test above is known to be able to fail."""
    policy = tmp_path / "policy.yaml"
    policy.write_text("redaction: off\n")
    env = {"KUBECONFIG": str(cluster.kubeconfig), "KUBENTLY_AGENT_POLICY_FILE": str(policy)}
    async with road(tmp_path, env) as way:
        found = leaks(await answers(way, planted))
    assert {"config-key", "config-file", "env-name", "env-content", "args-two", "annotation", "label", "event"} <= set(
        found
    )


TALKATIVE = """
    print('plain line')
    print('Authorization: Bearer abcdef1234567890abcdef')
    print('\\x1b[31mred\\x1b[0m')
    print('password=hunter2', file=sys.stderr)
"""


async def test_text_is_screened_before_anybody_can_ask_for_it(cluster: Cluster, tmp_path: Path) -> None:
    env = {
        "KUBECONFIG": str(cluster.agent_kubeconfig),
        "KUBENTLY_AGENT_EXECUTORS": "kubectl",
        "KUBENTLY_AGENT_KUBECTL": str(stub_kubectl(tmp_path, TALKATIVE)),
    }
    async with hub_program(tmp_path) as (_, client):
        token = (await client.call("POST", "/admin/clusters", {"cluster_id": "alpha"})).body["agent_token"]
        async with agent_program(client.url, token, env=env):
            async with asyncio.timeout(20):
                while (await client.call("GET", "/clusters/alpha/status")).body["status"] != "connected":
                    await asyncio.sleep(0.05)
            way = Road(
                client, (await client.call("POST", "/debug/session", {"cluster_id": "alpha"})).body["session_id"]
            )
            result = await way.run("logs", "web")
            assert result["output"] == "plain line\nAuthorization: Bearer [redacted:bearer]\n\\x1b[31mred\\x1b[0m\n"
            assert result["error"] == "password=[redacted:credential]\n"
            assert result["redactions"] == {"bearer": 1, "control_characters": 2, "credential": 1}
            assert result["content_trust"] == "cluster"
            again = (await client.call("GET", f"/debug/result/{result['result_id']}")).body
            assert again == result
            assert (await way.run("logs", "web", grep="abcdef"))["output"] == ""
            assert (await way.run("logs", "web", grep="redacted"))["output"].startswith("Authorization")
