"""One kubectl command on many clusters: progress while they answer, then one table, or one document."""

import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from itertools import pairwise
from typing import Any, Final, Protocol

from kubently.cli import tables
from kubently.cli.failures import EXIT_FAILED, EXIT_OK, UsageError, explain
from kubently.cli.kubectl import remark
from kubently.cli.printing import note, say_json, say_table
from kubently.cli.running import client_of
from kubently.cli.target import Target
from kubently.fleet import Fleet, FleetAnswer

_JSON_WORDS: Final = ("-ojson", "-o=json", "--output=json")


class _Progress(Protocol):
    def answered(self, fleet: Fleet, answer: FleetAnswer) -> None: ...


async def command(
    target: Target,
    words: Sequence[str],
    *,
    clusters: Sequence[str],
    selector: str | None,
    concurrency: int | None,
    time_limit: int | None,
    as_json: bool,
) -> int:
    """Run it; 0 when it succeeded everywhere. Ctrl-C cancels it everywhere."""
    if not words:
        raise UsageError("which command? Such as: kubently fleet get pods -A")
    verb, *args = words
    chosen = [part for each in clusters for part in each.split(",") if part] or ([] if selector else ["*"])
    answers: list[FleetAnswer] = []
    async with client_of(target) as client:
        fleet = client.fleet(
            verb, args, clusters=chosen, selector=selector, concurrency=concurrency, timeout=time_limit
        )
        with _progress() as progress:
            async for answer in fleet:
                answers.append(answer)
                if as_json:
                    print(json.dumps(_line(answer), ensure_ascii=False), flush=True)
                progress.answered(fleet, answer)
    answers.sort(key=lambda answer: answer.cluster_id)
    if not as_json:
        _show(answers, wants_json=_wants_json(args))
    return EXIT_OK if all(answer.ok for answer in answers) else EXIT_FAILED


def _show(answers: Sequence[FleetAnswer], *, wants_json: bool) -> None:
    found = {answer.cluster_id: answer.result.output for answer in answers if answer.result is not None}
    if wants_json:
        say_json({"kind": "FleetList", "items": [_document(answer) for answer in answers]})
    else:
        parsed = {cluster: tables.parse(text) for cluster, text in found.items() if text}
        whole = {cluster: table for cluster, table in parsed.items() if table is not None}
        failures = [(answer.cluster_id, _failure(answer)) for answer in answers if not answer.ok]
        if whole and len(whole) == len(parsed):
            _show_table(tables.merge(whole), failures)
        else:
            _show_texts(found)
    for answer in answers:
        if answer.error is not None:
            note(f"{answer.cluster_id}: {explain(answer.error)}")
        elif answer.result is not None:
            for line in (answer.result.error or "").splitlines():
                print(f"{answer.cluster_id}: {line}", file=sys.stderr)
            if answer.result.truncated:
                remark(answer.result)


def _show_table(merged: tables.Table, failures: Sequence[tuple[str, str]]) -> None:
    """The table; who did not answer is a row of it: CLUSTER, why, and nothing more."""
    blanks = ("",) * (len(merged.columns) - 2)
    say_table(merged.columns, [*merged.rows, *((cluster, f"<{why}>", *blanks) for cluster, why in failures)])


def _show_texts(found: dict[str, str]) -> None:
    """What is no table, under the name of its cluster, as tail(1) does with files."""
    for number, (cluster, text) in enumerate(found.items()):
        print(f"{'' if number == 0 else chr(10)}==> {cluster} <==")
        sys.stdout.write(text if text.endswith("\n") or not text else f"{text}\n")


def _failure(answer: FleetAnswer) -> str:
    """In a word or two: `"offline"`, `"not found"`, `"timeout"`, `"failed"`."""
    if answer.error is not None:
        name = type(answer.error).__name__
        return {"ClusterOffline": "offline", "NotFound": "not found"}.get(name, answer.error.code.replace("_", " "))
    assert answer.result is not None  # it is one or the other
    return answer.result.status


def _wants_json(args: Sequence[str]) -> bool:
    return any(word in _JSON_WORDS for word in args) or any(
        pair in {("-o", "json"), ("--output", "json")} for pair in pairwise(args)
    )


def _document(answer: FleetAnswer) -> dict[str, Any]:
    output: Any = None
    if answer.result is not None:
        try:
            output = json.loads(answer.result.output)
        except ValueError:
            output = answer.result.output
    return {
        "cluster": answer.cluster_id,
        "status": "error" if answer.result is None else answer.result.status,
        "error": str(answer.error) if answer.result is None else answer.result.error,
        "output": output,
    }


def _line(answer: FleetAnswer) -> dict[str, Any]:
    """As the API has it, for programs."""
    if answer.result is not None:
        return {"cluster_id": answer.cluster_id, "result": answer.result.raw}
    assert answer.error is not None  # it is one or the other
    return {"cluster_id": answer.cluster_id, "error": answer.error.code, "message": answer.error.message}


class _Silent:
    def answered(self, fleet: Fleet, answer: FleetAnswer) -> None:
        """Where nobody looks, nothing is said."""


def _progress() -> Any:
    """A context with what shows progress: on a terminal a bar, and a line for each answer; elsewhere nothing."""
    if not sys.stderr.isatty():
        return nullcontext(_Silent())
    from kubently.cli.fleet_progress import FleetProgress

    return FleetProgress()
