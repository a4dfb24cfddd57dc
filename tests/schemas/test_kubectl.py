"""The grammar's tables: what is understood and in which canonical form, and what is refused by which rule."""

import shlex

import pytest

from schemas.kubectl import (
    GRAMMARS,
    MAX_ARGUMENT_BYTES,
    MAX_ARGUMENTS,
    MAX_TOTAL_BYTES,
    VERBS,
    KubectlCommand,
    Refusal,
    parse,
)
from schemas.kubectl.conflicts import secret_operand
from schemas.kubectl.verbs import Flag
from tests.support.flag_samples import sample

# What a caller writes, and the argv that kubectl gets.
ACCEPTED: dict[str, list[tuple[str, str | None]]] = {
    "get": [
        ("get", "get"),
        ("get pods -A --limit=10", "get --all-namespaces=true -- pods"),
        ("get -Aowide po", "get --all-namespaces=true --output=wide -- po"),
        ("get -wAo name pods", "get --all-namespaces=true --output=name --watch=true -- pods"),
        ("get pods -n kube-system", "get --namespace=kube-system -- pods"),
        ("get pods -nkube-system", "get --namespace=kube-system -- pods"),
        ("get pods -n=kube-system", "get --namespace=kube-system -- pods"),
        ("get pods --namespace kube-system", "get --namespace=kube-system -- pods"),
        ("get -n a pods -n b", "get --namespace=b -- pods"),
        ("get pods -n= a", "get --namespace== -- pods a"),  # pflag: a glued value of "="
        ("get pods --namespace= a", "get --namespace= -- pods a"),
        ("get --all_namespaces pods", "get --all-namespaces=true -- pods"),
        ("get pods --all-namespaces=false -A=T", "get --all-namespaces=true -- pods"),
        ("get pods --watch=F", "get --watch=false -- pods"),
        ("get -A true", "get --all-namespaces=true -- true"),  # a boolean never takes the next word
        ("get pods -- web-0 web-1", "get -- pods web-0 web-1"),
        ("get -- pods", "get -- pods"),
        ("get pod/web-0 svc/web", "get -- pod/web-0 svc/web"),
        ("get po,svc,deploy.apps", "get -- po,svc,deploy.apps"),
        ("get deployments.v1.apps/web", "get -- deployments.v1.apps/web"),
        ("get pods -L app -L tier,zone", "get --label-columns=app,tier,zone -- pods"),
        ("get pods -Lexample.com/tier", "get --label-columns=example.com/tier -- pods"),
        ("get pods -l 'app in (a, b),tier!=x'", "get '--selector=app in (a, b),tier!=x' -- pods"),
        ("get pods -l --raw=/api", "get --selector=--raw=/api -- pods"),  # pflag: the flag's value, whatever it is
        ("get pods -o yaml --show-managed-fields", "get --output=yaml --show-managed-fields=true -- pods"),
        ("get pods -o JSON", "get --output=json -- pods"),
        ("get pods -ojsonpath={.items[*].kind}", "get '--output=jsonpath={.items[*].kind}' -- pods"),
        ("get pods -o jsonpath-as-json={.items}", "get '--output=jsonpath-as-json={.items}' -- pods"),
        ("get pods -o custom-columns=N:.metadata.name", "get --output=custom-columns=N:.metadata.name -- pods"),
        ("get pods -o go-template={{.kind}}", "get '--output=go-template={{.kind}}' -- pods"),
        ("get pods --template {{.kind}}", "get '--template={{.kind}}' -- pods"),
        ("get pods -o template --template={{.kind}}", "get --output=template '--template={{.kind}}' -- pods"),
        ("get pods --sort-by=.metadata.name", "get --sort-by=.metadata.name -- pods"),
        ("get deploy web --subresource=scale", "get --subresource=scale -- deploy web"),
        ("get pods --chunk-size=0x1_0", "get --chunk-size=16 -- pods"),
        ("get pods --chunk-size 017", "get --chunk-size=15 -- pods"),
        ("get pods --request-timeout=5", "get --request-timeout=5s -- pods"),
        ("get pods --request-timeout 1m30s", "get --request-timeout=1m30s -- pods"),
        ("get clusterrole system:node", "get -- clusterrole system:node"),
        ("get all", "get -- all"),
        ("get pods -w --watch-only --output-watch-events", None),
        ("get pods --ignore-not-found --no-headers", "get --ignore-not-found=true --no-headers=true -- pods"),
        ("get pods --server-print=false --show-kind", "get --server-print=false --show-kind=true -- pods"),
        ("get pods --show-labels", "get --show-labels=true -- pods"),
        ("get pods --allow-missing-template-keys=0", "get --allow-missing-template-keys=false -- pods"),
    ],
    "describe": [
        ("describe pod web -n default", "describe --namespace=default -- pod web"),
        ("describe pods -Al app=x --show-events=false", None),
        ("describe po/a svc/b --chunk-size=5", "describe --chunk-size=5 -- po/a svc/b"),
        ("describe sealedsecret x", "describe -- sealedsecret x"),
    ],
    "explain": [
        ("explain pods.spec.containers --recursive", "explain --recursive=true -- pods.spec.containers"),
        ("explain secret.data", "explain -- secret.data"),
        ("explain deploy --api-version apps/v1", "explain --api-version=apps/v1 -- deploy"),
        ("explain deploy --output=plaintext", "explain --output=plaintext -- deploy"),
        ("explain customresourcedefinitions.spec.$ref", "explain -- 'customresourcedefinitions.spec.$ref'"),
    ],
    "version": [
        ("version", "version"),
        ("version --client -o json", "version --client=true --output=json"),
        ("version -oyaml", "version --output=yaml"),
    ],
    "cluster-info": [
        ("cluster-info", "cluster-info"),
        ("cluster-info --namespace dump", "cluster-info --namespace=dump"),  # the flag's value, no operand
    ],
    "api-resources": [
        ("api-resources", "api-resources"),
        (
            "api-resources --verbs=list,get --verbs watch --namespaced=false",
            "api-resources --namespaced=false --verbs=list,get,watch",
        ),
        ("api-resources --api-group= -o name", "api-resources --api-group= --output=name"),
        (
            "api-resources --cached --categories=all --sort-by=kind --no-headers -owide",
            "api-resources --cached=true --categories=all --no-headers=true --output=wide --sort-by=kind",
        ),
    ],
    "api-versions": [("api-versions", "api-versions")],
    "events": [
        ("events", "events"),
        ("events -A --types=Warning --for pod/web", "events --all-namespaces=true --for=pod/web --types=Warning"),
        ("events -wn web -o json", "events --namespace=web --output=json --watch=true"),
        ("events --for=secret/x --no-headers --chunk-size=10", None),
        (
            "events -o jsonpath={.items} --show-managed-fields --allow-missing-template-keys",
            "events --allow-missing-template-keys=true '--output=jsonpath={.items}' --show-managed-fields=true",
        ),
    ],
    "logs": [
        ("logs -f web -c app --tail=5", "logs --container=app --follow=true --tail=5 -- web"),
        ("logs deploy/web --since 1h30m", "logs --since=1h30m -- deploy/web"),
        ("logs -pf web", "logs --follow=true --previous=true -- web"),
        ("logs web app", "logs -- web app"),
        ("logs -l app=web --all-containers --prefix --max-log-requests 20", None),
        (
            "logs web --since-time=2024-01-20T10:30:45.5+01:00",
            "logs --since-time=2024-01-20T10:30:45.5+01:00 -- web",
        ),
        ("logs web --timestamps --limit-bytes=0 --tail=-1", "logs --limit-bytes=0 --tail=-1 --timestamps=true -- web"),
        ("logs deploy/web --all-pods --ignore-errors --pod-running-timeout=20s", None),
    ],
    "top": [
        ("top pods -A", "top pod --all-namespaces=true"),
        ("top po web --containers", "top pod --containers=true -- web"),
        ("top no", "top node"),
        ("top nodes n1 --show-capacity --sort-by=cpu", "top node --show-capacity=true --sort-by=cpu -- n1"),
        ("top -n x pod --sum -l a=b --field-selector=c=d", None),
        ("top pod --use-protocol-buffers=false --no-headers", None),
        ("top pod -- pod", "top pod -- pod"),
        ("top -n pod pod", "top pod --namespace=pod"),
    ],
    "auth-can-i": [
        ("auth can-i list jobs.batch/bar -n x", "auth can-i --namespace=x -- list jobs.batch/bar"),
        ("auth can-i get /logs/", "auth can-i -- get /logs/"),
        ("auth can-i '*' '*'", "auth can-i -- '*' '*'"),
        ("auth can-i get '*.apps'", "auth can-i -- get '*.apps'"),
        ("auth-can-i --list --no-headers", "auth can-i --list=true --no-headers=true"),
        ("auth-can-i get secrets -qA", "auth can-i --all-namespaces=true --quiet=true -- get secrets"),
        ("auth can-i get pods --subresource=log", "auth can-i --subresource=log -- get pods"),
    ],
    "auth-whoami": [
        ("auth whoami", "auth whoami"),
        ("auth-whoami -o yaml", "auth whoami --output=yaml"),
    ],
    "rollout-status": [
        ("rollout -n web status deploy web", "rollout status --namespace=web -- deploy web"),
        ("rollout --namespace=web status deploy/web", "rollout status --namespace=web -- deploy/web"),
        ("rollout -nweb status deploy/web", "rollout status --namespace=web -- deploy/web"),
        ("rollout -w=false status deploy/web", "rollout status --watch=false -- deploy/web"),
        ("rollout-status deploy/web --timeout=1m", "rollout status --timeout=1m -- deploy/web"),
        ("rollout status deploy -l app=x --revision=3", "rollout status --revision=3 --selector=app=x -- deploy"),
        ("rollout -n status status deploy/x", "rollout status --namespace=status -- deploy/x"),
    ],
    "rollout-history": [
        ("rollout history deploy/web --revision=2", "rollout history --revision=2 -- deploy/web"),
        ("rollout --revision 2 history deploy/web", "rollout history --revision=2 -- deploy/web"),
        ("rollout-history sts/db -o yaml", "rollout history --output=yaml -- sts/db"),
    ],
}

# Mistake 2 of every filter that looks for words inside words.
HONEST = [
    "get pod credit-svc-0",
    "get pods -l app=autoscaler",
    "get events --field-selector reason=FailedCreate",
    "get pods -o 'jsonpath={.items[*].metadata.name};{.kind}'",
    "logs exec-runner-delete",
    "describe deploy proxy-config",
    "get pod secret",
    "get cm secrets -o yaml",
    "get pod/secrets -o yaml",
    "get sealedsecrets,externalsecrets.external-secrets.io -o yaml",
    "get pods -n secrets -o yaml",
    "get rolebindings edit",
    "get pods --selector=--kubeconfig=/tmp/x",
]


def words(line: str) -> tuple[str, list[str]]:
    command_type, *args = shlex.split(line)
    return command_type, args


def refusal(command_type: str, args: list[str]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        parse(command_type, args)
    assert caught.value.argument is None or caught.value.argument in caught.value.reason
    return caught.value


def rule(line: str) -> str:
    return refusal(*words(line)).rule


@pytest.mark.parametrize(
    ("verb", "line", "expected"), [(verb, *row) for verb, rows in ACCEPTED.items() for row in rows]
)
def test_accepted_commands_become_canonical(verb: str, line: str, expected: str | None) -> None:
    command = parse(*words(line))
    assert command.verb == verb
    if expected is not None:
        assert command.kubectl_argv() == shlex.split(expected)
    again, *args = command.argv()
    assert again == verb
    assert parse(again, args) == command


def test_every_verb_has_accepted_forms() -> None:
    assert tuple(ACCEPTED) == VERBS


@pytest.mark.parametrize(("key", "flag"), [(key, flag) for key, grammar in GRAMMARS.items() for flag in grammar.flags])
def test_every_flag_is_accepted_in_every_form(key: str, flag: Flag) -> None:
    command_type, *second = key.split()
    value = sample(flag)
    forms = [[f"--{flag.name}={value}"], [f"--{flag.name.replace('-', '_')}={value}"]]
    if flag.is_switch:
        forms.append([f"--{flag.name}"])
    else:
        forms.append([f"--{flag.name}", value])
    if flag.short:
        forms += [[f"-{flag.short}"]] if flag.is_switch else [[f"-{flag.short}", value]]
        forms += [[f"-{flag.short}{value}"]] if value and not flag.is_switch else []
    for form in forms:
        command = parse(command_type, [*second, *form])
        assert command.flags == ((flag.name, value),)
        assert command.verb == GRAMMARS[key].verb


@pytest.mark.parametrize("line", HONEST)
def test_honest_words_that_look_like_something_else_are_accepted(line: str) -> None:
    command = parse(*words(line))
    assert parse(command.argv()[0], command.argv()[1:]) == command


@pytest.mark.parametrize("verb", ["version", "cluster-info", "api-resources", "api-versions", "events", "auth-whoami"])
def test_verbs_without_arguments_work(verb: str) -> None:
    assert parse(verb, []) == KubectlCommand(verb)


# Mistake 1: every way to smuggle a flag past a filter.


@pytest.mark.parametrize(
    "args",
    [
        "-Ashttp://evil",
        "-As http://evil",
        "-s=http://evil",
        "-s http://evil",
        "--server=http://evil",
        "--server http://evil",
        "--kubeconfig=/dev/stdin",
        "--kubeconfig /dev/stdin",
        "--context=x",
        "--cluster=x",
        "--user=x",
        "--token=x",
        "--username=x --password=x",
        "--client-certificate=x",
        "--client_key=x",
        "--certificate-authority=x",
        "--insecure-skip-tls-verify",
        "--insecure_skip_tls_verify=true",
        "--tls-server-name=x",
        "--as=system:admin",
        "--as-group=system:masters",
        "--as_group system:masters",
        "--as-uid=0",
        "--as-user-extra=a=b",
        "--cache-dir=/tmp",
        "--profile=cpu",
        "--profile-output=/etc/x",
        "-v9",
        "-v=9",
        "-v 9",
        "--v=9",
        "-Av9",
        "--vmodule=x=9",
        "--log-flush-frequency=1s",
        "--warnings-as-errors",
        "--match-server-version",
        "--disable-compression",
        "--kuberc=/x",
        "-h",
        "--help",
    ],
)
def test_global_flags_of_kubectl_are_denied_with_their_reason(args: str) -> None:
    for command_type, operands in (("get", ["pods"]), ("version", []), ("logs", ["web"]), ("auth-whoami", [])):
        if "A" in args and command_type != "get":
            continue
        for sent in ([*args.split(), *operands], [*operands, *args.split()]):
            refused = refusal(command_type, sent)
            assert refused.rule == "denied_flag"
            assert refused.allowed
            assert args.split(maxsplit=1)[0] in refused.reason


@pytest.mark.parametrize(
    "line",
    [
        "get --raw=/api/v1/secrets",
        "get --raw /api/v1/nodes/n/proxy/configz",
        "get -f http://169.254.169.254/",
        "get -fhttp://169.254.169.254/",
        "get -Af x",
        "get --filename=x",
        "get -k https://example.com/x",
        "get --kustomize=x",
        "get -R",
        "get --recursive",
        "describe -f x",
        "describe -k x",
        "describe -R",
        "rollout history -f x",
        "rollout history -k x",
        "rollout status -R -f x",
        "rollout-status --filename x",
        "logs web --insecure-skip-tls-verify-backend",
        "events --template={{.}}",
        "auth whoami --template={{.}}",
        "rollout history deploy/x --template={{.}}",
    ],
)
def test_flags_of_a_verb_that_are_denied(line: str) -> None:
    assert rule(line) == "denied_flag"


def test_f_means_follow_for_logs_only() -> None:
    assert parse("logs", ["-f", "web"]).flags == (("follow", "true"),)
    assert rule("get pods -f web") == "denied_flag"


@pytest.mark.parametrize(
    "line",
    [
        "get pods -o go-template-file=/proc/self/environ",
        "get pods -o=go-template-file --template=/proc/self/environ",
        "get pods -ojsonpath-file=/proc/self/environ",
        "get pods --output jsonpath-file=/proc/self/environ",
        "get pods -Aocustom-columns-file=/proc/self/environ",
        "get pods -o templatefile=/proc/self/environ",
        "get pods -o templatefile --template=/proc/self/environ",
        "events -o go-template={{.}}",
        "auth whoami -o template={{.}}",
        "rollout history deploy/x -o go-template={{.}}",
        "get pod x --subresource=proxy",
        "get pod x --subresource=exec",
        "get pod x --subresource log",
    ],
)
def test_values_that_read_files_or_leave_the_api_are_denied(line: str) -> None:
    refused = refusal(*words(line))
    assert refused.rule == "denied_value"
    assert refused.allowed


@pytest.mark.parametrize(
    "line",
    [
        "get pods --all",
        "get pods --all-name",  # long flags are never abbreviated
        "get pods --_watch",
        "get --Watch pods",
        "get pods --limits=1",
        "get pods -x",
        "get pods -A=",  # pflag: -A, then a flag named =
        "get pods -Ax",
        "get pods -ä",
        "describe pods --limit=5",
        "describe pods -o yaml",
        "explain pods -o plaintext",
        "top node -A",
        "top pod --show-capacity",
        "cluster-info --output-directory=/tmp/x",
        "version --short",
        "api-versions --all-namespaces",
    ],
)
def test_other_flags_are_unknown(line: str) -> None:
    refused = refusal(*words(line))
    assert refused.rule == "unknown_flag"
    assert "-n, --namespace" in refused.allowed


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("get pods ---x", "bad_flag_syntax"),
        ("get pods --=x", "bad_flag_syntax"),
        ("get pods -n", "missing_value"),
        ("get pods -An", "missing_value"),
        ("get pods --namespace", "missing_value"),
        ("get pods --watch=maybe", "bad_value"),
        ("get pods -w=", "unknown_flag"),
        ("get pods --watch=", "bad_value"),
        ("get pods --chunk-size=08", "bad_value"),
        ("get pods --chunk-size=1__0", "bad_value"),
        ("get pods --chunk-size=-1", "bad_value"),
        ("get pods --chunk-size=", "bad_value"),
        ("get pods --chunk-size=１", "bad_value"),
        ("get pods --request-timeout=301s", "bad_value"),
        ("get pods --request-timeout=301", "bad_value"),
        ("get pods --request-timeout=0", "bad_value"),
        ("get pods --request-timeout=-1s", "bad_value"),
        ("get pods --request-timeout=5x", "bad_value"),
        ("rollout status deploy/x --timeout=0s", "bad_value"),
        ("rollout status deploy/x --timeout=5m1s", "bad_value"),
        ("rollout status deploy/x --timeout=60", "bad_value"),
        ("logs web --pod-running-timeout=1h", "bad_value"),
        ("logs web --since=5", "bad_value"),
        ("logs web --since=9999999h", "bad_value"),
        ("logs web --since-time=yesterday", "bad_value"),
        ("logs web --since-time=2024-02-30T00:00:00Z", "bad_value"),
        ("logs web --since-time=2024-01-20t10:30:45z", "bad_value"),
        ("logs web --max-log-requests=1000", "bad_value"),
        ("logs web --tail=-2", "bad_value"),
        ("logs web --limit-bytes=9223372036854775808", "bad_value"),
        ("get pods -o xml", "bad_value"),
        ("get pods -o WIDE", "bad_value"),
        ("get pods -o json=x", "bad_value"),
        ("get pods -L 'a,\"b'", "bad_value"),
        ("version -o JSON", "bad_value"),
        ("api-resources -o json", "bad_value"),
        ("explain pods --output=plaintext-openapiv2", "bad_value"),
        ("explain pods --api-version=../v1", "bad_value"),
        ("events --for=pod", "bad_value"),
        ("events --for=pod/../x", "bad_value"),
        ("top pod --sort-by=name", "bad_value"),
    ],
)
def test_values_that_no_flag_takes(line: str, expected: str) -> None:
    assert rule(line) == expected


# Verbs.


@pytest.mark.parametrize(
    "line",
    [
        "apply -f x",
        "attach x",
        "certificate approve x",
        "completion bash",
        "config view --raw",
        "cp a b",
        "create token x",
        "debug x",
        "delete pod x",
        "diff -f x",
        "edit pod x",
        "exec x -- sh",
        "kustomize x",
        "plugin list",
        "port-forward x 1",
        "proxy",
        "run x",
        "wait --for=jsonpath={.data.a}=x secret/y",
        "auth reconcile -f x",
        "rollout pause deploy/x",
        "rollout restart deploy/x",
        "rollout -n x restart deploy/x",
        "rollout resume deploy/x",
        "rollout undo deploy/x",
        "cluster-info dump",
        "cluster-info -n x dump",
        "cluster-info -- dump",
    ],
)
def test_kubectls_other_verbs_are_denied_with_their_reason(line: str) -> None:
    refused = refusal(*words(line))
    assert refused.rule == "denied_verb"
    assert refused.allowed


@pytest.mark.parametrize(
    "line",
    [
        "GET pods",
        "gte pods",
        "'' x",
        "-n x",
        "__complete get",
        "kubectl get",
        "rollout-restart x",
        "auth-reconcile x",
        "rollout",
        "rollout -n history",
        "rollout -- history deploy/x",  # cobra looks for no word behind --
        "rollout --watch status deploy/x",  # cobra takes the word behind an unknown flag for its value
        "rollout -w history",
        "auth",
        "auth -q can-i get pods",
        "top",
        "top secrets",
        "top -A pod",
        "apply-set x",
    ],
)
def test_other_verbs_are_unknown(line: str) -> None:
    refused = refusal(*words(line))
    assert refused.rule == "unknown_verb"
    assert refused.allowed


# Names.


@pytest.mark.parametrize(
    "line",
    [
        "get pods ..",
        "get pods .",
        "get pods ''",
        "get pods a%2fb",
        "get pods -",
        "get pods -- -x",
        "get pods -- --server",
        "get pods/../x",
        "get pods/a/b",
        "get pods/",
        "get pods/..",
        "describe pods/a%00",
        "get pods -- pods/x -A",
        "get pods -n ..",
        "get pods -n ../kube-system",
        "get pods -n=a/b",
        "get pods -n -A",
        "get -n -- pods a",
        "get pods -n --server=https://x",
        "logs ..",
        "logs a%2f..",
        "logs pod/..",
        "logs web ../x",
        "logs web -c ../x",
        "top pod ..",
        "rollout status deploy/..",
        "auth can-i get pods/..",
    ],
)
def test_names_that_are_no_safe_path_segment_are_refused(line: str) -> None:
    assert rule(line) in {"unsafe_name", "bad_operand"}


@pytest.mark.parametrize(
    "line",
    [
        "get ''",
        "get ,pods",
        "get pods,",
        "get ../secrets",
        "get po*",
        "get 'po ds'",
        "get pods,secrets/a",
        "get pods/a b",
        "get pods a/b",
        "get -- --raw",
        "get -- --server=https://attacker",
        "get pods -- --server=https://attacker",
        "get pöds",
        "explain pods/spec",
        "explain -- -x",
        "explain ..",
        "auth can-i get ../x",
        "auth can-i 'get it' pods",
    ],
)
def test_operands_that_are_no_resource_are_refused(line: str) -> None:
    assert rule(line) == "bad_operand"


@pytest.mark.parametrize(
    "line",
    [
        "version x",
        "cluster-info x",
        "api-resources pods",
        "api-versions v1",
        "events pods",
        "explain a b",
        "logs a b c",
        "top pod a b",
        "auth can-i get pods x",
        "auth whoami x",
    ],
)
def test_operands_too_many_are_refused(line: str) -> None:
    assert rule(line) == "unexpected_operand"


# Mistake 3, as far as words go: Secrets.

_SECRET_WORDS = [
    "secret",
    "secrets",
    "SECRETS",
    "Secret",
    "secret.",
    "secrets.v1.",
    "secret.v1.",
    "Secret.v1.",
    "cm,secret",
    "secrets,cm",
    "pods,cm,SECRETS.v1.",
    "secret x",
    "secret/x",
    "po/x secret/y",
    "secrets.v1./x",
]


@pytest.mark.parametrize("operands", _SECRET_WORDS)
def test_secrets_are_found_among_operands(operands: str) -> None:
    for args in ([*operands.split()], ["-A", *operands.split()], ["--", *operands.split()]):
        assert secret_operand(parse("describe", args)) in operands.split()
    assert secret_operand(parse("describe", ["configmap", "secret"])) is None


@pytest.mark.parametrize("operands", _SECRET_WORDS)
@pytest.mark.parametrize(
    "flags",
    [
        ["-o", "go-template={{.data}}"],
        ["-ogo-template={{.data}}"],
        ["-o", "template", "--template={{.data}}"],
        ["--template={{.data}}"],
        ["-o", "wide", "--template={{.data}}"],
        ["-o", "yaml", "--template={{.data}}"],
    ],
)
def test_templates_of_secrets_are_refused(operands: str, flags: list[str]) -> None:
    for args in ([*operands.split(), *flags], [*flags, *operands.split()]):
        assert refusal("get", args).rule == "secret_values"


@pytest.mark.parametrize("operands", _SECRET_WORDS)
@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["-o", "wide"],
        ["-oname"],
        ["-w"],
        ["--show-labels", "-Lapp"],
        ["--limit=5"],
        ["-o", "yaml"],
        ["-ojson"],
        ["-o=custom-columns=D:.data"],
        ["--output=jsonpath={.data}"],
        ["--sort-by=.data.password"],
    ],
)
def test_other_forms_of_secrets_are_the_agents_to_hide_values_in(operands: str, flags: list[str]) -> None:
    assert parse("get", [*operands.split(), *flags]).verb == "get"


# --limit, our own flag.


@pytest.mark.parametrize("limit", ["0", "-1", "100001", "ten", "", "1.5"])
def test_limit_is_a_positive_integer(limit: str) -> None:
    assert refusal("get", ["pods", f"--limit={limit}"]).rule == "bad_value"


@pytest.mark.parametrize(
    "flags", ["-o json", "-o yaml", "-o jsonpath={.x}", "-o custom-columns=A:.b", "--template=x", "-w", "--watch-only"]
)
def test_limit_goes_with_tables_and_names_only(flags: str) -> None:
    refused = refusal("get", ["pods", "--limit=5", *flags.split()])
    assert refused.rule == "limit_conflict"
    assert "--limit" in refused.reason


def test_limit_is_not_handed_to_kubectl() -> None:
    command = parse("get", ["pods", "-A", "--limit=10"])
    assert command.limit == 10
    assert command.argv() == ["get", "--all-namespaces=true", "--limit=10", "--", "pods"]
    assert command.kubectl_argv() == ["get", "--all-namespaces=true", "--", "pods"]


# What is checked before anything is understood.


@pytest.mark.parametrize("text", ["a\x00b", "a\nb", "a\rb", "\x1b[31m", "a\tb", "a\x7f", "\x85"])
def test_control_characters_are_refused_everywhere(text: str) -> None:
    for command_type, args in (("get", ["pods", text]), ("get", ["-l", text, "pods"]), (text, [])):
        refused = refusal(command_type, args)
        assert refused.rule == "control_character"
        assert refused.reason.isprintable()


def test_text_that_is_no_unicode_is_refused() -> None:
    refused = refusal("get", ["pods", "a\ud800"])
    assert refused.rule == "invalid_text"
    assert refused.reason.encode()
    assert refusal("get", ["pods", 5]).rule == "invalid_text"  # type: ignore[list-item]
    assert refusal("get", ["pods", None]).rule == "invalid_text"  # type: ignore[list-item]
    assert refusal(None, []).rule == "invalid_text"  # type: ignore[arg-type]


def test_bounds() -> None:
    assert parse("get", ["pods"] * (MAX_ARGUMENTS - 1))
    refused = refusal("get", ["pods"] * 1000)
    assert refused.rule == "too_many_arguments"
    assert "1000" in refused.reason
    assert parse("get", ["pods", "-l", "x" * (MAX_ARGUMENT_BYTES - 20)])
    refused = refusal("get", ["pods", "-l", "x" * (MAX_ARGUMENT_BYTES + 1)])
    assert refused.rule == "argument_too_long"
    assert len(refused.reason) < 300
    assert refusal("get", ["pods", *["x" * 8000] * (MAX_TOTAL_BYTES // 8000 + 1)]).rule == "argument_too_long"
    assert refusal("x" * 10**6, []).rule in {"argument_too_long", "unknown_verb"}


def test_bounds_hold_for_the_canonical_form_too() -> None:
    """What is accepted is sent and parsed again, and bundled flags get longer when they are written out."""
    assert refusal("get", ["-Aw", *["x"] * (MAX_ARGUMENTS - 1)]).rule == "too_many_arguments"
    assert refusal("get", ["pods", "-l" + "x" * (MAX_ARGUMENT_BYTES - 2)]).rule == "argument_too_long"


# Facts for executors.


def test_facts_of_a_command() -> None:
    command = parse("get", ["pods", "-n", "web", "-o", "jsonpath={.x}", "-w"])
    assert (command.output, command.namespace, command.limit, command.is_streaming) == ("jsonpath", "web", None, True)
    command = parse("get", ["pods"])
    assert (command.output, command.namespace, command.limit, command.is_streaming) == ("", None, None, False)
    assert parse("get", ["pods", "--template={{.}}"]).output == "go-template"
    assert parse("get", ["pods", "-n", ""]).namespace is None
    assert parse("get", ["pods", "--limit", "3"]).limit == 3
    assert parse("get", ["pods", "-w=false"]).is_streaming is False
    assert parse("logs", ["web", "-f"]).is_streaming
    assert parse("events", ["-w"]).is_streaming
    assert not parse("rollout", ["status", "deploy/x", "-w"]).is_streaming  # it ends by itself
    assert parse("get", ["pods", "-A"]).flag("all-namespaces") == "true"
    assert parse("get", ["pods", "-A"]).flag("output") is None
    assert parse("top", ["po", "web"]).operands == ("pod", "web")


def test_a_refusal_says_what_to_do() -> None:
    refused = refusal("get", ["pods", "--kubeconfig=/tmp/x"])
    assert refused.argument == "--kubeconfig=/tmp/x"
    assert refused.reason.startswith("`--kubeconfig=/tmp/x` would make the agent use a configuration")
    assert str(refused) == refused.reason
    refused = refusal("get", ["pods", "--selektor=x"])
    assert refused.reason.endswith("did you mean --selector?")
    assert refusal("gett", []).reason.endswith("did you mean get?")
    assert refusal("get", ["-n", "a/b", "pods"]).argument == "a/b"
    assert refusal("gett", []).allowed == VERBS
