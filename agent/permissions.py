"""What the agent's account needs for each verb, and what it needs for none. Pure; `check.py` asks the API server.

An account that can do more than it needs makes the grammar the only wall between a caller and the cluster; with a
ClusterRole that only reads there are two.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from agent.policy import Policy
from schemas.kubectl import Scope, unclear_kind
from schemas.kubectl.kinds import KINDS, SECRETS, Kind, is_surely, kind_of, may_be

_READING: Final = ("get", "list", "watch")
# Kinds of the table that a cluster need not have, or whose absence from a role nobody misses.
_SELDOM: Final = frozenset(
    {
        *("bindings", "componentstatuses", "podsecuritypolicies", "podtemplates", "csistoragecapacities"),
        *("ipaddresses", "servicecidrs", "volumeattributesclasses", "runtimeclasses", "certificatesigningrequests"),
        *("apiservices", "mutatingwebhookconfigurations", "validatingwebhookconfigurations", "flowschemas"),
        *("validatingadmissionpolicies", "validatingadmissionpolicybindings", "prioritylevelconfigurations"),
    }
)


class Question(msgspec.Struct, frozen=True):
    """One thing an account may or may not: `get pods/log`, `list deployments.apps`, `create pods`."""

    verb: str
    resource: str
    group: str = ""
    subresource: str = ""

    def __str__(self) -> str:
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {resource}/{self.subresource}" if self.subresource else f"{self.verb} {resource}"


class Need(msgspec.Struct, frozen=True):
    """What commands need of one kind: `Need("get, describe", "pods", …)`. `is_optional`: its absence is no fault."""

    command: str
    what: str
    questions: tuple[Question, ...]
    is_optional: bool = False


# What an account that only reads has no use for, and what each would let a caller do if the grammar had a hole.
TOO_MUCH: Final[tuple[tuple[Question, str], ...]] = (
    (Question("create", "pods", subresource="exec"), "runs programs in pods"),
    (Question("get", "pods", subresource="exec"), "runs programs in pods"),
    (Question("create", "pods", subresource="attach"), "types into pods"),
    (Question("create", "pods", subresource="portforward"), "reaches what pods listen on"),
    (Question("get", "pods", subresource="proxy"), "sends requests to pods"),
    (Question("get", "services", subresource="proxy"), "sends requests to services"),
    (Question("get", "nodes", subresource="proxy"), "reaches kubelets, and through them every pod"),
    (Question("impersonate", "users"), "acts as anybody"),
    (Question("impersonate", "serviceaccounts"), "acts as any account"),
    (Question("create", "serviceaccounts", subresource="token"), "makes itself tokens of any account"),
    (Question("create", "pods"), "starts programs"),
    (Question("delete", "pods"), "stops programs"),
    (Question("update", "deployments", "apps"), "changes what runs"),
    (Question("patch", "deployments", "apps"), "changes what runs"),
    (Question("update", "configmaps"), "changes settings"),
    (Question("create", "rolebindings", "rbac.authorization.k8s.io"), "gives itself and others rights"),
    (Question("bind", "clusterroles", "rbac.authorization.k8s.io"), "gives itself and others rights"),
    (Question("escalate", "clusterroles", "rbac.authorization.k8s.io"), "gives itself and others rights"),
)
READS_SECRETS: Final = (
    Question("get", "secrets"),
    Question("list", "secrets"),
)


def needs(policy: Policy) -> Iterator[Need]:
    """What the commands need that a policy allows, in the order of the verbs."""
    scope = policy.scope
    kinds = tuple(_kinds(scope))
    verbs = scope.command_types
    looking = [verb for verb in ("get", "describe") if verbs is None or verb in verbs]
    if looking:
        asked = _READING if "get" in looking else _READING[:2]
        for kind in kinds:
            questions = tuple(Question(each, kind.plural, kind.group) for each in asked)
            yield Need(", ".join(looking), str(kind), questions, kind.plural in _SELDOM)
    if verbs is None or "logs" in verbs:
        yield Need("logs", "pods/log", (Question("get", "pods", subresource="log"), Question("list", "pods")))
    if verbs is None or "events" in verbs:
        yield Need("events", "events", tuple(Question(each, "events") for each in _READING))
    if verbs is None or "top" in verbs:
        for resource in ("pods", "nodes"):
            metrics = tuple(Question(each, resource, "metrics.k8s.io") for each in _READING[:2])
            yield Need("top", f"{resource}.metrics.k8s.io", metrics, is_optional=True)
    for verb in ("rollout-status", "rollout-history"):
        if verbs is None or verb in verbs:
            for resource in ("deployments", "daemonsets", "statefulsets"):
                yield Need(verb, f"{resource}.apps", tuple(Question(each, resource, "apps") for each in _READING))
    if verbs is None or "rollout-history" in verbs:
        for resource in ("replicasets", "controllerrevisions"):
            yield Need("rollout-history", f"{resource}.apps", (Question("list", resource, "apps"),))
    if verbs is None or "cluster-info" in verbs:
        yield Need("cluster-info", "services", (Question("list", "services"),))


def _kinds(scope: Scope) -> Iterator[Kind]:
    """The kinds that a policy allows; of those that it does not list, Kubernetes' own without Secrets."""
    denied = [kind_of(word) for word in scope.denied_kinds]
    if scope.kinds is not None:
        listed = [kind_of(word) for word in scope.kinds if unclear_kind([word]) is None]
    else:
        listed = [kind for kind in KINDS if not is_surely(kind, SECRETS)]
    for kind in listed:
        if not any(may_be(kind, one) for one in denied) and (scope.namespaces is None or kind.is_namespaced):
            yield kind
