"""What no flag shows by itself: Secrets in a form that cannot hide their values, and --limit where nothing can be cut.

Whole Secrets are for an executor that hides their values before it prints anything of them. Templates only kubectl can
print, so of Secrets there are none. What else kubectl must not print of Secrets, an executor that spawns it asks
`secret_operand`: all but the table, whose columns are name, type, number of keys and age (`-o wide` adds none), and
`-o name`.
"""

from typing import Final

from schemas.kubectl.command import KubectlCommand
from schemas.kubectl.operands import resource_types
from schemas.kubectl.refusal import Refusal

_LIMITED_OUTPUTS: Final = ("", "wide", "name")
_TEMPLATES: Final = ("go-template", "template")
_SECRET_WORDS: Final = frozenset({"secret", "secrets"})


def names_secrets(word: str) -> bool:
    """Whether a resource type word can mean Secrets: `secret`, `SECRETS`, `secrets.v1.`, the kind `Secret`.

    Types are looked up in any case and with version and group behind dots; Secrets have no short name. A custom
    resource of the same name in another group is taken for one too: what it holds is likely no different.
    """
    return word.partition(".")[0].lower() in _SECRET_WORDS


def check_get(command: KubectlCommand) -> None:
    """Refuse templates of Secrets, and --limit for what is not one line per item."""
    secret = secret_operand(command)
    if secret is not None and (command.output in _TEMPLATES or command.flag("template")):
        raise Refusal(
            "secret_values",
            "names Secrets, whose values stay in the cluster, and a template could not be printed without them: take "
            "-o jsonpath or another form",
            argument=secret,
            allowed=("-o yaml", "-o json", "-o jsonpath=…", "-o wide", "-o name"),
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
