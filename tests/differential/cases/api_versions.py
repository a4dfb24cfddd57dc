"""`api-versions`: it has the flags that every verb has."""

from typing import Final

from tests.differential.case import Case

CASES: Final[tuple[Case, ...]] = (
    Case("api-versions"),
    Case("api-versions --request-timeout=30s"),
    Case("api-versions --request-timeout=30"),
    Case("api-versions --request-timeout 1m"),
    Case("api-versions --request_timeout=30s"),
    Case("api-versions --request-timeout=1m30s"),
    Case("api-versions --request-timeout=0.5m"),
    Case("api-versions -n samples"),
    Case("api-versions -nsamples"),
    Case("api-versions -n=samples"),
    Case("api-versions --namespace nowhere"),
    Case("api-versions --namespace="),
    Case("api-versions --namespace=default --request-timeout=300s"),
    Case("api-versions --"),
    Case("api-versions -n a -n b"),
    Case("api-versions --request-timeout=10s --request-timeout=20s"),
)
