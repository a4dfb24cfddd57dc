"""What is no credential stays: ordinary logs, and the manifests that are here."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.redaction.screen import Redaction
from agent.redaction.text import Text
from tests.support.ordinary_logs import ordinary_lines

ROOT = Path(__file__).parents[3]
LINES = 20_000


@pytest.mark.parametrize("seed", [7, 8])
def test_of_ten_thousand_lines_one_at_most_is_changed(seed: int) -> None:
    changed = []
    for line in ordinary_lines(LINES, seed):
        raw = line.encode() + b"\n"
        screen = Text({})
        if screen.feed(raw) + screen.finish() != raw:
            changed.append(line)
    assert len(changed) <= LINES // 10_000, changed[:10]


@pytest.mark.parametrize(
    "path", sorted([*ROOT.glob("deploy/*.yaml"), *ROOT.glob("tests/cluster/samples/*.yaml")]), ids=str
)
def test_the_sample_manifests_stay_as_they_are(path: Path) -> None:
    for each in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        if each is None or each.get("kind") == "Secret":
            continue
        before = json.dumps(each, sort_keys=True)
        screen = Redaction().screen()
        after: Any = screen.objects(each)
        assert json.dumps(after, sort_keys=True) == before, screen.counts
