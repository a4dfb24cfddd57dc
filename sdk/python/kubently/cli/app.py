"""Every command in one place. Each imports what it needs when it is called, so that none waits for what others need."""

from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer

from kubently import __version__
from kubently.cli import kubectl, target
from kubently.cli.target import Target

_HELP: Final = """Debug Kubernetes clusters you cannot reach, through a Kubently hub.

\b
    kubently login https://hub.example.com:8080
    kubently get pods -A --cluster prod-eu
    kubently logs -f deploy/web -n shop --cluster prod-eu
    kubently fleet get nodes --clusters 'prod-*'

Output, errors and exit codes are kubectl's. Exit codes of kubently's own: 2 it was called wrongly, 69 hub or cluster
cannot be reached, 77 the key does not do, 124 not done in its time, 130 Ctrl-C.
"""

app = typer.Typer(help=_HELP, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)
admin = typer.Typer(help="Connect clusters and make keys; for keys with the role admin.", no_args_is_help=True)
admin_clusters = typer.Typer(help="Clusters, and the tokens of their agents.", no_args_is_help=True)
admin_keys = typer.Typer(help="API keys.", no_args_is_help=True)
profiles = typer.Typer(help="The hubs that `kubently login` remembers.", no_args_is_help=True)
app.add_typer(admin, name="admin")
admin.add_typer(admin_clusters, name="clusters")
admin.add_typer(admin_keys, name="keys")
app.add_typer(profiles, name="profiles")

# Words for kubectl are taken as they are; ours are long, and none of them is one of kubectl's.
_PASSED: Final = {"ignore_unknown_options": True}


def _clusters(incomplete: str) -> list[str]:
    import asyncio

    from kubently.cli import clusters

    try:
        return asyncio.run(clusters.names_of(target.find(), incomplete))
    except Exception:  # noqa: BLE001 - a border: a shell that completes wants names or nothing
        return []


Words = Annotated[list[str] | None, typer.Argument(metavar="[WORDS]...", help="As on kubectl's command line.")]
InCluster = Annotated[
    str | None,
    typer.Option("--cluster", help="The cluster; else KUBENTLY_CLUSTER, else the profile's.", autocompletion=_clusters),
]
InProfile = Annotated[
    str | None, typer.Option("--profile", help="The profile; else KUBENTLY_PROFILE, else the current one.")
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON for programs.")]
TimeLimit = Annotated[int | None, typer.Option("--time-limit", help="Seconds; 30, or 600 for -f and -w, unless said.")]
AgentWait = Annotated[int, typer.Option("--agent-wait", help="Wait so many seconds for an agent that is away.")]
Cluster = Annotated[str, typer.Argument(autocompletion=_clusters)]
Limit = Annotated[int, typer.Option("--limit", help="As many at most.")]
Expires = Annotated[str | None, typer.Option("--expires-in", help="It ends after: 12h, 90d.")]


def _run(work: Any) -> NoReturn:
    from kubently.cli.running import run

    raise typer.Exit(run(work))


def _at(profile: str | None, cluster: str | None = None) -> Target:
    return target.find(profile, cluster)


@app.callback(invoke_without_command=True)
def _main(version: Annotated[bool, typer.Option("--version", help="Kubently's own version.")] = False) -> None:
    if version:
        print(f"kubently {__version__}")
        raise typer.Exit


# The short forms and exec are read by words.py; here they are for `--help` and for completion.


@app.command(context_settings=_PASSED)
def exec(  # noqa: A001 - the command's name
    cluster: Cluster,
    words: Words = None,
    profile: InProfile = None,
    time_limit: TimeLimit = None,
    agent_wait: AgentWait = 0,
    json: AsJson = False,
) -> None:
    """Run a kubectl command on a cluster: kubently exec CLUSTER -- get pods -A."""


def _verb(verb: str, text: str, *, is_hidden: bool = False) -> None:
    """A short form: `kubently get pods -A --cluster prod` for `kubently exec prod -- get pods -A`."""

    def run(
        words: Words = None,
        cluster: InCluster = None,
        profile: InProfile = None,
        time_limit: TimeLimit = None,
        agent_wait: AgentWait = 0,
        json: AsJson = False,
    ) -> None:
        pass

    run.__doc__ = text
    app.command(verb, context_settings=_PASSED, hidden=is_hidden)(run)


for _name, _text in kubectl.VERBS.items():
    _verb(_name, _text)
for _name in kubectl.REFUSED:  # the hub says better than we could why not, and what may run instead
    _verb(_name, f"kubectl {_name}, which the hub refuses.", is_hidden=True)


@app.command(context_settings=_PASSED)
def fleet(
    words: Words = None,
    clusters: Annotated[list[str] | None, typer.Option("--clusters", help="Names and globs; all unless said.")] = None,
    selector: Annotated[
        str | None, typer.Option("--cluster-selector", help="By labels: env=prod,tier in (a,b).")
    ] = None,
    concurrency: Annotated[int | None, typer.Option("--concurrency", help="As many at once; 16 unless said.")] = None,
    profile: InProfile = None,
    time_limit: TimeLimit = None,
    json: AsJson = False,
) -> None:
    """Run a kubectl command on many clusters at once: kubently fleet get pods -A --clusters 'prod-*'."""
    from kubently.cli import fleet as many

    _run(
        many.command(
            _at(profile),
            words or (),
            clusters=clusters or (),
            selector=selector,
            concurrency=concurrency,
            time_limit=time_limit,
            as_json=json,
        )
    )


@app.command()
def shell(
    cluster: Annotated[str | None, typer.Argument(autocompletion=_clusters)] = None, profile: InProfile = None
) -> None:
    """A prompt on one cluster, with history and completion."""
    from kubently.cli.shell import shell as prompt

    _run(prompt(_at(profile, cluster)))


@app.command()
def clusters(
    names: Annotated[list[str] | None, typer.Argument(autocompletion=_clusters)] = None,
    selector: Annotated[
        str | None, typer.Option("--cluster-selector", help="By labels: env=prod,tier in (a,b).")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on showing them until Ctrl-C.")] = False,
    profile: InProfile = None,
    json: AsJson = False,
) -> None:
    """List clusters, or show those that are named."""
    from kubently.cli.clusters import show

    _run(show(_at(profile), names or (), selector, is_watching=watch, as_json=json))


@app.command()
def doctor(
    cluster: Annotated[str | None, typer.Argument(autocompletion=_clusters)] = None,
    profile: InProfile = None,
    json: AsJson = False,
) -> None:
    """Why can I not reach it? Looks at every step of the way: DNS, TLS, hub, key, agent, API server, roles."""
    from kubently.cli.doctor import examine

    _run(examine(_at(profile, cluster), as_json=json))


@app.command()
def sessions(
    status: Annotated[str | None, typer.Option("--status", help="active (unless said), closed, expired.")] = None,
    cluster: InCluster = None,
    limit: Limit = 50,
    profile: InProfile = None,
    json: AsJson = False,
) -> None:
    """List sessions, newest first; for admins and auditors."""
    from kubently.cli import records

    _run(records.sessions(_at(profile), status=status, cluster=cluster, limit=limit, as_json=json))


@app.command()
def result(
    result_id: str,
    wait: Annotated[float, typer.Option("--wait", help="Wait for its end, 60 s at most.")] = 0,
    full: Annotated[bool, typer.Option("--full", help="Before grep and the like, where it was kept.")] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Its output as it comes, until it ends.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="End it first.")] = False,
    profile: InProfile = None,
    json: AsJson = False,
) -> None:
    """Print the result of a command that was run before, with its exit code."""
    from kubently.cli import records

    _run(records.result(_at(profile), result_id, wait=wait, is_full=full, follow=follow, cancel=cancel, as_json=json))


@app.command()
def audit(
    since: Annotated[str | None, typer.Option("--since", help="30m, 2h, 7d, or a time.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="accepted, ended, admin, agent, ...")] = None,
    decision: Annotated[str | None, typer.Option("--decision", help="allowed, refused, ...")] = None,
    cluster: InCluster = None,
    limit: Limit = 50,
    profile: InProfile = None,
    json: AsJson = False,
) -> None:
    """Print the audit log, newest first; for admins and auditors."""
    from kubently.cli import records

    _run(
        records.audit(
            _at(profile), since=since, kind=kind, decision=decision, cluster=cluster, limit=limit, as_json=json
        )
    )


@app.command()
def login(
    endpoint: Annotated[str | None, typer.Argument(help="https://hub.example.com:8080")] = None,
    profile: Annotated[str, typer.Option("--profile", help="The name to keep it under.")] = "default",
    ca_file: Annotated[Path | None, typer.Option("--ca-file", help="Authorities to trust, PEM.")] = None,
    cluster: Annotated[str | None, typer.Option("--cluster", help="The cluster to use when none is said.")] = None,
    keyring: Annotated[
        bool, typer.Option(help="Keep the key in the OS keyring where there is one, else in a file.")
    ] = True,
    json: AsJson = False,
) -> None:
    """Keep a hub and a key to it. The key is asked for, or read from a pipe: kubently login URL <key-file."""
    from kubently.cli.login import login as keep

    raise typer.Exit(keep(endpoint, profile, ca_file=ca_file, cluster=cluster, wants_keyring=keyring, as_json=json))


@app.command()
def logout(profile: InProfile = None, json: AsJson = False) -> None:
    """Forget a profile and its key."""
    from kubently.cli.login import logout as forget

    forget(profile, as_json=json)


@profiles.command("list")
def list_profiles(json: AsJson = False) -> None:
    """Show them."""
    from kubently.cli.login import list_profiles as listed

    listed(as_json=json)


@profiles.command("use")
def use_profile(name: str, json: AsJson = False) -> None:
    """Make one the current one."""
    from kubently.cli.login import use

    use(name, as_json=json)


@admin_clusters.command("add")
def add_cluster(
    name: Annotated[str, typer.Argument(help="A DNS label, such as prod-eu.")],
    display_name: Annotated[str | None, typer.Option("--name", help="A name for people.")] = None,
    label: Annotated[list[str] | None, typer.Option("--label", help="key=value; may be repeated.")] = None,
    manifest: Annotated[bool, typer.Option("--manifest", help="Only the manifest, for kubectl apply -f -.")] = False,
    profile: InProfile = None,
    json: AsJson = False,
) -> None:
    """Register a cluster; prints its token, and the command and the manifest that connect it."""
    from kubently.cli import admin as admins

    _run(
        admins.add_cluster(
            _at(profile), name, display_name=display_name, labels=label or (), only_manifest=manifest, as_json=json
        )
    )


@admin_clusters.command("list")
def list_clusters(profile: InProfile = None, json: AsJson = False) -> None:
    """List clusters with their tokens' ids."""
    from kubently.cli import admin as admins

    _run(admins.list_clusters(_at(profile), as_json=json))


@admin_clusters.command("label")
def label_cluster(
    name: Cluster,
    labels: Annotated[list[str] | None, typer.Argument(help="key=value ...; none at all removes them.")] = None,
    profile: InProfile = None,
    json: AsJson = False,
) -> None:
    """Set the labels of a cluster, as a whole."""
    from kubently.cli import admin as admins

    _run(admins.label_cluster(_at(profile), name, labels or (), as_json=json))


@admin_clusters.command("remove")
def remove_cluster(name: Cluster, profile: InProfile = None, json: AsJson = False) -> None:
    """Remove a cluster: its link and its sessions end, its results stay."""
    from kubently.cli import admin as admins

    _run(admins.remove_cluster(_at(profile), name, as_json=json))


@admin_clusters.command("add-token")
def add_token(name: Cluster, expires_in: Expires = None, profile: InProfile = None, json: AsJson = False) -> None:
    """Make one more token for a cluster's agent, and print it."""
    from kubently.cli import admin as admins

    _run(admins.add_token(_at(profile), name, expires_in=expires_in, as_json=json))


@admin_clusters.command("remove-token")
def remove_token(name: Cluster, token_id: str, profile: InProfile = None, json: AsJson = False) -> None:
    """Revoke a token."""
    from kubently.cli import admin as admins

    _run(admins.remove_token(_at(profile), name, token_id, as_json=json))


@admin_keys.command("add")
def add_key(
    name: str,
    role: Annotated[str, typer.Option("--role", help="user, admin or auditor.")] = "user",
    clusters: Annotated[list[str] | None, typer.Option("--clusters", help="A glob; may be repeated.")] = None,
    namespaces: Annotated[list[str] | None, typer.Option("--namespaces", help="A glob; may be repeated.")] = None,
    types: Annotated[list[str] | None, typer.Option("--types", help="A verb; may be repeated.")] = None,
    kinds: Annotated[list[str] | None, typer.Option("--kinds", help="A kind; may be repeated.")] = None,
    denied_kinds: Annotated[list[str] | None, typer.Option("--denied-kinds", help="Likewise.")] = None,
    expires_in: Expires = None,
    profile: InProfile = None,
    json: AsJson = False,
) -> None:
    """Make a key, and print it, this once."""
    from kubently.cli import admin as admins

    _run(
        admins.add_key(
            _at(profile),
            name,
            role,
            clusters=clusters or (),
            namespaces=namespaces or (),
            types=types or (),
            kinds=kinds or (),
            denied_kinds=denied_kinds or (),
            expires_in=expires_in,
            as_json=json,
        )
    )


@admin_keys.command("list")
def list_keys(profile: InProfile = None, json: AsJson = False) -> None:
    """List keys, and what each is limited to."""
    from kubently.cli import admin as admins

    _run(admins.list_keys(_at(profile), as_json=json))


@admin_keys.command("rotate")
def rotate_key(
    key_id: str,
    overlap: Annotated[
        int | None, typer.Option("--overlap", help="Seconds that the old one still works; 3600.")
    ] = None,
    profile: InProfile = None,
    json: AsJson = False,
) -> None:
    """Give a key another secret, and print it, this once."""
    from kubently.cli import admin as admins

    _run(admins.rotate_key(_at(profile), key_id, overlap_seconds=overlap, as_json=json))


@admin_keys.command("remove")
def remove_key(key_id: str, profile: InProfile = None, json: AsJson = False) -> None:
    """Remove a key; what it holds open ends."""
    from kubently.cli import admin as admins

    _run(admins.remove_key(_at(profile), key_id, as_json=json))
