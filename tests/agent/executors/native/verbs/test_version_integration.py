"""`version` beside kubectl, on servers of many versions."""

from pathlib import Path
from typing import Final

import pytest

from tests.support.beside_kubectl import differences
from tests.support.fake_api_server import Answer, fake_api_server, respond, status, warning

SERVER: Final = {
    "major": "1",
    "minor": "33",
    "gitVersion": "v1.33.2",
    "gitCommit": "0123456789",
    "gitTreeState": "clean",
    "buildDate": "2025-06-17T18:32:53Z",
    "goVersion": "go1.24.4",
    "compiler": "gc",
    "platform": "linux/arm64",
}
LINES: Final = ("version", "version -o json", "version -o yaml")


@pytest.mark.parametrize(
    "version",
    [
        *("v1.31.9", "v1.32.0", "v1.33.1-gke.100+x", "v1.34.0", "v1.35.0-alpha.1", "v2.33.0", "v0.33.0", "1.20.15"),
        *("v1.33", "v1", "", "latest", "V1.33.0", "v1.33.x", "v1.33.0.1"),
    ],
)
async def test_the_skew_is_told_as_kubectl_tells_it(tmp_path: Path, version: str) -> None:
    async with fake_api_server() as server:
        server.route("/version", {**SERVER, "gitVersion": version})
        assert await differences(server, tmp_path, ["version"]) == []


@pytest.mark.parametrize(
    "answer",
    [
        {
            **SERVER,
            "emulationMajor": "1",
            "emulationMinor": "32",
            "minCompatibilityMajor": "1",
            "minCompatibilityMinor": "31",
            "minor": "33+",
            "compiler": '<&>é\u2028"',
            "unknown": "field",
        },
        {"gitVersion": "v1.33.0", "major": None},
        warning(SERVER, "careful"),
        status(404, "NotFound", "the server could not find the requested resource"),
        respond(b"boom", code=500, content_type="text/plain"),
    ],
    ids=["all fields", "few fields", "warning", "not found", "broken"],
)
async def test_every_form_is_as_kubectl_prints_it(tmp_path: Path, answer: Answer) -> None:
    async with fake_api_server() as server:
        server.route("/version", answer)
        assert await differences(server, tmp_path, [*LINES, "version --client -o yaml"]) == []


async def test_without_a_server_there_is_still_the_client(tmp_path: Path) -> None:
    async with fake_api_server() as server:
        pass
    assert await differences(server, tmp_path, LINES) == []
