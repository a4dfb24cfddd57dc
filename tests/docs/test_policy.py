"""docs/policy.md has every key of a policy with its default; its example and the one to deploy are policies."""

import msgspec
import yaml

from agent.policy import Limits, Policy, parse
from tests.support.documents import ROOT, blocks, code, rows

PAGE = ROOT / "docs" / "policy.md"


def test_every_key_is_listed_with_its_default() -> None:
    listed = {
        name: code(row[1])
        for row in rows(PAGE.read_text(encoding="utf-8"))
        for name in row[0].replace("`", "").split(", ")
    }
    fields = {name: value for name, value in msgspec.structs.asdict(Policy()).items() if name != "limits"}
    expected = {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode() for name, value in fields.items()
    }
    expected |= {f"limits.{name}": "" for name in Limits.__struct_fields__}
    assert listed == expected


def test_the_examples_are_policies() -> None:
    (example,) = (block.content for block in blocks(PAGE) if block.language == "yaml")
    assert parse(example).limits.max_streams == 4
    deployed = yaml.safe_load((ROOT / "deploy" / "agent-policy.yaml").read_text(encoding="utf-8"))
    assert parse(deployed["data"]["policy.yaml"]).denied_kinds == ("secrets",)
