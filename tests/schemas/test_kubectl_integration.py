"""The grammar against the real kubectl: what it takes for bad flags, and what it asks a server for.

The server is a real socket with just enough discovery for kubectl to go on; it answers 404 to the rest and notes what
it was asked. A command as its caller wrote it and the canonical form of it must ask for the same.
"""

import json
import os
import re
import shlex
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from schemas.kubectl import Refusal, parse
from tests.support.kubectl import kubectl_binary

_SYNTAX_ERROR = re.compile(
    r"unknown (shorthand )?flag|flag needs an argument|bad flag syntax|invalid argument .* for .* flag|unknown command"
)

SAME = [
    "get -Aowide pods",
    "get pods -Ao name",
    "get -n= pods",
    "get pods -nweb web-0",
    "get pods -n web -n prod",
    "get pods --all_namespaces",
    "get pods -A=false",
    "get -A secret",
    "get pods -l a=b --field-selector=c=d --chunk-size 0x10",
    "get pods -l --raw=/api",
    "get pods --chunk-size=1_7 --chunk-size=017",
    "get pods -L a -L b,c --request-timeout 5",
    "get pod/a secret/b",
    "get secrets.v1.",
    "get SECRETS secret.",
    "get -- pods a b",
    "get pods -o JSON",
    "get pods -w=F --no_headers=T",
    "describe pods web --show-events=0",
    "logs -c app web --tail=5",
    "logs web app -p --timestamps=0",
    "logs -pc app web",
    "logs web app",
    "top -n web pods web",
    "top pod -- web",
    "rollout -n web status deployment/x -w=false",
    "rollout --namespace web history deployment/x",
    "rollout -nweb history deployments x",
    "auth can-i get pods/x --subresource=log",
    "auth -n web can-i -- get pods",
    "auth can-i list '*' -qA",
]

# Bad for kubectl as well; the message shows that it stopped at the flags.
REFUSED_BY_BOTH = [
    "get pods -x",
    "get pods -A=",
    "get pods -Ax",
    "get pods --_watch",
    "get pods --all-name",
    "get pods ---x",
    "get pods --=x",
    "get pods -n",
    "get pods -An",
    "get pods --namespace",
    "get pods --watch=maybe",
    "get pods --watch=",
    "get pods -w=",
    "get pods --chunk-size=08",
    "get pods --chunk-size=1__0",
    "get pods --chunk-size=",
    "logs web --since=5",
    "logs web --tail=x",
    "top -A pod",
    "top pod --show-capacity",
    "auth -q can-i get pods",
    "rollout -w status deployment/x",
    "rollout --watch status deployment/x",
    "describe pods -o yaml",
]


def _resource(name: str, kind: str, *, namespaced: bool = True) -> dict[str, Any]:
    singular = kind.lower()
    return {"name": name, "singularName": singular, "namespaced": namespaced, "kind": kind, "verbs": ["get", "list"]}


def _group(name: str, version: str) -> dict[str, Any]:
    both = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [both], "preferredVersion": both}


DISCOVERY = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [_group("apps", "v1"), _group("metrics.k8s.io", "v1beta1")],
    },
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [_resource("pods", "Pod"), _resource("secrets", "Secret")],
    },
    "/apis/apps/v1": {
        "kind": "APIResourceList",
        "groupVersion": "apps/v1",
        "resources": [_resource("deployments", "Deployment")],
    },
    "/apis/metrics.k8s.io/v1beta1": {
        "kind": "APIResourceList",
        "groupVersion": "metrics.k8s.io/v1beta1",
        "resources": [],
    },
}


class RecordingApi(ThreadingHTTPServer):
    """Answers discovery and notes every other request, body included."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: RecordingApi

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = DISCOVERY.get(self.path.partition("?")[0])
        code = 200 if answer else 404
        if answer is None:
            self.server.asked.append(f"{self.command} {self.path} {body!r}")
            answer = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
        data = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_GET  # noqa: N815 -- http.server's name

    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""


class Kubectl:
    """The real binary, its configuration pointing at a recording API."""

    def __init__(self, api: RecordingApi, folder: Path) -> None:
        self._api = api
        self._binary = kubectl_binary()
        config = folder / "kubeconfig"
        config.write_text(
            "apiVersion: v1\nkind: Config\ncurrent-context: x\n"
            "contexts: [{name: x, context: {cluster: x, user: x}}]\nusers: [{name: x, user: {}}]\n"
            f"clusters: [{{name: x, cluster: {{server: 'http://127.0.0.1:{api.server_port}'}}}}]\n"
        )
        self._env = {"HOME": str(folder), "KUBECONFIG": str(config), "PATH": os.devnull}

    def run(self, argv: list[str]) -> tuple[int, str, str, list[str]]:
        """Return exit code, stdout, stderr and what the server was asked for."""
        self._api.asked.clear()
        ran = subprocess.run(
            [self._binary, *argv], env=self._env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        )
        return ran.returncode, ran.stdout, ran.stderr, sorted(self._api.asked)


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    with RecordingApi() as api:
        thread = threading.Thread(target=api.serve_forever, name="recording-api")
        thread.start()
        try:
            yield Kubectl(api, tmp_path_factory.mktemp("kubectl"))
        finally:
            api.shutdown()
            thread.join()


@pytest.mark.parametrize("line", SAME)
def test_the_canonical_form_asks_for_the_same(kubectl: Kubectl, line: str) -> None:
    argv = shlex.split(line)
    as_written = kubectl.run(argv)
    canonical = kubectl.run(parse(argv[0], argv[1:]).kubectl_argv())
    assert canonical == as_written
    assert not _SYNTAX_ERROR.search(as_written[2]), as_written[2]
    assert as_written[3]


@pytest.mark.parametrize("line", REFUSED_BY_BOTH)
def test_flags_that_kubectl_does_not_take_are_refused(kubectl: Kubectl, line: str) -> None:
    argv = shlex.split(line)
    code, _, stderr, asked = kubectl.run(argv)
    assert code != 0
    assert _SYNTAX_ERROR.search(stderr), stderr
    assert not asked
    with pytest.raises(Refusal):
        parse(argv[0], argv[1:])
