"""What no flag shows by itself: Secrets in a form that holds their values, and --limit where nothing can be cut.

The forms of Secrets that may leave the cluster are the ones without values: the table, whose columns are name, type,
number of keys and age (`-o wide` adds none), `-o name`, and `describe` as the native executor does it, with keys and
sizes. kubectl's own describe prints tokens and annotations: an executor that spawns it asks `secret_operand` first.
"""

from typing import Final

from schemas.kubectl.command import KubectlCommand
from schemas.kubectl.operands import resource_types
from schemas.kubectl.refusal import Refusal

_LIMITED_OUTPUTS: Final = ("", "wide", "name")
_SECRET_OUTPUTS: Final = ("", "wide", "name")
_SECRET_WORDS: Final = frozenset({"secret", "secrets"})


def names_secrets(word: str) -> bool:
    """Whether a resource type word can mean Secrets: `secret`, `SECRETS`, `secrets.v1.`, the kind `Secret`.

    Types are looked up in any case and with version and group behind dots; Secrets have no short name. A custom
    resource of the same name in another group is taken for one too: what it holds is likely no different.
    """
    return word.partition(".")[0].lower() in _SECRET_WORDS


def check_get(command: KubectlCommand) -> None:
    """Refuse `get` of Secrets with values, ordered by values, and --limit for what is not one line per item."""
    secret = secret_operand(command)
    if secret is not None:
        if command.output not in _SECRET_OUTPUTS or command.flag("template"):
            raise Refusal(
                "secret_values",
                "names Secrets, whose values stay in the cluster: get them as a table (no -o, or -o wide) or with "
                "-o name",
                argument=secret,
                allowed=("-o wide", "-o name"),
            )
        if command.flag("sort-by"):
            raise Refusal(
                "secret_values",
                "names Secrets, and their order by --sort-by could tell their values: leave --sort-by out",
                argument=secret,
            )
    limit = command.flag("limit")
    if limit is None:
        return
    if command.is_streaming:
        raise Refusal(
            "limit_conflict",
            "bounds a list, and a watch has no end: leave out --limit or the watch",
            argument=f"--limit={limit}",
        )
    if command.output not in _LIMITED_OUTPUTS:
        raise Refusal(
            "limit_conflict",
            f"bounds the lines of a table or of -o name, not of {command.output}: leave out --limit, or choose with "
            "--selector or --field-selector",
            argument=f"--limit={limit}",
            allowed=("-o wide", "-o name"),
        )


def check_nothing(command: KubectlCommand) -> None:
    """For verbs whose arguments do not depend on each other."""


def secret_operand(command: KubectlCommand) -> str | None:
    """The first operand of `get` or `describe` that names Secrets; None: none does."""
    return next((operand for word, operand in resource_types(command.operands) if names_secrets(word)), None)
