"""What a limited key, hub or policy lets through, and every way around it that somebody might try."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.kubectl import VERBS, KubectlCommand, Refusal, Scope, parse, unclear_kind
from schemas.kubectl.kinds import KINDS, kind_of

TEAM = Scope(namespaces=("team-*", "shop"))
NO_SECRETS = Scope(denied_kinds=("secrets",))
NO_WIDGETS = Scope(denied_kinds=("widgets.example.com",))
PODS = Scope(kinds=("pods",))


def rule(scope: Scope, *argv: str) -> str | None:
    """Why a command may not run; None: it may."""
    try:
        scope.check(parse(argv[0], argv[1:]), "key")
    except Refusal as refusal:
        return refusal.rule
    return None


SECRET_FORMS = [
    "secret", "secrets", "Secret", "SECRETS", "sEcReT", "secrets.v1.", "secret.v1.", "secrets.", "secrets.example.com",
    "secrets.v1.example.com", "cm,secrets", "secrets,cm", "pods,Secret,svc",
]  # fmt: skip


@pytest.mark.parametrize("form", SECRET_FORMS)
@pytest.mark.parametrize("verb", ["get", "describe"])
def test_a_denied_kind_is_denied_in_every_form(verb: str, form: str) -> None:
    assert rule(NO_SECRETS, verb, form) == "kind_not_allowed"
    assert rule(NO_SECRETS, verb, form, "x") == "kind_not_allowed"
    if "," not in form:
        assert rule(NO_SECRETS, verb, f"{form}/x") == "kind_not_allowed"
        assert rule(NO_SECRETS, verb, "pod/a", f"{form}/x") == "kind_not_allowed"


@pytest.mark.parametrize(
    "argv",
    [
        ("get", "--show-kind", "secret"), ("get", "-o", "name", "secret"), ("get", "secret", "-o=jsonpath={.items}"),
        ("get", "secret", "-o", "custom-columns=A:.data"), ("get", "secret", "-A"), ("get", "--", "secret"),
        ("get", "secret", "--watch"), ("get", "secret", "--sort-by=.data"), ("get", "secret", "--subresource=status"),
        ("describe", "serviceaccounts", "default"),
    ],
)  # fmt: skip
def test_a_denied_kind_is_denied_with_every_flag(argv: tuple[str, ...]) -> None:
    assert rule(NO_SECRETS, *argv) == "kind_not_allowed"


@pytest.mark.parametrize(
    "look_alike", ["ѕecrets", "secrets\u200b", "secr\u00e9ts", "secrets", "s\u0435crets", "secrets\n"]
)
def test_look_alikes_are_no_kinds_at_all(look_alike: str) -> None:
    with pytest.raises(Refusal):
        NO_SECRETS.check(parse("get", [look_alike]), "key")


def test_others_are_not_denied() -> None:
    for word in ("pods", "po", "sealedsecrets.bitnami.com", "configmaps", "all", "widgets", "secretstores"):
        assert rule(NO_SECRETS, "get", word) is None
    assert rule(NO_SECRETS, "logs", "secrets-sync-0") is None
    assert rule(NO_SECRETS, "get", "pods", "secrets") is None
    assert rule(NO_SECRETS, "explain", "secrets") is None


def test_a_word_that_only_the_cluster_knows_may_be_what_is_denied() -> None:
    for word in (
        "widgets",
        "wd",
        "anything",
        "widgets.example.com",
        "wd.example.com",
        "widgets.exa",
        "w.v1.example.com",
    ):
        assert rule(NO_WIDGETS, "get", word) == "kind_not_allowed"
    for word in ("pods", "gadgets.example.org", "deploy", "deployments.apps", "services.serving.knative.dev"):
        assert rule(NO_WIDGETS, "get", word) is None
    assert rule(NO_WIDGETS, "get", "all") == "kind_not_allowed"


def test_only_what_is_surely_allowed_is() -> None:
    for word in ("pods", "po", "Pod", "pods.v1.", "pod/x"):
        assert rule(PODS, "get", word) is None
    for word in (
        "pods,cm",
        "all",
        "pods.example.com",
        "pods.v1beta1.",
        "pods.metrics.k8s.io",
        "podz",
        "services",
        "api-extensions",
    ):
        assert rule(PODS, "get", word) == "kind_not_allowed"
    assert rule(PODS, "logs", "web-0") is None
    assert rule(PODS, "logs", "deploy/web") == "kind_not_allowed"
    assert rule(PODS, "top", "pods") is None
    assert rule(PODS, "top", "nodes") == "kind_not_allowed"
    assert rule(PODS, "events") == "kind_not_allowed"
    assert rule(PODS, "cluster-info") == "kind_not_allowed"
    assert rule(PODS, "version") is None
    widgets = Scope(kinds=("widgets.example.com",))
    assert rule(widgets, "get", "widgets.example.com") is None
    assert rule(widgets, "get", "widgets.v1.example.com") == "kind_not_allowed"
    assert rule(widgets, "get", "widgets") == "kind_not_allowed"
    assert rule(widgets, "get", "widgets.example") == "kind_not_allowed"


def test_what_is_shown_beside() -> None:
    no_events = Scope(denied_kinds=("ev",))
    assert rule(no_events, "describe", "pod", "x") == "kind_not_allowed"
    assert rule(no_events, "describe", "pod", "x", "--show-events=false") is None
    assert rule(no_events, "get", "pods") is None
    no_pods = Scope(denied_kinds=("pods",))
    assert rule(no_pods, "describe", "node", "x") == "kind_not_allowed"
    assert rule(no_pods, "get", "nodes") is None
    assert rule(no_pods, "get", "all") == "kind_not_allowed"
    assert rule(no_pods, "logs", "deploy/web") == "kind_not_allowed"


def test_namespaces() -> None:
    assert rule(TEAM, "get", "pods", "-n", "team-a") is None
    assert rule(TEAM, "get", "pods", "--namespace=shop") is None
    assert rule(TEAM, "get", "pods", "-A=false", "-n", "shop") is None
    assert rule(TEAM, "get", "ns", "team-a", "shop") is None
    assert rule(TEAM, "version") is None
    assert rule(TEAM, "auth-can-i", "list", "pods") is None
    widgets = Scope(namespaces=("shop",), kinds=("widgets.example.com",))
    assert rule(widgets, "get", "widgets.example.com", "-n", "shop") is None


@pytest.mark.parametrize(
    "argv",
    [
        ("get", "pods"), ("get", "pods", "-A"), ("get", "pods", "-A", "-n", "shop"), ("get", "pods", "-n", "shop-2"),
        ("get", "pods", "-n", "shop", "-n", "kube-system"), ("get", "pods", "--all-namespaces=true"),
        ("get", "pods", "--namespace="), ("get", "pods", "-n", "Shop"), ("get", "nodes"),
        ("get", "pods,nodes", "-n", "shop"),
        ("get", "ns"), ("get", "ns", "shop", "default"), ("get", "ns/shop", "ns/default"), ("get", "pv", "x"),
        ("get", "ns", "-l", "a=b"), ("describe", "ns"), ("get", "widgets.example.com", "-n", "shop"),
        ("get", "all", "-n", "shop"), ("logs", "web-0"), ("logs", "-l", "a=b", "-A=true"), ("events", "-A"),
        ("events",),
        ("top", "nodes"), ("top", "pods", "-A"), ("cluster-info",), ("rollout-status", "deploy/web"),
        ("get", "pods", "--field-selector=metadata.namespace=shop"), ("get", "clusterroles", "-n", "shop"),
    ],
)  # fmt: skip
def test_beyond_its_namespaces(argv: tuple[str, ...]) -> None:
    try:
        command = parse(argv[0], argv[1:])
    except Refusal:
        return  # no verb has the flag: even better
    with pytest.raises(Refusal) as caught:
        TEAM.check(command, "key")
    assert caught.value.rule == "namespace_not_allowed"


def test_command_types() -> None:
    scope = Scope(command_types=("get", "rollout-status"))
    assert rule(scope, "get", "pods") is None
    assert rule(scope, "rollout", "status", "deploy/web") is None
    assert rule(scope, "rollout", "history", "deploy/web") == "verb_not_allowed"
    assert rule(scope, "logs", "web-0") == "verb_not_allowed"


def test_which_words_a_scope_takes() -> None:
    assert unclear_kind(["pods", "PO", "deploy.apps", "widgets.example.com"]) is None
    for word in ("all", "widgets", "widgets.example", "widgets.v1.example.com", "api-extensions"):
        assert unclear_kind(["pods", word]) == word


def test_every_kind_of_the_table_is_found_by_all_its_words() -> None:
    words = list(itertools.chain.from_iterable((kind.plural, kind.singular, *kind.short_names) for kind in KINDS))
    assert len(words) - len(set(words)) == sum(kind.plural == kind.singular for kind in KINDS)
    for kind in KINDS:
        for word in (kind.plural, kind.singular, *kind.short_names, str(kind)):
            assert kind_of(word) == kind
            assert kind_of(word.upper()) == kind


SCOPES = st.builds(
    Scope,
    command_types=st.none() | st.lists(st.sampled_from(VERBS), min_size=1, max_size=3).map(tuple),
    namespaces=st.none() | st.lists(st.sampled_from(["a", "b", "team-*", "team-1", "*"]), min_size=1).map(tuple),
    kinds=st.none()
    | st.lists(st.sampled_from(["pods", "po", "cm", "secrets", "widgets.example.com"]), min_size=1).map(tuple),
    denied_kinds=st.lists(st.sampled_from(["pods", "secrets", "w.example.com"]), max_size=2).map(tuple),
)
COMMANDS = st.builds(
    lambda verb, word, namespace: parse(verb, [word, *namespace]),
    st.sampled_from(["get", "describe"]),
    st.sampled_from(["pods", "cm,secret", "w", "widgets.example.com", "nodes", "all", "ns/a", "gadgets.example.org"]),
    st.sampled_from([[], ["-A"], ["-n", "a"], ["-n", "team-1"], ["-n", "c"]]),
)


@given(SCOPES, SCOPES, COMMANDS)
def test_what_takes_in_another_lets_through_all_that_it_does(
    wide: Scope, narrow: Scope, command: KubectlCommand
) -> None:
    if wide.takes_in(narrow) and passes(narrow, command):
        assert passes(wide, command)


def test_to_list_a_foreign_kind_is_to_say_that_it_lies_in_namespaces() -> None:
    assert not Scope(namespaces=("a",)).takes_in(Scope(namespaces=("a",), kinds=("widgets.example.com",)))
    assert Scope(namespaces=("a",)).takes_in(Scope(namespaces=("a",), kinds=("pods",)))


@given(SCOPES)
def test_a_scope_takes_in_itself(scope: Scope) -> None:
    assert scope.takes_in(scope)
    assert Scope().takes_in(scope)


def passes(scope: Scope, command: KubectlCommand) -> bool:
    """Whether a command may run."""
    try:
        scope.check(command, "key")
    except Refusal:
        return False
    return True
