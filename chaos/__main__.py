"""The command behind `scripts/chaos`."""

import argparse
import asyncio
import contextlib
import os
import random
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NoReturn

from chaos import levels, phase, store
from chaos.faults import FAULTS
from chaos.fleet import measure_fleet
from chaos.kills import VICTIMS
from chaos.processes import ProcessFailed
from chaos.report import Report
from chaos.samples import samples_in
from chaos.scene import Scene, scene
from tests.cluster.assets import AssetsMissing
from tests.cluster.cluster import Cluster, ClusterFailed
from tests.cluster.debian import BuildFailed

# Commands before anything is measured: what grows on use has grown.
_WARM_UP_COMMANDS: Final = 150


def say(text: str) -> None:
    """Tell the person who waits; standard output is for the report."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


async def run(options: argparse.Namespace, folder: Path, report: Report) -> None:
    """Do everything that was asked for. SIGTERM cancels it. Raises ProcessFailed."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    if options.faults or options.kill:
        with _cluster(options.cluster) as cluster:
            say(f"filling cluster {cluster.name}")
            with samples_in(cluster, f"chaos-{os.getpid()}", options.seed) as samples:
                async with scene(folder, cluster.agent_kubeconfig, samples, options.agents) as running:
                    await _run_phases(options, running, report)
    if options.fleet:
        apart = folder / "fleet"  # a hub with a database of its own
        apart.mkdir()
        report.fleets += await measure_fleet(apart, options.fleet, str(options.seed), say)


async def _run_phases(options: argparse.Namespace, running: Scene, report: Report) -> None:
    for what, is_there in (("live streams", running.mix.has_streams), ("cancelling", running.mix.has_cancel)):
        if not is_there:
            report.missing.append(f"{what}: this hub has none")
    say("warming up")
    warm = await phase.under_fault(running, "none", _WARM_UP_COMMANDS, f"{options.seed} warm-up")
    report.phases.append(warm)
    await running.rest.renew()
    report.before = await levels.stable(running.processes)
    until = time.monotonic() + options.minutes * 60
    is_first = True
    while is_first or time.monotonic() < until:
        is_first = False
        for name in options.faults:
            say(f"{options.commands} commands: {name}")
            seed = f"{options.seed} {len(report.phases)} {name}"
            await _add(running, report, await phase.under_fault(running, name, options.commands, seed))
        for victims in options.kill:
            say(f"kill -9 of {victims} for {options.kill_seconds:g} s")
            seed = f"{options.seed} {len(report.phases)} {victims}"
            await _add(running, report, await phase.under_kills(running, victims, options.kill_seconds, seed))
    if not options.brief:
        say("waiting until connections that are kept are closed")
        await _rest(running, report, is_last=True)
    for process in reversed(running.processes):
        code = await process.stop()
        if code != 0:
            report.faults.append(f"{process.name} ended with {code}, see its log")
    entries = [entry for made in report.phases for entry in made.entries]
    named = {result_id for entry in entries for result_id in entry.result_ids}
    report.faults += store.faults(store.read(running.database), named, sum(entry.is_unanswered for entry in entries))


async def _add(running: Scene, report: Report, made: phase.Phase) -> None:
    report.phases.append(made)
    await _rest(running, report, is_last=False)
    say(f"  {made.balance.accepted} accepted, {len(made.balance.faults)} wrong, {made.seconds:.0f} s")


async def _rest(running: Scene, report: Report, *, is_last: bool) -> None:
    """Measure what is held after the last phase, with no connection of ours left."""
    assert report.before is not None
    await running.rest.renew()
    after = await levels.fallen(running.processes, report.before, is_last=is_last)
    made = report.phases[-1]
    report.phases[-1] = replace(made, levels=after)
    report.faults += [f"after {made.name}: {fault}" for fault in levels.faults(report.before, after, is_last=is_last)]


@contextlib.contextmanager
def _cluster(name: str | None) -> Iterator[Cluster]:
    """The cluster of that name; without one the default one where it is up, else one of our own that goes again."""
    cluster = Cluster(name or "default")
    if cluster.problem() is None and cluster.is_current:
        yield cluster
        return
    if name is not None:
        raise ClusterFailed(f"cluster {name} is not up: scripts/testcluster up --name {name}")
    cluster = Cluster(f"chaos-{os.getpid()}")
    say("bringing up a cluster")
    cluster.up()
    try:
        yield cluster
    finally:
        cluster.down()


def main() -> NoReturn:
    """Run, report, and leave with 1 when something is wrong, with 2 when it could not be tried."""
    options = _options()
    again = f"scripts/chaos --seed {options.seed} {shlex.join(options.given)}".strip()
    report = Report(again)
    folder = Path(tempfile.mkdtemp(prefix="kubently-chaos-"))
    try:
        asyncio.run(run(options, folder, report))
    except (AssetsMissing, BuildFailed, ClusterFailed) as error:
        say(f"scripts/chaos: {error}")
        sys.exit(2)
    except ProcessFailed as error:
        report.faults.append(str(error))
    except (KeyboardInterrupt, asyncio.CancelledError):
        report.faults.append("interrupted")
    print(report.text())
    if report.every_fault():
        say(f"scripts/chaos: the logs and the database are in {folder}")
        sys.exit(1)
    shutil.rmtree(folder)
    sys.exit(0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/chaos",
        description="Break links and kill processes under load, and account for every command. Without --faults, --kill"
        " and --fleet all of them.",
    )
    parser.add_argument("--seed", type=int, help="repeats the faults and commands of a run (random)")
    parser.add_argument("--minutes", type=float, default=0.0, help="go round again until so much time has passed (0)")
    parser.add_argument("--agents", type=_count, default=1, help="real agents, each of a cluster of its own (1)")
    parser.add_argument("--commands", type=_count, default=500, help="commands under each fault (500)")
    parser.add_argument("--kill-seconds", type=float, default=60.0, help="length of each killing (60)")
    faults = ("none", *FAULTS)
    parser.add_argument("--faults", type=_some_of(faults), help=f"of {', '.join(faults)}, or all")
    parser.add_argument("--kill", type=_some_of(VICTIMS), help=f"of {', '.join(VICTIMS)}, or all")
    parser.add_argument("--fleet", type=_count, metavar="AGENTS", help="scripted agents whose hub restarts (2000)")
    parser.add_argument("--brief", action="store_true", help="do not wait for kept connections to be closed (80 s)")
    parser.add_argument("--cluster", metavar="NAME", help="the test cluster to use: one that is up, see testcluster")
    options = parser.parse_args()
    if options.faults is None and options.kill is None and options.fleet is None:
        options.faults, options.kill, options.fleet = list(faults), list(VICTIMS), 2000
    options.faults, options.kill = options.faults or [], options.kill or []
    options.seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    options.given = _without_seed(sys.argv[1:])
    return options


def _some_of(names: Sequence[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        picked = list(names) if text == "all" else text.split(",")
        for name in picked:
            if name not in names:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(names)}")
        return picked

    return parse


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def _without_seed(argv: Sequence[str]) -> list[str]:
    kept = [word for word in argv if not word.startswith("--seed=")]
    if "--seed" in kept:
        at = kept.index("--seed")
        del kept[at : at + 2]
    return kept


if __name__ == "__main__":
    main()
