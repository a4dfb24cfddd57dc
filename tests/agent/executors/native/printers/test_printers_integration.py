"""Random odd tables and objects, printed by kubectl and by us from the same bytes."""

import asyncio
import itertools
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web

from agent.executors.native.printers.jsonprinter import ListPrinter, print_json, print_watch_event
from agent.executors.native.printers.names import print_name
from agent.executors.native.printers.objects import items_of, load, without_managed_fields
from agent.executors.native.printers.table import TablePrinter, decode
from agent.executors.native.resources import Resource
from tests.differential.harness import Kubectl, Printed
from tests.support.fake_api_server import FakeApiServer, fake_api_server
from tests.support.kubectl import kubectl_binary

SEED: Final = 7
TABLES: Final = 72
WATCHES: Final = 8
OBJECTS: Final = 80
ALONE: Final = 6  # of these are asked for by name
AT_ONCE: Final = 4

PODS: Final = Resource("", "v1", "Pod", "pods", "pod", is_namespaced=True)
NODES: Final = Resource("", "v1", "Node", "nodes", "node", is_namespaced=False)
DEPLOYMENTS: Final = Resource("apps", "v1", "Deployment", "deployments", "deployment", is_namespaced=True)
RESOURCES: Final = (PODS, NODES, DEPLOYMENTS)

ODD_TEXTS: Final = (
    *(
        "",
        " ",
        "web",
        "a-longer-name",
        "é",
        "漢字",
        "🙂",
        "<none>",
        "%s",
        "\\r",
        "a  b",
        "trailing ",
        '"quoted"',
        "1.5",
    ),
    *(
        "two\nlines",
        "\f",
        "cr\rlf\n",
        "\x1b[31mred",
        "tab\tbed",
        "v\vt",
        "\u2028<&>\x7f",
        "\x00\x08",
        "\u00a0",
        "x" * 70,
    ),
)
ODD_NUMBERS: Final = (
    *(0, -1, 42, 2**63 - 1, -(2**63), 0.5, 1e5, 123456.5, 1e6, 12345678.5, 1e-4, 1e-5, 1e-6, 9.9e-7, 1e20, 1e21, 1e22),
    *(5e-324, 1.7976931348623157e308, 2**63, -(2**63) - 1, 10**25),
)
# What json.dumps cannot write, put in for marks: bytes that are no UTF-8, halves of surrogate pairs, unusual numbers.
ODD_BYTES: Final = [
    (b'"@%d@"' % number, odd)
    for number, odd in enumerate(
        [b'"\xff"', b'"\xe2\x82x\xed\xa0\x80"', rb'"\ud800x\udc00"', b"1E3", b"-0", b"1.50", b"0.1e1", b"10000000.0"]
    )
]
MARKS: Final = [mark.strip(b'"').decode() for mark, _ in ODD_BYTES]


class Dice(random.Random):
    """What the odd answers are made of."""

    def text(self) -> str:
        return (
            self.choice(ODD_TEXTS)
            if self.random() < 0.5
            else "".join(self.choices("ab-\té\n<é字", k=self.randrange(9)))
        )

    def cell(self, depth: int = 0) -> Any:
        return self.value(depth) if self.random() < 0.5 else f"cell-{self.randrange(10 ** self.randrange(1, 6))}"

    def value(self, depth: int = 0) -> Any:
        kind = self.randrange(9 if depth < 3 else 6)
        if kind < 2:
            return self.text()
        if kind < 6:
            return self.choice([None, True, False, self.choice(ODD_NUMBERS), self.choice(MARKS), {}, []])
        if kind == 6:
            return [self.value(depth + 1) for _ in range(self.randrange(4))]
        return {self.text(): self.value(depth + 1) for _ in range(self.randrange(4))}

    def labels(self) -> dict[str, str] | None:
        return self.choice([None, {}, {"app": "web"}, {"app": "é", "x.io/tier": "a\tb", "zone": ""}])

    def column(self, number: int) -> dict[str, Any]:
        return {
            "name": self.choice(["Ready", "Restarts", "Name Of It", "straße ᾳ", "", f"c{number}"]),
            "type": self.choice(["string", "integer", "date"]),
            "format": "",
            "description": self.choice(["", "what"]),
            "priority": self.choice([0, 0, 0, 1]),
        }

    def columns(self) -> list[dict[str, Any]]:
        columns = [self.column(number) for number in range(self.randrange(6))]
        name = {"name": "Name", "type": "string", "format": "name", "description": "", "priority": 0}
        columns.insert(self.choice([0, 0, 0, len(columns)]), name)
        return columns

    def row(self, columns: Sequence[dict[str, Any]], *, is_even: bool) -> dict[str, Any]:
        cells = [self.text() if column["format"] == "name" else self.cell() for column in columns]
        if not is_even:
            cells = [*cells, "beyond", 5][: self.choice([len(cells) - 1, len(cells), len(cells) + 1, len(cells) + 2])]
        if self.random() < 0.1:
            return {"cells": cells, "object": None}
        metadata = {
            "name": "n",
            "namespace": self.choice(["default", "kube-system"]),
            "labels": self.labels(),
            "uid": "1",
        }
        return {"cells": cells, "object": {"kind": "Odd", "apiVersion": "v1", "metadata": metadata}}

    def table(
        self, columns: Sequence[dict[str, Any]], rows: int, *, is_even: bool = True, has_columns: bool = True
    ) -> bytes:
        return as_body(
            {
                "kind": "Table",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": {"resourceVersion": "5"},
                "columnDefinitions": columns if has_columns else None,
                "rows": [self.row(columns, is_even=is_even) for _ in range(rows)],
            }
        )


def as_body(value: Any) -> bytes:
    """The JSON of it, with odd bytes in."""
    body = json.dumps(value, ensure_ascii=False).encode()
    for mark, odd in ODD_BYTES:
        body = body.replace(mark, odd)
    return body


@dataclass(slots=True)
class Scenario:
    """A command, the tables that answer it, and how we are to print them. Its selector tells it from the others."""

    selector: str
    argv: list[str]
    options: dict[str, Any]
    tables: list[tuple[Resource, list[bytes]]] = field(default_factory=list)
    events: list[tuple[str, bytes]] = field(default_factory=list)

    def printed(self) -> str:
        printer = TablePrinter(**self.options)
        pieces: list[str] = []
        first = "ADDED" if self.options.get("watch_events") else ""
        for resource, chunks in self.tables:
            pieces += printer.begin(resource)
            for chunk in chunks:
                printer.feed(decode(chunk), first)
        if self.events:
            pieces.append(printer.flush())
        for event, body in self.events:
            printer.feed(decode(body), event)
            pieces.append(printer.flush())
        pieces += printer.finish()
        return "".join(pieces)


def flags(dice: Dice) -> tuple[list[str], dict[str, Any]]:
    """Some flags of get, and what they are to the printer."""
    every: list[tuple[list[str], dict[str, Any]]] = [
        (["-o", "wide"], {"wide": True}),
        (["-A"], {"with_namespace": True}),
        (["--show-labels"], {"show_labels": True}),
        (["-L", "app,x.io/tier"], {"label_columns": ["app", "x.io/tier"]}),
        (["--no-headers"], {"no_headers": True}),
        (["--show-kind"], {"with_kind": True}),
    ]
    argv: list[str] = []
    options: dict[str, Any] = {}
    for words, option in every:
        if dice.random() < 0.35:
            argv += words
            options |= option
    return argv, options


def table_scenario(dice: Dice, number: int) -> Scenario:
    """One or several types, each in some chunks."""
    argv, options = flags(dice)
    resources = dice.sample(RESOURCES, dice.choice([1, 1, 2, 3]))
    options["with_kind"] = options.get("with_kind", False) or len(resources) > 1
    # kubectl ends in a panic when a row has no cell for the kind to go before.
    is_even = options["with_kind"] or dice.random() < 0.8
    tables = []
    for resource in resources:
        columns = dice.columns()
        sizes = [dice.choice([0, 1, 3, 12]) for _ in range(dice.choice([1, 1, 2, 3]))]
        tables.append((resource, [dice.table(columns, size, is_even=is_even) for size in sizes]))
        if dice.random() < 0.1:
            tables[-1][1].append(dice.table(dice.columns(), 2, is_even=is_even))
    selector = f"table={number}"
    words = ",".join(resource.qualified for resource in resources)
    return Scenario(selector, ["get", words, "-l", selector, *argv], options, tables)


def watch_scenario(dice: Dice, number: int) -> Scenario:
    """A list, then events whose tables have mostly no columns."""
    argv, options = flags(dice)
    resource = dice.choice(RESOURCES)
    if dice.random() < 0.5:
        argv.append("--output-watch-events")
        options["watch_events"] = True
    columns = dice.columns()
    events = [
        (dice.choice(["ADDED", "MODIFIED", "DELETED"]), dice.table(columns, 1, has_columns=dice.random() < 0.2))
        for _ in range(dice.randrange(1, 6))
    ]
    selector = f"watch={number}"
    # A watch shows namespaces of every type.
    tables = [(replace(resource, is_namespaced=True), [dice.table(columns, dice.choice([0, 2]))])]
    argv = ["get", resource.qualified, "-l", selector, "-w", *argv]
    return Scenario(selector, argv, options, tables, events)


def answering(api: FakeApiServer, scenarios: Sequence[Scenario]) -> None:
    """Let the server answer all these commands, by their selectors."""
    by_selector = {scenario.selector: scenario for scenario in scenarios}

    def answer(resource: Resource) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def table(request: web.Request) -> web.StreamResponse:
            scenario = by_selector[request.query["labelSelector"]]
            if "watch" in request.query:
                lines = [b'{"type": "%b", "object": %b}\n' % (event.encode(), body) for event, body in scenario.events]
                return web.Response(body=b"".join(lines), content_type="application/json")
            chunks = {of.plural: chunks for of, chunks in scenario.tables}[resource.plural]
            number = int(request.query.get("continue", "0"))
            body = chunks[number]
            if number + 1 < len(chunks):
                body = body.replace(b'"metadata": {', b'"metadata": {"continue": "%d", ' % (number + 1), 1)
            return web.Response(body=body, content_type="application/json")

        return table

    for resource in RESOURCES:
        base = "/apis/apps/v1" if resource.group else "/api/v1"
        for path in (f"{base}/{resource.plural}", f"{base}/namespaces/default/{resource.plural}"):
            api.route(path, answer(resource))


@pytest.fixture
async def api() -> AsyncIterator[FakeApiServer]:
    async with fake_api_server() as running:
        yield running


@pytest.fixture
def oracle(api: FakeApiServer, tmp_path: Path) -> Iterator[Kubectl]:
    kubectl = Kubectl(kubectl_binary(), api.kubeconfig(tmp_path))
    yield kubectl
    kubectl.close()


async def all_of(oracle: Kubectl, lines: Sequence[list[str]]) -> list[Printed]:
    """What kubectl prints for each, run some at a time."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(argv: list[str]) -> Printed:
        async with places:
            return await oracle.run(argv)

    return await asyncio.gather(*map(one, lines))


async def test_tables(api: FakeApiServer, oracle: Kubectl) -> None:
    dice = Dice(SEED)
    scenarios = [table_scenario(dice, number) for number in range(TABLES)]
    scenarios += [watch_scenario(dice, number) for number in range(WATCHES)]
    answering(api, scenarios)

    expected = await all_of(oracle, [scenario.argv for scenario in scenarios])
    for scenario, one in zip(scenarios, expected, strict=True):
        assert one.exit_code == 0, one.stderr
        assert scenario.printed().encode() == one.stdout, scenario.argv


async def test_objects_by_turns(api: FakeApiServer, oracle: Kubectl) -> None:
    dice = Dice(SEED)
    tables = {}
    for resource, name in itertools.product((PODS, DEPLOYMENTS), "ab"):
        tables[resource.plural, name] = body = dice.table(dice.columns(), 1)
        base = "/apis/apps/v1" if resource.group else "/api/v1"
        api.route(f"{base}/namespaces/default/{resource.plural}/{name}", body)
    turns = [(PODS, "a"), (PODS, "b"), (DEPLOYMENTS, "a"), (PODS, "a"), (DEPLOYMENTS, "b")]
    printer = TablePrinter(with_kind=True)
    pieces: list[str] = []
    for resource, name in turns:
        pieces += printer.begin(resource)
        printer.feed(decode(tables[resource.plural, name]))
    pieces += printer.finish()
    expected = await oracle.run(["get", *[f"{resource.plural}/{name}" for resource, name in turns]])
    assert "".join(pieces).encode() == expected.stdout


def odd_object(dice: Dice, name: str) -> bytes:
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": "default",
        "annotations": {dice.text(): dice.text() for _ in range(3)},
    }
    if dice.random() < 0.5:
        metadata["managedFields"] = [{"manager": "x", "fieldsV1": {"f:a": {}}}]
    fields = {f"{dice.text()}{number}": dice.value() for number in range(6)}
    return as_body({**fields, "kind": "Pod", "apiVersion": "v1", "metadata": metadata})


async def test_objects_as_json(api: FakeApiServer, oracle: Kubectl) -> None:
    dice = Dice(SEED)
    bodies = [odd_object(dice, f"odd-{number}") for number in range(OBJECTS)]
    pods = "/api/v1/namespaces/default/pods"
    listed = b'{"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [%b]}' % b",".join(bodies)
    api.route(pods, listed)
    for number in range(ALONE):
        api.route(f"{pods}/odd-{number}", bodies[number])

    items = [without_managed_fields(load(body)) for body in bodies]
    printer = ListPrinter()
    text = printer.header() + "".join([printer.item(item) for item in items]) + printer.footer()
    assert items == [without_managed_fields(item) for item in items_of(load(listed))]
    assert text.encode() == (await oracle.run(["get", "pods", "-o", "json"])).stdout
    names = "".join([print_name(item) for item in items])
    assert names.encode() == (await oracle.run(["get", "pods", "-o", "name"])).stdout

    alone = await all_of(oracle, [["get", "pods", f"odd-{number}", "-o", "json"] for number in range(ALONE)])
    assert [print_json(item).encode() for item in items[:ALONE]] == [one.stdout for one in alone]


async def test_watch_events_as_json(api: FakeApiServer, oracle: Kubectl) -> None:
    dice = Dice(SEED)
    bodies = [odd_object(dice, f"odd-{number}") for number in range(20)]

    async def answer(request: web.Request) -> web.Response:
        if "watch" in request.query:
            lines = [b'{"type": "MODIFIED", "object": %b}\n' % body for body in bodies]
            return web.Response(body=b"".join(lines), content_type="application/json")
        return web.json_response(
            {"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "5"}, "items": []}
        )

    api.route("/api/v1/namespaces/default/pods", answer)
    expected = await oracle.run(["get", "pods", "-w", "-o", "json", "--output-watch-events"])
    assert "".join([print_watch_event("MODIFIED", load(body)) for body in bodies]).encode() == expected.stdout
