"""Logging in to a hub: the key is tried, then kept."""

import os
import sys
from pathlib import Path

from kubently.cli.failures import UsageError
from kubently.cli.printing import say_json, say_table
from kubently.cli.profiles import Profile, Profiles
from kubently.cli.running import run
from kubently.client import Client
from kubently.models import Key


def login(
    endpoint: str | None,
    name: str,
    *,
    ca_file: Path | None,
    cluster: str | None,
    wants_keyring: bool,
    as_json: bool,
) -> int:
    """Ask for what was not said, try it, keep it; the exit code."""
    profiles = Profiles()
    known = profiles.all.get(name)
    # Asked before there is an event loop, which would take the Ctrl-C of whoever does not want to answer.
    try:
        if endpoint is None:
            endpoint = _ask("Hub", known.endpoint if known else "http://127.0.0.1:8080")
        api_key = _ask_key()
    except EOFError:
        raise UsageError("nothing was entered") from None
    keeping = _keep(
        profiles,
        endpoint,
        api_key,
        name,
        ca_file=ca_file,
        cluster=cluster,
        wants_keyring=wants_keyring,
        as_json=as_json,
    )
    return run(keeping)


async def _keep(
    profiles: Profiles,
    endpoint: str,
    api_key: str,
    name: str,
    *,
    ca_file: Path | None,
    cluster: str | None,
    wants_keyring: bool,
    as_json: bool,
) -> None:
    known = profiles.all.get(name)
    path = os.path.abspath(ca_file) if ca_file is not None else None  # noqa: ASYNC240, PTH100 - touches no disk
    key = await Client(endpoint, api_key, ca_file=path).key()
    profile = Profile(endpoint.rstrip("/"), ca_file=path, cluster=cluster or (known.cluster if known else None))
    kept = profiles.put(name, profile, api_key, wants_keyring=wants_keyring)
    if as_json:
        say_json({"profile": name, "endpoint": kept.endpoint, "kept_in": kept.key, "key": key.raw})
        return
    where = "the keyring" if kept.key == "keyring" else profiles.path.with_name("keys.json")
    print(f"Logged in to {kept.endpoint} as {_describe(key)}; profile {name}, key in {where}.")


def logout(name: str | None, *, as_json: bool) -> None:
    """Forget a profile, None for the current one."""
    profiles = Profiles()
    forgotten = name or profiles.current
    profiles.remove(forgotten)
    if as_json:
        say_json({"profile": forgotten, "removed": True})
    else:
        print(f"Profile {forgotten} is forgotten.")


def use(name: str, *, as_json: bool) -> None:
    """Make a profile the current one."""
    Profiles().use(name)
    if as_json:
        say_json({"profile": name, "is_current": True})


def list_profiles(*, as_json: bool) -> None:
    """Show them all; the current one with a star."""
    profiles = Profiles()
    if as_json:
        say_json(
            [
                {
                    "name": name,
                    "endpoint": each.endpoint,
                    "cluster": each.cluster,
                    "is_current": name == profiles.current,
                }
                for name, each in sorted(profiles.all.items())
            ]
        )
        return
    rows = [
        ("*" if name == profiles.current else "", name, each.endpoint, each.cluster or "-", each.key)
        for name, each in sorted(profiles.all.items())
    ]
    say_table(("CURRENT", "NAME", "ENDPOINT", "CLUSTER", "KEY"), rows)


def _describe(key: Key) -> str:
    limits = [f"clusters {', '.join(key.clusters)}"] if key.clusters else []
    if key.expires_at is not None:
        limits.append(f"until {key.expires_at:%Y-%m-%d %H:%M} UTC")
    return f"{key.name} ({', '.join([key.role, *limits])})"


def _ask(what: str, default: str) -> str:
    if not sys.stdin.isatty():
        raise UsageError("which hub? Say: kubently login https://hub.example.com:8080 <key-file")
    return input(f"{what} [{default}]: ").strip() or default


def _ask_key() -> str:
    """The key from whoever types, or from a pipe; never from the command line, where others see it."""
    if sys.stdin.isatty():
        from getpass import getpass

        key = getpass("API key: ").strip()
    else:
        key = sys.stdin.readline().strip()
    if not key:
        raise UsageError("there is no key on stdin; pipe it in, or run this on a terminal")
    return key
