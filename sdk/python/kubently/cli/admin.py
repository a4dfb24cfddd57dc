"""What admins do from the command line: connect clusters, make keys."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Final
from urllib.parse import urlsplit

from kubently.cli.failures import UsageError
from kubently.cli.printing import ago, moment, note, pairs, say_json, say_table
from kubently.cli.running import client_of
from kubently.cli.target import Target
from kubently.models import Key, NewKey

# What stands in deploy/agent.yaml for the hub's address and the cluster's name.
_HUB: Final = "wss://hub.example.com"
_CLUSTER: Final = "production-cluster"


async def add_cluster(
    target: Target, name: str, *, display_name: str | None, labels: Sequence[str], only_manifest: bool, as_json: bool
) -> None:
    """Register a cluster, and say how it is connected."""
    async with client_of(target) as client:
        made = await client.admin.add_cluster(name, name=display_name, labels=_labels(labels))
        hub_url = _link_url(client.endpoint)
    if as_json:
        say_json(made.raw)
        return
    text = manifest(hub_url, name, made.agent_token)
    if only_manifest:
        note(f"cluster {name} is registered; apply this in it")
        sys.stdout.write(text)
        return
    insecure = " --insecure" if hub_url.startswith("ws://") and not _is_here(hub_url) else ""
    print(f"""Cluster {name} is registered. Its agent's token, which is shown this once:

  {made.agent_token}

Where kubectl reaches that cluster, either run the agent:

  KUBENTLY_AGENT_TOKEN={made.agent_token} KUBECONFIG=~/.kube/config \\
    kubently-agent --hub-url {hub_url} --cluster-id {name}{insecure}

or let it run in the cluster (set the image to where yours is):

  kubectl apply -f - <<'MANIFEST'
{text}MANIFEST

Then look: kubently doctor {name}""")


def manifest(hub_url: str, cluster_id: str, token: str) -> str:
    """deploy/agent.yaml for one cluster, with its token in a Secret."""
    template = files("kubently.cli").joinpath("agent.yaml").read_text(encoding="utf-8")
    _, namespace, rest = template.partition("apiVersion: v1\nkind: Namespace")
    secret = (
        "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: kubently-agent\n  namespace: kubently\n"
        f"stringData:\n  token: {token}\n"
    )
    first, separator, others = (namespace + rest).partition("---\n")
    insecure = ", --insecure" if hub_url.startswith("ws://") else ""
    text = first + secret + separator + others
    return text.replace(f'"{_HUB}"', f'"{hub_url}"').replace(f"{_CLUSTER}]", f"{cluster_id}{insecure}]")


async def list_clusters(target: Target, *, as_json: bool) -> None:
    """All clusters with their tokens' ids."""
    async with client_of(target) as client:
        found = [await client.admin.cluster(each.cluster_id) for each in await client.admin.clusters()]
    if as_json:
        say_json([each.raw for each in found])
        return
    rows = [
        (
            each.cluster_id,
            each.status,
            ago(each.created_at),
            ",".join(token.token_id for token in each.tokens),
            pairs(each.labels),
        )
        for each in found
    ]
    say_table(("NAME", "STATUS", "AGE", "TOKENS", "LABELS"), rows)


async def label_cluster(target: Target, name: str, labels: Sequence[str], *, as_json: bool) -> None:
    """Set a cluster's labels as a whole."""
    changed = await client_of(target).admin.change_cluster(name, labels=_labels(labels))
    if as_json:
        say_json(changed.raw)
    else:
        print(f"{name}: {pairs(changed.labels)}")


async def remove_cluster(target: Target, name: str, *, as_json: bool) -> None:
    """Remove a cluster."""
    await client_of(target).admin.remove_cluster(name)
    if as_json:
        say_json({"cluster_id": name, "removed": True})
    else:
        print(f"Cluster {name} is removed.")


async def add_token(target: Target, name: str, *, expires_in: str | None, as_json: bool) -> None:
    """One more token for a cluster's agent."""
    made = await client_of(target).admin.add_token(name, expires_at=_in(expires_in))
    if as_json:
        say_json(made.raw)
    else:
        print(made.agent_token)
        note(
            f"{made.token_id} of {name}; when its agent has it, remove the old one: kubently admin clusters"
            f" remove-token {name} TOKEN_ID"
        )


async def remove_token(target: Target, name: str, token_id: str, *, as_json: bool) -> None:
    """Revoke a token; the link that was opened with it is closed."""
    await client_of(target).admin.remove_token(name, token_id)
    if as_json:
        say_json({"token_id": token_id, "removed": True})
    else:
        print(f"Token {token_id} of {name} is revoked.")


async def add_key(
    target: Target,
    name: str,
    role: str,
    *,
    clusters: Sequence[str],
    namespaces: Sequence[str],
    types: Sequence[str],
    kinds: Sequence[str],
    denied_kinds: Sequence[str],
    expires_in: str | None,
    as_json: bool,
) -> None:
    """Make a key and print it, this once."""
    made = await client_of(target).admin.add_key(
        name,
        role,
        clusters=clusters or None,
        namespaces=namespaces or None,
        command_types=types or None,
        kinds=kinds or None,
        denied_kinds=denied_kinds or None,
        expires_at=_in(expires_in),
    )
    _say_key(made, as_json=as_json)


async def rotate_key(target: Target, key_id: str, *, overlap_seconds: int | None, as_json: bool) -> None:
    """Give a key another secret and print it, this once."""
    _say_key(await client_of(target).admin.rotate_key(key_id, overlap_seconds=overlap_seconds), as_json=as_json)


async def list_keys(target: Target, *, as_json: bool) -> None:
    """All keys, and what each is limited to."""
    found = await client_of(target).admin.keys()
    if as_json:
        say_json([each.raw for each in found])
        return
    rows = [(each.key_id, each.name, each.role, _limits(each), moment(each.expires_at)) for each in found]
    say_table(("KEY", "NAME", "ROLE", "LIMITS", "UNTIL"), rows)


async def remove_key(target: Target, key_id: str, *, as_json: bool) -> None:
    """Remove a key; what it holds open ends."""
    await client_of(target).admin.remove_key(key_id)
    if as_json:
        say_json({"key_id": key_id, "removed": True})
    else:
        print(f"Key {key_id} is removed.")


def _say_key(made: NewKey, *, as_json: bool) -> None:
    if as_json:
        say_json(made.raw)
        return
    print(made.api_key)
    note(f"{made.key_id} ({made.role}, {_limits(made)}); it is shown this once. `kubently login` keeps it")


def _limits(key: Key) -> str:
    limits = {
        "clusters": key.clusters,
        "namespaces": key.namespaces,
        "types": key.command_types,
        "kinds": key.kinds,
        "not": key.denied_kinds,
    }
    return " ".join(f"{name}={','.join(words)}" for name, words in limits.items() if words) or "unlimited"


def _labels(words: Sequence[str]) -> dict[str, str]:
    labels = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"{word} is no label; write key=value")
        labels[key] = value
    return labels


def _in(text: str | None) -> datetime | None:
    units = {"m": 60, "h": 3600, "d": 86_400}
    if text is None:
        return None
    if not text[:-1].isdecimal() or text[-1] not in units:
        raise UsageError(f"--expires-in {text} is no time; write 30m, 12h or 90d")
    return (datetime.now(UTC) + timedelta(seconds=int(text[:-1]) * units[text[-1]])).replace(microsecond=0)


def _link_url(endpoint: str) -> str:
    """Where agents dial: `https://hub` is `wss://hub` to them."""
    return endpoint.replace("http", "ws", 1)


def _is_here(url: str) -> bool:
    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")
