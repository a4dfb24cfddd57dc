"""No planted credential leaves a real cluster, whatever is asked for in whatever form, by either executor."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.e2e.test_cluster_integration import Road, road
from tests.support.kubectls import stub_kubectl
from tests.support.namespaces import apply, own_namespace
from tests.support.plants import CUSTOM_KIND, PLACES, objects, plant, traces
from tests.support.program import agent_program, hub_program

pytestmark = pytest.mark.timeout(300)

KINDS = (
    *("pods", "deployments", "replicasets", "jobs", "configmaps", "events", "serviceaccounts", "all"),
    *("cm,pods", "pods/planted", "deploy/planted", "cm/by-file", "controllerrevisions", "pots", "pot/planted"),
)
SECRETS = ("secrets", "secret/db", "Secrets", "secret.v1.", "cm,secret")
FORMS = (
    *("", "wide", "name", "yaml", "json", "jsonpath={.items[*]}{.spec}{.data}", "jsonpath-as-json={.}"),
    *("custom-columns=A:.data,B:.metadata.annotations,C:.spec.containers[*].env[*].value,D:.spec", "go-template={{.}}"),
)


@pytest.fixture(scope="module")
def planted(cluster: Cluster) -> Iterator[str]:
    """A namespace with a credential in every place."""
    cluster.kubectl("apply", "-f", "-", text=json.dumps(CUSTOM_KIND))
    try:
        with own_namespace(cluster, "leaks") as namespace:
            apply(cluster, namespace, *objects(namespace))
            yield namespace
    finally:
        cluster.kubectl("delete", "crd", CUSTOM_KIND["metadata"]["name"], "--wait=false")


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
    assert {
        "config-key",
        "config-file",
        "env-name",
        "env-content",
        "args-two",
        "annotation",
        "label",
        "event",
        "custom-key",
    } <= set(found)


# Every plant in a log line of its own, written in pieces of odd sizes: no piece is a line, hardly any a character.
CHOPPED = """
    import base64, itertools, time
    plants = {plants!r}
    lines = []
    for plant in plants:
        lines += [f'level=info password={{plant}} n=1', f'Authorization: Bearer {{plant}}']
        lines += [f'{{{{"token": "{{plant}}"}}}}']
        lines += [f'postgres://u:{{plant}}@db/x', f'DB_PASSWORD: {{plant}}', f'\\x1b[36mtoken=\\x1b[0m{{plant}}']
    data = ('\\n'.join(lines) + '\\n').encode()
    sizes = itertools.cycle((1, 3, 7, 2, 31, 5, 64, 11, 997))
    out = sys.stdout.buffer
    while data:
        size = next(sizes)
        out.write(data[:size])
        out.flush()
        data = data[size:]
"""

TALKATIVE = """
    print('plain line')
    print('Authorization: Bearer abcdef1234567890abcdef')
    print('\\x1b[31mred\\x1b[0m')
    print('password=hunter2', file=sys.stderr)
"""


@pytest.mark.parametrize("args", [("logs", "web"), ("logs", "-f", "web")], ids=" ".join)
async def test_pieces_of_odd_sizes_make_no_difference(cluster: Cluster, tmp_path: Path, args: tuple[str, ...]) -> None:
    env = {
        "KUBECONFIG": str(cluster.agent_kubeconfig),
        "KUBENTLY_AGENT_EXECUTORS": "kubectl",
        "KUBENTLY_AGENT_KUBECTL": str(stub_kubectl(tmp_path, CHOPPED.format(plants=[plant(each) for each in PLACES]))),
    }
    async with road(tmp_path, env) as way:
        result = await way.run(*args)
        assert result["status"] == "completed"
        assert result["output"].count("\n") == 6 * len(PLACES)
        assert sum(result["redactions"].values()) >= 6 * len(PLACES)
        lines = await way.client.call("GET", f"/debug/result/{result['result_id']}")
    assert leaks([("output", str(result)), ("again", str(lines.body))]) == {}
    for file in tmp_path.glob("**/*"):
        if file.is_file() and file.suffix in (".log", ".db", ".db-wal"):
            assert leaks([(file.name, file.read_bytes().decode(errors="replace"))]) == {}


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
