"""scripts/chaos in its short form: links cut and half open, hub and agent killed, and every command accounted for."""

import asyncio
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


async def chaos(*args: str) -> str:
    """Run it; what it printed. Fails with its report when it found something wrong."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chaos", "--seed", "1", *args),
        cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        printed, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    assert process.returncode == 0, printed.decode() + said.decode()
    return printed.decode()


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_the_ledger_balances_under_faults_and_kills() -> None:
    brief = ("--commands", "40", "--kill-seconds", "10", "--brief")
    report = await chaos("--faults", "cut,half-open", "--kill", "both", *brief)
    assert "unaccounted 0" in report
    assert "nothing wrong" in report


@pytest.mark.slow
@pytest.mark.timeout(200)
async def test_a_fleet_comes_back_when_its_hub_restarts() -> None:
    assert "nothing wrong" in await chaos("--fleet", "200")
