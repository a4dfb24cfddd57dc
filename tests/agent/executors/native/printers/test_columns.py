"""Custom columns."""

import pytest

from agent.executors.native.errors import CommandFailed
from agent.executors.native.printers import columns, jsonpath
from agent.executors.native.printers.columns import CustomColumns

PODS = [
    {"metadata": {"name": "web"}, "spec": {"ports": [80, 443]}},
    {"metadata": {"name": "a-longer-name"}, "spec": {"ports": [], "note": "a\rb\x1b[1m"}},
]


def test_columns_are_aligned_over_all_that_was_fed() -> None:
    printer = CustomColumns("NAME:.metadata.name,PORTS:.spec.ports[*],NOTE:spec.note,SPEC:{.spec.ports}")

    printer.feed(PODS[:1])
    printer.feed(PODS[1:])

    assert printer.flush() == (
        "NAME            PORTS    NOTE        SPEC\n"
        "web             80,443   <none>      [80 443]\n"
        "a-longer-name   <none>   a\\rb^[[1m   []\n"
    )


def test_a_header_comes_once_and_widths_only_grow() -> None:
    printer = CustomColumns("N:.metadata.name,K:.kind")

    printer.feed(PODS[1:])
    first = printer.flush()
    printer.feed(PODS[:1])

    assert first == "N               K\na-longer-name   <none>\n"
    assert printer.flush() == "web             <none>\n"


def test_no_objects_are_a_header_or_nothing() -> None:
    printer, bare = CustomColumns("N:.a,K:.kind"), CustomColumns("N:.a", has_headers=False)

    printer.feed([])
    bare.feed([])

    assert (printer.flush(), bare.flush()) == ("N     K\n", "")


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("", "error: custom-columns format specified but no custom columns given"),
        ("NAME", "error: unexpected custom-columns spec: NAME, expected <header>:<json-path-expr>"),
        ("N:.a,", "error: unexpected custom-columns spec: , expected <header>:<json-path-expr>"),
        ("N:.a['x','y']", "error: unexpected custom-columns spec: 'y'], expected <header>:<json-path-expr>"),
        (
            "N:{.a}{.b}",
            "error: unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}' or"
            " '{.name1.name2}'",
        ),
    ],
)
def test_a_bad_spec(spec: str, text: str) -> None:
    with pytest.raises(CommandFailed) as error:
        CustomColumns(spec)

    assert error.value.text == text


@pytest.mark.parametrize(
    ("path", "text", "printed"),
    [
        (".a[", "error: unterminated array", "N\n"),
        (".spec.ports[0]", "error: array index out of bounds: index 0, length 0", "N\n80\n"),
    ],
)
def test_what_came_before_an_error_is_printed(path: str, text: str, printed: str) -> None:
    printer = CustomColumns(f"N:{path}")

    with pytest.raises(CommandFailed) as error:
        printer.feed(PODS)

    assert error.value.text == text
    assert printer.flush() == printed


def test_whole_floats_are_integers_in_a_list_only() -> None:
    printer = CustomColumns("V:.v,W:.w", has_headers=False)
    obj = {"v": 1e6, "w": [2.0, 1e20, {"x": 5e6}]}

    printer.feed([obj])
    printer.feed([obj], are_listed=True)

    assert printer.flush() == "1e+06     [2 1e+20 map[x:5e+06]]\n1000000   [2 1e+20 map[x:5000000]]\n"


def test_text_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "MAX_TEXT", 10_000)
    fed = CustomColumns("A:.x")
    padded = CustomColumns("A:.x,B:.y")

    padded.feed([{"x": "x" * 1000}, *[{}] * 100])

    with pytest.raises(CommandFailed):
        fed.feed([{"x": "x" * 1000}] * 20)
    with pytest.raises(CommandFailed):
        padded.flush()


def test_many_columns_over_many_objects_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonpath, "_MAX_STEPS", 10_000)
    objects = [{"metadata": {"name": "web"}}] * 1000
    columns = CustomColumns(",".join(["NAME:.metadata.name"] * 20))
    columns.feed(objects)
    assert columns.flush().count("\n") == 1001
    with pytest.raises(CommandFailed, match="it takes too many steps"):
        CustomColumns(",".join(["NAME:.metadata.name"] * 300)).feed(objects)
