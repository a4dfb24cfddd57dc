"""The kinds whose descriptions by kubectl the text redactor can look through. Pure.

Of them kubectl prints names and values on one line each. Of a ConfigMap it prints whole files, of a custom resource
whatever is in it: those are described natively, of a redacted object, or not at all.
"""

from typing import Final

_ALIASES: Final = {
    "pods": ("po", "pod"),
    "services": ("svc", "service"),
    "nodes": ("no", "node"),
    "namespaces": ("ns", "namespace"),
    "persistentvolumes": ("pv", "persistentvolume"),
    "persistentvolumeclaims": ("pvc", "persistentvolumeclaim"),
    "replicationcontrollers": ("rc", "replicationcontroller"),
    "serviceaccounts": ("sa", "serviceaccount"),
    "resourcequotas": ("quota", "resourcequota"),
    "limitranges": ("limits", "limitrange"),
    "endpoints": ("ep",),
    "events": ("ev", "event"),
    "deployments": ("deploy", "deployment"),
    "replicasets": ("rs", "replicaset"),
    "statefulsets": ("sts", "statefulset"),
    "daemonsets": ("ds", "daemonset"),
    "jobs": ("job",),
    "cronjobs": ("cj", "cronjob"),
    "horizontalpodautoscalers": ("hpa", "horizontalpodautoscaler"),
    "ingresses": ("ing", "ingress"),
    "ingressclasses": ("ingressclass",),
    "networkpolicies": ("netpol", "networkpolicy"),
    "poddisruptionbudgets": ("pdb", "poddisruptionbudget"),
    "roles": ("role",),
    "rolebindings": ("rolebinding",),
    "clusterroles": ("clusterrole",),
    "clusterrolebindings": ("clusterrolebinding",),
    "storageclasses": ("sc", "storageclass"),
    "endpointslices": ("endpointslice",),
    "priorityclasses": ("pc", "priorityclass"),
}
_GROUPS: Final = frozenset(
    {
        *("", "v1", "apps", "batch", "autoscaling", "policy", "networking.k8s.io", "rbac.authorization.k8s.io"),
        *("storage.k8s.io", "discovery.k8s.io", "scheduling.k8s.io", "events.k8s.io"),
    }
)
_WORDS: Final = frozenset(_ALIASES) | {alias for aliases in _ALIASES.values() for alias in aliases}


def is_describable(plural: str, group: str) -> bool:
    """Whether a resource is one of them: `is_describable("pods", "")`."""
    return plural in _ALIASES and group in _GROUPS


def names_describable(word: str) -> bool:
    """Whether a word of a command can mean only one of them: `po`, `Deployment`, `deployments.apps`."""
    name, _, group = word.lower().partition(".")
    return name in _WORDS and group.strip(".") in _GROUPS
