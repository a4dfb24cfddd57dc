"""docs/sdk-javascript.md is true: its examples run against a real hub and cluster, and print what it says."""

import re
import textwrap
from pathlib import Path

from schemas.errors import CATALOGUE
from tests.support.documents import ROOT, blocks, code, read, rows, section
from tests.support.hub import ADMIN_KEY
from tests.support.javascript import PACKAGE, installed, node, script
from tests.support.sdk_world import linked, sdk_world

__all__ = ["installed"]

PAGE = ROOT / "docs" / "sdk-javascript.md"
CLUSTER_ID = "production-cluster"
EXAMPLES = [block.content for block in blocks(PAGE) if block.language == "javascript"]
PRINTED = [block.content for block in blocks(PAGE) if block.language == "text"]
# What the reference's example has for a reader to put in.
ENDPOINT, KEY = "http://your-kubently-api:8080", "your-api-key"


async def test_the_examples_print_what_the_page_says(tmp_path: Path, installed: Path) -> None:
    async with sdk_world(tmp_path) as world:
        kubernetes = {"KUBECONFIG": str(world.server.kubeconfig(tmp_path)), "KUBENTLY_AGENT_EXECUTORS": "native"}
        async with linked(world.hub, CLUSTER_ID, kubernetes):
            first = EXAMPLES[0]
            assert ENDPOINT in first
            assert KEY in first
            (installed / "page.cjs").write_text(first.replace(ENDPOINT, world.url).replace(KEY, ADMIN_KEY))
            printed = await node("page.cjs", url="", key="", folder=installed)
            assert re.search(r"^default +web-0 +1/1 +Running", printed, re.MULTILINE)

            (installed / "page.mjs").write_text("\n".join(EXAMPLES[1:]))
            printed = await node("page.mjs", url=world.url, folder=installed)
            said = [line for line in printed.splitlines() if line]
            assert said == [line for text in PRINTED for line in text.splitlines()]


async def test_the_readme_of_the_package_runs(tmp_path: Path, installed: Path) -> None:
    (example,) = [block.content for block in blocks(PACKAGE / "README.md") if block.language == "javascript"]
    async with sdk_world(tmp_path) as world:
        program = f"(async () => {{\n{textwrap.indent(example, '  ')}\n}})();\n"
        program = program.replace(ENDPOINT, world.url).replace(KEY, ADMIN_KEY).replace(CLUSTER_ID, "alpha")
        (installed / "readme.cjs").write_text(program)
        assert "web-0" in await node("readme.cjs", url="", key="", folder=installed)


async def test_the_page_has_every_option_and_default() -> None:
    source = (PACKAGE / "src" / "settings.js").read_text()
    defaults = re.search(r"DEFAULTS = Object.freeze\(\{(.*?)\}\)", source, re.DOTALL)
    assert defaults is not None
    found = dict(re.findall(r"^  (\w+): (\d+),", defaults[1], re.MULTILINE))
    listed = rows(section(PAGE, "Time and aborts"))
    names = {name for row in listed for name in re.findall(r"`(\w+)`", row[0])}
    others = {"endpoint", "apiKey", "serviceIdentity", "correlationId", "fetch", "onWarning"}
    assert names == set(found) | others
    assert {code(row[0]): row[1] for row in listed if row[1].isdecimal()} == found


async def test_the_page_has_every_class_that_is_no_code() -> None:
    source = """
    const codes = Object.values(kubently.BY_CODE);
    const isError = (each) => each.prototype instanceof Error && !codes.includes(each);
    const classes = Object.values(kubently).filter((each) => typeof each === "function");
    print(classes.filter(isError).map((each) => each.name));
    """
    (names,) = await script(source, "http://hub")
    assert {code(row[0]) for row in rows(section(PAGE, "Errors"))} == set(names)
    assert {"not_found", "queue_full"} <= set(CATALOGUE)


def test_the_page_has_every_call() -> None:
    types = (PACKAGE / "index.d.ts").read_text()
    text = read("docs/sdk-javascript.md")
    for kind in ("Client", "Admin"):
        found = re.search(rf"^export class {kind}\b[^{{]*\{{\n(.*?)^\}}", types, re.MULTILINE | re.DOTALL)
        assert found is not None
        for name in set(re.findall(r"^  (\w+)(?:<\w+>)?\(", found[1], re.MULTILINE)) - {"constructor"}:
            assert re.search(rf"\b{name}\b", text), name
