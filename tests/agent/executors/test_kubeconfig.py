"""agent/executors/kubeconfig.py: which cluster."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from agent.errors import StartError
from agent.executors import kubeconfig


def resolved(environ: dict[str, str], folder: Path) -> Any:
    return json.loads(kubeconfig.resolve(environ, folder))


def parts(config: Any) -> tuple[Any, Any, Any]:
    assert config["current-context"] == config["contexts"][0]["name"]
    return config["clusters"][0]["cluster"], config["users"][0]["user"], config["contexts"][0]["context"]


def account(folder: Path, namespace: str | None = "kubently") -> Path:
    (folder / "token").write_text("secret-token")
    (folder / "ca.crt").write_text("PEM")
    if namespace is not None:
        (folder / "namespace").write_text(namespace)
    return folder


POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "6443"}


def test_in_a_pod_files_stay_files(tmp_path: Path) -> None:
    text = kubeconfig.resolve(POD, account(tmp_path)).decode()
    cluster, user, context = parts(json.loads(text))
    assert cluster == {"server": "https://10.96.0.1:6443", "certificate-authority": str(tmp_path / "ca.crt")}
    assert user == {"tokenFile": str(tmp_path / "token")}
    assert context["namespace"] == "kubently"
    assert "secret-token" not in text


def test_in_a_pod_with_ipv6_and_no_namespace(tmp_path: Path) -> None:
    cluster, _, context = parts(resolved({"KUBERNETES_SERVICE_HOST": "fd00::1"}, account(tmp_path, namespace=None)))
    assert cluster["server"] == "https://[fd00::1]:443"
    assert context["namespace"] == "default"


@pytest.mark.parametrize("missing", ["token", "ca.crt"])
def test_in_a_pod_without_an_account(tmp_path: Path, missing: str) -> None:
    account(tmp_path)
    (tmp_path / missing).write_text("")
    with pytest.raises(StartError, match=f"{missing} is empty"):
        kubeconfig.resolve(POD, tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(StartError, match=f"{missing}: No such file"):
        kubeconfig.resolve(POD, tmp_path)


def test_nowhere(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="KUBECONFIG is not set"):
        kubeconfig.resolve({}, tmp_path)


def write(path: Path, **content: Any) -> Path:
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config"} | content))
    return path


def named(kind: str, name: str, **value: Any) -> dict[str, Any]:
    return {"name": name, kind: value}


def test_only_the_current_context_is_taken_and_kubeconfig_goes_before_the_pod(tmp_path: Path) -> None:
    path = write(
        tmp_path / "config",
        **{"current-context": "prod"},
        contexts=[
            named("context", "dev", cluster="dev", user="dev"),
            named("context", "prod", cluster="prod", user="admin", namespace="web"),
        ],
        clusters=[named("cluster", "dev", server="https://dev"), named("cluster", "prod", server="https://prod")],
        users=[named("user", "dev", token="dev-token"), named("user", "admin", token="prod-token")],
    )
    config = resolved({"KUBECONFIG": str(path)} | POD, tmp_path)
    cluster, user, context = parts(config)
    assert (cluster["server"], user["token"], context["namespace"]) == ("https://prod", "prod-token", "web")
    assert "dev-token" not in json.dumps(config)


def test_of_several_files_the_first_to_name_a_thing_wins(tmp_path: Path) -> None:
    first = write(
        tmp_path / "first",
        contexts=[named("context", "a", cluster="a", user="a")],
        clusters=[named("cluster", "a", server="https://first")],
    )
    (tmp_path / "sub").mkdir()
    second = write(
        tmp_path / "sub" / "second",
        **{"current-context": "a"},
        contexts=[named("context", "a", cluster="b", user="b")],
        clusters=[named("cluster", "a", server="https://second"), named("cluster", "b", server="https://b")],
        users=[named("user", "a", **{"client-certificate": "a.crt", "client-key": "/abs/a.key"})],
    )
    value = os.pathsep.join([str(tmp_path / "absent"), str(first), "", str(second)])
    cluster, user, _ = parts(resolved({"KUBECONFIG": value}, tmp_path))
    assert cluster["server"] == "https://first"
    assert user == {"client-certificate": str(tmp_path / "sub" / "a.crt"), "client-key": "/abs/a.key"}


def test_a_credential_plugin_gets_the_path_and_home_that_kubectl_does_not(tmp_path: Path) -> None:
    plugin = tmp_path / "bin" / "aws"
    plugin.parent.mkdir()
    plugin.write_text("#!/bin/sh\n")
    plugin.chmod(0o755)
    path = write(
        tmp_path / "config",
        **{"current-context": "a"},
        contexts=[named("context", "a", cluster="a", user="a")],
        clusters=[named("cluster", "a", server="https://a")],
        users=[named("user", "a", exec={"command": "aws", "args": ["eks"], "env": [{"name": "HOME", "value": "/x"}]})],
    )
    environ = {"KUBECONFIG": str(path), "PATH": str(plugin.parent), "HOME": "/root"}
    _, user, _ = parts(resolved(environ, tmp_path))
    assert user["exec"]["command"] == str(plugin)
    assert user["exec"]["args"] == ["eks"]
    assert user["exec"]["env"] == [{"name": "HOME", "value": "/x"}, {"name": "PATH", "value": str(plugin.parent)}]


def test_a_plugin_beside_the_kubeconfig(tmp_path: Path) -> None:
    path = write(
        tmp_path / "config",
        **{"current-context": "a"},
        contexts=[named("context", "a", cluster="a", user="a")],
        clusters=[named("cluster", "a", server="https://a")],
        users=[named("user", "a", exec={"command": "./login"})],
    )
    _, user, _ = parts(resolved({"KUBECONFIG": str(path)}, tmp_path))
    assert user["exec"]["command"] == str(tmp_path / "login")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not a kubeconfig"),
        ("- a\n", "not a kubeconfig"),
        ("{", "not YAML"),
        ("\x00", "not YAML"),
        ("a: 1\n", "no current-context"),
        ("current-context: a\n", "no context named a"),
        ("current-context: a\ncontexts: [{name: a, context: {cluster: c}}]\n", "no cluster named c"),
    ],
)
def test_what_is_no_kubeconfig(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "config"
    path.write_text(content)
    with pytest.raises(StartError, match=message):
        kubeconfig.resolve({"KUBECONFIG": str(path)}, tmp_path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="no such file"):
        kubeconfig.resolve({"KUBECONFIG": str(tmp_path / "config")}, tmp_path)
