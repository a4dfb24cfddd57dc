"""What kubectl has and this grammar refuses by name, each with its reason.

Nothing here is needed for safety: what is in no table of verbs.py is refused anyway. It is here so that a caller is
told why. A reason goes on after the argument: "`--kubeconfig=/tmp/x` would …".
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class DeniedFlag:
    """A flag of kubectl that is refused: its long name without dashes, its short letter or "", and why."""

    name: str
    short: str
    reason: str


def _denied(reason: str, *names: str) -> tuple[DeniedFlag, ...]:
    """One reason for several flags, each written `name` or `name/short`."""
    return tuple(DeniedFlag(name.partition("/")[0], name.partition("/")[2], reason) for name in names)


_OWN_ACCESS: Final = "; leave it out, the agent has its own access to the cluster"

# Flags every kubectl command takes; `kubectl options` lists them.
EVERYWHERE: Final = (
    *_denied(
        "would make the agent use a configuration of the caller's choosing, which can run programs" + _OWN_ACCESS,
        "kubeconfig",
        "kuberc",
    ),
    *_denied(
        "would choose another entry of the agent's configuration" + _OWN_ACCESS,
        "context",
        "cluster",
        "user",
    ),
    *_denied(
        "would send the agent's requests, and its token with them, to another server" + _OWN_ACCESS,
        "server/s",
        "tls-server-name",
    ),
    *_denied("would replace the agent's identity" + _OWN_ACCESS, "token", "username", "password"),
    *_denied(
        "would read a file of the agent's" + _OWN_ACCESS,
        "certificate-authority",
        "client-certificate",
        "client-key",
    ),
    *_denied("would skip verifying the API server" + _OWN_ACCESS, "insecure-skip-tls-verify"),
    *_denied(
        "would act as somebody else; leave it out, every command runs with the agent's own permissions",
        "as",
        "as-group",
        "as-uid",
        "as-user-extra",
    ),
    *_denied("would write files on the agent's machine; leave it out", "cache-dir", "profile", "profile-output"),
    *_denied(
        "would log requests and response bodies, Secrets among them; leave it out",
        "v/v",
        "vmodule",
        "log-flush-frequency",
    ),
    *_denied(
        "has no use through an agent; leave it out", "match-server-version", "warnings-as-errors", "disable-compression"
    ),
    *_denied("prints kubectl's own help; see docs/commands.md for what may run", "help/h"),
)

FILES: Final = (
    *_denied(
        "would read a file of the agent's or fetch a URL from inside the cluster; name the resource instead",
        "filename/f",
        "recursive/R",
    ),
    *_denied(
        "would build a kustomization, which reads files and runs git; name the resource instead",
        "kustomize/k",
    ),
)
RAW: Final = _denied(
    "would fetch any path of the API, past every rule here, proxies into pods and nodes included; "
    "name the resource instead",
    "raw",
)
KUBELET_IDENTITY: Final = _denied(
    "would skip verifying the kubelet the logs come from; leave it out", "insecure-skip-tls-verify-backend"
)
TEMPLATES: Final = _denied("would run a template, which only get may do; use -o json or -o jsonpath=", "template")

_READS_A_FILE: Final = "would read a file of the agent's; give the expression itself"
FILE_OUTPUTS: Final = {
    **dict.fromkeys(("go-template-file", "templatefile", "jsonpath-file", "custom-columns-file"), _READS_A_FILE),
    "kyaml": "kubectl 1.33 does not have; use yaml",
}
_RUNS_A_TEMPLATE: Final = "would run a template, as only get may; use json or jsonpath="
TEMPLATE_OUTPUTS: Final = {**FILE_OUTPUTS, "go-template": _RUNS_A_TEMPLATE, "template": _RUNS_A_TEMPLATE}
_LEAVES_THE_API: Final = "would reach into a pod or node past the API; ask for the object itself"
SUBRESOURCES: Final = {
    **dict.fromkeys(("proxy", "exec", "attach", "portforward"), _LEAVES_THE_API),
    "log": "is what the verb logs is for",
}

_WRITES: Final = "would change the cluster; only commands that read may run"
_ENTERS: Final = "would open a way into a pod or to a port; only commands that read may run"
_LOCAL: Final = "is about files or programs where kubectl runs; only commands that read the cluster may run"

# kubectl's other commands; for those of two words, both.
VERBS: Final[dict[str, str]] = {
    "annotate": _WRITES,
    "apply": _WRITES,
    "autoscale": _WRITES,
    "certificate": _WRITES,
    "cordon": _WRITES,
    "create": _WRITES,
    "delete": _WRITES,
    "drain": _WRITES,
    "edit": _WRITES,
    "expose": _WRITES,
    "label": _WRITES,
    "patch": _WRITES,
    "replace": _WRITES,
    "run": _WRITES,
    "scale": _WRITES,
    "set": _WRITES,
    "taint": _WRITES,
    "uncordon": _WRITES,
    "attach": _ENTERS,
    "cp": _ENTERS,
    "debug": _ENTERS,
    "exec": _ENTERS,
    "port-forward": _ENTERS,
    "proxy": _ENTERS,
    "alpha": _LOCAL,
    "completion": _LOCAL,
    "config": _LOCAL,
    "kuberc": _LOCAL,
    "kustomize": _LOCAL,
    "options": _LOCAL,
    "plugin": _LOCAL,
    "diff": "would send a dry-run change and run a diff program; compare what get -o yaml prints",
    "wait": "could spell out a Secret by waiting for its values; use rollout-status, or get once more",
    "auth reconcile": _WRITES,
    "rollout pause": _WRITES,
    "rollout restart": _WRITES,
    "rollout resume": _WRITES,
    "rollout undo": _WRITES,
    "cluster-info dump": "would print all objects and logs of the cluster; ask with get and logs for what is needed",
}
