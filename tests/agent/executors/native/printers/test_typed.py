"""Typed objects: what is read, what is left out, in which order it is printed."""

import json
from datetime import UTC, datetime
from typing import ClassVar

import msgspec
import pytest

from agent.executors.native.errors import CommandFailed
from agent.executors.native.printers.typed import (
    ManagedFields,
    ObjectMeta,
    Time,
    Typed,
    TypedList,
    TypedPrinter,
    convert,
    decode,
    escaped,
    printable,
)


class Thing(Typed):
    """One field of each kind, in an order of its own."""

    always: ClassVar = frozenset({"kind", "kept", "seen_at"})
    micros: ClassVar = frozenset({"seen_at"})

    kind: str = ""
    api_version: str = ""
    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    zeta: int = 0
    kept: str = ""
    seen_at: Time | None = None
    is_on: bool | None = None
    alpha: dict[str, str] = msgspec.field(default_factory=dict)
    inner: list[ManagedFields] = msgspec.field(default_factory=list)


class ThingList(TypedList):
    """A list of them."""

    items: list[Thing] = msgspec.field(default_factory=list)


def keys(text: str) -> list[str]:
    return list(json.loads(text))


def test_zero_values_are_left_out_unless_they_are_always_there() -> None:
    assert printable(Thing()) == {
        "kind": "",
        "metadata": {"creationTimestamp": None},
        "kept": "",
        "seenAt": None,
    }


def test_unknown_fields_go_and_the_rest_stands_in_the_types_order() -> None:
    body = (
        b'{"alpha":{"z":"1","a":"2"},"zeta":3,"isOn":false,"later":1,"kind":"Thing","metadata":{"name":"x","uid":""}}'
    )
    printed = printable(decode(body, Thing))
    assert list(printed) == ["kind", "metadata", "zeta", "kept", "seenAt", "isOn", "alpha"]
    assert list(printed["alpha"]) == ["a", "z"]
    assert printed["metadata"] == {"name": "x", "creationTimestamp": None}
    assert printed["isOn"] is False


def test_what_go_does_not_look_into_stays_as_it_came() -> None:
    fields: dict[str, object] = {"f:z": {"f:b": {}, "f:a": {}}, "f:a": {}}
    printed = printable(convert({"inner": [{"fieldsV1": fields}]}, Thing))["inner"][0]["fieldsV1"]
    assert json.dumps(printed) == json.dumps(fields)


@pytest.mark.parametrize(
    ("given", "seen_at", "created_at"),
    [
        ("2024-01-20T10:30:45Z", "2024-01-20T10:30:45.000000Z", "2024-01-20T10:30:45Z"),
        ("2024-01-20T10:30:45.123456+02:00", "2024-01-20T08:30:45.123456Z", "2024-01-20T08:30:45Z"),
        ("0001-01-01T00:00:00Z", None, None),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000000Z", "9999-12-31T23:59:59Z"),
    ],
)
def test_times(given: str, seen_at: str | None, created_at: str | None) -> None:
    printed = printable(convert({"seenAt": given, "metadata": {"creationTimestamp": given}}, Thing))
    assert (printed["seenAt"], printed["metadata"]["creationTimestamp"]) == (seen_at, created_at)


def test_a_time_before_the_year_1_cannot_be_printed() -> None:
    with pytest.raises(CommandFailed):
        printable(convert({"seenAt": "0001-01-01T00:00:00+14:00"}, Thing))


def test_null_is_what_was_not_given() -> None:
    body = b'{"items":[null,{"zeta":null,"kept":null,"metadata":null,"inner":[null]}]}'
    first, second = decode(body, ThingList).items
    assert first == Thing()
    assert second == Thing(inner=[ManagedFields()])


def test_what_is_no_text() -> None:
    assert decode(b'{"kept":"a\xff\xfeb"}', Thing).kept == "a\ufffd\ufffdb"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"[]",
        b"7",
        b'{"zeta":"x"}',
        b'{"zeta":1.5}',
        b'{"seenAt":"2024"}',
        b'{"seenAt":"2024-01-20T10:30:45"}',
        b'{"kind":"Other"}',
        b"[" * 50_000,
        b'{"inner":' * 50_000,
        b'{"zeta":1' + b"0" * 5000 + b"}",
    ],
)
def test_what_is_no_such_thing(body: bytes) -> None:
    with pytest.raises(CommandFailed) as failed:
        decode(body, Thing)
    assert failed.value.text.startswith("error: ")
    assert "\n" not in failed.value.text


def printer(output: str, **options: bool) -> TypedPrinter:
    return TypedPrinter(output, **{"allow_missing": True, "show_managed_fields": False, **options})


THING = {
    "kind": "Thing",
    "apiVersion": "v1",
    "metadata": {"name": "x", "managedFields": [{"manager": "m"}]},
    "zeta": 3_000_000,
    "kept": "<",
}


def test_json_and_yaml_leave_managed_fields_out() -> None:
    def obj() -> dict[str, object]:
        return printable(convert(THING, Thing))

    assert "manager" not in printer("json").text(obj())
    assert "manager" not in printer("yaml").text({"items": [obj()]})
    assert "manager" in printer("json", show_managed_fields=True).text(obj())
    assert "manager" in printer("jsonpath={.metadata}").text(obj())


def test_json_has_the_types_order_and_yaml_the_alphabet() -> None:
    obj = printable(convert(THING, Thing))
    assert keys(printer("json").text(obj)) == ["kind", "apiVersion", "metadata", "zeta", "kept", "seenAt"]
    assert printer("yaml").text(obj).startswith("apiVersion: v1\nkept: <\nkind: Thing\n")


def test_several_yaml_documents_are_parted() -> None:
    yaml = printer("yaml")
    assert [yaml.text({"a": number}) for number in (1, 2, 3)] == ["a: 1\n", "---\na: 2\n", "---\na: 3\n"]


def test_numbers_are_floats_to_jsonpath() -> None:
    obj = printable(convert(THING, Thing))
    assert printer("jsonpath={.zeta}").text(obj) == "3e+06"
    assert printer("jsonpath-as-json={.zeta}").text(obj) == "[\n    3000000\n]\n"


def test_names() -> None:
    assert printer("name").text(printable(convert(THING, Thing))) == "thing/x\n"
    with pytest.raises(CommandFailed):
        printer("name").text({"items": []})


@pytest.mark.parametrize("output", ["jsonpath", "jsonpath=", "jsonpath-as-json=", "jsonpath={.a"])
def test_templates_that_are_none(output: str) -> None:
    with pytest.raises(CommandFailed):
        printer(output)


def test_escaped() -> None:
    assert escaped("a\x1b[1m\rb\nc\t") == "a^[[1m\\rb\nc\t"


def test_times_are_compared_across_zones() -> None:
    first = convert({"seenAt": "2024-01-20T10:30:45+02:00"}, Thing).seen_at
    assert first == datetime(2024, 1, 20, 8, 30, 45, tzinfo=UTC)
