"""`auth can-i`: questions, what kubectl finds odd about them, and the list of all answers."""

from typing import Final

from tests.differential.case import Case

_LINES: Final = (
    "auth can-i get pods",
    "auth can-i list po -n samples",
    "auth can-i get pods/web",
    "auth can-i get pods --subresource=log",
    "auth can-i create deployments.apps -A",
    "auth can-i create deployments.v1.apps",
    "auth can-i get Widget",
    "auth can-i '*' '*'",
    "auth can-i get '*'",
    "auth can-i get '*.apps'",
    "auth can-i get nodes",
    "auth can-i get nodes -A",
    "auth can-i get clusterroles.rbac.authorization.k8s.io/view",
    "auth can-i impersonate users",
    "auth can-i impersonate groups/system:masters",
    "auth can-i get users.example.com",
    "auth can-i get nothing",
    "auth can-i get Nothing.Example.com",
    "auth can-i get nothing.v1.apps/x",
    "auth can-i frob pods",
    "auth can-i frob nodes",
    "auth can-i frob nothing",
    "auth can-i frob nodes -A",
    "auth can-i get /healthz",
    "auth can-i get /",
    "auth can-i frob /healthz",
    "auth can-i get pods -q",
    "auth can-i get nothing --quiet",
    "auth can-i get pods --no-headers",
    "auth can-i get nodes --no-headers",
    "auth can-i get /healthz --subresource=log",
    "auth can-i",
    "auth can-i get",
    "auth can-i --list",
    "auth can-i --list -n samples",
    "auth can-i --list --no-headers",
    "auth can-i --list -q",
    "auth can-i --list -A",
    "auth can-i --list --subresource=log",
    "auth can-i --list get",
    "auth can-i --list get pods",
)

CASES: Final[tuple[Case, ...]] = tuple(Case(line) for line in _LINES)
