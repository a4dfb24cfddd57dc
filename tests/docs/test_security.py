"""docs/security.md lists the rules that there are."""

import re

from agent.redaction import objects, patterns, text
from tests.support.documents import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def test_every_rule_is_explained_and_no_other() -> None:
    rows = re.findall(r"^\| ((?:`[a-z_]+`(?:, )?)+) \|", PAGE, re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}
    sources = "".join((ROOT / str(module.__file__)).read_text(encoding="utf-8") for module in (objects, patterns, text))
    hidden = set(re.findall(r'(?:_hide|Rule|bare)\(\s*"([a-z_]+)"', sources))
    assert listed == hidden | {"control_characters"}
