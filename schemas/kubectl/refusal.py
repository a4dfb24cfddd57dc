"""Why a command may not run, in words for the caller and as a code for programs."""

from collections.abc import Sequence
from typing import Final, Literal

Rule = Literal[
    "argument_too_long",
    "bad_flag_syntax",
    "bad_operand",
    "bad_value",
    "control_character",
    "denied_flag",
    "denied_value",
    "denied_verb",
    "invalid_text",
    "kind_not_allowed",
    "limit_conflict",
    "missing_value",
    "namespace_not_allowed",
    "secret_values",
    "too_many_arguments",
    "unexpected_operand",
    "unknown_flag",
    "unknown_verb",
    "unsafe_name",
    "verb_not_allowed",
]

# Whose rule it is.
By = Literal["grammar", "hub", "key", "agent"]

_SHOWN_CHARACTERS: Final = 120


class Refusal(Exception):
    """A command that may not run.

    `reason` is one sentence that names the argument and the remedy, for example "`--raw=/api` would …". `argument` is
    the element of the command that gave offence, shortened and with unprintable characters escaped, so that it can be
    logged and sent; None when it is the command as a whole. `allowed` lists what may stand in that place (verbs, the
    flags of the verb, values), empty when that is no short list. `rule` is the stable code of docs/commands.md, `by`
    says whose it is.
    """

    def __init__(
        self, rule: Rule, explanation: str, *, argument: str | None = None, allowed: Sequence[str] = ()
    ) -> None:
        self.rule: Rule = rule
        self.by: By = "grammar"
        self.argument = None if argument is None else _escaped(_shortened(argument))
        self.reason = _escaped(explanation) if self.argument is None else f"`{self.argument}` {_escaped(explanation)}"
        self.allowed = tuple(allowed)
        super().__init__(self.reason)


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )
