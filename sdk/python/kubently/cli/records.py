"""What the hub remembers: sessions, results, the audit log."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from typing import Final

from kubently.cli.failures import UsageError
from kubently.cli.kubectl import code_of, remark
from kubently.cli.printing import ago, moment, say_json, say_table
from kubently.cli.running import client_of
from kubently.cli.target import Target
from kubently.models import AuditRow

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


async def sessions(target: Target, *, status: str | None, cluster: str | None, limit: int, as_json: bool) -> None:
    """List sessions, newest first."""
    found = await client_of(target).sessions(status=status, cluster_id=cluster, limit=limit)
    if as_json:
        say_json([each.raw for each in found])
        return
    rows = [
        (
            each.session_id,
            each.cluster_id,
            each.status,
            ago(each.created_at),
            str(each.commands_executed),
            each.service_identity or "-",
        )
        for each in found
    ]
    say_table(("SESSION", "CLUSTER", "STATUS", "AGE", "COMMANDS", "CALLER"), rows)


async def result(
    target: Target, result_id: str, *, wait: float, is_full: bool, follow: bool, cancel: bool, as_json: bool
) -> int:
    """Print a result as the command would have printed it; its exit code."""
    async with client_of(target) as client:
        if cancel:
            await client.cancel(result_id)
        if follow:
            async for piece in client.follow(result_id):
                sink = sys.stdout if piece.stream == "stdout" else sys.stderr
                sink.write(piece.data)
                sink.flush()
        found = await client.result(result_id, wait=wait, full=is_full)
        if as_json:
            say_json(found.raw)
        elif not follow:
            sys.stdout.write(found.output)
            sys.stdout.flush()
            if found.error is not None:
                sys.stderr.write(found.error if found.error.endswith("\n") else f"{found.error}\n")
        if not as_json:
            remark(found)
        return code_of(found)


async def audit(
    target: Target,
    *,
    since: str | None,
    kind: str | None,
    decision: str | None,
    cluster: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Print rows of the audit log, newest first."""
    start = None if since is None else _moment(since)
    found = await client_of(target).audit(since=start, kind=kind, decision=decision, cluster_id=cluster, limit=limit)
    if as_json:
        say_json([each.raw for each in found])
        return
    rows = [
        (moment(each.at), each.kind, each.decision, each.key_id or "-", each.cluster_id or "-", _what(each))
        for each in found
    ]
    say_table(("TIME", "KIND", "DECISION", "KEY", "CLUSTER", "WHAT"), rows)


def _what(row: AuditRow) -> str:
    if row.kind == "ended":
        return f"{row.result_id} {row.status}"
    if row.argv:
        return " ".join(row.argv)
    return row.action or row.rule or "-"


def _moment(text: str) -> datetime:
    """`2h` ago, or an RFC 3339 time. Raises UsageError."""
    if text[:-1].isdecimal() and text[-1] in _UNITS:
        return datetime.now(UTC) - timedelta(seconds=int(text[:-1]) * _UNITS[text[-1]])
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None:
        raise UsageError(f"--since {text} is no time; write 30m, 2h, 7d or 2026-01-20T10:30:00Z")
    return found if found.tzinfo is not None else found.astimezone()


async def close_session(target: Target, session_ids: list[str]) -> None:
    """Close sessions, which cancels what runs in them."""
    async with client_of(target) as client:
        await asyncio.gather(*map(client.close_session, session_ids))
