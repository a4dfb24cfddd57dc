"""`get`: the kinds of the test cluster in every form, what may be asked of a list, and what goes wrong.

Watches are not here, since kubectl's never end: tests/agent/executors/native/verbs/test_watch_integration.py has them.
"""

from collections.abc import Iterable
from itertools import product
from typing import Final

from tests.differential.case import Case

# Kinds in a namespace, each with an object that is in `samples`.
_NAMESPACED: Final = {
    "pods": "crashing",
    "services": "web",
    "deployments": "web",
    "jobs": "migrate",
    "configmaps": "settings",
    "serviceaccounts": "default",
    "endpoints": "web",
    "widgets": "bolt",
}
_OF_CLUSTER: Final = {
    "nodes": "samples-node",
    "namespaces": "samples",
    "customresourcedefinitions": "widgets.samples.kubently.dev",
    "clusterroles": "view",
    "apiservices": "v1.apps",
}
_WHERE: Final = {**dict.fromkeys(_NAMESPACED, " -n samples"), **dict.fromkeys(_OF_CLUSTER, "")}
_NAMES: Final = {**_NAMESPACED, **_OF_CLUSTER}

_COLUMNS: Final = "-o custom-columns=NAME:.metadata.name,KIND:.kind,NONE:.spec.nothing"
_OF_LISTS: Final = (
    "",
    "-o wide",
    "-o name",
    "-o json",
    "-o yaml",
    "-o jsonpath={.items[*].metadata.name}",
    _COLUMNS,
)
_OF_OBJECTS: Final = (
    "",
    "-o name",
    "-o json",
    "-o yaml --show-managed-fields",
    "-o jsonpath-as-json={.metadata.name}",
    _COLUMNS,
)


def _cases(lines: Iterable[str]) -> tuple[Case, ...]:
    return tuple(Case(line) for line in lines)


def _block(text: str) -> tuple[Case, ...]:
    """One command line a line; empty ones and comments are skipped."""
    return _cases(line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#"))


LISTS: Final = _cases(f"get {kind}{_WHERE[kind]} {form}".strip() for kind, form in product(_NAMES, _OF_LISTS))
OBJECTS: Final = _cases(
    f"get {kind} {_NAMES[kind]}{_WHERE[kind]} {form}".strip() for kind, form in product(_NAMES, _OF_OBJECTS)
)

NAMESPACES: Final = _block(
    """
    get pods
    get pods -o json
    get pods -n ''
    get pods -n nope
    get pods -A
    get pods -A -o wide
    get pods -A -o name
    get pods -A -o yaml
    get nodes -A
    get namespaces -A -o wide
    get nodes -n nope
    get services,nodes,namespaces -A
    get nodes,services,namespaces -A
    get cronjobs,nodes -A
    get services,nodes -A --no-headers
    get secrets -A
    """
)

LABELS: Final = _block(
    """
    get pods -n samples --show-labels
    get pods -A --show-labels
    get pods -n samples -L app
    get pods -n samples -L app,pod-template-hash -L nothing
    get pods -n samples -L kubernetes.io/app,app --show-labels -o wide
    get nodes --show-labels
    get nodes -L kubernetes.io/hostname
    get services,deployments -n samples --show-labels
    get pods -n samples --show-labels=false -o json
    get pods -n samples -L ''
    """
)

KINDS: Final = _block(
    """
    get pods -n samples --show-kind
    get deployments -n samples --show-kind -o wide
    get widgets -n samples --show-kind --no-headers
    get pods,services -n samples
    get pods,services,deployments -n samples -o wide
    get services,cronjobs -n samples
    get cronjobs,services -n samples
    get cronjobs,jobs,services -n samples --show-kind
    get pods,services -n samples --no-headers
    get pods,services -n samples -o name
    get pods,services -n samples -o json
    get pods,services -n samples -o yaml
    get all -n samples
    get all -A
    get all -n samples -o wide --show-labels
    get all -n samples -o name
    get all -n samples -o json
    get all -n nope
    get all,configmaps -n samples
    get pods,all -n samples
    get all,all -n samples
    get pods,pods -n samples
    get po,pods -n samples
    get pods,Pod -n samples
    get pods,Pod crashing -n samples
    get cm,sa,ep -n samples
    """
)

WORDS: Final = _block(
    """
    get po -n samples
    get pod -n samples
    get Pod -n samples
    get PODS -n samples
    get pods.v1. -n samples
    get svc -n samples
    get deploy -n samples
    get deploy.apps -n samples
    get deployments.apps -n samples
    get deployments.v1.apps -n samples
    get Deployment.v1.apps -n samples
    get deploy.app -n samples
    get wd -n samples
    get widget -n samples
    get Widget -n samples
    get widgets.samples.kubently.dev -n samples
    get widgets.v1.samples.kubently.dev/bolt -n samples
    get events.events.k8s.io -n samples
    get ing -A
    get crd
    get rs -n samples -l app=web
    """
)

NAMED: Final = _block(
    """
    get pods crashing hungry -n samples
    get pods crashing hungry -n samples -o name
    get pods crashing hungry -n samples -o json
    get pods hungry crashing hungry -n samples -o yaml
    get pods crashing nope hungry -n samples
    get pods crashing nope -n samples -o json
    get pods nope never -n samples
    get pods nope never -n samples -o yaml
    get pods nope -n samples
    get pods nope -n samples -o json
    get pods nope -n nope
    get pods nope never -n nope -o name
    get nodes nope
    get deployments,services web -n samples
    get deployments,services web nope -n samples
    get deployments,services web -n samples -o json
    get deployments/web services/web -n samples
    get deployments/web services/web deployments/nope -n samples -o wide
    get pod/crashing service/web pod/hungry -n samples
    get pod/crashing -n samples -o yaml
    get deploy.apps/web -n samples
    get node/samples-node -A
    get nodes samples-node -A -o wide
    get pods crashing -A
    get pod/crashing -A
    get pod/crashing node/samples-node -A
    """
)

SELECTORS: Final = _block(
    """
    get pods -n samples -l app=web
    get pods -n samples -l app=web -o name
    get pods -n samples -l 'app in (web, crashing)' -o json
    get pods -n samples -l '!app'
    get pods -n samples -l app!=web -o wide
    get pods -n samples -l app=nobody
    get pods -n samples -l app=nobody -o json
    get pods -n samples -l app=nobody -o name
    get pods -n samples -l app=nobody -o custom-columns=N:.metadata.name
    get pods -n samples -l 'a in'
    get pods -n samples -l ''
    get pods -A -l app=nobody
    get pods,services -n samples -l app=web
    get pods -n samples --field-selector status.phase=Running
    get pods -n samples --field-selector metadata.name=crashing -o yaml
    get pods -n samples --field-selector spec.nothing=1
    get pods -n samples --field-selector spec.nothing=1 -l app=web -o json
    get pods -n samples --field-selector 'nonsense'
    get pods,services -n samples --field-selector status.phase=Running
    get secrets -n samples --field-selector type=Opaque
    get pods crashing -n samples -l app=web
    get pod/crashing -n samples -l app=web
    get nope crashing -l app=web
    get nope/crashing --field-selector a=b
    """
)

CHUNKS: Final = _block(
    """
    get pods -n samples --chunk-size=1
    get pods -n samples --chunk-size=2 -o json
    get pods -n samples --chunk-size=2 -o yaml
    get pods -n samples --chunk-size=3 -o name
    get pods,services -A --chunk-size=1
    get pods -n samples --chunk-size=0
    get pods -n samples --chunk-size=2 -o jsonpath={.items[*].metadata.name}
    get pods -n samples --chunk-size=2 -o custom-columns=N:.metadata.name,S:.status.phase
    get clusterroles --chunk-size=7
    """
)

EMPTY: Final = _block(
    """
    get cronjobs -n samples
    get cronjobs -n samples -o json
    get cronjobs -n samples -o yaml
    get cronjobs -n samples -o name
    get cronjobs -n samples -o wide --no-headers
    get cronjobs -n samples -o jsonpath={.items}
    get cronjobs -n samples -o custom-columns=N:.metadata.name
    get cronjobs -n samples -o custom-columns=N:.metadata.name --no-headers
    get cronjobs -A
    get cronjobs,statefulsets -n samples
    get persistentvolumes
    get persistentvolumes,cronjobs -n samples
    get cronjobs -n samples --ignore-not-found
    get cronjobs -n samples --ignore-not-found -o json
    get pods nope -n samples --ignore-not-found
    get pods nope -n samples --ignore-not-found -o yaml
    get pods nope never -n samples --ignore-not-found -o json
    get pods nope crashing -n samples --ignore-not-found
    get pods nope -n nope --ignore-not-found
    get pods nope -n samples --ignore-not-found=false
    """
)

SORTED: Final = _block(
    """
    get pods -n samples --sort-by=.metadata.name
    get pods -n samples --sort-by=metadata.name -o name
    get pods -n samples --sort-by={.metadata.name} -o json
    get pods -n samples --sort-by=.status.phase -o custom-columns=N:.metadata.name,P:.status.phase
    get pods -n samples --sort-by=.status.containerStatuses[0].restartCount
    get pods -n samples --sort-by=.spec.nodeName -o wide
    get pods -n samples --sort-by=.metadata.nothing
    get pods -n samples --sort-by=.metadata.nothing -o name
    get pods -n samples --sort-by={ -o name
    get pods -n samples --sort-by={
    get pods -n samples --sort-by=''
    get pods crashing -n samples --sort-by=.metadata.nothing
    get pods crashing -n samples --sort-by=.metadata.nothing -o json
    get pods crashing hungry -n samples --sort-by=.metadata.name
    get pods hungry crashing -n samples --sort-by=.metadata.name -o name
    get pods,services -n samples --sort-by=.metadata.name
    get pods,services -n samples --sort-by=.metadata.name -o name
    get pods,services -n samples --sort-by=.kind
    get pods,services -n samples --sort-by={
    get cronjobs -n samples --sort-by=.metadata.name
    get cronjobs -n samples --sort-by=.metadata.nothing -o json
    get pods -n samples --sort-by=.metadata.name --server-print=false
    get pods -n samples --sort-by=.metadata.nothing --server-print=false
    get services,configmaps -n samples --sort-by=.metadata.name --server-print=false
    get events -n samples --sort-by=.metadata.name
    get clusterroles --sort-by=.metadata.name -o name
    """
)

LOCAL: Final = _block(
    """
    get pods -n samples --server-print=false
    get pods -n samples --server-print=false -o wide
    get pods -n samples --server-print=false --show-labels -L app
    get pods crashing -n samples --server-print=false
    get pods nope -n samples --server-print=false
    get pods,services,nodes -A --server-print=false
    get cronjobs,services -n samples --server-print=false
    get cronjobs -n samples --server-print=false
    get nodes -A --server-print=false
    get secrets -n samples --server-print=false
    get widgets -n samples --server-print=false --show-kind --no-headers
    get pods -n samples --server-print=false -o name
    """
)

SUBRESOURCES: Final = _block(
    """
    get deployments web -n samples --subresource=scale
    get deployments web -n samples --subresource=scale -o json
    get deployments web -n samples --subresource=scale -o name
    get deployment/web -n samples --subresource=status
    get pods crashing -n samples --subresource=status -o yaml
    get pods crashing hungry -n samples --subresource=status -o name
    get pods crashing -n samples --subresource=scale
    get pods nope -n samples --subresource=status
    get pods -n samples --subresource=status
    get nope --subresource=status
    get pods -n samples --subresource=''
    """
)

SECRETS: Final = _block(
    """
    get secrets -n samples
    get secrets -n samples -o wide
    get secrets -n samples -o name
    get secrets credentials -n samples
    get secret/credentials -n samples -o name
    get secret credentials nope -n samples
    get secrets -n samples --show-labels
    get secrets,configmaps -n samples
    get secrets,configmaps -n samples -o name
    """
)

TEMPLATES: Final = _block(
    """
    get pods -n samples -o jsonpath={.items[0].metadata.name}
    get pods -n samples -o jsonpath='{range .items[*]}{.metadata.name}{"\\t"}{.status.phase}{"\\n"}{end}'
    get pods -n samples -o jsonpath={.metadata}
    get pods -n samples -o jsonpath={.kind}
    get pods crashing -n samples -o jsonpath={.spec.containers[*].image}
    get pods crashing -n samples -o jsonpath={.nothing}
    get pods crashing -n samples -o jsonpath={
    get pods nope -n samples -o jsonpath={
    get pods -n samples -o jsonpath={
    get pods -n samples -o jsonpath=
    get pods -n samples -o custom-columns=
    get pods -n samples -o custom-columns=NAME
    get pods -n samples -o custom-columns=NAME:.metadata.name --no-headers
    get pods crashing -n samples -o custom-columns=L:.metadata.labels
    get pods,services -n samples -o custom-columns=K:.kind,N:.metadata.name
    get pods nope -n samples -o custom-columns=N:.metadata.name
    get pods -n samples -o jsonpath-as-json={.items[*].metadata.labels}
    """
)

REFUSED: Final = _block(
    """
    get
    get -n samples
    get --show-labels -o json
    get nope
    get nope.example.com
    get nope -n samples -o json
    get pods,nope
    get nope/crashing
    get pod/crashing nope/crashing -n samples
    get all web -n samples
    get pods,all web -n samples
    get all/web -n samples
    get pods -n samples --show-labels -o json
    get pods -n samples --show-labels -o name
    get pods -n samples --show-labels -o custom-columns=A:.kind
    get pods -n samples --output-watch-events
    get pods -n samples --output-watch-events --watch=false
    get tokenreviews
    get tokenreviews -o json
    get pods,tokenreviews -n samples
    get tokenreviews,pods -n samples -o name
    get bindings -n samples
    """
)

CASES: Final = (
    *LISTS,
    *OBJECTS,
    *NAMESPACES,
    *LABELS,
    *KINDS,
    *WORDS,
    *NAMED,
    *SELECTORS,
    *CHUNKS,
    *EMPTY,
    *SORTED,
    *LOCAL,
    *SUBRESOURCES,
    *SECRETS,
    *TEMPLATES,
    *REFUSED,
)
