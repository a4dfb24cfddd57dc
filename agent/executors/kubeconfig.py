"""Which cluster: the current context of KUBECONFIG as it is now, else the pod's own account.

Either way kubectl gets one private file with one context, so that nothing a command says and nothing that happens to
the caller's files later can lead it to another cluster. Files that rotate (tokens, certificates) stay files and are
read by each kubectl anew.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from agent.errors import StartError

_PATHS: Final = {
    "cluster": ("certificate-authority",),
    "user": ("client-certificate", "client-key", "tokenFile"),
}
_PLURAL: Final = {"cluster": "clusters", "user": "users", "context": "contexts"}


def resolve(environ: Mapping[str, str], service_account_dir: Path) -> bytes:
    """Return the private kubeconfig as JSON, which is YAML too. Raises StartError with what is missing.

    The `kubernetes` package could find both, for 0.4 s and 30 MB of memory that nothing else here needs.
    """
    if environ.get("KUBECONFIG"):
        return _from_files(environ)
    if environ.get("KUBERNETES_SERVICE_HOST"):
        return _in_cluster(environ, service_account_dir)
    raise StartError("no cluster: KUBECONFIG is not set (export KUBECONFIG=~/.kube/config), and this is not a pod")


def _in_cluster(environ: Mapping[str, str], folder: Path) -> bytes:
    """The pod's account (https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/)."""
    for name in ("token", "ca.crt"):
        try:
            is_empty = (folder / name).stat().st_size == 0
        except OSError as error:
            raise StartError(f"no cluster: {folder / name}: {error.strerror}") from None
        if is_empty:
            raise StartError(f"no cluster: {folder / name} is empty")
    try:
        namespace = (folder / "namespace").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        namespace = ""
    host = environ["KUBERNETES_SERVICE_HOST"]
    port = environ.get("KUBERNETES_SERVICE_PORT", "443")
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return _config(
        {"server": server, "certificate-authority": str(folder / "ca.crt")},
        {"tokenFile": str(folder / "token")},
        namespace or "default",
    )


def _from_files(environ: Mapping[str, str]) -> bytes:
    """Merge as kubectl does: of several files the first to name a thing wins
    (https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/).
    """
    found: dict[str, dict[str, tuple[Path, dict[str, Any]]]] = {kind: {} for kind in _PLURAL}
    current = ""
    files = [Path(name).absolute() for name in environ["KUBECONFIG"].split(os.pathsep) if name]
    for path in files:
        content = _read(path, is_only=len(files) == 1)
        current = current or str(content.get("current-context") or "")
        for kind, plural in _PLURAL.items():
            for entry in content.get(plural) or []:
                if isinstance(entry, dict) and isinstance(entry.get(kind), dict):
                    found[kind].setdefault(str(entry.get("name")), (path, entry[kind]))
    if not current:
        raise StartError("no cluster: KUBECONFIG has no current-context (kubectl config use-context NAME)")
    context = _named(found, "context", current)[1]
    cluster = _absolute("cluster", *_named(found, "cluster", str(context.get("cluster"))))
    user_name = context.get("user")
    user = _absolute("user", *_named(found, "user", str(user_name))) if user_name else {}
    if isinstance(user.get("exec"), dict):
        user = user | {"exec": _plugin(user["exec"], environ)}
    return _config(cluster, user, context.get("namespace"))


def _read(path: Path, *, is_only: bool) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_bytes())
    except FileNotFoundError:
        if not is_only:
            return {}  # kubectl passes over it too
        raise StartError(f"no cluster: KUBECONFIG {path}: no such file") from None
    except OSError as error:
        raise StartError(f"no cluster: KUBECONFIG {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise StartError(f"no cluster: KUBECONFIG {path}: not YAML") from None
    if not isinstance(content, dict):
        raise StartError(f"no cluster: KUBECONFIG {path}: not a kubeconfig")
    return content


def _named(
    found: Mapping[str, Mapping[str, tuple[Path, dict[str, Any]]]], kind: str, name: str
) -> tuple[Path, dict[str, Any]]:
    if name not in found[kind]:
        raise StartError(f"no cluster: KUBECONFIG has no {kind} named {name}")
    return found[kind][name]


def _absolute(kind: str, path: Path, entry: dict[str, Any]) -> dict[str, Any]:
    """Paths in a kubeconfig are relative to its own folder."""
    files: dict[str, Any] = {name: str(path.parent / str(entry[name])) for name in _PATHS[kind] if entry.get(name)}
    plugin = entry.get("exec")
    if isinstance(plugin, dict) and os.sep in str(plugin.get("command", "")):
        files["exec"] = plugin | {"command": str(path.parent / str(plugin["command"]))}
    return entry | files


def _plugin(plugin: dict[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """A credential plugin is the operator's own program and gets their PATH and HOME, which kubectl itself does not."""
    command = str(plugin.get("command", ""))
    given = plugin.get("env") or []
    names = {variable.get("name") for variable in given if isinstance(variable, dict)}
    added = [
        {"name": name, "value": environ[name]} for name in ("PATH", "HOME") if name in environ and name not in names
    ]
    return plugin | {"command": shutil.which(command, path=environ.get("PATH")) or command, "env": [*given, *added]}


def _config(cluster: dict[str, Any], user: dict[str, Any], namespace: object) -> bytes:
    context = {"cluster": "agent", "user": "agent"} | ({"namespace": namespace} if namespace else {})
    return msgspec.json.encode(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "agent", "cluster": cluster}],
            "users": [{"name": "agent", "user": user}],
            "contexts": [{"name": "agent", "context": context}],
            "current-context": "agent",
        }
    )
