"""How a command's coroutine is run: Ctrl-C and SIGTERM cancel it, in the clusters too; errors become lines."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any

from kubently.cli.failures import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    UsageError,
    exit_code,
    explain,
)
from kubently.cli.printing import note
from kubently.cli.target import Target
from kubently.client import Client
from kubently.errors import KubentlyError


def client_of(target: Target) -> Client:
    """The client for a target. Raises ConfigurationError."""
    return Client(target.endpoint, target.api_key, ca_file=target.ca_file)


def run(work: Coroutine[Any, Any, int | None]) -> int:
    """Run it to its end; the exit code it returns, 0 for None."""
    try:
        code = asyncio.run(_until_signal(work)) or 0
        sys.stdout.flush()  # here, where it may fail in order
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except asyncio.CancelledError:  # by SIGTERM
        return EXIT_TERMINATED
    except (KubentlyError, UsageError) as error:
        note(explain(error))
        return exit_code(error)
    except BrokenPipeError:
        return _as_sigpipe()
    except OSError as error:
        note(f"the output cannot be written: {error.strerror or error}")
        _forget_stdout()
        return EXIT_FAILED
    return code


async def _until_signal(work: Coroutine[Any, Any, int | None]) -> int | None:
    task = asyncio.current_task()
    assert task is not None  # asyncio.run made it
    with contextlib.suppress(NotImplementedError):  # Windows
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work


def _forget_stdout() -> None:
    """What is still in its buffer goes nowhere."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _as_sigpipe() -> int:
    """End as other programs do whose reader has gone, `kubectl` among them: by SIGPIPE."""
    _forget_stdout()
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGPIPE)
    return 141
