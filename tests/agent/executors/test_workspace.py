"""agent/executors/workspace.py: the private folder."""

import stat
import tempfile
from pathlib import Path

import pytest

from agent.errors import StartError
from agent.executors.workspace import Workspace


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_private_and_removed(temporary: Path) -> None:
    workspace = Workspace()
    workspace.write_kubeconfig(b"{}")
    assert workspace.path.parent == temporary
    assert (mode(workspace.path), mode(workspace.kubeconfig), mode(workspace.home)) == (0o700, 0o600, 0o700)
    assert list(workspace.empty.iterdir()) == []
    workspace.close()
    assert list(temporary.iterdir()) == []


def test_the_folder_of_a_killed_agent_goes_and_that_of_a_live_one_stays(temporary: Path) -> None:
    live = Workspace()
    killed = temporary / "kubently-agent-killed"
    killed.mkdir()
    (killed / "lock").touch()
    (killed / "kubeconfig").write_text("secret")
    foreign = temporary / "kubently-agent-notes"
    foreign.mkdir()
    second = Workspace()
    assert not killed.exists()
    assert foreign.exists()
    assert live.path.exists()
    live.close()
    second.close()


def test_nowhere_to_write(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / "absent"))
    with pytest.raises(StartError, match="TMPDIR"):
        Workspace()
