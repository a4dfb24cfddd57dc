"""CONTRIBUTING.md says of every dependency why it is there, and names none that is not."""

import configparser
import re
import tomllib

from tests.support.documents import ROOT, code, rows, section

CONTRIBUTING = ROOT / "CONTRIBUTING.md"


def _required(*, is_dev: bool) -> set[str]:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    text = setup["options.extras_require"]["dev"] if is_dev else setup["options"]["install_requires"]
    lines = [line.strip() for line in text.split("\n")]
    return {re.split(r"[<>=!~\[; ]", line)[0] for line in lines if line and not line.startswith("#")}


def test_every_dependency_is_explained() -> None:
    for heading, is_dev in (("What the programs need", False), ("What development needs", True)):
        table = rows(section(CONTRIBUTING, heading))
        assert {code(row[0]) for row in table} == _required(is_dev=is_dev)
        assert all(len(cell) > 10 for row in table for cell in row[1:])


def test_every_dependency_of_the_library_is_explained() -> None:
    project = tomllib.loads((ROOT / "sdk" / "python" / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    required = [*project["dependencies"], *project["optional-dependencies"]["cli"]]
    table = rows(section(CONTRIBUTING, "What the Python library needs"))
    assert {code(row[0]) for row in table} == {re.split(r"[<>=!~]", each)[0] for each in required}
    assert all(len(cell) > 10 for row in table for cell in row[1:])
    assert project["dependencies"] == ["aiohttp>=3.11,<4"]
