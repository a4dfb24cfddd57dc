"""docs/settings.md has every setting with its variable, flag and default, and no other."""

import argparse
import dataclasses
import re
import tomllib
from typing import Any

import pytest

import agent.__main__
import agent.settings
import hub.__main__
import hub.settings
from schemas.settings import environment_names, walk
from tests.support.documents import ROOT, code, documents, rows, section

SETTINGS = ROOT / "docs" / "settings.md"
PROGRAMS = [
    pytest.param("The hub", hub.settings.Settings, hub.settings.ENVIRONMENT_PREFIX, id="hub"),
    pytest.param("The agent", agent.settings.Settings, agent.settings.ENVIRONMENT_PREFIX, id="agent"),
]
# Flags of `kubently-hub audit` that say what to look at; they are no settings.
OF_AUDIT = {"--head", "--since", "--until", "--format"}
SECRETS = {hub.settings.ADMIN_KEY_VARIABLE, agent.settings.TOKEN_VARIABLE}


@pytest.mark.parametrize(("heading", "settings", "prefix"), PROGRAMS)
def test_every_setting_is_listed_with_its_variable_and_default(heading: str, settings: type[Any], prefix: str) -> None:
    table = [row for row in rows(section(SETTINGS, heading)) if len(row) == 5]
    listed = {code(row[0]): (code(row[1]), _toml(row[3])) for row in table}
    variables = environment_names(settings, prefix)
    expected = {path: (variables[path], _default(field)) for path, field in walk(settings)}
    assert listed == expected
    assert [code(row[0]) for row in table] == list(expected)
    assert all(row[4] for row in table)


@pytest.mark.parametrize(
    ("heading", "parser"),
    [
        pytest.param("The hub", hub.__main__._parser(), id="hub"),
        pytest.param("The agent", agent.__main__._parser(), id="agent"),
    ],
)
def test_every_flag_is_listed(heading: str, parser: argparse.ArgumentParser) -> None:
    listed = {code(row[2]) for row in rows(section(SETTINGS, heading)) if len(row) == 5} - {""}
    assert listed == _flags(parser) - {"--help", "--version", "--config", "--json"} - OF_AUDIT


def test_the_secrets_are_listed() -> None:
    assert {code(row[0]) for row in rows(section(SETTINGS, "Secrets"))} == SECRETS


def test_every_variable_that_is_named_anywhere_exists() -> None:
    known = SECRETS | set(environment_names(hub.settings.Settings, hub.settings.ENVIRONMENT_PREFIX).values())
    known |= set(environment_names(agent.settings.Settings, agent.settings.ENVIRONMENT_PREFIX).values())
    for path in [*documents(), ROOT / "Containerfile"]:
        named = set(re.findall(r"\bKUBENTLY_(?:HUB|AGENT)_[A-Z][A-Z_]+", path.read_text(encoding="utf-8")))
        assert named <= known, path.name


def _default(field: dataclasses.Field[Any]) -> Any:
    return list(field.default) if isinstance(field.default, tuple) else field.default


def _toml(cell: str) -> Any:
    return None if cell == "-" else tomllib.loads(f"value = {code(cell)}")["value"]


def _flags(parser: argparse.ArgumentParser) -> set[str]:
    found: set[str] = set()
    for action in parser._actions:
        found |= {option for option in action.option_strings if option.startswith("--")}
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                found |= _flags(inner)
    return found
