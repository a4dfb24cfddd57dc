"""Random objects and those of a real cluster, printed as YAML by kubectl and by us."""

import json
import random
import re
import string
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from agent.executors.native.errors import CommandFailed
from agent.executors.native.printers.objects import as_list, load
from agent.executors.native.printers.yamlprinter import YamlList, print_yaml
from agent.executors.native.resources import Resource
from tests.cluster.cluster import Cluster
from tests.differential.harness import Kubectl
from tests.support.fake_api_server import FakeApiServer, fake_api_server, objects
from tests.support.kubectl import kubectl_binary

SEED: Final = 20_240_102
WIDGETS: Final = 60
CONFIG_MAPS: Final = 30
SCALARS: Final = 4000
PAIRS: Final = 1000
MIXED: Final = 6
# kubectl sorts what Go's maps give in random order, by a comparison that is not transitive. In so many runs it prints
# what we print, if it ever does.
RUNS: Final = 12

CONFIG_MAP: Final = Resource("", "v1", "ConfigMap", "configmaps", "configmap", is_namespaced=False)
WIDGET: Final = Resource("example.com", "v1", "Widget", "widgets", "widget", is_namespaced=False)
PATHS: Final = {"ConfigMap": "/api/v1/configmaps", "Widget": "/apis/example.com/v1/widgets"}

CHARACTERS: Final[list[str]] = [
    *"abZ019-:#'\"\\/{}[],&*!|>%@`?~=<._+ex",
    *(" ", "  ", "\n", "\n\n", "\t", "\r", "\0", "\x1b", "é", "你", "\u2028", "\u2029", "\x85", "\xa0", "😀", "\ufeff"),
    *("word ", "longer-word ", "..."),
]
MARKER: Final = re.compile(r"\x85(---|\.\.\.)")  # which kubectl may take for the end of a document
WORDS: Final = ("word ", "another ", "b ", "ccc", "x", "  ", "'", '"', "é", "\t", "😀", "\n", "\u2028", ": ")
ODD: Final[tuple[str, ...]] = (
    *(
        "",
        "~",
        "y",
        "Yes",
        "oN",
        "off",
        "null",
        "nULL",
        "true",
        "<<",
        "=",
        "1",
        "+1",
        "1_000",
        "0x1F",
        "0o17",
        "017",
        "08",
    ),
    *("0b-1", "0b2", "1.5", "1.", "._5", ".1_0", "1e3", "1e999", ".inf", ".nan", "12:30", "190:20:30", "1:60"),
    *("2001-01-01", "2001-02-30", "0000-02-29", "2001-01-01T00:00:00Z", "2001-01-01t1:2:3.55+24:60"),
    *("2001-01-01   1:2:3", "2001-01-01T00:00:00", "0xffffffffffffffff", "0x10000000000000000", "9" * 20, "9" * 309),
    *("---", "--- a", "...", "-", "- a", "?", "? a", ":", ":a", "a:", "a: b", "a #b", "@a", "{}", "[]", " x", "x "),
)
NUMBERS: Final[tuple[float, ...]] = (
    *(
        0,
        -0.0,
        1.0,
        2**63 - 1,
        -(2**63),
        2**63,
        -(2**63) - 1,
        2**64,
        10**25,
        1e18,
        1e20,
        1e21,
        0.1,
        123456.5,
        1234567.5,
    ),
    *(1e-4, 1e-5, 1e-7, 5e-324, 1.7976931348623157e308, 9.223372036854775e18, -1.2345678901234567e19),
)


class Dice(random.Random):
    """What the odd objects are made of."""

    def text(self) -> str:
        return MARKER.sub("\x85", self._text())

    def _text(self) -> str:
        match self.randrange(5):
            case 0:
                return self.choice(ODD)
            case 1:
                return self.choice(ODD) + self.choice(CHARACTERS) + self.choice(ODD)
            case 2:
                return "".join(self.choices("0123456789+-._:eExobTZ ", k=self.randint(1, 10)))
            case 3:
                return "".join(self.choices(CHARACTERS, k=self.randint(0, 9)))
            case _:
                return "".join(self.choices(WORDS, k=self.randint(5, 60)))

    def key(self) -> str:
        if self.random() < 0.1:
            return "k" * self.randint(120, 140) + self.choice(["", " x", "é"])
        return self.text().replace("\x85", "")  # which kubectl can read in no key

    def keys(self) -> list[str]:
        """Keys that can be in one order only: any two, or several without digits."""
        if self.random() < 0.5:
            return [self.key() for _ in range(self.randrange(3))]
        return ["".join(self.choices(string.ascii_letters + "-./", k=self.randint(1, 8))) for _ in range(5)]

    def number(self) -> float:
        match self.randrange(4):
            case 0:
                return self.choice(NUMBERS)
            case 1:
                return int(self.randint(-(10**20), 10**20) / 10 ** self.randint(0, 19))
            case 2:
                return self.randint(-1000, 10**8) / self.choice([1, 2, 10, 1000])
            case _:
                return float(f"{self.uniform(-10, 10):.{self.randint(1, 17)}f}e{self.randint(-12, 25)}")

    def value(self, depth: int = 0) -> Any:
        kind = self.randrange(10)
        if kind < 3 and depth < 6:
            return {key: self.value(depth + 1) for key in self.keys()}
        if kind < 5 and depth < 6:
            return [self.value(depth + 1) for _ in range(self.randrange(5))]
        if kind < 8:
            return self.text()
        return self.number() if kind < 9 else self.choice([True, False, None, {}, []])


@pytest.fixture
async def api() -> AsyncIterator[FakeApiServer]:
    async with fake_api_server([CONFIG_MAP, WIDGET]) as running:
        yield running


@pytest.fixture
def oracle(api: FakeApiServer, tmp_path: Path) -> Iterator[Kubectl]:
    kubectl = Kubectl(kubectl_binary(), api.kubeconfig(tmp_path))
    yield kubectl
    kubectl.close()


def widget(name: str, **parts: Any) -> dict[str, Any]:
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, **parts}


def served(api: FakeApiServer, kind: str, items: list[dict[str, Any]]) -> list[Any]:
    """Let the server list these; gives them as we read them."""
    body = json.dumps(objects(kind, items[0]["apiVersion"], items)).encode()
    api.route(PATHS[kind], body)
    read: list[Any] = load(body)["items"]
    return read


async def test_custom_objects(api: FakeApiServer, oracle: Kubectl) -> None:
    dice = Dice(SEED)
    widgets = served(api, "Widget", [widget(f"w{number}", spec=dice.value()) for number in range(WIDGETS)])
    expected = await oracle.run(["get", "widgets", "-o", "yaml"])
    printer = YamlList()
    assert "".join([*map(printer.item, widgets), printer.end()]).encode() == expected.stdout


async def test_config_maps(api: FakeApiServer, oracle: Kubectl) -> None:
    dice = Dice(SEED)
    items = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"c{number}", "annotations": {dice.key(): dice.text()}},
            "data": {"game.properties": "\n".join(dice.text() for _ in range(9)), dice.key(): dice.text()},
        }
        for number in range(CONFIG_MAPS)
    ]
    maps = served(api, "ConfigMap", items)
    expected = await oracle.run(["get", "configmaps", "-o", "yaml"])
    assert print_yaml(as_list(maps)).encode() == expected.stdout


async def test_scalars_and_pairs_of_keys(api: FakeApiServer, oracle: Kubectl) -> None:
    dice = Dice(SEED)
    scalars = [dice.text() if dice.random() < 0.9 else dice.number() for _ in range(SCALARS)]
    pairs = []
    for _ in range(PAIRS):
        alphabet = dice.choice(["ab-./Z", "ab019", "01-.", "0123456789", "é你aZ_-٣²", "0"])
        start = "".join(dice.choices(alphabet, k=dice.randint(0, 4)))
        pairs.append({start + "".join(dice.choices(alphabet, k=dice.choice([0, 1, 2, 4, 20]))): 1 for _ in "ab"})
    widgets = served(api, "Widget", [widget("w", scalars=scalars, pairs=pairs)])
    expected = await oracle.run(["get", "widgets", "-o", "yaml"])
    assert print_yaml(as_list(widgets)).encode() == expected.stdout


async def test_keys_that_kubectl_sorts_one_way_or_another(api: FakeApiServer, oracle: Kubectl) -> None:
    dice = Dice(SEED)
    for number in range(MIXED):
        (item,) = served(api, "Widget", [widget(f"w{number}", spec={dice.key(): 1 for _ in range(5)})])
        ours = print_yaml(as_list([item])).encode()
        theirs = set()
        for _ in range(RUNS):
            theirs.add((await oracle.run(["get", "widgets", "-o", "yaml"])).stdout)
            if ours in theirs:
                break
        assert ours in theirs


@pytest.mark.parametrize(
    "spec",
    [
        "a\x7fb",
        "a\x80b",
        "a\x85--- b",
        "a\x85 \x85...\x85b",
        ["\ufffe"],
        {"a\uffff": 1},
        {"k" * 1023: 1},
        {"a\x85b": 1},
        {"b": [{"<" * 171: "x"}]},
    ],
    ids=ascii,
)
async def test_what_cannot_be_printed(api: FakeApiServer, oracle: Kubectl, spec: Any) -> None:
    widgets = served(api, "Widget", [widget("w", spec=spec)])
    expected = await oracle.run(["get", "widgets", "-o", "yaml"])
    with pytest.raises(CommandFailed) as raised:
        print_yaml(as_list(widgets))
    assert (raised.value.exit_code, f"{raised.value.text}\n") == (expected.exit_code, expected.stderr.decode())
    assert expected.stdout == b""


@pytest.mark.parametrize(
    "what", ["nodes", "pods -A", "crds", "all -A --show-managed-fields", "configmaps -A", "clusterroles", "apiservices"]
)
async def test_objects_of_a_real_cluster(cluster: Cluster, what: str) -> None:
    oracle = Kubectl(kubectl_binary(), cluster.kubeconfig)
    argv = ["get", *what.split()]
    try:
        for _ in range(RUNS):  # they may change between the two
            before = await oracle.run([*argv, "-o", "json"])
            expected = await oracle.run([*argv, "-o", "yaml"])
            if before == await oracle.run([*argv, "-o", "json"]):
                break
    finally:
        oracle.close()
    assert before.exit_code == 0, before.stderr
    assert print_yaml(load(before.stdout)).encode() == expected.stdout
