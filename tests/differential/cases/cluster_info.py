"""`cluster-info`: the test cluster has no services of its own; tests/…/verbs/test_cluster_info.py has some."""

from typing import Final

from tests.differential.case import Case

CASES: Final[tuple[Case, ...]] = (
    Case("cluster-info"),
    Case("cluster-info -n samples"),
    Case("cluster-info -n kube-system"),
    Case("cluster-info -n default"),
    Case("cluster-info --namespace nowhere"),
    Case("cluster-info --namespace="),
    Case("cluster-info --request-timeout=30s"),
    Case("cluster-info --request-timeout=30"),
    Case("cluster-info --request-timeout 1m"),
    Case("cluster-info --request-timeout=1m30s -n kube-public"),
    Case("cluster-info --request_timeout=30s"),
    Case("cluster-info --"),
    Case("cluster-info -nsamples"),
    Case("cluster-info -n=samples"),
    Case("cluster-info --namespace=kube-node-lease"),
    Case("cluster-info -n samples -n default"),
)
