"""The JavaScript package as it is installed: required and imported, with its types, and where there is no Node."""

import json
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.settings import Server
from tests.sdk.test_python_integration import EXPECTED, SCENARIO
from tests.support.hub import ADMIN_KEY
from tests.support.javascript import PACKAGE, ROOT, copied, installed, node, run, script
from tests.support.sdk_world import SdkWorld, sdk_world

__all__ = ["installed"]

PAGE = "https://console.example.com"
# The response headers that the library reads, beside the type of the content, which every page may read.
READ = {
    name
    for path in (PACKAGE / "src").glob("*.js")
    for name in re.findall(r"headers\.get\(\"([^\"]+)\"\)", path.read_text())
} - {"Content-Type"}

SESSION = """
const client = new kubently.Client();
client.debugSession("alpha", async (session) => {
  console.log((await session.execute("get", ["pods", "-o", "name"])).output);
});
"""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[SdkWorld]:
    async with sdk_world(tmp_path, server=Server(cors_origins=(PAGE,))) as made:
        yield made


async def test_what_is_installed_can_be_required_and_imported(world: SdkWorld, installed: Path) -> None:
    program = {
        "required.cjs": 'const kubently = require("kubently-js");',
        "imported.mjs": 'import * as kubently from "kubently-js";',
        # The same file for both in Node, whatever a bundler for browsers takes.
        "sources.mjs": 'import * as kubently from "./node_modules/kubently-js/src/index.js";',
    }
    for name, line in program.items():
        (installed / name).write_text(line + SESSION)
        assert await node(name, url=world.url, folder=installed) == "pod/quiet\npod/talker\npod/web-0\n\n", name


async def test_what_is_installed_does_the_scenario(world: SdkWorld, installed: Path) -> None:
    library = (installed / "node_modules" / "kubently-js" / "dist" / "index.mjs").as_uri()
    printed = await node(ROOT / "tests" / "sdk" / "scenario.mjs", SCENARIO, library, url=world.url)
    assert printed.splitlines() == EXPECTED.read_text(encoding="utf-8").splitlines()


async def test_errors_are_of_one_class_for_those_who_require_and_those_who_import(installed: Path) -> None:
    (installed / "both.mjs").write_text("""
    import { createRequire } from "node:module";
    import * as imported from "kubently-js";
    const required = createRequire(import.meta.url)("kubently-js");
    console.log(Object.keys(imported).filter((name) => imported[name] !== required[name]).join());
    """)
    assert await node("both.mjs", url="", folder=installed) == "\n"


def test_the_package_has_what_it_needs_and_no_more(installed: Path) -> None:
    folder = installed / "node_modules" / "kubently-js"
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    sources = {f"src/{path.name}" for path in (PACKAGE / "src").iterdir()}
    built = {"dist/index.cjs", "dist/index.mjs", "dist/index.d.cts"}
    assert files == {"package.json", "README.md", "LICENSE", "index.d.ts"} | sources | built
    described = json.loads((folder / "package.json").read_text())
    assert described["license"] == "Apache-2.0"
    assert not {"dependencies", "peerDependencies", "optionalDependencies"} & set(described)
    assert sorted(path.name for path in (installed / "node_modules").iterdir() if path.name[0] != ".") == [
        "kubently-js"
    ]
    assert (PACKAGE / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    version = (PACKAGE / "src" / "version.js").read_text()
    assert f'VERSION = "{described["version"]}"' in version


def test_the_sources_import_each_other_and_nothing_else() -> None:
    for path in (PACKAGE / "src").glob("*.js"):
        source = path.read_text()
        imported = re.findall(r'(?:from|import|require)[ (]"([^"]+)"', source)
        assert all(re.fullmatch(r"\./\w+\.js", name) for name in imported), path.name
        assert not re.search(r"\bBuffer\b|\brequire\b|(?<!globalThis\.)\bprocess\b", source), path.name


async def test_it_runs_where_there_is_no_node(world: SdkWorld) -> None:
    """Without the names that only Node has, as in a browser; what they would have said is said to the client."""
    source = """
    const [endpoint, apiKey] = [process.env.KUBENTLY_ENDPOINT, process.env.KUBENTLY_API_KEY];
    const names = ["process"]; // fetch itself needs the others here
    const sent = new Set();
    const spy = (url, request) => {
      for (const name of Object.keys(request.headers)) sent.add(name);
      return fetch(url, request);
    };
    const kept = Object.fromEntries(names.map((name) => [name, globalThis[name]]));
    for (const name of names) delete globalThis[name];
    const library = await import(IN_BROWSER);
    const client = new library.Client({ endpoint, apiKey, fetch: spy, serviceIdentity: "page", correlationId: "t-1" });
    const text = await client.debugSession("alpha", async (session) => {
      const stream = session.stream("logs", ["-f", "talker"]);
      for await (const _ of stream) break;
      return (await session.execute("get", ["pods", "-o", "name"], { wait: 1 })).output;
    });
    const error = await client.cluster("nowhere").catch((thrown) => thrown);
    Object.assign(globalThis, kept);
    print([text, typeof error.correlationId, error.name, [...sent].sort()]);
    """
    library = json.dumps((PACKAGE / "src" / "index.js").as_uri() + "?browser")
    ((text, correlation_id, name, headers),) = await script(source.replace("IN_BROWSER", library), world.url)
    assert text == "pod/quiet\npod/talker\npod/web-0\n"
    assert (correlation_id, name) == ("string", "NotFound")
    # All that a page of another site sends, and reads, is what the hub lets it.
    assert headers == [
        *("Authorization", "Content-Type", "Idempotency-Key", "Prefer", "X-Correlation-ID", "X-Service-Identity"),
    ]
    asking = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    answered = await world.hub.call("OPTIONS", "/debug/execute", headers=asking)
    assert set(headers) <= set(answered.headers["Access-Control-Allow-Headers"].split(", "))
    assert {"GET", "POST", "PATCH", "DELETE"} <= set(answered.headers["Access-Control-Allow-Methods"].split(", "))
    answered = await world.hub.call("GET", "/health", headers={"Origin": PAGE})
    exposed = set(answered.headers["Access-Control-Expose-Headers"].split(", "))
    assert exposed >= {"Location", "Retry-After", "X-Correlation-ID"} >= set(READ)


async def test_a_socket_opens_with_what_the_client_says(world: SdkWorld) -> None:
    source = """
    const client = new kubently.Client();
    const session = await client.createDebugSession("alpha");
    const { url, protocols } = client.streamSocket(session.sessionId);
    const socket = new WebSocket(url, protocols);
    const command = { type: "execute", request_id: "1", command_type: "get", args: ["pods", "-o", "name"] };
    socket.onopen = () => socket.send(JSON.stringify(command));
    const types = await new Promise((resolve) => {
      const seen = [];
      socket.onmessage = ({ data }) => {
        seen.push(JSON.parse(data).type);
        if (seen.at(-1) === "completed") resolve(seen);
      };
      socket.onclose = () => resolve(["closed"]);
    });
    socket.close();
    print(types);
    """
    assert await script(source, world.url, NODE_OPTIONS="--experimental-websocket --no-warnings") == [
        ["started", "output", "completed"]
    ]


@pytest.mark.timeout(180)
async def test_the_types_hold(tmp_path: Path) -> None:
    folder = copied(tmp_path / "kubently-js")
    words = ("npm", "install", "--prefer-offline", "--no-audit", "--no-fund", "--no-package-lock")
    fetched = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120)
    if fetched.returncode != 0:
        pytest.skip(f"npm could not fetch TypeScript: {fetched.stderr.strip().splitlines()[:1]}")
    assert await run("npm", "run", "--silent", "types", folder=folder, seconds=120) == ""


def test_nothing_names_a_registry() -> None:
    for path in PACKAGE.rglob("*"):
        if path.is_file() and not {"node_modules", "dist"} & set(path.parts):
            text = path.read_text(encoding="utf-8")
            assert "registry" not in text, path
            assert ADMIN_KEY not in text
    assert not list(PACKAGE.glob("*lock*"))
