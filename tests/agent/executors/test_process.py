"""agent/executors/process.py against real processes."""

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest

from agent.executors import process
from agent.executors.process import Spawn
from tests.support.kubectls import is_alive
from tests.support.sinks import Collected, FullSink, StalledSink
from tests.support.waiting import until


def python(folder: Path, code: str, **limits: int) -> Spawn:
    return Spawn([sys.executable, "-SEc", code], {"ONLY": "this"}, folder, **limits)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


async def test_output_and_exit_code(tmp_path: Path) -> None:
    sink = Collected()
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)"
    assert await process.run(python(tmp_path, code), sink) == 7
    assert (sink.stdout, sink.stderr) == (b"out\n", b"err\n")


async def test_the_child_has_nothing_of_ours(tmp_path: Path) -> None:
    sink = Collected()
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        code = (
            "import os, sys;"
            "print(sorted(os.environ), os.getcwd(), sorted(os.listdir('/proc/self/fd'))[:3],"
            " len(os.listdir('/proc/self/fd')), sys.stdin.read() == '', os.getpgid(0) == os.getpid() == os.getsid(0))"
        )
        assert await process.run(python(tmp_path, code), sink) == 0
    environment, _, rest = sink.stdout.decode().partition("] ")
    assert set(environment.strip("['").replace("'", "").split(", ")) - {"LC_CTYPE"} == {"ONLY"}
    # Descriptors 0 to 2 and the one that lists them.
    assert rest == f"{tmp_path} ['0', '1', '2'] 4 True True\n"


async def test_a_signal_is_a_negative_code(tmp_path: Path) -> None:
    assert await process.run(python(tmp_path, "import os; os.kill(os.getpid(), 9)"), Collected()) == -9


async def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await process.run(Spawn(["/nonexistent/kubectl"], {}, tmp_path), Collected())


async def test_cancelling_ends_the_whole_group_within_a_second(tmp_path: Path) -> None:
    sink = Collected()
    code = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = os.fork()\n"
        "if child: print(os.getpid(), child, flush=True)\n"
        "time.sleep(600)\n"
    )
    task = asyncio.create_task(process.run(python(tmp_path, code), sink), name="child")
    await asyncio.wait_for(sink.wrote.wait(), 10)
    pids = [int(pid) for pid in sink.stdout.split()]
    began = time.monotonic()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert time.monotonic() - began < 1.0
    await until(lambda: not any(is_alive(pid) for pid in pids), 1.0)


async def test_a_child_left_by_its_parent_is_ended_too(tmp_path: Path) -> None:
    sink = Collected()
    code = (
        "import os, sys, time\n"
        "child = os.fork()\n"
        "if child: print(child, flush=True); sys.exit(0)\n"
        "os.close(1); os.close(2); time.sleep(600)\n"
    )
    assert await process.run(python(tmp_path, code), sink) == 0
    await until(lambda: not is_alive(int(sink.stdout)), 1.0)


async def test_what_the_sink_raises_ends_the_child(tmp_path: Path) -> None:
    sink = FullSink(ZeroDivisionError("full"))
    with pytest.raises(ZeroDivisionError, match="full"):
        await process.run(python(tmp_path, "import time; print('x' * 100000, flush=True); time.sleep(600)"), sink)


async def test_a_slow_sink_slows_the_child(tmp_path: Path) -> None:
    sink = StalledSink()
    progress = tmp_path / "progress"
    code = (
        "import os\n"
        f"file = open({str(progress)!r}, 'wb', buffering=0)\n"
        "for _ in range(4096): os.write(1, b'x' * 4096); file.write(b'.')\n"
    )
    task = asyncio.create_task(process.run(python(tmp_path, code), sink), name="child")
    await asyncio.wait_for(sink.wrote.wait(), 10)
    written = -1
    while written != (written := progress.stat().st_size):
        await asyncio.sleep(0.1)
    # The pipe's 64 KiB, what asyncio reads ahead (128 KiB and one read), and the first write.
    assert written * 4096 < 1024 * 1024
    sink.release.set()
    assert await asyncio.wait_for(task, 20) == 0
    assert sink.taken == 4096 * 4096


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit is Linux's")
async def test_memory_is_bounded(tmp_path: Path) -> None:
    sink = Collected()
    # The limit is set just after the start, so the child asks again until it holds.
    code = "import time\nend = time.time() + 10\nwhile time.time() < end: bytearray(300_000_000)"
    assert await process.run(python(tmp_path, code, max_memory_bytes=200_000_000), sink) == 1
    assert b"MemoryError" in sink.stderr


async def test_nothing_leaks(tmp_path: Path) -> None:
    await process.run(python(tmp_path, "print(1)"), Collected())
    before = descriptors()
    tasks = asyncio.all_tasks()
    for _ in range(20):
        await process.run(python(tmp_path, "print(1)"), Collected())
        cancelled = asyncio.create_task(
            process.run(python(tmp_path, "import time; time.sleep(600)"), Collected()), name="child"
        )
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.wait([cancelled])
    await until(lambda: descriptors() <= before, 2.0)
    assert asyncio.all_tasks() == tasks
