"""docs/threat-model.md names tests that there are."""

import re

from tests.support.documents import ROOT

PAGE = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")


def test_every_test_it_names_is_there() -> None:
    """A file named without its folder lies in that of the file before it."""
    missing = []
    for cell in re.findall(r"\| ([^|\n]*) \|$", PAGE, re.MULTILINE):
        folder = ROOT
        for name in re.findall(r"`((?:tests/|scripts/|native/|test_)[\w/.*]+)`", cell):
            path = ROOT / name if name.startswith(("tests/", "scripts/")) else folder / name
            folder = path.parent
            if not list(path.parent.glob(path.name)):
                missing.append(name)
    assert missing == []


def test_every_threat_has_an_answer_and_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if re.match(r"\| [STRIDE, ]+ \|", line)]
    assert len(rows) > 20
    for row in rows:
        assert all(cell.strip() for cell in row.strip("|").split("|")), row
