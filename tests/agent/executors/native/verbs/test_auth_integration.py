"""`auth can-i` and `auth whoami` beside kubectl, on a server whose reviews say what a test wants."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web

from agent.executors.native.executor import NativeExecutor
from agent.settings import Execution
from tests.differential.harness import environment, run_native
from tests.support.beside_kubectl import differences
from tests.support.fake_api_server import FakeApiServer, fake_api_server, respond, status

ACCESS: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
RULES: Final = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
VERSIONS: Final = ("v1", "v1beta1", "v1alpha1")

Handler = Callable[[web.Request], Awaitable[web.Response]]


def created(document: Mapping[str, Any]) -> Handler:
    """A document with the status that a POST has."""
    return respond(json.dumps(document).encode(), code=201)


def access(**fields: Any) -> Handler:
    """The answer to a question: `access(allowed=True)`."""
    review = {"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1"}
    return created({**review, "metadata": {"creationTimestamp": None}, "spec": {}, "status": fields})


def rules(resources: Any, urls: Any = (), **fields: Any) -> Handler:
    """The answer to --list."""
    review = {"kind": "SelfSubjectRulesReview", "apiVersion": "authorization.k8s.io/v1", "spec": {}}
    return created({**review, "status": {"resourceRules": resources, "nonResourceRules": urls, **fields}})


def rule(verbs: Sequence[str], groups: Sequence[str], resources: Sequence[str], *names: str) -> dict[str, Any]:
    """One rule; without names it has none."""
    return {"verbs": verbs, "apiGroups": groups, "resources": resources} | ({"resourceNames": names} if names else {})


def reviews(version: str) -> str:
    """Where `whoami` asks."""
    return f"/apis/authentication.k8s.io/{version}/selfsubjectreviews"


def user(version: str, info: Any) -> Handler:
    """The answer of `whoami`."""
    review = {"kind": "SelfSubjectReview", "apiVersion": f"authentication.k8s.io/{version}"}
    return created({**review, "metadata": {"creationTimestamp": None}, "status": {"userInfo": info}})


QUESTIONS: Final = (
    "get pods",
    "get po/web",
    "get pods.v1.",
    "get PODS -A",
    "get pods --subresource=log",
    "get deploy.apps/web",
    "get deployments.v1.apps",
    "get hpa",
    "get nodes",
    "get nodes -A",
    "get nodes -n kube-system -q",
    "get widgets.example.com",
    "get '*'",
    "'*' '*'",
    "get '*.apps'",
    "get '*/scale'",
    "get nothing",
    "get Nothing.v1.Example.com/x",
    "get nothing.",
    "get users",
    "get GROUPS/x",
    "get users.example.com",
    *(f"{verb} pods" for verb in ("use", "bind", "attest", "deletecollection", "post", "head", "GET", "frob")),
    *(f"{verb} /healthz" for verb in ("get", "post", "head", "options", "patch", "list", "create", "frob")),
    "frob nodes",
    "frob nothing",
    "frob nothing -A",
    "frob '*'",
    "get /",
    "get /x --subresource=log",
    "get /x --subresource=log --no-headers",
    "frob nodes --no-headers",
    "--no-headers",
    "get",
    "--list get",
    "--list -q",
    "--list -A",
    "--list --subresource=log",
)


async def test_questions(tmp_path: Path) -> None:
    async with fake_api_server() as server:
        server.route(ACCESS, access(allowed=True), method="POST")
        assert await differences(server, tmp_path, [f"auth can-i {line}" for line in QUESTIONS]) == []


@pytest.mark.parametrize(
    "answer",
    [
        access(allowed=False),
        access(allowed=False, reason="because"),
        access(allowed=False, reason="r\x1b[1m\nx", evaluationError="e"),
        access(allowed=False, denied=True, evaluationError="e"),
        access(allowed=True, reason="r", evaluationError="e"),
        access(),
        created({}),
        created({"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "status": None}),
        status(403, "Forbidden", "no"),
        status(500, "InternalError", "oh"),
    ],
)
async def test_answers(tmp_path: Path, answer: Handler) -> None:
    async with fake_api_server() as server:
        server.route(ACCESS, answer, method="POST")
        assert await differences(server, tmp_path, ["auth can-i get pods", "auth can-i get pods -q"]) == []


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["get", "po/web"], {"verb": "get", "group": "", "resource": "pods", "name": "web", "namespace": "default"}),
        (["get", "deploy", "-A"], {"verb": "get", "group": "apps", "resource": "deployments"}),
        (["get", "Some.Thing"], {"verb": "get", "resource": "Some.Thing", "namespace": "default"}),
        (
            ["get", "pods", "--subresource=log", "-n", "web"],
            {"verb": "get", "group": "", "resource": "pods", "subresource": "log", "namespace": "web"},
        ),
    ],
)
async def test_what_is_asked(tmp_path: Path, words: list[str], asked: dict[str, str]) -> None:
    async with fake_api_server() as server:
        server.route(ACCESS, access(allowed=True), method="POST")
        await run(server, tmp_path, ["auth", "can-i", *words])
        spec = json.loads(next(one.body for one in server.requests if one.method == "POST"))["spec"]
    assert {key: value for key, value in spec["resourceAttributes"].items() if value or key == "group"} == asked


@pytest.mark.parametrize(
    "answer",
    [
        rules(
            [
                rule(["get", "list"], [""], ["pods", "pods/log"]),
                rule(["get"], [""], ["pods"]),
                rule(["*"], ["*"], ["*"]),
                rule(["create"], ["authorization.k8s.io"], ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]),
                rule(["get"], ["apps", "extensions"], ["deployments/scale"]),
                rule(["get", "update"], [""], ["secrets"], "a", "b"),
                rule(["get"], [""], ["secrets"]),
                rule(["watch", "list"], ["x.io"], ["*/status"]),
                rule(["list"], [""], ["secrets"], "b"),
            ],
            [
                {"verbs": ["get", "head"], "nonResourceURLs": ["/healthz", "/api/*"]},
                {"verbs": ["*"], "nonResourceURLs": ["*"]},
                {"verbs": ["get"], "nonResourceURLs": ["/healthz"]},
            ],
        ),
        rules(
            [
                rule(["c", "b"], [""], ["x"]),
                rule(["b", "a"], [""], ["x"]),
                rule(["a", "a"], [""], ["y"]),
                rule(["a"], ["z"], ["y/status/more", "/x", ""]),
                rule(["get"], [""], ["a\tb\x1b[1m"], "x\ty"),
            ]
        ),
        rules([rule([], [""], ["x"]), rule(["get"], [], ["x"]), rule(["get"], [""], []), {}], [{}, {"verbs": ["get"]}]),
        rules(None, None, incomplete=True, evaluationError="a webhook does not support it"),
        rules([], [], incomplete=True),
        rules([], [], evaluationError="not said"),
        created({}),
        status(403, "Forbidden", "no"),
    ],
)
async def test_lists(tmp_path: Path, answer: Handler) -> None:
    async with fake_api_server() as server:
        server.route(RULES, answer, method="POST")
        lines = ["auth can-i --list", "auth can-i --list --no-headers -n web"]
        assert await differences(server, tmp_path, lines) == []


async def test_a_list_without_end(tmp_path: Path) -> None:
    many = [str(number) for number in range(200)]
    async with fake_api_server() as server:
        server.route(RULES, rules([rule(many, many, many, *many)]), method="POST")
        printed = await run(server, tmp_path, ["auth", "can-i", "--list"])
    assert printed == (1, "", "error: the API server's answer lists 1600000000 rights, more than 1000000\n")


FORMS: Final = (
    "",
    "-o json",
    "-o yaml",
    "-o name",
    "-o json --show-managed-fields",
    "-o jsonpath={.status.userInfo.groups}",
    "-o jsonpath={.status}",
    "-o jsonpath-as-json={.status.userInfo.extra}",
)


FULL: Final = {
    "username": "jane\tx\x1b[1m",
    "uid": "u-1",
    "groups": ["a", "system:authenticated"],
    "extra": {"z/b": ["1", "2"], "a": ["x"], "e": []},
}


@pytest.mark.parametrize(
    ("version", "info"),
    [
        *((version, FULL) for version in VERSIONS),
        ("v1", {"username": "system:serviceaccount:web:default", "groups": []}),
        ("v1", {"username": "j\nk", "groups": ["a\tb"]}),
        ("v1", {}),
        ("v1", None),
    ],
)
async def test_whoami(tmp_path: Path, version: str, info: Any) -> None:
    async with fake_api_server() as server:
        server.route(reviews(version), user(version, info), method="POST")
        assert await differences(server, tmp_path, [f"auth whoami {form}" for form in FORMS]) == []


@pytest.mark.parametrize(
    ("version", "answer"),
    [
        *((version, status(403, "Forbidden", "not you")) for version in VERSIONS),
        ("v1", status(404, "NotFound", "nothing here")),
        ("v1", status(401, "Unauthorized", "who?")),
        ("v1beta1", status(500, "InternalError", "oh")),
        ("v1alpha1", respond(b"404 page not found", code=404, content_type="text/plain")),
    ],
)
async def test_whoami_on_a_server_that_does_not_say(tmp_path: Path, version: str, answer: Handler) -> None:
    async with fake_api_server() as server:
        server.route(reviews(version), answer, method="POST")
        assert await differences(server, tmp_path, ["auth whoami"]) == []


@pytest.mark.parametrize("body", [b"hello", b"[]", b'{"status": []}', b'{"status": {"allowed": "yes"}}'])
async def test_answers_that_are_no_reviews(tmp_path: Path, body: bytes) -> None:
    async with fake_api_server() as server:
        server.route(ACCESS, respond(body, code=201), method="POST")
        code, stdout, stderr = await run(server, tmp_path, ["auth", "can-i", "get", "pods"])
    assert (code, stdout) == (1, "")
    assert stderr.startswith("error: ")


async def run(server: FakeApiServer, folder: Path, words: Sequence[str]) -> tuple[int | None, str, str]:
    executor = NativeExecutor(environment(server.kubeconfig(folder)), Execution())
    try:
        printed = await run_native(executor, words)
    finally:
        await executor.close()
    return printed.exit_code, printed.stdout.decode(), printed.stderr.decode()
