"""The kinds every Kubernetes has, and what a word such as `po`, `Deployment` or `deployments.v1.apps` may mean. Pure.

Only a cluster knows all its kinds. This table is for who decides without asking one: hub and agent, on what a key or a
policy allows. So it answers what a word *may* mean, and says when it does not know.
"""

from typing import Final, NamedTuple


class Kind(NamedTuple):
    """One kind: `Kind("deployments", "apps", "deployment", ("deploy",))`. The kind's own name in lower case is its
    singular. `group` "" is the core group; `is_known` False: a word of no kind in the table, as it was written.
    """

    plural: str
    group: str
    singular: str
    short_names: tuple[str, ...] = ()
    is_namespaced: bool = True
    is_in_all: bool = False
    is_known: bool = True

    def __str__(self) -> str:
        """Write it as `kubectl api-resources -o name` does: `pods`, `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


def _global(plural: str, group: str, singular: str, *short_names: str) -> Kind:
    return Kind(plural, group, singular, short_names, is_namespaced=False)


# `kubectl api-resources` of Kubernetes 1.33, and what older ones have beside it.
KINDS: Final = (
    Kind("pods", "", "pod", ("po",), is_in_all=True),
    Kind("services", "", "service", ("svc",), is_in_all=True),
    Kind("replicationcontrollers", "", "replicationcontroller", ("rc",), is_in_all=True),
    Kind("configmaps", "", "configmap", ("cm",)),
    Kind("secrets", "", "secret"),
    Kind("serviceaccounts", "", "serviceaccount", ("sa",)),
    Kind("endpoints", "", "endpoints", ("ep",)),
    Kind("events", "", "event", ("ev",)),
    Kind("limitranges", "", "limitrange", ("limits",)),
    Kind("resourcequotas", "", "resourcequota", ("quota",)),
    Kind("persistentvolumeclaims", "", "persistentvolumeclaim", ("pvc",)),
    Kind("podtemplates", "", "podtemplate"),
    Kind("bindings", "", "binding"),
    _global("nodes", "", "node", "no"),
    _global("namespaces", "", "namespace", "ns"),
    _global("persistentvolumes", "", "persistentvolume", "pv"),
    _global("componentstatuses", "", "componentstatus", "cs"),
    Kind("deployments", "apps", "deployment", ("deploy",), is_in_all=True),
    Kind("daemonsets", "apps", "daemonset", ("ds",), is_in_all=True),
    Kind("replicasets", "apps", "replicaset", ("rs",), is_in_all=True),
    Kind("statefulsets", "apps", "statefulset", ("sts",), is_in_all=True),
    Kind("controllerrevisions", "apps", "controllerrevision"),
    Kind("jobs", "batch", "job", is_in_all=True),
    Kind("cronjobs", "batch", "cronjob", ("cj",), is_in_all=True),
    Kind("horizontalpodautoscalers", "autoscaling", "horizontalpodautoscaler", ("hpa",), is_in_all=True),
    Kind("ingresses", "networking.k8s.io", "ingress", ("ing",)),
    Kind("networkpolicies", "networking.k8s.io", "networkpolicy", ("netpol",)),
    _global("ingressclasses", "networking.k8s.io", "ingressclass"),
    _global("ipaddresses", "networking.k8s.io", "ipaddress", "ip"),
    _global("servicecidrs", "networking.k8s.io", "servicecidr"),
    Kind("endpointslices", "discovery.k8s.io", "endpointslice"),
    Kind("poddisruptionbudgets", "policy", "poddisruptionbudget", ("pdb",)),
    _global("podsecuritypolicies", "policy", "podsecuritypolicy", "psp"),
    Kind("leases", "coordination.k8s.io", "lease"),
    Kind("roles", "rbac.authorization.k8s.io", "role"),
    Kind("rolebindings", "rbac.authorization.k8s.io", "rolebinding"),
    _global("clusterroles", "rbac.authorization.k8s.io", "clusterrole"),
    _global("clusterrolebindings", "rbac.authorization.k8s.io", "clusterrolebinding"),
    _global("storageclasses", "storage.k8s.io", "storageclass", "sc"),
    _global("volumeattachments", "storage.k8s.io", "volumeattachment"),
    _global("volumeattributesclasses", "storage.k8s.io", "volumeattributesclass", "vac"),
    _global("csidrivers", "storage.k8s.io", "csidriver"),
    _global("csinodes", "storage.k8s.io", "csinode"),
    Kind("csistoragecapacities", "storage.k8s.io", "csistoragecapacity"),
    _global("priorityclasses", "scheduling.k8s.io", "priorityclass", "pc"),
    _global("runtimeclasses", "node.k8s.io", "runtimeclass"),
    _global("certificatesigningrequests", "certificates.k8s.io", "certificatesigningrequest", "csr"),
    _global("customresourcedefinitions", "apiextensions.k8s.io", "customresourcedefinition", "crd", "crds"),
    _global("apiservices", "apiregistration.k8s.io", "apiservice"),
    _global("mutatingwebhookconfigurations", "admissionregistration.k8s.io", "mutatingwebhookconfiguration"),
    _global("validatingwebhookconfigurations", "admissionregistration.k8s.io", "validatingwebhookconfiguration"),
    _global("validatingadmissionpolicies", "admissionregistration.k8s.io", "validatingadmissionpolicy"),
    _global("validatingadmissionpolicybindings", "admissionregistration.k8s.io", "validatingadmissionpolicybinding"),
    _global("flowschemas", "flowcontrol.apiserver.k8s.io", "flowschema"),
    _global(
        "prioritylevelconfigurations", "flowcontrol.apiserver.k8s.io", "prioritylevelconfiguration"
    ),
)  # fmt: skip

ALL: Final = "all"  # the category of what a namespace runs
_CATEGORIES: Final = frozenset({ALL, "api-extensions"})
_BY_WORD: Final = {word: kind for kind in KINDS for word in (kind.plural, kind.singular, *kind.short_names)}
IN_ALL: Final = tuple(kind for kind in KINDS if kind.is_in_all)
NODES: Final = _BY_WORD["nodes"]
PODS: Final = _BY_WORD["pods"]
EVENTS: Final = _BY_WORD["events"]
SERVICES: Final = _BY_WORD["services"]
NAMESPACES: Final = _BY_WORD["namespaces"]
SECRETS: Final = _BY_WORD["secrets"]


def kind_of(word: str) -> Kind:
    """What a word means, in any case: the plural, the singular, a short name, alone or with its group behind a dot.

    With another group, or with a version, it is a kind of somebody else's, for all that is known here: a group that is
    none in a cluster is read there as the beginning of another, and a version of one group as a group itself.
    """
    head, _, rest = word.lower().partition(".")
    kind = _BY_WORD.get(head)
    if kind is not None and rest in ("", kind.group or "v1."):
        return kind
    return Kind(head, rest, head, is_known=False)


def is_category(word: str) -> bool:
    """Whether a word stands for several of the table's kinds: `all`, in any case."""
    return word.lower() in _CATEGORIES


def may_be(word: Kind, named: Kind) -> bool:
    """Whether what a command names can be what a rule names, however unlikely. A rule names kinds that are in no table
    with their group.

    `widgets.example.com` may be meant by every word without a group that is in no table, since short names and
    categories of such kinds only the cluster knows, and by every word with the beginning of its group.
    """
    if named.is_known:  # names decide, whatever the group: what another group calls Secrets is no less secret
        return word == named or word.plural in (named.plural, named.singular, *named.short_names)
    if word.is_known:  # written out in full, which comes before others of the same name
        return False
    return not word.group or any(named.group.startswith(candidate) for candidate in _groups(word.group))


def is_surely(word: Kind, named: Kind) -> bool:
    """Whether what a command names can be nothing but what a rule names, if the cluster has that at all."""
    return (word.plural, word.group, word.is_known) == (named.plural, named.group, named.is_known)


def _groups(rest: str) -> tuple[str, ...]:
    """The groups that may be meant: `v1.apps` is the group `v1.apps`, or the group `apps`; `v1.` is any."""
    _, dot, group = rest.partition(".")
    return (rest, group) if dot else (rest,)
