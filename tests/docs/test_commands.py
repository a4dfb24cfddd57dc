"""docs/commands.md and the grammar's tables say the same."""

import json
from typing import get_args

import pytest

from schemas.kubectl import GRAMMARS, MAX_ARGUMENT_BYTES, MAX_ARGUMENTS, MAX_TOTAL_BYTES, VERBS, Refusal, Rule, parse
from schemas.kubectl.verbs import Flag
from tests.support.documents import ROOT, all_code, blocks, code, rows, section

PAGE = ROOT / "docs" / "commands.md"


def spelling(flag: Flag) -> list[str]:
    return str(flag).split(", ")


def test_every_verb_is_listed() -> None:
    listed = [code(row[0]) for row in rows(section(PAGE, "The verbs")) if row[0] != "" and len(row) == 3]
    assert tuple(listed) == VERBS


@pytest.mark.parametrize("key", GRAMMARS)
def test_every_verb_has_its_flags_and_no_others(key: str) -> None:
    everywhere = [all_code(row[0]) for row in rows(section(PAGE, "Every verb"))]
    listed = everywhere + [all_code(row[0]) for row in rows(section(PAGE, f"`{key}`"))]
    assert sorted(listed) == sorted(spelling(flag) for flag in GRAMMARS[key].flags)


def test_the_formats_listed_are_those_accepted() -> None:
    for key in GRAMMARS:
        for row in rows(section(PAGE, f"`{key}`")):
            if "--output" in all_code(row[0]):
                command_type, *second = key.split()
                for value in all_code(row[1]):
                    assert parse(command_type, [*second, "--output", value])


def test_every_denied_flag_has_its_row() -> None:
    listed = {word for row in rows(section(PAGE, "Flags that are denied")) for word in all_code(row[0])}
    denied = {row for grammar in GRAMMARS.values() for row in grammar.denied}
    spelt = {f"--{row.name}" for row in denied} | {f"-{row.short}" for row in denied if row.short}
    assert listed - {"get"} == spelt


def test_every_rule_is_explained() -> None:
    listed = [code(row[0]) for row in rows(section(PAGE, "What is refused, and why").partition("### Flags")[0])]
    assert sorted(listed) == sorted(get_args(Rule))


def test_the_example_of_a_refusal_is_what_is_said() -> None:
    example = next(json.loads(block.content) for block in blocks(PAGE) if "command_refused" in block.content)
    details = example["details"]
    with pytest.raises(Refusal) as caught:
        parse("get", ["pods", details["argument"]])
    assert caught.value.reason == example["message"]
    assert caught.value.rule == details["rule"]
    assert list(caught.value.allowed[:3]) == details["allowed"]


def test_the_bounds_are_those_of_the_code() -> None:
    text = section(PAGE, "What is refused, and why")
    assert f"over {MAX_ARGUMENT_BYTES // 1024} KiB" in text
    assert f"together over {MAX_TOTAL_BYTES // 1024} KiB" in text
    assert f"More than {MAX_ARGUMENTS} arguments" in text
