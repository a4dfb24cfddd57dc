"""The command nearest to a refused one: it may run, and to find it takes no time worth speaking of."""

import time
from collections.abc import Sequence

import pytest

from schemas.kubectl import KubectlCommand, Scope, admit, nearest, parse

SCOPE = Scope(("get", "describe"), ("shop", "team-*"), None, ("secrets", "ev"))


def check(command_type: str, args: Sequence[str]) -> KubectlCommand:
    return admit(parse(command_type, args), (("key", SCOPE),))


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("get pods -A", "get --namespace=shop -- pods"),
        ("get pods -n team-a", "get --namespace=team-a -- pods"),
        ("get pods -n x --raw=/api", "get --namespace=shop -- pods"),
        ("get cm,secret,po -n shop", "get --namespace=shop -- configmaps,pods"),
        ("describe pod x", "describe --namespace=shop --show-events=false -- pods x"),
        ("describe -n shop -- pod x", "describe --namespace=shop --show-events=false -- pods x"),
        ("get secrets -n shop", None),
        ("get nodes", None),
        ("delete pods", None),
        ("logs web-0 -n shop", None),
        ("get pods -o go-template-file=/x -n shop", None),
    ],
)
def test_nearest(asked: str, near: str | None) -> None:
    verb, *args = asked.split()
    found = nearest(verb, args, check)
    assert (None if found is None else " ".join(found)) == near
    if found is not None:
        assert check(found[0], found[1:]).argv() == found


def test_it_gives_up_on_what_names_thousands() -> None:
    started = time.process_time()
    assert nearest("get", ["-n", "shop", ",".join(["secrets"] * 900)], check) is None
    assert nearest("get", ["-n", "shop", ",".join(["w"] * 4000)], check) is None
    assert time.process_time() - started < 1.0
