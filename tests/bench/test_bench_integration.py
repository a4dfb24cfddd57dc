"""The bench as a whole, with tiny counts: every row is there. No figure is judged here."""

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.bars import judge
from bench.cli import CommandLine
from bench.load import Load
from bench.measure import Round, Rounds
from bench.report import Report
from bench.road import Listing, Memory, Road
from bench.streams import Flood, Flow, Neighbour, Quiet, Side, Streams
from bench.streams import Memory as StreamMemory

ROOT = Path(__file__).parents[2]


def streams(road_bytes: float, growth_bytes: int, flooded_ms: float) -> Streams:
    """A pipe of 100 MB/s, a road of its own rate; memory that grew, and a neighbour whose idle p99 is 2 ms."""
    quiet = Quiet(p50_ms=0.5, p99_ms=2.5, first_output_ms=4.0)
    neighbours = [Neighbour(2.0, flooded_ms)]
    sides = {
        name: Side([Flow(rate, rate / 100, 65_536.0, 6.5, 1.5)], quiet, neighbours)
        for name, rate in (("pipe", 100e6), ("scripted", 80e6), ("road", road_bytes))
    }
    memory = StreamMemory(60_000_000, 62_000_000, 60_000_000 + growth_bytes, 61_000_000)
    return Streams(sides, 900e6, Flood(memory, memory, 5e6, 0))  # type: ignore[arg-type]


STREAM_ROWS = ("| MB/s |", "from `execute` to first output", "beside a flood", "| agent |", "10 readers of one flood")
LINE = CommandLine(import_ms=150.0, requests_ms=20.0, exec_ms=320.0)
MET = streams(50e6, 32_000_000, 6.0)


@pytest.mark.slow
@pytest.mark.timeout(240)
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
    for row in (
        "p50 at 1 caller",
        "requests/s at 32 callers",
        "CPU per command",
        "per idle agent",
        "`kubently exec` of it",
        "not measured",
        *STREAM_ROWS,
    ):
        assert row in table
    report = json.loads(found.read_text())
    assert len(report["bars"]) == 8
    assert (run.returncode == 1) is any(not bar["is_met"] for bar in report["bars"])


def test_bars_are_inclusive() -> None:
    listings = (Listing(50, 60.0, 3.0, 60.0, 6.0), Listing(500, 80.0, 10.0, 80.0, 20.0))
    road = Road(listings, 30.0, 240.0, Memory(10_000, 117_000_000, 120_000_000, 200_000_000))
    assert all(bar.is_met for bar in judge(2.5, 0.30, 30_000, LINE, MET, road))
    listings = (Listing(50, 60.0, 2.9, 60.0, 6.1), Listing(500, 80.0, 10.0, 80.0, 20.1))
    road = Road(listings, 30.0, 239.0, Memory(10_000, 117_000_000, 120_000_001, 200_000_000))
    assert not any(
        bar.is_met
        for bar in judge(2.51, 0.29, 30_001, replace(LINE, exec_ms=321.0), streams(49.9e6, 32_000_001, 6.01), road)
    )
    growing = replace(road, native_per_second=240.0, memory=Memory(10_000, 50_000_000, 53_000_001, 60_000_000))
    assert [bar.is_met for bar in judge(2.5, 0.30, 30_000, LINE, MET, growing)][-2:] == [True, False]


def test_the_report_shows_the_road() -> None:
    load = Load(requests=10, seconds=1.0, p50_ms=1.0, p99_ms=2.0)
    rounds = Rounds([Round(load, load, 0.1)], [Round(load, load, 0.1)], 1, 1)
    road = Road((Listing(50, 60.0, 3.0, 61.0, 6.0),), 30.0, 300.0, Memory(10_000, 90_000_000, 91_000_000, 99_000_000))
    table = Report(rounds, 20_000, 1000, LINE, MET, road, "").markdown()
    assert "| 50 pods | 3.0 | 60 | 61 | 6.0 |" in table
    assert "| commands/s at 32 callers, native | 300 |" in table


def test_the_report_shows_streams_beside_the_bare_pipe() -> None:
    load = Load(requests=10, seconds=1.0, p50_ms=1.0, p99_ms=2.0)
    rounds = Rounds([Round(load, load, 0.1)], [Round(load, load, 0.1)], 1, 1)
    table = Report(rounds, 20_000, 1000, LINE, MET, None, "no cluster").markdown()
    assert "| MB/s | 100.0 | 80.0 | 50.0 | 0.50 |" in table
    assert "| the same beside a flood, ms | 6.0 | | 6.0 | 1.00 |" in table
    assert "| hub | 60 | 62 | 92 | 61 |" in table
    assert "| MB/s of a stream, whole road | at least 50% of the bare pipe's | 50% | met |" in table
