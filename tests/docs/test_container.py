"""The Containerfile holds together: what it copies is there, nothing runs as root, and its pip steps give programs that
start. No engine is needed: the file is read, and its pip steps run in a folder of the test's own.
"""

import configparser
import fnmatch
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agent.settings import TOKEN_VARIABLE
from hub.settings import ADMIN_KEY_VARIABLE
from tests.support.documents import ROOT

COMMANDS = ("kubently-hub", "kubently-agent")
STEP_SECONDS = 300


def _steps() -> list[tuple[str, str]]:
    """The instructions: `("COPY", "hub hub")`, continued lines joined, comments left out."""
    text = (ROOT / "Containerfile").read_text(encoding="utf-8")
    lines = [line for line in text.split("\n") if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.split("\n")) if word]


def _stages() -> list[list[tuple[str, str]]]:
    stages: list[list[tuple[str, str]]] = []
    for step in _steps():
        if step[0] == "FROM":
            stages.append([])
        if stages:
            stages[-1].append(step)
    return stages


def _sources() -> list[str]:
    """What is copied from the checkout."""
    copied = [rest.split() for word, rest in _steps() if word == "COPY" and not rest.startswith("--from=")]
    return [source for words in copied for source in words[:-1]]


def test_every_source_exists_and_reaches_the_build() -> None:
    ignored = (ROOT / ".containerignore").read_text(encoding="utf-8").split("\n")
    let_through = {line[1:] for line in ignored if line.startswith("!")}
    for source in _sources():
        assert (ROOT / source).exists(), source
        assert source in let_through, source


def test_every_package_of_the_distribution_is_copied() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    patterns = setup["options.packages.find"]["include"].split()
    assert {pattern.removesuffix("*") for pattern in patterns} <= set(_sources())


def test_what_the_image_must_not_hold_is_ignored() -> None:
    lines = [line for line in (ROOT / ".containerignore").read_text(encoding="utf-8").split("\n") if line]
    rules = [line for line in lines if not line.startswith("#")]
    assert rules[0] == "*"  # everything, then what is let through
    let_through = [rule[1:] for rule in rules if rule.startswith("!")]
    for name in (".git", ".venv", "tests", "bench", "kubently.db", ".env", "scripts"):
        assert not any(fnmatch.fnmatch(name, rule) for rule in let_through), name


def test_it_runs_as_a_numeric_user_that_is_not_root() -> None:
    users = [rest for word, rest in _stages()[-1] if word == "USER"]
    assert len(users) == 1
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[0])


def test_it_serves_on_every_address_of_port_8080_with_its_database_in_the_volume() -> None:
    last = _stages()[-1]
    environment = dict(
        pair.partition("=")[::2] for word, rest in last if word == "ENV" for pair in re.split(r"\s+", rest)
    )
    assert ("EXPOSE", "8080") in last
    assert ("VOLUME", "/data") in last
    assert ("CMD", '["kubently-hub", "serve"]') in last
    assert environment["KUBENTLY_HUB_SERVER_HOST"] == "0.0.0.0"
    assert environment["KUBENTLY_HUB_DATABASE_URL"].startswith("sqlite:////data/")


def test_nothing_is_fetched_but_by_pip_and_apt_and_no_secret_is_set() -> None:
    steps = _steps()
    assert all(word != "ADD" for word, _ in steps)
    assert not re.search(r"https?://|curl |wget ", "\n".join(rest for _, rest in steps))
    named = "\n".join(rest for word, rest in steps if word in {"ARG", "ENV", "LABEL"})
    assert ADMIN_KEY_VARIABLE not in named
    assert TOKEN_VARIABLE not in named
    assert not re.search(r"(?i)password|secret", named)


@pytest.mark.slow
@pytest.mark.timeout(2 * STEP_SECONDS)
def test_the_pip_steps_give_programs_that_start(tmp_path: Path) -> None:
    source, wheels, venv = tmp_path / "src", tmp_path / "wheels", tmp_path / "venv"
    source.mkdir()
    for name in _sources():
        _run("cp", "-r", str(ROOT / name), str(source / name))
    places = {"/wheels/*.whl": f"{wheels}/*.whl", "/wheels": str(wheels), "/opt/kubently": str(venv)}
    steps = [rest for word, rest in _stages()[0] if word == "RUN"]
    assert len(steps) == 4
    for step in steps:
        command = re.sub(r"^(pip|python)\b", lambda found: _tool(found[1]), step)
        for place, ours in places.items():
            command = re.sub(rf"(?<![\w/]){re.escape(place)}(?![\w*]|/\*)", ours, command)
        _run("bash", "-ec", command, folder=source)
    for name in COMMANDS:
        assert _run(str(venv / "bin" / name), "--version").startswith(f"{name} ")
    assert not (venv / "bin" / "pip").exists()
    _run(str(venv / "bin" / "python"), "-I", "-c", "import hub.__main__, agent.__main__, hub.app, agent.app")


def _tool(name: str) -> str:
    return f"{sys.executable} -m pip" if name == "pip" else sys.executable


def _run(*argv: str, folder: Path | None = None) -> str:
    ended = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=STEP_SECONDS, check=False)
    assert ended.returncode == 0, f"{' '.join(argv)}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout
