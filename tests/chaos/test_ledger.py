"""The ledger balances when all is well and says what is wrong when something is."""

from dataclasses import replace
from typing import Any

import pytest

from chaos.ledger import Entry, Extent, Kill, Kind, Manner, balance, read_back

TEXT = "one\ntwo\n"


def fault(output: str, extent: Extent) -> str | None:
    is_right = TEXT.startswith(output) if extent == "head" else output == TEXT
    return None if is_right else f"{output!r} ({extent})"


KIND = Kind("text", "get", ("x",), 30, frozenset({"completed"}), fault)
GOES_ON = replace(KIND, expected=frozenset({"timeout"}))


def result(status: str = "completed", output: str = TEXT, result_id: str = "res_1", **fields: Any) -> dict[str, Any]:
    return {
        "result_id": result_id,
        "status": status,
        "exit_code": 0,
        "output": output,
        "output_bytes": len(output.encode()),
        "omitted_bytes": 0,
        "completed_at": "2026-01-20T10:32:15Z",
        "error": None,
        **fields,
    }


def entry(kind: Kind = KIND, manner: Manner = "sync", key: str | None = "k", **fields: Any) -> Entry:
    return Entry(kind, manner, "alpha", "sess_1", key, 10.0, **fields)


def ended(one: Entry, first: dict[str, Any] | None, last: dict[str, Any], at: float = 20.0) -> Entry:
    if first is not None:
        one.told(first, at)
    read_back(one, last, at)
    return one


def test_what_is_well_balances() -> None:
    entries = [
        ended(entry(), result(), result()),
        ended(entry(manner="async"), result("running", "", "res_2"), result(result_id="res_2")),
        ended(entry(GOES_ON), None, result("timeout", "one\nt", "res_3")),
        ended(entry(GOES_ON, "cancelled"), None, result("cancelled", "", "res_4")),
        entry(is_turned_away=True),
        entry(key=None, is_unanswered=True),
    ]
    found = balance(entries, [])
    assert found.faults == []
    assert (found.accepted, found.unaccounted, found.turned_away, found.unanswered) == (4, 0, 1, 1)
    assert {status: count for status, count in found.statuses.items() if count} == {
        "completed": 2,
        "timeout": 1,
        "cancelled": 1,
    }


@pytest.mark.parametrize(
    ("one", "says"),
    [
        (ended(entry(), result(), result(completed_at="2026-01-20T10:32:16Z")), "ended twice"),
        (ended(entry(), result("failed"), result()), "ended twice"),
        (ended(entry(), None, result(output="one\n")), "output: 'one\\n' (whole)"),
        (ended(entry(), None, result(output=TEXT + "two\n")), "output: "),
        (ended(entry(), None, result(output_bytes=9)), "8 bytes could be read of the 9"),
        (ended(entry(GOES_ON), None, result("timeout", "one\nx")), "output: "),
        (ended(entry(), None, result("timeout", "one\n")), "ended as timeout, expected was completed"),
        (ended(entry(), None, result("cancelled", "")), "ended as cancelled"),
        (ended(entry(), None, result("lost", "", error="x")), "its agent was not killed"),
        (ended(entry(followed="one\n"), None, result()), "followed: 4 bytes"),
        (ended(entry(followed="one\none\n"), None, result()), "followed: "),
        (ended(entry(), result(result_id="res_0"), result()), "several results"),
        (entry(result_ids=["res_1"]), "no end of it is known"),
        (entry(), "no end of it is known"),
        (entry(is_turned_away=True, faults=["answered with 500"]), "answered with 500"),
    ],
)
def test_each_wrong_thing_is_said(one: Entry, says: str) -> None:
    faults = balance([one], []).faults
    assert len(faults) >= 1
    assert any(says in fault for fault in faults), faults


def test_a_result_that_belongs_to_two_commands() -> None:
    faults = balance([ended(entry(), None, result()), ended(entry(), None, result())], []).faults
    assert faults == ["res_1: 2 commands have this result"]


def test_what_has_not_ended_is_unaccounted() -> None:
    found = balance([entry(result_ids=["res_1"]), entry()], [])
    assert (found.accepted, found.unaccounted) == (2, 2)


@pytest.mark.parametrize(
    ("kill", "error", "faults"),
    [
        (Kill("alpha", 15.0, 16.0), "the agent was restarted", 0),
        (Kill("alpha", 9.0, 11.0), "the agent was restarted", 0),
        (Kill("alpha", 15.0, 16.0), None, 1),
        (Kill("beta", 15.0, 16.0), "the agent was restarted", 1),
        (Kill("alpha", 8.0, 9.0), "the agent was restarted", 1),
        (Kill("alpha", 21.0, 22.0), "the agent was restarted", 1),
    ],
)
def test_lost_is_for_what_ran_when_its_agent_was_killed(kill: Kill, error: str | None, faults: int) -> None:
    one = ended(entry(), None, result("lost", "one\n", error=error))
    found = balance([one], [kill])
    assert len(found.faults) == faults
    assert found.statuses["lost"] == 1
