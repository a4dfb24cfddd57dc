"""Templates on one object. What kubectl prints for these and more is in test_templates_integration.py."""

import time
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.executors.native.errors import CommandFailed
from agent.executors.native.printers import jsonpath
from agent.executors.native.printers.jsonpath import JsonPath, JsonPathError, relaxed

POD: Final = {
    "kind": "Pod",
    "metadata": {"name": "web", "labels": {"app.io/name": "shop"}},
    "spec": {"containers": [{"name": "a", "image": "x:1", "ports": [80, 443]}, {"name": "b", "image": "y:2"}]},
    "ready": True,
    "none": None,
    "ratio": 1e6,
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("", ""),
        ("plain }", "plain }"),
        ("{.metadata.name}", "web"),
        ('{.kind}/{.metadata.name}{"\\n"}', "Pod/web\n"),
        ("{.metadata.labels.app\\.io/name}{.metadata['name']}", "shopweb"),
        ("{.spec.containers[*].name}", "a b"),
        ("{.spec.containers[-1].name}{.spec.containers[0]['name','image']}", "ba x:1"),
        ("{.spec.containers[0].ports[::2]}", "80"),
        ("{.spec.containers[0].ports}", "[80,443]"),
        ('{.spec.containers[?(@.name=="b")].image}', "y:2"),
        ("{.spec.containers[?(@.ports)].name}", "a"),
        ('{range .spec.containers[*]}{.name}:{range .ports[*]}{@},{end}{"\\t"}{end}.', "a:80,443,\tb:\t."),
        ("{range .spec.containers[*]}{.name}", "ab"),
        ("{..image}", "x:1 y:2"),
        ("{.metadata.*}", '{"app.io/name":"shop"} web'),
        ("{.ready}{.none}{.ratio}{.missing.more}", "truenull1e+06"),
        ("{1.50}{-3}{true}{'it'}", "1.5-3trueit"),
        ('{"\\u00e9\\x41\\101\\xff"}', "éAA\ufffd"),
    ],
)
def test_renders(template: str, text: str) -> None:
    assert JsonPath.parse(template).render(POD) == text


def test_each_action_is_an_array_of_json() -> None:
    assert JsonPath.parse("{.kind}{.missing}").render_json(POD) == '[\n    "Pod"\n]\n[]\n'


def test_finds_lists_of_values() -> None:
    assert JsonPath.parse("x{.spec.containers[*].name}").find(POD) == [["x"], ["a", "b"]]


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{.foo[}", "unterminated array"),
        ("{.foo", "unclosed action"),
        ("{....}", "invalid multiple recursive descent"),
        ('{"x}', "unterminated quoted string"),
        ("{'\\\"'}", "unquote string '\\\"' error invalid syntax"),
        ("{.a[?(@.b]}", "unterminated filter"),
        ("{.a[?(@.b)}", "unclosed array expect ]"),
        ("{.a[b]}", "invalid array index b"),
        ("{.a[-]}", "array index - is not a number"),
        (f"{{.a[{'9' * 5000}]}}", f"array index {'9' * 5000} is not a number"),
        ("{1.2.3}", "cannot parse number 1.2.3"),
        ("{#}", "unrecognized character in action: U+0023 '#'"),
        ("{\t}", "unrecognized character in action: U+0009"),
    ],
)
def test_what_cannot_be_read(template: str, reason: str) -> None:
    with pytest.raises(JsonPathError) as error:
        JsonPath.parse(template)

    assert error.value.text == f"error: error parsing jsonpath {template}, {reason}"
    assert error.value.plain == f"error: {reason}"


def test_a_template_that_does_not_fit_is_told_in_one_line_without_the_object() -> None:
    with pytest.raises(JsonPathError) as error:
        JsonPath.parse('{.spec.containers[?(@.name=="a")].ports[9]}').render(POD)

    assert error.value.text == (
        'error: error executing jsonpath "{.spec.containers[?(@.name==\\"a\\")].ports[9]}": '
        "Error executing template: array index out of bounds: index 9, length 2."
        " Printing more information for debugging the template:"
    )


def test_missing_keys_are_errors_when_not_allowed() -> None:
    with pytest.raises(JsonPathError, match="more is not found"):
        JsonPath.parse("{.metadata.more}", allow_missing=False).render(POD)


def test_a_value_in_an_error_is_cut() -> None:
    with pytest.raises(JsonPathError) as error:
        JsonPath.parse("{.a[?(@.b)]}").render({"a": "x" * 1_000_000})

    assert len(error.value.text) < 2000


@pytest.mark.parametrize("expression", ["metadata.name", ".metadata.name", "{.metadata.name}", "{metadata.name}"])
def test_a_path_may_be_written_relaxed(expression: str) -> None:
    assert relaxed(expression) == "{.metadata.name}"


def test_what_is_no_path() -> None:
    assert relaxed("") == ""
    with pytest.raises(JsonPathError, match="unexpected path string"):
        relaxed("{.a}{.b}")


TEMPLATES: Final = st.lists(
    st.sampled_from(
        [
            *(
                "{",
                "}",
                "{",
                "}",
                "[",
                "]",
                "(",
                ")",
                "?",
                "@",
                "$",
                ".",
                "..",
                "*",
                ",",
                ":",
                "'",
                '"',
                "\\",
                " ",
                "\n",
            ),
            *(
                "{range ",
                "{end}",
                "[?(",
                ")]",
                "==",
                "<",
                "true",
                "1",
                "-",
                "a",
                "b",
                "é",
                "{.a[*]}",
                '["x"]',
                "\\u00e9",
            ),
        ]
    ),
    max_size=30,
).map("".join)
VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.sampled_from("ab\n"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abx"), inner, max_size=3),
    max_leaves=12,
)


@given(TEMPLATES | st.text(), VALUES, st.booleans())
def test_any_template_on_any_object_renders_or_fails_as_a_command(template: str, obj: Any, allow_missing: bool) -> None:
    try:
        path = JsonPath.parse(template, allow_missing=allow_missing)
        assert isinstance(path.render(obj), str)
        assert isinstance(path.render_json(obj), str)
    except CommandFailed as error:
        assert error.text.startswith("error: error ")


@given(TEMPLATES | st.text())
def test_any_path_is_relaxed_or_fails_as_a_command(expression: str) -> None:
    try:
        relaxed(expression)
    except CommandFailed:
        return


NESTED: Final[dict[str, Any]] = {"a": {}}
for _ in range(2000):
    NESTED["a"] = {"a": NESTED["a"]}


@pytest.mark.parametrize(
    ("template", "obj"),
    [
        ("{range $}" * 45, {}),
        ("{$" + "['a','a']" * 40 + "}", NESTED),
        ("{" + "[*,*]" * 40 + "}", [[[[0] * 100] * 100] * 100]),
        ("{" + "[:][:]" * 20 + "..x}", [[1] * 1000] * 1000),
        ("{...*" + "..a" * 20 + "}", NESTED),
        ("{..}", NESTED),
    ],
)
def test_work_and_text_are_bounded(template: str, obj: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonpath, "FREE_STEPS", 0)
    monkeypatch.setattr(jsonpath, "MAX_TEXT", 100_000)
    with pytest.raises(JsonPathError):
        JsonPath.parse(template).render(obj)


def test_reading_takes_time_in_proportion_to_length() -> None:
    def seconds(size: int) -> float:
        begun = time.perf_counter()
        for piece in ("[", "'", '"', '[?("', "[?(@", "\\", "[0,0]", "{.a}", "['a']", "1.", "a=", "[?(@=='a')]"):
            try:
                JsonPath.parse("{" + piece * size)
            except JsonPathError:
                continue
        return time.perf_counter() - begun

    # A quadratic reader would need a hundred times as long.
    assert min(seconds(8_000) for _ in range(2)) < 40 * min(seconds(800) for _ in range(2)) + 0.05


def test_rendering_takes_steps_in_proportion_to_size(monkeypatch: pytest.MonkeyPatch) -> None:
    pods = {"items": [POD] * 100}
    monkeypatch.setattr(jsonpath, "FREE_STEPS", 0)

    for template in (
        "{..image}",
        "{range .items[*]}{.metadata.name}{end}",
        '{.items[?(@.kind=="Pod")].metadata.name}',
        "{range .items[*]}{range .spec.containers[*]}{.image}{end}{end}",
    ):
        assert JsonPath.parse(template).render(pods)
