"""Clusters: which there are and how they are, once or again and again."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from kubently.cli.printing import ago, is_terminal, note, pairs, rich_table, say_json, say_table
from kubently.cli.running import client_of
from kubently.cli.target import Target
from kubently.client import Client
from kubently.errors import ConnectionFailed, Forbidden, KubentlyError, ServiceUnavailable
from kubently.models import Cluster, ClusterState

_COLUMNS: Final = ("NAME", "STATUS", "AGENT", "KUBERNETES", "SEEN", "LABELS")
_LOOK_SECONDS: Final = 2.0


async def show(target: Target, names: Sequence[str], selector: str | None, *, is_watching: bool, as_json: bool) -> None:
    """Print them; with `is_watching` until Ctrl-C, on a terminal in place, else a line for each that changes."""
    async with client_of(target) as client:
        found = await _find(client, names, selector)
        if not is_watching:
            if as_json:
                say_json([each.raw for each in found])
            else:
                say_table(_COLUMNS, map(_row, found))
            return
        if is_terminal() and not as_json:
            await _watch_in_place(client, names, selector, found)
        await _watch_lines(client, names, selector, found, as_json=as_json)


async def _find(client: Client, names: Sequence[str], selector: str | None) -> Sequence[Cluster | ClusterState]:
    """Those that are named, for which any key will do, or all."""
    if names:
        return await asyncio.gather(*map(client.cluster, names))
    try:
        return await client.clusters(selector=selector)
    except Forbidden as error:
        message = f"{error}; name the clusters that you mean: kubently clusters NAME"
        raise Forbidden(message, code=error.code, status=error.status) from None


def _row(cluster: Cluster | ClusterState) -> tuple[str, ...]:
    return (
        cluster.cluster_id,
        cluster.status,
        cluster.agent_version or "-",
        cluster.kubernetes_version or "-",
        "now" if cluster.is_connected else ago(cluster.last_seen),
        pairs(cluster.labels),
    )


async def _watch_in_place(
    client: Client, names: Sequence[str], selector: str | None, found: Sequence[Cluster | ClusterState]
) -> None:
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    with Live(auto_refresh=False) as live:
        problem = ""
        while True:
            table = rich_table(_COLUMNS, list(map(_row, found)))
            live.update(Group(table, Text(problem, style="red")) if problem else table, refresh=True)
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                found, problem = await _find(client, names, selector), ""
            except (ConnectionFailed, ServiceUnavailable) as error:  # it goes on when the hub is back
                problem = f"as of before: {error}"


async def _watch_lines(
    client: Client,
    names: Sequence[str],
    selector: str | None,
    found: Sequence[Cluster | ClusterState],
    *,
    as_json: bool,
) -> None:
    import json

    shown: dict[str, Any] = {}
    while True:
        for each in found:
            state = (each.status, each.agent_version, each.kubernetes_version, each.labels)
            if shown.get(each.cluster_id) != state:
                shown[each.cluster_id] = state
                print(json.dumps(each.raw) if as_json else "   ".join(_row(each)), flush=True)
        await asyncio.sleep(_LOOK_SECONDS)
        try:
            found = await _find(client, names, selector)
        except (ConnectionFailed, ServiceUnavailable) as error:  # it goes on when the hub is back
            note(f"as of before: {error}")


async def names_of(target: Target, beginning: str) -> list[str]:
    """For shell completion: clusters whose name begins so; none where that cannot be asked."""
    try:
        async with asyncio.timeout(2):
            return [
                each.cluster_id for each in await client_of(target).clusters() if each.cluster_id.startswith(beginning)
            ]
    except (KubentlyError, TimeoutError):
        return []
