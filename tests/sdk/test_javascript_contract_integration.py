"""Nothing of the API is without its counterpart in the JavaScript library: endpoints, fields, parameters, errors."""

import itertools
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import CATALOGUE
from tests.support.javascript import PACKAGE, script
from tests.support.sdk_world import SdkWorld, sdk_world

TYPES = (PACKAGE / "index.d.ts").read_text(encoding="utf-8")

# What is no call: `streamSocket` gives what a WebSocket on it is made of.
NO_CALLS = {"GET /debug/session/{session_id}/stream"}
# Pages become lists of what they list.
PAGES = {"AuditList", "ClusterList", "KeyList", "SessionList"}
# `ready` gives true or false, an iterator the pieces of lines, errors are thrown.
NO_ANSWERS = {"Ready", "StreamLine", "FleetLine", "ErrorBody"}
# The bodies of requests; what is sent is looked at.
REQUESTS = {
    "ClusterChange": "PATCH /admin/clusters/x",
    "Execute": "POST /debug/execute",
    "FleetExecute": "POST /debug/fleet/execute",
    "NewCluster": "POST /admin/clusters",
    "NewKey": "POST /admin/keys",
    "NewSession": "POST /debug/session",
    "Rotation": "POST /admin/keys/x/rotate",
    "TokenTerms": "POST /admin/clusters/x/tokens",
    "Validate": "POST /debug/validate",
}
# `cursor` is turned by the library; the audit log as CSV is for spreadsheets.
NO_PARAMETERS = {"GET /audit": {"format"}}
# Beyond the fields of JSON.
ADDED = {"Result": {"ok", "isOpen"}}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[SdkWorld]:
    async with sdk_world(tmp_path) as made:
        yield made


def camel(name: str) -> str:
    """output_bytes as outputBytes."""
    head, *rest = name.split("_")
    return head + "".join(word.title() for word in rest)


def members(name: str) -> dict[str, bool]:
    """The properties of an interface or class of index.d.ts, inherited ones too, and whether each is always there."""
    found = re.search(
        rf"^export (?:interface|class) {name}\b(?: extends (\w+))?[^{{]*\{{\n(.*?)^\}}", TYPES, re.MULTILINE | re.DOTALL
    )
    assert found is not None, f"index.d.ts has no {name}"
    own = re.findall(r"^  (?:readonly )?(\w+)(\??): ", found[2], re.MULTILINE)
    inherited = members(found[1]) if found[1] and found[1] != "CallOptions" else {}
    return inherited | {each: mark == "" for each, mark in own}


def methods(name: str) -> set[str]:
    """The methods of a class of index.d.ts."""
    found = re.search(rf"^export class {name}\b[^{{]*\{{\n(.*?)^\}}", TYPES, re.MULTILINE | re.DOTALL)
    assert found is not None
    return set(re.findall(r"^  (\w+)(?:<\w+>)?\(", found[1], re.MULTILINE)) - {"constructor"}


async def openapi(world: SdkWorld) -> dict[str, Any]:
    body = (await world.hub.call("GET", "/openapi.json")).body
    assert isinstance(body, dict)
    return body


EVERYTHING = """
const calls = new Set();
const client = new kubently.Client({
  fetch: (url, request) => {
    calls.add(`${request.method} ${new URL(url).pathname}`);
    return fetch(url, request);
  },
});
const answers = {};
const note = (name, value) => {
  for (const each of [value].flat()) answers[name] = { ...answers[name], ...each };
  return value;
};
await client.debugSession("alpha", async (session) => {
  const result = note("Result", await session.execute("get", ["pods"]));
  await whole(session.follow(result.resultId));
  const begun = await session.start("logs", ["-f", "quiet"]);
  note("Result", await client.cancel(begun.resultId));
  note("Result", await client.result(result.resultId));
  note("Session", await client.session(session.sessionId));
  note("Session", await client.sessions());
});
for await (const { result } of client.fleet("get", ["pods"], { clusters: ["al*"] })) note("Result", result);
const closed = await client.createDebugSession("alpha");
note("ClosedSession", await client.closeSession(closed.sessionId));
note("Health", await client.health());
await client.ready();
await client.openapi();
note("Key", await client.self());
note("Cluster", await client.clusters());
note("Cluster", await client.admin.clusters());
note("ClusterState", await client.cluster("alpha"));
const policy = note("ClusterPolicy", await client.policy("alpha"));
note("Policy", policy.policy);
note("PolicyLimits", policy.policy.limits);
note("Verdict", await client.validate("alpha", "get", ["pods"]));
note("RegisteredCluster", await client.admin.addCluster("fresh"));
const token = note("NewToken", await client.admin.addToken("fresh"));
const cluster = note("ClusterTokens", await client.admin.cluster("fresh"));
note("Token", cluster.tokens);
note("Cluster", await client.admin.changeCluster("fresh", { labels: { env_name: "dev" } }));
await client.admin.removeToken("fresh", token.tokenId);
await client.admin.removeCluster("fresh");
const rateLimits = { standardPerMinute: 1, executePerMinute: 2, sessionPerMinute: 3 };
const key = note("CreatedKey", await client.admin.addKey("fresh", { rateLimits }));
note("RateLimits", key.rateLimits);
note("Key", await client.admin.keys());
note("RotatedKey", await client.admin.rotateKey(key.keyId));
await client.admin.removeKey(key.keyId);
note("AuditRow", await client.audit());
await client.close();
const names = Object.fromEntries(Object.entries(answers).map(([name, value]) => [name, Object.keys(value)]));
print([[...calls], names]);
"""


def _is_of(operation: str, call: str) -> bool:
    pattern = re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(operation))
    return re.fullmatch(pattern, call) is not None


async def test_every_endpoint_is_called_and_every_field_comes(world: SdkWorld) -> None:
    document = await openapi(world)
    ((calls, answers),) = await script(EVERYTHING, world.url)
    operations = {
        f"{method.upper()} {path}"
        for path, item in document["paths"].items()
        for method in item
        if method in ("get", "post", "put", "patch", "delete")
    }
    assert {each for each in operations if not any(_is_of(each, call) for call in calls)} == NO_CALLS
    schemas = document["components"]["schemas"]
    for name, seen in answers.items():
        fields = {camel(field) for field in schemas[name]["properties"]}
        assert set(seen) <= fields, name
        assert {camel(field) for field in schemas[name].get("required", ())} <= set(seen), name
    assert set(answers) == set(schemas) - PAGES - NO_ANSWERS - set(REQUESTS)


async def test_every_field_has_its_type(world: SdkWorld) -> None:
    schemas = (await openapi(world))["components"]["schemas"]
    for name in set(schemas) - PAGES - NO_ANSWERS - set(REQUESTS):
        fields = {camel(field) for field in schemas[name]["properties"]}
        found = members(name)
        assert set(found) - ADDED.get(name, set()) == fields, name
        if name == "AuditRow":  # what does not apply is left out there
            always = {camel(field) for field in schemas[name]["required"]}
            assert {field for field, is_always in found.items() if is_always} == always
        else:
            assert all(found.values()), name
    assert set(members("DebugSession")) == set(members("Session"))


# Every option of every call, with something in it; what is sent of them is looked at.
SENT = """
const sent = {};
const client = new kubently.Client({
  endpoint: "http://hub",
  fetch: async (url, request) => {
    const { pathname, searchParams } = new URL(url);
    const fields = [...searchParams.keys(), ...(request.body ? Object.keys(JSON.parse(request.body)) : [])];
    const name = `${request.method} ${pathname}`;
    sent[name] = [...(sent[name] ?? []), ...fields];
    const body = { session_id: "x", cluster_id: "x", error: "not_found", message: "" };
    const status = name === "POST /debug/session" ? 201 : 404;
    return new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json" } });
  },
});
const ask = (call) => call.catch(() => {});
const session = await client.createDebugSession("x", { ttlSeconds: 60, metadata: {} });
const contract = { timeout: 1, grep: "x", tailLines: 1, maxLines: 1, maxOutputBytes: 1 };
await ask(session.execute("get", [], { ...contract, keepFullOutput: true }));
await ask(whole(session.stream("get", [], contract)));
const fleet = { ...contract, clusters: ["x"], selector: "x", concurrency: 1, metadata: {} };
await ask((async () => { for await (const _ of client.fleet("get", [], fleet)); })());
await ask(client.result("x", { wait: 1, offset: 1, limit: 1, full: true }));
await ask(whole(client.follow("x", { afterSeq: 1 })));
await ask(client.sessions({ clusterId: "x", status: "active", limit: 1 }));
await ask(client.validate("x", "get", []));
const clusters = { status: "connected", clusterId: "x", selector: "x", limit: 1 };
await ask(client.clusters(clusters));
await ask(client.admin.clusters(clusters));
const ids = { keyId: "x", clusterId: "x", sessionId: "x", resultId: "x" };
await ask(client.audit({ since: new Date(), until: new Date(), kind: "x", decision: "x", ...ids, limit: 1 }));
await ask(client.admin.addCluster("x", { name: "x", labels: {} }));
await ask(client.admin.changeCluster("x", { name: "x", labels: {} }));
await ask(client.admin.addToken("x", { expiresAt: new Date() }));
await ask(client.admin.rotateKey("x", { overlapSeconds: 0 }));
const lists = { clusters: [], namespaces: [], commandTypes: [], kinds: [], deniedKinds: [] };
const rateLimits = { standardPerMinute: 1, executePerMinute: 1, sessionPerMinute: 1 };
await ask(client.admin.addKey("x", { role: "user", ...lists, rateLimits, maxOutputBytes: 1, expiresAt: new Date() }));
if (!client.streamSocket("x", { events: true }).url.endsWith("?events=all")) throw new Error("not all events");
sent["GET /debug/session/x/stream"] = [...new URL(client.streamSocket("x", { events: true }).url).searchParams.keys()];
print(sent);
"""


async def test_every_parameter_and_every_field_of_a_body_can_be_sent(world: SdkWorld) -> None:
    document = await openapi(world)
    (sent,) = await script(SENT, "http://hub")
    schemas = document["components"]["schemas"]
    for name, call in REQUESTS.items():
        assert set(sent[call]) == set(schemas[name]["properties"]), name
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if not isinstance(operation, dict):
                continue
            name = f"{method.upper()} {path}"
            wanted = {each["name"] for each in operation.get("parameters", ()) if each.get("in") == "query"}
            if wanted and method != "head":
                call = f"{method.upper()} {re.sub('{[^}]*}', 'x', path)}"
                missing = wanted - set(sent[call]) - NO_PARAMETERS.get(name, set()) - {"cursor"}
                assert not missing, name
                assert set(sent[call]) <= wanted, name


async def test_every_error_code_has_its_class() -> None:
    source = """
    const { BY_CODE } = kubently;
    print(Object.entries(BY_CODE).map(([code, kind]) => [code, kind.name, kind.code, kind.retryable]));
    const isNamed = (kind) => kubently[kind.name] === kind && kind.prototype.name === kind.name;
    const isOurs = (kind) => isNamed(kind) && kind.prototype instanceof kubently.HubError;
    print(Object.values(BY_CODE).every(isOurs));
    """
    rows, are_exported = await script(source, "http://hub")
    assert are_exported
    assert {code for code, *_ in rows} == set(CATALOGUE)
    for code, name, own, is_retryable in rows:
        assert own == code
        assert name == "".join(word.title() for word in code.split("_"))
        assert is_retryable == CATALOGUE[code].is_retryable, code


async def test_the_types_have_what_the_package_exports() -> None:
    source = """
    const shapes = {};
    for (const [name, value] of Object.entries(kubently)) {
      const own = typeof value === "function" ? Object.getOwnPropertyNames(value.prototype) : [];
      const isMethod = (each) => typeof Object.getOwnPropertyDescriptor(value.prototype, each).value === "function";
      shapes[name] = own.filter((each) => each !== "constructor" && isMethod(each));
    }
    print(shapes);
    """
    (shapes,) = await script(source, "http://hub")
    assert set(shapes) == set(re.findall(r"^export (?:class|const) (\w+)", TYPES, re.MULTILINE))
    for name in ("Client", "Admin", "DebugSession", "Stream", "Fleet", "FleetAnswer", "Result", "Piece"):
        assert set(shapes[name]) == methods(name), name


def test_every_export_of_the_types_is_described() -> None:
    for name in ("Client", "Admin", "DebugSession", "Stream", "Fleet"):
        found = re.search(rf"^export class {name}\b[^{{]*\{{\n(.*?)^\}}", TYPES, re.MULTILINE | re.DOTALL)
        assert found is not None
        lines = found[1].split("\n")
        told = {"execute", "start", "stream", "follow"} if name == "DebugSession" else set()
        for before, line in itertools.pairwise(lines):
            is_method = re.match(r"  (\w+)(?:<\w+>)?\(", line)
            if is_method and is_method[1] not in told and is_method[1] != "debugSession":
                assert before.strip().endswith("*/"), (name, line)


def test_options_of_the_library_are_those_of_the_types() -> None:
    """Read from the sources: a name that one has and the other not would be refused, or not be told of."""
    sources = {path.name: path.read_text() for path in (PACKAGE / "src").glob("*.js")}
    listed = re.search(r"const CONTRACT = Object.freeze\(\{(.*?)\}\)", sources["command.js"], re.DOTALL)
    assert listed is not None
    command = set(re.findall(r"(\w+):", listed[1])) | {"idempotencyKey", "wait"}
    assert command == set(members("ExecuteOptions"))
    assert command - {"keepFullOutput"} == set(members("StreamOptions"))
    assert set(json.loads(re.findall(r"CALL = Object.freeze\((\[.*?\])\)", sources["options.js"])[0])) == set(
        members("CallOptions")
    )
