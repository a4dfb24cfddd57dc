"""What kubectl printed otherwise before the version that native follows.

Held true by test_differential_integration.py with --all-kubectls: where a change is listed the older kubectls must
differ from native, everywhere else they must not.
"""

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Change:
    """From kubectl 1.`since` on, the command lines that `lines` matches print what they print now."""

    since: int
    lines: str
    why: str
    is_certain: bool = True  # False: names made at random decide whether older kubectls differ


CHANGES: Final = (
    Change(33, r"version\b.*", "kubectl tells its own version; 1.27 tells it at length"),
    Change(33, r"rollout history .* -o name --revision=\d+", "a panic where the revision is not there"),
    Change(31, r"logs .*--all-pods\b.*", "no such flag"),
    Change(31, r"get events .*--sort-by=.metadata.name", "digits in text were compared as numbers", is_certain=False),
    Change(30, r"logs (.* )?((pod|deploy|node)/)?absent( .*)?", "another sentence for what is not found"),
    Change(30, r"(logs|rollout \w+) (.* )?(widget|crd)\w*[/,].*", "the sentence named another source file of kubectl"),
    Change(29, r"get ing -A", "no warning of a short name that means two kinds"),
    Change(28, r"events .*--for=\w+\.\S+/.*", "--for did not know groups"),
    Change(28, r"rollout status (deploy .* -l app=nobody|sts .*|ds,sts .*)", "silence where nothing was found"),
)


def change(line: str, minor: int) -> Change | None:
    """What sets this kubectl's answer to a command line apart from native's; None when they are alike."""
    return next((some for some in CHANGES if minor < some.since and re.fullmatch(some.lines, line)), None)
