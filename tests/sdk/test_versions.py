"""Hub, libraries and command line are released together, under one version."""

import configparser
import json
import tomllib

import kubently
from tests.support.documents import ROOT


def test_one_version() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    python = tomllib.loads((ROOT / "sdk" / "python" / "pyproject.toml").read_text(encoding="utf-8"))
    javascript = json.loads((ROOT / "sdk" / "javascript" / "package.json").read_text(encoding="utf-8"))
    found = {setup["metadata"]["version"], python["project"]["version"], javascript["version"], kubently.__version__}
    assert len(found) == 1
