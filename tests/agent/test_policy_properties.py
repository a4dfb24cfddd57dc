"""What a policy or key takes a word for, and what a cluster would: never less than what is asked for.

The cluster here is the native executor's `Catalogue`, which resolves words as kubectl does; it has all of Kubernetes'
own kinds, and custom ones with names, short names and categories as hostile as a cluster's user may make them.
"""

from collections.abc import Sequence
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.executors.native.resources import Catalogue, Resource
from schemas.kubectl import KubectlCommand, Refusal, Scope, admit, parse
from schemas.kubectl.kinds import KINDS, Kind
from schemas.kubectl.operands import resource_types

OWN: Final = [
    Resource(
        group,
        version,
        kind.singular.capitalize(),
        kind.plural,
        kind.singular,
        kind.is_namespaced,
        kind.short_names,
        ("all",) if kind.is_in_all else (),
    )
    for kind in sorted(KINDS, key=lambda kind: kind.group)
    for group, version in [(kind.group, "v1"), (kind.group, "v1beta1")]
]
WORDS: Final = sorted({word for kind in KINDS for word in (kind.plural, kind.singular, *kind.short_names)})
GROUPS: Final = ("example.com", "exa.mple", "v1.example.com", "secrets.io", "apps.example.com", "core", "v1")
NAMES: Final = st.sampled_from(
    ["secrets", "secret", "widgets", "widget", "wd", "pods", "po", "all", "nodes", "gadgets", "x"]
)
CUSTOM: Final = st.lists(
    st.builds(
        Resource,
        st.sampled_from(GROUPS),
        st.sampled_from(["v1", "v1alpha1"]),
        st.sampled_from(["Secret", "Widget", "Pod", "Gadget"]),
        NAMES,
        NAMES,
        st.booleans(),
        st.lists(NAMES, max_size=3).map(tuple),
        st.lists(st.sampled_from(["all", "widgets", "secrets"]), max_size=2).map(tuple),
    ),
    max_size=4,
)
CASES: Final = (str.lower, str.upper, str.capitalize, str.swapcase)
SUFFIXES: Final = (
    "",
    ".",
    ".v1",
    ".v1.",
    ".v1beta1.",
    *(f".{group}" for group in GROUPS),
    ".v1.example.com",
    ".exa",
    ".apps",
)


@st.composite
def asked(draw: st.DrawFn) -> list[str]:
    """The words of a `get`, as somebody who wants around a rule might write them."""

    def word() -> str:
        plain = draw(NAMES | st.sampled_from(WORDS))
        return draw(st.sampled_from(CASES))(plain) + draw(st.sampled_from(SUFFIXES))

    words = [word() for _ in range(draw(st.integers(1, 3)))]
    match draw(st.integers(0, 2)):
        case 0:
            operands = [",".join(words)]
        case 1:
            operands = [",".join(words), "x"]
        case _:
            operands = [f"{each}/x" for each in words]
    flags = draw(
        st.sampled_from([[], ["-n", "shop"], ["-n", "Shop"], ["-nshop", "-A=false"], ["-A"], ["-n", "bank", "-nshop"]])
    )
    return [*flags, *operands] if draw(st.booleans()) else [*operands, *flags]


def meant(catalogue: Catalogue, command: KubectlCommand | None) -> list[Resource]:
    """What a cluster would read for a command that was let through; None: nothing was."""
    found: list[Resource] = []
    for word, _ in resource_types(command.operands if command is not None else ()):
        resource = catalogue.find(word)
        found += [resource.resource] if resource is not None else catalogue.category(word)
    return found


def admitted(scope: Scope, args: Sequence[str]) -> KubectlCommand | None:
    try:
        return admit(parse("get", args), (("key", scope),))
    except Refusal:
        return None


def names(resources: Sequence[Resource]) -> set[str]:
    return {each.qualified for each in resources}


@given(CUSTOM, asked())
def test_what_is_denied_is_never_read(custom: list[Resource], args: list[str]) -> None:
    catalogue = Catalogue([*OWN, *custom])
    for kind in ("secrets", "widgets.example.com"):
        assert kind not in names(meant(catalogue, admitted(Scope(denied_kinds=(kind,)), args)))


@given(CUSTOM, asked())
def test_what_is_not_allowed_is_never_read(custom: list[Resource], args: list[str]) -> None:
    catalogue = Catalogue([*OWN, *custom])
    if "widgets.example.com" not in names(custom):
        return  # then its name may be another's short name; whoever lists kinds lists those that there are
    read = names(meant(catalogue, admitted(Scope(kinds=("po", "widgets.example.com")), args)))
    assert read <= {"pods", "widgets.example.com"}


@given(CUSTOM, asked())
def test_what_lies_in_no_namespace_of_ones_own_is_never_read(custom: list[Resource], args: list[str]) -> None:
    command = admitted(Scope(namespaces=("shop",)), args)
    for each in meant(Catalogue([*OWN, *custom]), command):
        assert command is not None
        assert each.is_namespaced  # of namespaces only one's own may be read, and none is asked for by its name here
        assert command.namespace == "shop"
        assert not command.is_set("all-namespaces")


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_table_is_what_a_cluster_has(kind: Kind) -> None:
    catalogue = Catalogue(OWN)
    for word in (kind.plural, kind.singular, *kind.short_names):
        found = catalogue.find(word)
        assert found is not None
        assert (found.resource.plural, found.resource.group) == (kind.plural, kind.group)
