"""`auth whoami` where the API server is too old for it; test_auth_integration.py has one that is not."""

from typing import Final

from tests.differential.case import Case

_LINES: Final = (
    "auth whoami",
    "auth whoami -n samples",
    "auth whoami --request-timeout=10s",
    "auth whoami -o json",
    "auth whoami -o JSON",
    "auth whoami -o yaml",
    "auth whoami -o name",
    "auth whoami -o json --show-managed-fields",
    "auth whoami -o jsonpath={.status.userInfo.username}",
    "auth whoami -o jsonpath={.status.userInfo.nothing} --allow-missing-template-keys=false",
    "auth whoami -o jsonpath-as-json={.status}",
    # A template that cannot be read is an error before the server is asked.
    "auth whoami -o jsonpath={.status",
    "auth whoami -o jsonpath={.status[}",
    "auth whoami -o 'jsonpath-as-json={range .status}'",
    "auth whoami -o jsonpath=",
    "auth whoami -o jsonpath",
)

CASES: Final[tuple[Case, ...]] = tuple(Case(line) for line in _LINES)
