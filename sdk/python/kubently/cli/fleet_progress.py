"""How far a fleet's answers are, on a terminal."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from kubently.cli.printing import printable
from kubently.fleet import Fleet, FleetAnswer


class FleetProgress:
    """A context: a bar on stderr that goes when it ends, and above it a line for each cluster, which stays."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True, highlight=False),
            transient=True,
        )
        self._task = self._progress.add_task("clusters", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def answered(self, fleet: Fleet, answer: FleetAnswer) -> None:
        """Count it, and say how it ended."""
        self._progress.update(self._task, total=len(fleet.clusters or ()), advance=1)
        mark = ("✓", "green") if answer.ok else ("✗", "red")
        if answer.result is not None:
            took = answer.result.execution_time_ms
            text = answer.result.status if took is None else f"{answer.result.status} in {took} ms"
        else:
            text = str(answer.error)
        line = Text.assemble(mark, f" {answer.cluster_id}  ", (printable(text), "dim"))  # no markup: it is others' text
        self._progress.console.print(line, soft_wrap=True)
