"""Templates, column specs and orders given to kubectl and to us, over the same objects."""

import asyncio
import json
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from agent.executors.native.errors import CommandFailed
from agent.executors.native.printers.columns import CustomColumns
from agent.executors.native.printers.jsonpath import JsonPath
from agent.executors.native.printers.objects import as_list, load
from agent.executors.native.printers.sorting import Unsortable, sort_objects, sort_rows
from tests.differential.harness import Kubectl
from tests.support.fake_api_server import FakeApiServer
from tests.support.kubectl import kubectl_binary

AT_ONCE: Final = 4
ABSENT: Final[Any] = ...

SPEC: Final = json.loads(r"""
{
    "n": 3, "big": 9223372036854775807, "huge": 73786976294838206464, "f": 1.5, "whole": 2.0, "million": 1e6,
    "tiny": 1e-7, "t": true, "nul": null, "s": "text", "empty": "", "html": "<a&b>\u2028",
    "esc": "a\tb\u001b[0m\nq\"'\r", "é": "é漢", "l": [1, 2, 3, 4, 5], "ls": ["a", "b", "c"], "el": [], "em": {},
    "one": {"only": "x"}, "ll": [[1], [], [2]], "m": {"z": 1, "a": {"k": "v"}, "b": [1, {"q": 2}]},
    "nest": [[1, 2], [3, [4, 5]]], "nn": [1, null, {"x": 2}],
    "items": [
        {"name": "a", "v": 1, "on": true},
        {"name": "b", "v": 2, "tag": "x"},
        {"name": "c", "v": 10, "on": false, "f": 1.5},
        {"name": "d", "sub": [{"p": 1}, {"p": 2}]},
        {"name": "it's"}
    ]
}
""")

# One per line. None takes the values of a map with more than one in it: kubectl has them in random order.
TEMPLATES: Final = r"""
.metadata.name
{.metadata.name}
{metadata.name}
{ .spec.n } {.spec.big} {.spec.huge} {.spec.f} {.spec.whole} {.spec.million} {.spec.tiny}
{.spec.t}|{.spec.nul}|{.spec.s}
{.spec.esc}{.spec.html}{.spec.é}
{.spec}{@}{$}{}
{.spec.l} {.spec.m} {.spec.el} {.spec.em}
{.spec.l[0]} {.spec.l[-1]} {.spec.l[1:3]} {.spec.l[::2]} {.spec.l[:2]} {.spec.l[3:]} {.spec.l[-2:]} {.spec.l[:-1]}
{.spec.l[*]}{.spec.l[]}{.spec.l[:]}{.spec.l[01]}{.spec.l[5:]}{.spec.l[9:9]}{.spec.l[:-5]}{.spec.el[*]}{.spec.nul[0]}
{.spec.l[7]}
{.spec.l[-7]}
{.spec.l[2:1]}
{.spec.l[0:9]}
{.spec.l[-9:2]}
{.spec.l[::0]}
{.spec.l[0:5:-1]}
{.spec.l[6:]}
{.spec.l[:-6]}
{.spec.el[-1]}
{.spec.l[9223372036854775807]}
{.spec.l[99999999999999999999]}
{.spec.l[-]}
{.spec.l[0,2]} {.spec.l[0 , 1]} {.spec.l[0,1:3]} {.spec.l[*,0]} {.spec.l['x',0]}
{.spec.l[0,9]}
{.spec['n','s']}{.spec['n']['s']}{['spec']['n']}{.spec['one.only']}
{.spec['l','s',]}
{.spec['a,b']}
{.spec['one only']}
{.spec['l[0]']}
{.spec['l[0']}
{.spec['it\'s']}
{.spec["n"]}
{.spec[n]}
{.spec.l[ 0 ]}
{.spec.l[1:2:3:4]}
{.metadata.labels.a\.b/c}{.metadata.labels['a\.b/c']}{.metadata.labels['a.b/c']}{.metadata.labels.x-y}{.spec.\n}
{..p}{.spec..name}{.spec.items[*]..p}{.spec...name}{..['only']}{..missing}
{.spec....name}
{.spec.ls..}{.spec.s..}{.spec.n..}{.spec.nest..}
{..*}
{..[0]}
{.spec.one.*}{.spec.l.*}{.spec.items.*.name}{.spec.l[*].*}{.spec.s.*}
{*}
{.spec.ll[*][*]}
{.spec.ll[*][0]}
{.spec.nest[*][*]}{.spec.nest[1][1][0]}{.spec.nn[*]}{.spec.nn[1].x}{.spec.nn}
{.spec[*]}
{.spec.s[0]}
{.missing}{.missing.more}{.spec.s.more}{.spec.nul.more}{.spec.l['foo']}{.spec.items.name}{.}{...}{.spec.}{.5}
{.spec.items[*].name}{.spec.items[*]['name','v']}{.spec.items[0:2].name}{.spec.items[0,1].name}{.spec.items[-1:].name}
{.spec.items[?(@.name=="a")].v}{.spec.items[?(@.name=='a')]}{.spec.items[?( @.name == "a" )].v}
{.spec.items[?(@.v>1)].name}{.spec.items[?(@.v>=2)].name}{.spec.items[?(@.v<10)].name}{.spec.items[?(@.v!=1)].name}
{.spec.items[?(@.on)].name}{.spec.items[?(@.on==true)].name}{.spec.items[?(@.on!=true)].name}{.spec.items[?()].name}
{.spec.items[?(@.f>=1.5)].name}{.spec.items[?(1==1)].name}{.spec.items[?(@.v==-1)].name}{.spec.ls[?(@!="b")]}
{.spec.items[?(@.name=="it's")].name}{.spec.items[?(@.name=="a)")].name}{.spec.items[?(@.name=="a\"b")].name}
{.spec.items[?(@.name==@.name)].name}{.spec.items[?($.name=="a")].name}{.spec.items[?(.name=="a")].name}
{.spec.items[?(@.sub[5])].name}{.spec.items[?(foo)].name}{.spec.items[?(@.v in [1])].name}{.spec.nest[?(@[5])]}
{.spec.items[?(.a"[?(@.x)].b")].name}{.spec.items[?(@.missing[5])].name}{.spec.items[?(range)].name}
{.spec.items[?(@.v==1.0)].name}
{.spec.items[?(@.v<"a")].name}
{.spec.items[?(@.on<true)].name}
{.spec.items[?(@.v===1)].name}
{.spec.items[?(@.v=<1)].name}
{.spec.items[?(@==1)].name}
{.spec.items[?(@.name==a)].name}
{.spec.items[?(@.sub[*].p==1)].name}
{.spec.nest[?(@[5]==1)]}
{.spec.nn[?(@==1)]}
{.spec.s[?(@.x)]}
{.spec.m[?(@.k)]}
{.spec.nul[?(@.x)]}
{.spec.items[?(@.name==)]}
{.spec.items[?(@.name=="a"]}
{.spec.items[?(@.name=="a")x]}
{.spec.items[?(]}
{.spec.items[?(!@.tag)].name}
{.spec.items[?(@.name=="a" && @.v==1)].name}
{.spec.items[(@.length-1)]}
{range .spec.items[*]}{.name}={.v}{"\n"}{end}
{range .spec.items[*]}[{range .sub[*]}{.p},{end}]{.name}{end}!
{range .spec.items[*]}{.name}{range .sub[*]}{.p}{end}!
{range .spec.l[*]}{@}{end} {range .spec.ls[*]}{@}
{range .spec.l}{@} {end}{range .spec.missing[*]}x{range .foo[*]}z{end}w{end}y{range "abc"}{@}{end}
{range .spec.nn[*]}{@},{.x},{.*},{..};{end}
{range range .spec.l[*]}{@}{end}{end}
{range .spec.l[*]}{@}{.x end}y
{range .spec.el[*]}{[?(@.x)]}{end}
{range .spec.l[*]}x
{range}
{end}
{rangex .spec}
{"\n"}{'\t'}{"a\"b"}{'it\'s'}{"\u00e9"}{"\x41\101\U0001F600"}{"a}b"}{""}{'a"b'}{"é"}
{"a\qb"}
{"\'"}
{"\\"}
{"\ud800"}
{"unterminated}
{1}{-2}{+3}{1.5}{1.50}{true}{false}{1.}{1-2}{1 2}{99999999999999999999}
{1.2.3}
{-}
{1e3}
{1a}
{foo}
{é}
{.spec.n "b"}{"b" .spec.n}{.spec.n .spec.f}{@@}{.spec@.n}{.spec$.n}{.spec .n}{.spec.n|x}{.spec.n\}}
{. spec}
{.foo[}
{.foo
{.foo}}
{.foo]}
{{}}
{#}
{.spec.n,}
{	.spec.n}
a}b{.spec.n}	\{.spec.n}
"""

MUST_BE_THERE: Final = r"""
{.missing}
{.spec.s.x}
{.spec.items[*].tag}
{.spec.items[?(@.missing)].name}
{.spec.items[?(@.tag=="x")].name}
{range .spec.el[*]}{.x}{end}y
{.spec.el[*].x}
"""

AS_JSON: Final = r"""
{.spec}{.spec.l[*]}{.spec.l}{.spec.nul}{.missing}
a{range .spec.items[*]}{.name}{"\n"}{end}
{.spec.huge}{.spec.tiny}{.spec.whole}{.spec.html}
{.spec.l[7]}
"""

OF_A_LIST: Final = r"""
{.items[*].spec.million} {.items[*].spec.whole} {.items[0]['kind','spec']} {.kind} {1000000.0}
{.items[?(@.spec.whole==2)].metadata.name}
{.items[?(@.spec.n==2.0)].metadata.name}
{range .items[*]}{.metadata.name}{.spec.million}{"\n"}{end}
"""

COLUMNS: Final = r"""
NAME:.metadata.name,name:metadata.name,N:{.metadata.name},M:{metadata.name},L:.spec.l,M:.spec.m
F:.spec.f,W:.spec.whole,M:.spec.million,T:.spec.tiny,H:.spec.huge,B:.spec.t,N:.spec.nul,E:.spec.empty,L:.spec.el,M:.spec.em
L:.spec.l[*],I:.spec.items[*].name,X:.spec.items[*].missing,R:.spec..name,Q:.spec.nest[*][*]
A:.spec.items[?(@.name=="a")].v,É:.spec.é,Z:.spec.n
ESC:.spec.esc,Z:.spec.n
ESC:.spec.esc
NAME
NAME:
:.metadata.name
NAME:.metadata.name,
NAME:.metadata.name,FOO
,
:
NAME:.a:b
NAME:{.metadata.name}{.x}
NAME:{range .x}
NAME:.metadata[
NAME:.spec.l[9]
NAME:.spec.l[3]
NAME:.spec.s[0]
NAME : .metadata.name
NA ME:.metadata.name,B:$.kind,C:@.kind
N	X:.spec.n,B:.kind
NAME:.metadata.labels.a\.b/c,B:.spec['n'],C:['spec'].n,D:[0]
NAME:.spec "x",B:.spec range
NAME:.spec foo
N:.spec['n', 's'],X:.kind
A:.spec.items[?(@.name=="a,b")].v
"""

# Values of `.spec.v` in the order they come.
ORDERS: Final[dict[str, list[Any]]] = {
    "ints": [3, 1, 2, -5, 10],
    "floats": [1.5, 0.2, -1.5, 1e20],
    "whole-floats": [1e6, 2.0, 3, -0.0],
    "whole-and-other-floats": [1.0, 1.5],
    "mixed-numbers": [1, 0.5, 2],
    "texts": ["a10", "a9", "a1", "a01", "a001", "a", "B", "é", "z", "", "0"],
    "versions": ["v1.10.0", "v1.9.3", "v1.9.10", "v1.9", "v1-9"],
    "quantities": ["1Ki", "100", "1M", "500m", "2k", "1Gi", "1e3", "-3", "+2", "0.1n", "99Ei", "m"],
    "large-quantities": ["99Ei", "9223372036854775807", "9223372036854775808", "99E", "8Ei", "1n", "-0.1n", "-1n"],
    "odd-quantities": ["5.", "5E", "1Kk", "5Ei", ".5", "1 ", "+", "Ki", "1e", "1mi"],
    "contradictory": ["1Ki", "999", "b", "1000", "x", "10", "9"],
    "times": ["2024-01-02T00:00:00Z", "2023-01-02T00:00:00Z", "2024-01-01T23:59:59Z"],
    "booleans": [True, False],
    "one-boolean": [True],
    "boolean-and-absent": [ABSENT, True],
    "number-and-boolean": [1, True],
    "nulls": ["a", None, "b", None],
    "absent": [1, ABSENT, 0, ABSENT, ABSENT, None],
    "all-absent": [ABSENT, ABSENT],
    "one-absent": [ABSENT],
    "number-and-string": ["1", 1],
    "lists": [[1], [0]],
    "maps": [{"a": 1}, {"b": 1}],
    "many": [name * 3 for name in "qwertyuiopasdfghjklzxcvbnm"],
    "many-numbers": [(place * 17) % 50 for place in range(50)],
}
EXPRESSIONS: Final = (
    *("spec.v", ".spec.v", "{.spec.v}", "{spec.v}", ".spec['v']", "..v", ".spec.v[0]", ".spec[", ".missing", "spec"),
    *(
        "{.spec.v}{.x}",
        "{.spec.v}a",
        "{.spec.v",
        "a}",
        "foo bar",
        '"x"',
        "$.spec.v",
        ".metadata.name,.spec.v",
        ".spec.l[0]",
    ),
    *(".metadata.name", "{range}"),
)

Printed = tuple[str, str, int | None]
# A command line for kubectl, and what we print for it.
Case = tuple[Sequence[str], Callable[[], Printed]]


def widget(name: str, spec: Any, namespace: str = "default") -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "labels": {"a.b/c": "dotted", "x-y": "dash"}}
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": metadata, "spec": spec}


def serve(server: FakeApiServer, namespace: str, items: Sequence[dict[str, Any]]) -> None:
    """The objects, alone, as a list, and as a table."""
    path = f"/apis/example.com/v1/namespaces/{namespace}/widgets"
    for item in items:
        server.route(f"{path}/{item['metadata']['name']}", item)
    listed = {"apiVersion": "example.com/v1", "kind": "WidgetList", "metadata": {}, "items": list(items)}
    server.route(path, listed)


def as_table(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    column = {"name": "Name", "type": "string", "format": "name", "priority": 0}
    rows = [{"cells": [item["metadata"]["name"]], "object": item} for item in items]
    head = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {}}
    return {**head, "columnDefinitions": [column], "rows": rows}


def read(items: Any) -> Any:
    """The objects as they come over the wire."""
    return load(json.dumps(items).encode())


def ours(text: Callable[[], str]) -> Printed:
    try:
        return text(), "", 0
    except CommandFailed as error:
        return "", error.text + "\n", error.exit_code


async def differing(server: FakeApiServer, folder: Path, cases: Iterable[Case]) -> list[str]:
    """The command lines that kubectl answers otherwise."""
    oracle = Kubectl(kubectl_binary(), server.kubeconfig(folder))
    slots = asyncio.Semaphore(AT_ONCE)

    async def compared(argv: Sequence[str], own: Callable[[], Printed]) -> str:
        async with slots:
            printed = await oracle.run(argv)
        stderr = printed.stderr.decode()
        # Left out by us: the object behind the first line, and the time and process before a fatal one.
        stderr = re.sub(r"(?s)(debugging the template:\n).*", r"\1", stderr)
        stderr = re.sub(r"^F\d{4} .*?\] ", "", stderr)
        stderr = re.sub(r'^Failed to get i values .*\(&errors\.errorString\{s:"(.*)"\}\)', r"error: \1", stderr)
        wanted, got = (printed.stdout.decode(errors="replace"), stderr, printed.exit_code), own()
        return "" if got == wanted else f"{argv}\n  kubectl {wanted}\n  native  {got}"

    try:
        await oracle.run(["get", "widgets", "w", "-o", "name"])  # so that all others find discovery cached
        results = await asyncio.gather(*(compared(argv, own) for argv, own in cases))
        return [result for result in results if result]
    finally:
        oracle.close()


async def test_templates(server: FakeApiServer, tmp_path: Path) -> None:
    serve(server, "default", [widget("w", SPEC)])
    obj = read(widget("w", SPEC))

    def rendered(template: str, allow_missing: bool = True) -> Printed:
        return ours(lambda: JsonPath.parse(template, allow_missing=allow_missing).render(obj))

    def as_json(template: str) -> Printed:
        return ours(lambda: JsonPath.parse(template).render_json(obj))

    get, strictly = ["get", "widgets", "w", "-o"], "--allow-missing-template-keys=false"
    cases: list[Case] = [
        *(([*get, f"jsonpath={line}"], partial(rendered, line)) for line in lines(TEMPLATES)),
        *(([*get, f"jsonpath={line}", strictly], partial(rendered, line, False)) for line in lines(MUST_BE_THERE)),
        *(([*get, f"jsonpath-as-json={line}"], partial(as_json, line)) for line in lines(AS_JSON)),
    ]

    assert await differing(server, tmp_path, cases) == []


async def test_templates_of_a_list(server: FakeApiServer, tmp_path: Path) -> None:
    items = [widget("w", SPEC), widget("x", {"whole": 2, "million": 1e6})]
    serve(server, "default", items)
    obj = as_list(read(items))

    def rendered(template: str) -> Printed:
        return ours(lambda: JsonPath.parse(template).render(obj))

    cases: list[Case] = [
        (["get", "widgets", "-o", f"jsonpath={line}"], partial(rendered, line)) for line in lines(OF_A_LIST)
    ]

    assert await differing(server, tmp_path, cases) == []


async def test_columns(server: FakeApiServer, tmp_path: Path) -> None:
    items = [widget("w", SPEC), widget("a-much-longer-name", {"l": [1]}), widget("x", {"l": [1, 2, 3, 4]})]
    serve(server, "default", items)

    def table(spec: str, has_headers: bool = True) -> Printed:
        try:
            printer = CustomColumns(spec, has_headers=has_headers)
        except CommandFailed as error:
            return "", error.text + "\n", 1
        try:
            printer.feed(read(items), are_listed=True)
        except CommandFailed as error:
            return printer.flush(), error.text + "\n", 1
        return printer.flush(), "", 0

    get = ["get", "widgets", "-o"]
    cases: list[Case] = [
        *(([*get, f"custom-columns={line}"], partial(table, line)) for line in lines(COLUMNS)),
        *(
            ([*get, f"custom-columns={line}", "--no-headers"], partial(table, line, False))
            for line in lines(COLUMNS)[:3]
        ),
    ]

    assert await differing(server, tmp_path, cases) == []


async def test_orders_of_objects(server: FakeApiServer, tmp_path: Path) -> None:
    def names(items: Any, expression: str) -> Printed:
        return ours(lambda: " ".join(item["metadata"]["name"] for item in sort_objects(items, expression)))

    cases: list[Case] = []
    for namespace, expression, items in ordered():
        serve(server, namespace, items)
        flags = [f"--namespace={namespace}", f"--sort-by={expression}", "-o", "jsonpath={.items[*].metadata.name}"]
        cases.append((["get", "widgets", *flags], partial(names, read(items), expression)))

    assert await differing(server, tmp_path, cases) == []


async def test_orders_of_rows(server: FakeApiServer, tmp_path: Path) -> None:
    def table(namespace: str, rows: Any, expression: str) -> Printed:
        try:
            return "".join(f"{row['cells'][0]}\n" for row in sort_rows(rows, expression)), "", 0
        except Unsortable as error:
            return "", error.text + "\n", error.exit_code
        except CommandFailed:
            return "", f"No resources found in {namespace} namespace.\n", 0

    cases: list[Case] = []
    for namespace, expression, items in ordered()[::2]:
        shown = as_table(items)
        server.route(f"/apis/example.com/v1/namespaces/{namespace}/widgets", shown)
        flags = [f"--namespace={namespace}", f"--sort-by={expression}", "--no-headers"]
        cases.append((["get", "widgets", *flags], partial(table, namespace, read(shown["rows"]), expression)))

    assert await differing(server, tmp_path, cases) == []


def lines(table: str) -> list[str]:
    return table.strip("\n").split("\n")


def ordered() -> list[tuple[str, str, list[dict[str, Any]]]]:
    """Namespace, expression, objects."""
    specs: dict[tuple[str, str], dict[str, Any]] = {
        (namespace, ".spec.v"): {
            f"w{place}": {} if value is ABSENT else {"v": value} for place, value in enumerate(values)
        }
        for namespace, values in ORDERS.items()
    }
    for place, expression in enumerate(EXPRESSIONS):
        specs[f"e{place}", expression] = {"b": {"v": 3, "l": [1]}, "c": {"v": 1, "l": []}, "a": {"v": 2}}
    return [
        (namespace, expression, [widget(name, spec, namespace) for name, spec in named.items()])
        for (namespace, expression), named in specs.items()
    ]
