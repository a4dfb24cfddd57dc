"""agent/link/token.py: where the token comes from."""

from pathlib import Path

import pytest

from agent.errors import StartError
from agent.link import token


def test_the_variable_is_taken_out_of_the_environment() -> None:
    environ = {"KUBENTLY_AGENT_TOKEN": " kubently_agent_abc\n", "HOME": "/root"}
    read = token.source(None, environ)
    assert read() == "kubently_agent_abc"
    assert environ == {"HOME": "/root"}


def test_the_file_is_read_each_time(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    read = token.source(str(file), {})
    assert read() == "first"
    file.write_text("second")
    assert read() == "second"
    file.unlink()
    with pytest.raises(StartError, match="No such file"):
        read()


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"a\nb", b"\xff\xfe", b"x" * 5000, "tökn".encode()])
def test_what_is_no_token_is_refused_without_being_shown(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(StartError, match=r"holds no token|empty") as caught:
        token.source(str(file), {})
    assert "words" not in str(caught.value)
    assert "xxx" not in str(caught.value)


def test_one_source_is_needed_and_only_one(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="no agent token"):
        token.source(None, {})
    with pytest.raises(StartError, match="both set"):
        token.source(str(tmp_path / "token"), {"KUBENTLY_AGENT_TOKEN": "abc"})
