"""`version`: both versions in each form; the test cluster is far older than kubectl, so all but --client warn."""

from typing import Final

from tests.differential.case import Case

CASES: Final[tuple[Case, ...]] = (
    Case("version"),
    Case("version --client"),
    Case("version --client=false"),
    Case("version --client=true"),
    Case("version --client -o json"),
    Case("version --client -o yaml"),
    Case("version -o json"),
    Case("version --output=json"),
    Case("version --output json"),
    Case("version -o yaml"),
    Case("version --output=yaml"),
    Case("version -ojson"),
    Case("version -oyaml"),
    Case("version --output="),
    Case("version --client --output="),
    Case("version -n samples"),
    Case("version --namespace=nowhere -o json"),
    Case("version --request-timeout=30s"),
    Case("version --request-timeout=30 --client"),
    Case("version --client=0 -o yaml"),
    Case("version --client=T"),
)
