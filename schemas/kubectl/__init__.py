"""What may run: the closed grammar of read-only kubectl commands that hub and agent share.

Each verb has one table of the flags and operands it takes; what is in no table is refused. The hub parses a caller's
command, and what it stores and sends is the parsed form written out again, so that flags reach kubectl only as
`--name=value` and names only behind `--`. The agent parses what it receives with the same grammar: it trusts no hub.

    refusal.py    why a command may not run
    values.py     what a flag's value may be
    operands.py   what may stand where names stand
    denied.py     kubectl's flags and verbs that are refused, each with its reason
    conflicts.py  rules over several arguments at once: Secrets, --limit
    verbs.py      the tables
    command.py    a parsed command
    kinds.py      the kinds every Kubernetes has, and what a word may mean
    reads.py      what a parsed command reads of a cluster
    scope.py      what of all this a key, a hub or a cluster's policy lets through
    nearest.py    the command nearest to a refused one that may run
    parser.py     kubectl's own reading of a command line (pflag, cobra) over those tables
"""

from schemas.kubectl.command import KubectlCommand
from schemas.kubectl.nearest import nearest
from schemas.kubectl.parser import MAX_ARGUMENT_BYTES, MAX_ARGUMENTS, MAX_TOTAL_BYTES, parse
from schemas.kubectl.refusal import By, Refusal, Rule
from schemas.kubectl.scope import EVERYTHING, Scope, admit, unclear_kind
from schemas.kubectl.values import seconds
from schemas.kubectl.verbs import GRAMMARS, VERBS

__all__ = [
    "EVERYTHING",
    "GRAMMARS",
    "MAX_ARGUMENTS",
    "MAX_ARGUMENT_BYTES",
    "MAX_TOTAL_BYTES",
    "VERBS",
    "By",
    "KubectlCommand",
    "Refusal",
    "Rule",
    "Scope",
    "admit",
    "nearest",
    "parse",
    "seconds",
    "unclear_kind",
]
