"""ARCHITECTURE.md has every module, and the import rules that setup.cfg has."""

import configparser

import pytest

from tests.support.documents import ROOT, section

ARCHITECTURE = ROOT / "ARCHITECTURE.md"
PACKAGES = ("schemas", "hub", "agent", "sdk/python/kubently")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_has_its_place_in_the_folders(package: str) -> None:
    tree = section(ARCHITECTURE, "Folders").partition(f"\n{package}/")[2].partition("\n\n")[0]
    words = set(tree.replace("/", " ").replace(",", " ").replace(";", " ").replace(":", " ").split())
    for path in (ROOT / package).rglob("*.py"):
        if path.name == "__init__.py":
            continue
        is_in_folder = path.parent != ROOT / package
        assert (path.stem if is_in_folder else path.name) in words, path.relative_to(ROOT)
        assert not is_in_folder or path.parent.name in words, path.relative_to(ROOT)


@pytest.mark.parametrize("package", ["hub", "agent"])
def test_the_import_rules_are_those_that_are_checked(package: str) -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    layers = setup[f"importlinter:contract:{package}"]["layers"].strip().split("\n")
    lines = section(ARCHITECTURE, "Who may import whom").split("\n")
    rule = next(line for line in lines if line.startswith(f"{package}:"))
    assert rule.partition(":")[2].strip() == " > ".join(layer.strip() for layer in layers)
