"""`top` where no metrics API is. With one: tests/agent/executors/native/verbs/test_top_integration.py."""

from typing import Final

from tests.differential.case import Case

_LINES: Final = (
    "top pod",
    "top pods -A",
    "top po -n samples",
    "top pod -n samples --containers --sum",
    "top pod -n samples crashing",
    "top pod -n samples --sort-by=cpu --no-headers",
    "top pod -n samples -l app=web",
    "top pod -n samples -l 'app in (web,crashing),!old'",
    "top pod --field-selector=metadata.name=web",
    "top pod --use-protocol-buffers=false",
    "top node",
    "top nodes samples-node",
    "top no --show-capacity --sort-by=memory",
    "top node -l kubernetes.io/os=linux",
    # What is wrong with the asking is said before that there are no metrics.
    "top pod crashing -l app=web",
    "top pod crashing --field-selector=metadata.name=web",
    "top node samples-node -l app=web",
    "top pod -l app=web=api",
    "top pod -l 'app in'",
    "top pod -l 'app in (web'",
    "top pod -l ,",
    "top pod -l app,,web",
    "top node -l -app",
    "top node -l app=-web",
    "top pod -l a/b/c=d",
    "top pod -l 'app>web'",
    "top pod --field-selector=metadata.name",
    "top pod --field-selector=metadata.name=a=b",
    "top pod --field-selector='metadata.name=a\\b'",
)

CASES: Final[tuple[Case, ...]] = tuple(Case(line) for line in _LINES)
