"""agent/executors/native/verbs/outputs.py: a List in pieces is the List. The rest is in the printers' tests."""

import contextlib
import copy
import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.executors.native.errors import CommandFailed
from agent.executors.native.verbs.outputs import Output, Sorted, named, output_of
from schemas import kubectl
from tests.support.fake_api_server import RESOURCES

_FORMS = (
    "json",
    "yaml",
    "name",
    "jsonpath={.items[*].metadata.name}",
    "jsonpath={.items[*].metadata.labels.k}",
    "jsonpath={.items[*].list[*]}",
    "jsonpath={range .items[*]}{.metadata.name}{'\\n'}{end}",
    'jsonpath={range .items[*]}{.metadata.labels.k}: "{.list[*]}"{"\\t"}{end}',
    "jsonpath={.items}",
    "jsonpath-as-json={.items[*].metadata.name}",
    "custom-columns=N:.metadata.name,K:.metadata.labels.k",
)

_names = st.sampled_from(["", "a", "b", "web-0", "ü"])
_objects = st.builds(
    lambda name, labels, values: {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels, "managedFields": [{"manager": "m"}]},
        "list": values,
    },
    _names,
    st.dictionaries(st.sampled_from(["k", "l"]), _names),
    st.lists(st.integers(0, 3), max_size=2),
)


def whole(output: Output, pages: Sequence[Sequence[dict[str, Any]]]) -> str:
    """A List fed in pages."""
    return "".join([*(output.items(page) for page in copy.deepcopy(pages) if page), output.end()])


@pytest.mark.parametrize("form", _FORMS)
@given(st.lists(st.lists(_objects, max_size=3), max_size=4))
def test_pieces_make_up_the_whole(form: str, pages: list[list[dict[str, Any]]]) -> None:
    command = kubectl.parse("get", ["pods", "-o", form])
    at_once = [item for page in pages for item in page]
    assert whole(output_of(command), pages) == whole(output_of(command), [at_once])


@given(st.lists(st.lists(_objects, max_size=3), max_size=4))
def test_sorted_pieces_make_up_the_whole(pages: list[list[dict[str, Any]]]) -> None:
    command = kubectl.parse("get", ["pods", "-o", "name"])
    at_once = [item for page in pages for item in page]
    pieces = whole(Sorted(output_of(command), ".metadata.name"), pages)
    assert pieces == whole(Sorted(output_of(command), ".metadata.name"), [at_once])
    assert sorted(pieces.splitlines()) == sorted(whole(output_of(command), [at_once]).splitlines())


@pytest.mark.parametrize(
    ("template", "holds_items"),
    [
        ("{.items[*].metadata.name}", False),
        ("{.items[*]}", False),
        ("{.items[*].spec.containers[0].image}", True),
        ("{range .items[*]}{.spec.containers[0].image}{end}", False),
        ("{range .items[*]}{.metadata.name} {.status.phase}{'\\n'}{end}", False),
        ("{range .items[*]}{end}", False),
        ("{.items}", True),
        ("{.items[0].metadata.name}", True),
        ("{.kind}", True),
        ("{.items[*].metadata.name}\\n", True),
        ("{.items[*].a}{.items[*].b}", True),
        ("{range .items[*]}{.a}{end}{.kind}", True),
        ("{range .items[*]}{range .b[*]}{.c}{end}{end}", True),
        ("{range .items[*]}{$.kind}{end}", True),
        ("{range .items[*]}{..a}{end}", True),
        ("{range .items[?(@.a)]}{.a}{end}", True),
    ],
)
def test_what_has_to_be_held(template: str, holds_items: bool) -> None:
    assert output_of(kubectl.parse("get", ["pods", "-o", f"jsonpath={template}"])).holds_items is holds_items


@pytest.mark.parametrize("part", ["{.a}", "a", "{'a'}", "{.a[*]", "\\", "{'\\", ".a", "[0]", "{range .items[*]}"])
def test_a_long_template_is_looked_at_in_no_time(part: str) -> None:
    # Read by jsonpath before it comes to that, which may refuse it.
    template = f"{{range .items[*]}}{part * (7000 // len(part))}"
    start = time.perf_counter()
    for end in ("", "{end}", "{end}}"):
        with contextlib.suppress(CommandFailed):
            output_of(kubectl.parse("get", ["pods", "-o", f"jsonpath={template}{end}"]))
    assert time.perf_counter() - start < 2


def test_metadata_gets_its_kind_back() -> None:
    deployments = next(resource for resource in RESOURCES if resource.kind == "Deployment")
    partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "web"}}
    other = {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {"name": "web"}}
    output = output_of(kubectl.parse("get", ["deploy", "-o", "name"]))
    assert output.items(named([partial, other], deployments)) == "deployment.apps/web\nscale.autoscaling/web\n"
