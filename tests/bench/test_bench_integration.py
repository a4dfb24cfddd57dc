"""The bench as a whole, with tiny counts: every row is there. No figure is judged here."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from bench.bars import judge

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_the_report_has_every_row(tmp_path: Path) -> None:
    found = tmp_path / "bench.json"
    options = ("--rounds", "1", "--seconds", "1", "--agents", "20", "--no-cluster", "--json", str(found))
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench", *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    stdout, stderr = await run.communicate()
    assert run.returncode in (0, 1), stderr.decode()
    table = stdout.decode()
    for row in ("p50 at 1 caller", "requests/s at 32 callers", "CPU per command", "per idle agent", "not measured"):
        assert row in table
    report = json.loads(found.read_text())
    assert len(report["bars"]) == 3
    assert (run.returncode == 1) is any(not bar["is_met"] for bar in report["bars"])


def test_bars_are_inclusive() -> None:
    assert all(bar.is_met for bar in judge(2.5, 0.30, 30_000))
    assert not any(bar.is_met for bar in judge(2.51, 0.29, 30_001))
