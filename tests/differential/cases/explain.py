"""`explain`: only what needs no /openapi/v3, which the test cluster lacks;
tests/…/verbs/test_explain_integration.py has the rest.
"""

from typing import Final

from tests.differential.case import Case

CASES: Final[tuple[Case, ...]] = (
    Case("explain"),
    Case("explain foo"),
    Case("explain foo.bar"),
    Case("explain foos.apps"),
    Case("explain foo.spec.containers"),
    Case("explain foo --recursive"),
    Case("explain foo --api-version=v1"),
    Case("explain foo --api-version=apps/v1 --recursive"),
    Case("explain foo --output=plaintext"),
    Case("explain foo --output="),
    Case("explain podss"),
    Case("explain PODSS"),
    Case("explain all"),
    Case("explain PO"),
    Case("explain foo -n samples"),
    Case("explain foo --request-timeout=30s"),
    Case("explain pods-spec"),
    Case("explain 0"),
)
