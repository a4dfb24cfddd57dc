"""The command behind `scripts/bench`."""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import NoReturn

from bench.cli import measure_command_line
from bench.idle import measure_idle_agents
from bench.load import pick_generator
from bench.measure import Plan, measure_rounds
from bench.report import Report
from bench.road import NoCluster, Road, measure_road
from bench.streams import StreamPlan, measure_streams


def say(text: str) -> None:
    """Tell the person who waits; standard output is for the report."""
    print(text, file=sys.stderr, flush=True)


async def run(options: argparse.Namespace) -> Report:
    """Measure everything that was asked for, one after the other."""
    plan = Plan(options.rounds, options.seconds, pick_generator())
    say(f"floor and hub in turn, both on uvloop, called by {plan.generator}")
    rounds = await measure_rounds(plan, say)
    say(f"memory with {options.agents} idle agents")
    idle_agent_bytes = await measure_idle_agents(options.agents)
    say("the command line beside what it is made of, in turn")
    command_line = await measure_command_line(options.rounds, say)
    say("streams: a bare pipe, the hub with a scripted agent and the whole road in turn")
    stream_plan = StreamPlan((options.rounds + 1) // 2, options.seconds, round(100 * options.seconds))
    streams = await measure_streams(stream_plan, say)
    road: Road | None = None
    missing = "--no-cluster"
    if not options.no_cluster:
        say("the whole road on a real API server, with kubectl and natively")
        try:
            road = await measure_road(min(options.seconds, 3.0))
        except NoCluster as error:
            missing = str(error)
    return Report(rounds, idle_agent_bytes, options.agents, command_line, streams, road, missing)


def main() -> NoReturn:
    """Measure, report, and leave with 1 when a bar is missed."""
    options = _parser().parse_args()
    if options.quick:
        options.rounds, options.seconds = 5, 2.0
    report = asyncio.run(run(options))
    print(report.markdown())
    if options.json is not None:
        options.json.write_text(json.dumps(report.json(), indent=2) + "\n")
    missed = [bar for bar in report.bars() if not bar.is_met]
    for bar in missed:
        say(f"scripts/bench: missed: {bar.name}: {bar.measured}, wanted {bar.text}")
    sys.exit(1 if missed else 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="What commands and streams cost, in one run.")
    parser.add_argument("--quick", action="store_true", help="a run of under five minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured there")
    parser.add_argument("--no-cluster", action="store_true", help="leave out the whole road with kubectl")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of floor and hub (15); half as many of streams")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each part of a round (5)")
    parser.add_argument("--agents", type=int, default=1000, help="idle agents (1000)")
    return parser


if __name__ == "__main__":
    main()
