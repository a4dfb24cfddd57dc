"""`events`: which are chosen, in what form, and what is wrong with the asking.

Lists of more than twelve events are not here: kubectl's order of events of the same second is then one of chance, ours
is the server's.
"""

from typing import Final

from tests.differential.case import Case

_SUBJECTS: Final = (
    *("pod/crashing", "pods/unpullable", "po/hungry", "Pod/unschedulable", "deploy/web", "deployments.apps/web"),
    *("deployments.v1.apps/web", "job.batch/migrate", "widget/bolt", "pod/nobody"),
)
_FORMS: Final = (
    "--no-headers",
    "-o json",
    "-o yaml",
    "-o yaml --show-managed-fields",
    "-o name",
    "-o jsonpath={.items[*].reason}",
    "-o jsonpath={.items[0]}",
    "-o jsonpath-as-json={.items[*].count}",
    '-o jsonpath=\'{range .items[*]}{.reason}{"\\t"}{.message}{"\\n"}{end}\'',
    "-o jsonpath={.items[*].nothing} --allow-missing-template-keys=false",
    "--chunk-size=1",
    "--types=Normal",
    "--types=warning,normal",
)
_WRONG: Final = (
    "events -n samples --for=nothing/x",
    "events -n samples --for=nothing.v1.apps/x",
    "events -n samples --for=CustomThing.example.com/x",
    "events -n samples --types=Other",
    "events -n samples --types=Normal,Other",
    "events -n samples -o jsonpath={.items[",
    "events -n samples -o jsonpath=",
)

CASES: Final[tuple[Case, ...]] = (
    *(Case(f"events -n samples --for={subject}") for subject in _SUBJECTS),
    *(Case(f"events -n samples --for=pod/crashing {form}") for form in _FORMS),
    Case("events -A --for=pod/crashing"),
    Case("events -A --for=pod/crashing --no-headers"),
    Case("events -A --for=node/samples-node"),
    Case("events -n nowhere"),
    Case("events -n nowhere -o json"),
    Case("events --for=widget/bolt -A"),
    Case("events -n nowhere --types=Normal --no-headers"),
    *(Case(line) for line in _WRONG),
)
