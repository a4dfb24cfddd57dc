"""What holds for every command the grammar accepts, and for every one it refuses, whatever is sent."""

import re
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.kubectl import GRAMMARS, VERBS, KubectlCommand, Refusal, parse
from schemas.kubectl.conflicts import secret_operand
from schemas.kubectl.verbs import Flag
from tests.support.flag_samples import sample

# kubectl's own flags, from `kubectl options` and `kubectl <verb> --help` of 1.33, as "name/short"; `!` marks switches.
GLOBAL = """
    as as-group as-uid cache-dir certificate-authority client-certificate client-key cluster context
    disable-compression! insecure-skip-tls-verify! kubeconfig log-flush-frequency match-server-version! namespace/n
    password profile profile-output request-timeout server/s tls-server-name token user username v/v vmodule
    warnings-as-errors! help/h!
"""
LOCAL = {
    "get": """
        all-namespaces/A! allow-missing-template-keys! chunk-size field-selector filename/f ignore-not-found!
        kustomize/k label-columns/L no-headers! output/o output-watch-events! raw recursive/R! selector/l
        server-print! show-kind! show-labels! show-managed-fields! sort-by subresource template watch/w! watch-only!
    """,
    "describe": "all-namespaces/A! chunk-size filename/f kustomize/k recursive/R! selector/l show-events!",
    "logs": """
        all-containers! all-pods! container/c follow/f! ignore-errors! insecure-skip-tls-verify-backend! limit-bytes
        max-log-requests pod-running-timeout prefix! previous/p! selector/l since since-time tail timestamps!
    """,
    "events": """
        all-namespaces/A! allow-missing-template-keys! chunk-size for no-headers! output/o show-managed-fields!
        template types watch/w!
    """,
    "rollout-status": "filename/f kustomize/k recursive/R! revision selector/l timeout watch/w!",
    "rollout-history": """
        allow-missing-template-keys! filename/f kustomize/k output/o recursive/R! revision selector/l
        show-managed-fields! template
    """,
    "version": "client! output/o",
    "auth-can-i": "all-namespaces/A! list! no-headers! quiet/q! subresource",
}
OURS = {"get": {"limit"}}


def table(verb: str) -> tuple[dict[str, bool], dict[str, str]]:
    """Whether each long name is a switch, and the long name of each letter."""
    switches: dict[str, bool] = dict.fromkeys(OURS.get(verb, ()), False)
    letters: dict[str, str] = {}
    for word in (GLOBAL + LOCAL[verb]).split():
        name, _, letter = word.rstrip("!").partition("/")
        switches[name] = word.endswith("!")
        if letter:
            letters[letter] = name
    return switches, letters


def pflag(verb: str, words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The names of the flags and the operands kubectl would see; written apart from the grammar. Raises ValueError."""
    switches, letters = table(verb)
    names: list[str] = []
    operands: list[str] = []
    pending = list(words)
    while pending:
        word = pending.pop(0)
        if word == "--":
            return names, operands + pending
        if word.startswith("--"):
            name, equals, _ = word[2:].partition("=")
            name = name.replace("_", "-")
            if name not in switches:
                raise ValueError(word)
            names.append(name)
            if not equals and not switches[name]:
                if not pending:
                    raise ValueError(word)
                pending.pop(0)
        elif word.startswith("-") and word != "-":
            bundle = word[1:]
            while bundle:
                if bundle[0] not in letters:
                    raise ValueError(word)
                name, bundle = letters[bundle[0]], bundle[1:]
                names.append(name)
                if len(bundle) > 1 and bundle[0] == "=":
                    bundle = ""
                elif not switches[name]:
                    if not bundle:
                        if not pending:
                            raise ValueError(word)
                        pending.pop(0)
                    bundle = ""
        else:
            operands.append(word)
    return names, operands


ALLOWED = {verb: {flag.name for g in GRAMMARS.values() if g.verb == verb for flag in g.flags} for verb in VERBS}
DENIED = {row.name for grammar in GRAMMARS.values() for row in grammar.denied}
NAMES = sorted(DENIED | {name for names in ALLOWED.values() for name in names})
VALUES = ["x", "yaml", "wide", "name", "5", "5s", "true", "F", "secret", "a/b", "..", "/etc/passwd", "-A", "--", ""]
OPERANDS = [
    *("pods", "po,svc", "secret", "SECRETS.v1.", "pod/web", "secret/x", "cm,secret", "web-0", "credit-svc-0"),
    *("history", "status", "can-i", "pod", "--", "-", "..", "--server=https://x", "a%2fb", "jsonpath={.data}"),
]


def long_form(name: str, value: str, form: int) -> list[str]:
    return [[f"--{name}={value}"], [f"--{name}", value], [f"--{name.replace('-', '_')}"]][form]


def short_form(bundle: str, value: str, form: int) -> list[str]:
    return [[f"-{bundle}"], [f"-{bundle}", value], [f"-{bundle}={value}"], [f"-{bundle}{value}"]][form]


def words_of(size: int) -> st.SearchStrategy[str]:
    """Text without what is refused before anything else is looked at."""
    return st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=size)


value = st.sampled_from(VALUES) | words_of(6)
long_flag = st.builds(long_form, st.sampled_from(NAMES) | words_of(6), value, st.integers(0, 2))
short_flags = st.builds(short_form, st.text("AolnwfckRsLvphqA", min_size=1, max_size=4), value, st.integers(0, 3))
operand = (st.sampled_from(OPERANDS) | words_of(8)).map(lambda word: [word])
wild = st.lists(long_flag | short_flags | operand, max_size=6)


def flag_forms(flag: Flag) -> list[list[str]]:
    given = sample(flag)
    forms = [[f"--{flag.name}={given}"], [f"--{flag.name.replace('-', '_')}={given}"]]
    forms.append([f"--{flag.name}"] if flag.is_switch else [f"--{flag.name}", given])
    if flag.short:
        forms += [[f"-{flag.short}"], [f"-{flag.short}={given}x"]] if flag.is_switch else [[f"-{flag.short}", given]]
        forms += [] if flag.is_switch else [[f"-{flag.short}{given}"], [f"-{flag.short}={given}"]]
    return forms


RESOURCES = [
    ["pods"],
    ["po", "web-0", "--", "web-1"],
    ["pod/web", "svc/x"],
    ["secret"],
    ["cm,SECRETS."],
    ["a/x", "secret/y"],
]
HONEST_OPERANDS: dict[str, list[list[str]]] = {
    "get": RESOURCES,
    "describe": RESOURCES,
    "explain": [["pods.spec"], ["secret.data"]],
    "logs": [["web-0"], ["deploy/web", "app"]],
    "top pod": [["web-0"]],
    "top node": [["n1"]],
    "auth can-i": [["get", "secrets"], ["list", "pods/x"], ["get", "/healthz"]],
    "rollout status": RESOURCES,
    "rollout history": RESOURCES,
}


def honest(key: str) -> st.SearchStrategy[tuple[str, list[str]]]:
    """Commands with the flags of one table, most of them accepted: flags, then names, then flags."""
    grammar = GRAMMARS[key]
    flags = st.lists(st.sampled_from([form for flag in grammar.flags for form in flag_forms(flag)]), max_size=3)
    bundles: st.SearchStrategy[list[list[str]]] = st.lists(
        st.sampled_from([["-Aowide"], ["-wAo", "name"], ["-An", "x"], ["-pf"], ["-wnx"]]), max_size=1
    )
    names = HONEST_OPERANDS.get(key, [])
    middle: st.SearchStrategy[list[list[str]]] = st.sampled_from([[], *([name] for name in names)])
    second = [key.split()[1]] if grammar.verb == "top" else []

    def put_together(parts: tuple[list[list[str]], ...]) -> tuple[str, list[str]]:
        return grammar.verb, second + [word for part in parts for form in part for word in form]

    return st.tuples(flags, bundles, middle, flags).map(put_together)


commands = st.one_of(
    st.sampled_from(list(GRAMMARS)).flatmap(honest),
    st.tuples(
        st.sampled_from([*VERBS, "rollout", "auth"]), wild.map(lambda parts: [word for part in parts for word in part])
    ),
)


def accepted(command_type: str, args: Sequence[str]) -> KubectlCommand | None:
    try:
        return parse(command_type, args)
    except Refusal as refusal:
        assert refusal.reason
        assert refusal.reason.isprintable()
        assert refusal.rule
        if refusal.argument is not None:
            assert refusal.argument in refusal.reason
        return None


@settings(max_examples=500)
@given(commands)
def test_the_canonical_form_means_the_same(sent: tuple[str, list[str]]) -> None:
    command = accepted(*sent)
    if command is not None:
        verb, *rest = command.argv()
        assert parse(verb, rest) == command
        assert parse(verb, rest).argv() == command.argv()


@settings(max_examples=500)
@given(commands)
def test_kubectl_gets_allowed_flags_with_their_values_and_then_plain_names(sent: tuple[str, list[str]]) -> None:
    command = accepted(*sent)
    if command is None:
        return
    argv = command.kubectl_argv()
    end = argv.index("--") if "--" in argv else len(argv)
    verb_words = {"auth": 2, "rollout": 2, "top": 2}.get(argv[0], 1)
    assert not any(word.startswith("-") for word in argv[:verb_words])
    for word in argv[verb_words:end]:
        match = re.fullmatch(r"--([a-z-]+)=.*", word)
        assert match is not None, word
        assert match[1] in ALLOWED[command.verb] - {"limit"}
    for word in argv[end + 1 :]:
        assert word
        assert not word.startswith("-")
        assert "%" not in word or command.verb == "auth-can-i"
        if command.verb != "auth-can-i":
            assert word.count("/") <= 1
            assert not {".", "..", ""} & set(word.split("/"))


@settings(max_examples=500)
@given(commands)
def test_another_reading_of_the_same_words_sees_the_same_flags(sent: tuple[str, list[str]]) -> None:
    verb, args = sent
    command = accepted(verb, args) if verb in LOCAL else None
    if command is None:
        return
    names, operands = pflag(verb, args)
    assert set(names) == {name for name, _ in command.flags}
    assert operands == list(command.operands)
    names, operands = pflag(verb, command.argv()[1:])
    assert names == [name for name, _ in command.flags]
    assert operands == list(command.operands)
    assert not {name for name in names if name not in ALLOWED[verb]}


@settings(max_examples=500)
@given(st.one_of(honest("get"), honest("describe")))
def test_secrets_never_leave_with_their_values(sent: tuple[str, list[str]]) -> None:
    command = accepted(*sent)
    if command is None or not command.operands:
        return
    types = (
        [operand.split("/")[0] for operand in command.operands]
        if "/" in command.operands[0]
        else command.operands[0].split(",")
    )
    if any(re.match(r"secrets?(\.|$)", word, re.IGNORECASE) for word in types):
        assert secret_operand(command) is not None  # what keeps them from kubectl
        assert command.output not in {"go-template", "template"}
        assert not command.flag("template")


@settings(max_examples=500)
@given(st.text(max_size=20), st.lists(st.text(max_size=20) | st.text("-=_Aonf. /", max_size=8), max_size=6))
def test_any_text_is_accepted_or_refused(command_type: str, args: list[str]) -> None:
    accepted(command_type, args)


@settings(max_examples=500)
@given(st.sampled_from(VERBS), st.lists(st.text(st.characters(), max_size=12), max_size=4))
def test_any_unicode_is_accepted_or_refused(verb: str, args: list[str]) -> None:
    """`characters()` with no bounds has surrogates and control characters as well."""
    accepted(verb, args)
