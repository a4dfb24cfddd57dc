"""The processes of a cluster: started on their own, found again by id and start time, ended."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Final

_ROOT = Path(__file__).parents[2]
_STOP_SECONDS = 8.0
# What this very process has started, by id: it has to collect them when they end.
_CHILDREN: Final[dict[int, subprocess.Popen[bytes]]] = {}


def free_ports(count: int) -> list[int]:
    """Ports of loopback nobody listens on, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def start(name: str, argv: list[str], folder: Path) -> dict[str, Any]:
    """Start a process that outlives us and holds nothing of ours; `{"name": "etcd", "pid": 7, "started": "123"}`."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, close_fds=True, cwd=_ROOT
        )
    _CHILDREN[process.pid] = process
    return {"name": name, "pid": process.pid, "started": _start_time(process.pid)}


def is_alive(entry: dict[str, Any]) -> bool:
    """Whether the process still runs, and is not another that got its id."""
    return entry["started"] is not None and _start_time(entry["pid"]) == entry["started"]


def stop(entries: list[dict[str, Any]]) -> None:
    """End processes in the reverse order of their start, with force where asking does not help."""
    for entry in reversed(entries):
        if is_alive(entry):
            os.kill(entry["pid"], signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while any(is_alive(entry) for entry in entries) and time.monotonic() < deadline:
        time.sleep(0.02)
    for entry in entries:
        if is_alive(entry):
            os.kill(entry["pid"], signal.SIGKILL)
    while any(is_alive(entry) for entry in entries):
        time.sleep(0.02)
    _reap(entries)


def _reap(entries: list[dict[str, Any]]) -> None:
    """Collect those that are our own children; a zombie may still have threads that are ending."""
    for entry in entries:
        child = _CHILDREN.pop(entry["pid"], None)
        if child is not None:
            child.wait(_STOP_SECONDS)


def _start_time(pid: int) -> str | None:
    """Field 22 of /proc/PID/stat (proc(5)); None for a process that is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]
