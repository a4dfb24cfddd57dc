"""agent/policy.py and policy_file.py: what the owner wrote is what holds, and what is unclear holds nothing."""

import asyncio
import contextlib
import logging
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import StartError
from agent.policy import Policy, PolicyError, parse
from agent.policy_file import PolicyFile
from schemas import kubectl
from schemas.frames import Contract, Run
from schemas.policy import AnnouncedPolicy, announced

GET = kubectl.parse("get", ["pods", "-n", "shop"])
LOGS = kubectl.parse("logs", ["web-1", "-n", "shop"])
HISTORY = kubectl.parse("rollout", ["history", "deployment/web"])
EXAMPLE = """\
verbs: [get, describe, logs]
namespaces: [shop, "team-*"]
denied_kinds: [secrets, widgets.example.com]
redaction: on
control_characters: keep
limits:
  max_seconds: 60
  max_output_bytes: 1048576
"""


def refusal(policy: Policy, command: kubectl.KubectlCommand) -> str | None:
    """Why a command may not run."""
    try:
        policy.admit(command)
    except kubectl.Refusal as refused:
        return refused.reason
    return None


def test_nothing_said_is_all_that_reads_and_hidden() -> None:
    for text in ("", "# nothing yet\n", "{}", "---\n"):
        assert parse(text) == Policy()
    assert [Policy().admit(command) for command in (GET, LOGS, HISTORY)] == [GET, LOGS, HISTORY]
    assert Policy().redaction == "on"


def test_what_is_said_holds() -> None:
    policy = parse(EXAMPLE)
    assert [refusal(policy, command) is None for command in (GET, LOGS, HISTORY)] == [True, True, False]
    assert "limited to the namespaces shop" in str(refusal(policy, kubectl.parse("get", ["pods", "-A"])))
    assert "does not allow" in str(refusal(policy, kubectl.parse("get", ["pods,secret", "-n", "shop"])))
    run = Run("res_1", "get", ["pods"], 300.0, 8 << 20, contract=Contract(max_full_bytes=8 << 20))
    limited = policy.limited(run)
    assert (limited.timeout_seconds, limited.max_output_bytes) == (60, 1 << 20)
    assert limited.contract is not None
    assert limited.contract.max_full_bytes == 1 << 20
    assert Policy().limited(run) is run


def test_nothing_listed_is_nothing_allowed() -> None:
    for text in ("verbs: []", "namespaces: []", "kinds: []"):
        assert refusal(parse(text), GET) is not None


@pytest.mark.parametrize(
    ("word", "value"), [("on", "on"), ("off", "off"), ("'off'", "off"), ("no", "off"), ("true", "on")]
)
def test_yaml_takes_off_for_false(word: str, value: str) -> None:
    assert parse(f"redaction: {word}").redaction == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("verbs: [exec]", "exec is no verb; there are .*get"),
        ("verbs: get", "verbs"),
        ("verb: [get]", "verb`"),
        ("verbs: [get]\nverbs: ['*']", "verbs stands there twice"),
        ("kinds: [all]", "kinds: all is not clear"),
        ("denied_kinds: [widgets]", "denied_kinds: widgets is not clear"),
        ("denied_kinds: ['*']", "denied_kinds"),
        ("redaction: maybe", "redaction"),
        ("limits: {max_seconds: 0}", "max_seconds"),
        ("limits: {max_second: 1}", "max_second"),
        ("- get", "expected keys"),
        ("verbs: [get", "not YAML"),
        ("x: !!python/object/apply:os.system [id]", "not YAML"),
        ("a: &a [*a]", "unknown field"),
        ("verbs: [" + "get, " * 1000 + "get]", "verbs"),
        ("[" * 5000, "not YAML"),
        ("!!bool zz", "KeyError"),
        ("verbs: !!timestamp x", "AttributeError"),
        ("verbs: !!int x", "ValueError"),
    ],
)
def test_what_is_unclear_is_said(text: str, why: str) -> None:
    with pytest.raises(PolicyError, match=why):
        parse(text)


def test_what_the_hub_is_told_is_what_holds() -> None:
    policy = parse(EXAMPLE)
    told = announced(policy.announced("broken"))
    assert told is not None
    assert told.problem == "broken"
    assert told.scope == policy.scope
    assert msgspec.to_builtins(told.limits) == msgspec.to_builtins(policy.limits)


def test_what_the_hub_does_not_understand_it_leaves() -> None:
    assert announced({"verbs": msgspec.Raw(b"7")}) is None
    assert announced({"problem": msgspec.Raw(b'"' + b"x" * 200_000 + b'"')}) is None
    assert announced({"verbs": msgspec.Raw(b"[" * 100_000)}) is None
    assert announced({"verbs": msgspec.Raw(b'["get"]'), "later": msgspec.Raw(b"1")}) == AnnouncedPolicy(verbs=("get",))
    assert announced({}) == AnnouncedPolicy()


async def test_a_file_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("agent.policy_file._LOOK_SECONDS", 0.01)
    path = tmp_path / "policy.yaml"
    path.write_text("verbs: [get]")
    file = PolicyFile(path)
    assert file.load() == Policy(verbs=("get",))
    changed = asyncio.Event()
    watching = asyncio.create_task(file.watch(changed.set))

    async def change() -> None:
        async with asyncio.timeout(5):
            await changed.wait()
        changed.clear()

    with caplog.at_level(logging.INFO):
        for content, problem in ((b"\xff", "not UTF-8"), (b"x" * 70_000, "over 64 KiB"), (b"verbs: 1", "Expected")):
            path.write_bytes(content)
            await change()
            assert file.policy == Policy(verbs=("get",))
            assert problem in str(file.problem)
        path.unlink()
        await change()
        assert file.problem == "cannot be read: No such file or directory"
        path.write_text("verbs: [get]")  # as it was: the problem is over
        await change()
        assert held(file) == (Policy(verbs=("get",)), None)
        target = tmp_path / "..data"  # as a ConfigMap is mounted: a link that turns to another file
        target.write_text("verbs: [logs]")
        link = tmp_path / "link"
        link.symlink_to(target)
        link.replace(path)
        await change()
        assert file.policy == Policy(verbs=("logs",))
    watching.cancel()
    assert sum("broken" in record.message for record in caplog.records) == 4  # each once, not at every look


def held(file: PolicyFile) -> tuple[Policy, str | None]:
    return file.policy, file.problem


def test_the_first_must_be_good(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    with pytest.raises(StartError, match=r"policy_file .*cannot be read"):
        PolicyFile(path).load()
    path.write_text("verbs: [exec]")
    with pytest.raises(StartError, match="exec is no verb"):
        PolicyFile(path).load()


PIECES = [
    *(
        "verbs",
        "limits",
        ": ",
        "\n",
        "- ",
        "[",
        "]",
        "{",
        "}",
        "? ",
        "<<: ",
        "&a ",
        "*a",
        "'",
        '"',
        "\t",
        "~",
        "|",
        "off",
    ),
    *("!!bool zz", "!!int x", "!!float q", "!!timestamp 2001-99-99", "!!set", "!!omap [a]", "!!binary x", "%YAML 9"),
    *("0x_", "190:20:30:-1", "1e999", "2001-13-45", "---\n", "!!python/name:os", "\x00"),
]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join) | st.text(max_size=40))
def test_any_text_is_a_policy_or_is_said_to_be_none(text: str) -> None:
    with contextlib.suppress(PolicyError):
        assert isinstance(parse(text), Policy)
