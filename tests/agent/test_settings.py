"""agent/settings.py: what may be set, and what is told when it is wrong."""

from typing import Any

import pytest

from agent.settings import ENVIRONMENT_PREFIX, TOKEN_VARIABLE, Settings
from schemas.settings import SettingsError, load

NEEDED = {"hub_url": "wss://hub.example.org", "cluster_id": "prod"}


def loaded(file: dict[str, Any] | None = None, **environ: str) -> Settings:
    return load(
        Settings,
        file=NEEDED | (file or {}),
        environ=environ,
        prefix=ENVIRONMENT_PREFIX,
        flags={},
        reserved=frozenset({TOKEN_VARIABLE}),
    )


def test_defaults_and_layers() -> None:
    settings = loaded({"log": {"level": "debug"}}, KUBENTLY_AGENT_LOG_FORMAT="json", KUBENTLY_AGENT_TOKEN="t0ken")
    assert (settings.log.level, settings.log.format) == ("debug", "json")
    assert "t0ken" not in repr(settings)


@pytest.mark.parametrize(
    ("variable", "text", "path", "value"),
    [
        ("KUBENTLY_AGENT_HUB_URL", "ws://127.0.0.1:8080", "hub_url", "ws://127.0.0.1:8080"),
        ("KUBENTLY_AGENT_CLUSTER_ID", "dev", "cluster_id", "dev"),
        ("KUBENTLY_AGENT_TOKEN_FILE", "/run/token", "token_file", "/run/token"),
        ("KUBENTLY_AGENT_CA_FILE", "/run/ca", "ca_file", "/run/ca"),
        ("KUBENTLY_AGENT_INSECURE", "true", "insecure", True),
        ("KUBENTLY_AGENT_EXIT_ON_REJECTION", "1", "exit_on_rejection", True),
        ("KUBENTLY_AGENT_EXECUTORS", "kubectl, native", "executors", ("kubectl", "native")),
        ("KUBENTLY_AGENT_KUBECTL", "/opt/kubectl", "kubectl", "/opt/kubectl"),
        ("KUBENTLY_AGENT_POLICY_FILE", "/run/policy", "policy_file", "/run/policy"),
    ],
)
def test_names_in_the_environment(variable: str, text: str, path: str, value: object) -> None:
    found: object = loaded(None, **{variable: text})
    for name in path.split("."):
        found = getattr(found, name)
    assert found == value


@pytest.mark.parametrize(
    ("executors", "why"),
    [([], "name native"), (["native", "native"], "each once"), (["docker"], "docker")],
)
def test_executors_that_are_none(executors: list[str], why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        loaded({"executors": executors})


@pytest.mark.parametrize(
    "url",
    ["ws://127.0.0.1:8080", "ws://localhost", "ws://[::1]:80", "ws://127.9.9.9", "wss://hub", "wss://h:8443/kubently/"],
)
def test_hub_urls_that_need_nothing_more(url: str) -> None:
    assert loaded({"hub_url": url}).hub_url == url


@pytest.mark.parametrize(
    "url", ["ws://hub.example.org", "ws://10.0.0.1:8080", "ws://localhost.example.org", "ws://[::2]"]
)
def test_plain_text_to_another_machine_needs_insecure(url: str) -> None:
    with pytest.raises(SettingsError, match="in clear"):
        loaded({"hub_url": url})
    assert loaded({"hub_url": url, "insecure": True}).hub_url == url


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hub_url": ""}, "hub_url is missing"),
        ({"hub_url": "https://hub"}, "wss:// for https://"),
        ({"hub_url": "http://hub"}, "ws:// for http://"),
        ({"hub_url": "hub:8080"}, "not of the form"),
        ({"hub_url": "wss://"}, "not of the form"),
        ({"hub_url": "wss://hub:99999"}, "hub_url: Port out of range"),
        ({"hub_url": "wss://user:pa55@hub"}, "takes no user"),
        ({"hub_url": "wss://hub?token=1"}, "takes no user"),
        ({"cluster_id": ""}, "cluster_id is missing"),
        ({"cluster_id": "Prod"}, "DNS label"),
        ({"cluster_id": "a" * 64}, "DNS label"),
        ({"output": {"window_bytes": 64 << 20}}, "larger than"),
        ({"output": {"window_bytes": 5}}, r"output.window_bytes \(the settings file\)"),
        ({"log": {"level": "loud"}}, r"log.level \(the settings file\)"),
        ({"link": {"open_timeout_seconds": -1}}, "link.open_timeout_seconds"),
        ({"token": "secret"}, r"token \(the settings file\) is no setting"),
        ({"hub-url": "wss://hub"}, "did you mean hub_url"),
    ],
)
def test_bad_settings_are_one_clear_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        loaded(change)
    assert "\n" not in str(caught.value)
    assert "pa55" not in str(caught.value)


def test_an_unknown_variable_is_named() -> None:
    with pytest.raises(SettingsError, match=r"KUBENTLY_AGENT_HUBURL .* did you mean KUBENTLY_AGENT_HUB_URL"):
        loaded(KUBENTLY_AGENT_HUBURL="x")
