"""The command nearest to a refused one that may run. Pure; what is found has passed every check that the first did not.

It mends one refusal after the other: leaves out a flag, names a namespace, takes denied kinds out of a list. It never
guesses what was meant: another verb, another kind, a glob's namespace.
"""

from collections.abc import Callable, Sequence
from typing import Final

from schemas.globs import is_glob
from schemas.kubectl.command import KubectlCommand
from schemas.kubectl.parser import parse
from schemas.kubectl.refusal import Refusal

# Raises Refusal unless a command may run.
Check = Callable[[str, Sequence[str]], KubectlCommand]

_MOST_MENDED: Final = 5
_MOST_KINDS: Final = 20  # each is tried by itself
_REMOVABLE: Final = frozenset(
    {
        "denied_flag",
        "unknown_flag",
        "bad_flag_syntax",
        "bad_value",
        "denied_value",
        "unexpected_operand",
        "limit_conflict",
    }
)


def nearest(command_type: str, args: Sequence[str], check: Check) -> list[str] | None:
    """Its canonical words, verb first; None: nothing near enough is known."""
    words = list(args)
    for _ in range(_MOST_MENDED):
        try:
            return check(command_type, words).argv()
        except Refusal as refusal:
            mended = _mended(command_type, words, refusal, check)
            if mended is None or mended == words:
                return None
            words = mended
    return None


def _mended(command_type: str, words: list[str], refusal: Refusal, check: Check) -> list[str] | None:
    match refusal.rule:
        case "namespace_not_allowed":
            named = [form.removeprefix("-n ") for form in refusal.allowed]
            name = next((name for name in named if not is_glob(name)), None)
            return None if name is None else _in_namespace(parse(command_type, words), name)
        case "kind_not_allowed" if refusal.allowed == ("--show-events=false",):
            return [*words[: _end_of_flags(words)], "--show-events=false", *words[_end_of_flags(words) :]]
        case "kind_not_allowed" if refusal.argument is not None and "," in refusal.argument:
            return _without_kinds(command_type, words, refusal.argument, check)
        case rule if rule in _REMOVABLE and refusal.argument in words:
            return [word for word in words if word != refusal.argument]
        case _:
            return None


def _in_namespace(command: KubectlCommand, name: str) -> list[str]:
    flags = {flag: value for flag, value in command.flags if flag != "all-namespaces"} | {"namespace": name}
    return KubectlCommand(command.verb, tuple(sorted(flags.items())), command.operands).argv()[1:]


def _without_kinds(command_type: str, words: list[str], operand: str, check: Check) -> list[str] | None:
    kinds = operand.split(",")
    if len(kinds) > _MOST_KINDS:
        return None

    def may_run(kind: str) -> bool:
        try:
            check(command_type, [kind if word == operand else word for word in words])
        except Refusal as refusal:
            return refusal.rule != "kind_not_allowed"
        return True

    kept = ",".join(kind for kind in kinds if may_run(kind))
    return [kept if word == operand else word for word in words] if kept else None


def _end_of_flags(words: Sequence[str]) -> int:
    return words.index("--") if "--" in words else len(words)
