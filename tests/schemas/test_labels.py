"""Labels and selectors, as Kubernetes reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import labels
from schemas.labels import LabelError

PROD = {"env": "prod", "tier": "web", "example.com/region": "eu-1", "empty": ""}


@pytest.mark.parametrize(
    ("text", "is_chosen"),
    [
        ("env=prod", True),
        ("env==prod", True),
        ("env = prod", True),
        ("env=dev", False),
        ("env!=dev", True),
        ("nothing!=dev", True),
        ("env!=prod", False),
        ("env", True),
        ("nothing", False),
        ("!nothing", True),
        ("! env", False),
        ("empty=", True),
        ("env=", False),
        ("empty", True),
        ("tier in (web, api)", True),
        ("tier in(web)", True),
        ("tier in (api)", False),
        ("tier notin (api,db)", True),
        ("nothing notin (api)", True),
        ("nothing in (api)", False),
        ("tier notin (web)", False),
        ("empty in (,a)", True),
        ("env=prod,tier=web", True),
        (" env = prod , tier in (web) , !spot ", True),
        ("env=prod,tier=db", False),
        ("example.com/region=eu-1", True),
        ("in=prod", False),
        ("notin", False),
        ("in in (in)", False),
    ],
)
def test_a_selector_chooses(text: str, is_chosen: bool) -> None:
    assert labels.selector(text).matches(PROD) is is_chosen


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", ",", "env=prod,", ",env", "env=a=b", "env in", "env in ()x", "env in (a", "(a)", "env prod", "!"),
        *("!!a", "env=prod;x", "env in (a b)", "-env", "env=-a", "a/b/c=d", "/x=1", "env!prod", "x" * 64, "env>1"),
        *("a=" + "x" * 64, ",".join(["a"] * 33), "UPPER.com/x", "env,,tier", "a" * 1025, "env=\n-"),
    ],
)
def test_what_is_no_selector(text: str) -> None:
    with pytest.raises(LabelError):
        labels.selector(text)


def test_labels_are_read() -> None:
    assert labels.parse(["env=prod", "a.b/c=", "x=1"]) == {"env": "prod", "a.b/c": "", "x": "1"}
    for pairs in (["env"], ["env=a", "env=b"], ["=a"], ["a b=c"], ["env=a b"], [f"k{n}=v" for n in range(33)]):
        with pytest.raises(LabelError):
            labels.parse(pairs)


@given(st.text(alphabet="ab!=,() inot-./", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        chosen = labels.selector(text)
    except LabelError:
        return
    chosen.matches(PROD)


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "text", ["a" * 1024, "a." * 512, "a, " * 341, "(" * 1024, "a in (" * 170, " " * 1024, "a" + " " * 1000 + "b"]
)
def test_hostile_text_is_read_in_no_time(text: str) -> None:
    with pytest.raises(LabelError):
        labels.selector(text)
