"""From a caller's words to a command: kubectl's own reading of a command line over the tables of verbs.py.

What pflag and cobra do (https://pkg.go.dev/github.com/spf13/pflag, https://pkg.go.dev/github.com/spf13/cobra) is done
here step by step, since a word read in another way than kubectl reads it would be a way around the tables: flags
anywhere, `--flag=value`, `--flag value`, bundled short flags with a glued value, `_` for `-`, `--`.
"""

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Final

from schemas.kubectl import denied
from schemas.kubectl.command import WORDS, KubectlCommand
from schemas.kubectl.refusal import Refusal
from schemas.kubectl.values import BadValue
from schemas.kubectl.verbs import GRAMMARS, GROUPS, VERBS, Flag, Grammar

MAX_ARGUMENTS: Final = 256  # of the canonical form too, which may have more of them than what was given
MAX_ARGUMENT_BYTES: Final = 8 * 1024
# All arguments together: as JSON inside one frame of the agent link with room to spare, see schemas/frames.py.
MAX_TOTAL_BYTES: Final = 64 * 1024

# Unicode's categories Cc and Cs: line ends, tabs, NUL, escape sequences; what UTF-8 cannot carry.
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]|(?P<surrogate>[\ud800-\udfff])")
_GRAMMAR_OF_VERB: Final = {grammar.verb: grammar for grammar in GRAMMARS.values() if grammar.verb != "top"}


def parse(command_type: str, args: Sequence[str]) -> KubectlCommand:
    """Read a command as kubectl does: `parse("get", ["pods", "-Aowide"])`, `parse("rollout", ["history", "deploy/x"])`.

    Raises Refusal, and nothing else, for everything that may not run.
    """
    _check_text("command_type", command_type)
    is_plain = _check_bounds(args)
    operands: tuple[str, ...] = ()
    if command_type in _GRAMMAR_OF_VERB:
        grammar, words = _GRAMMAR_OF_VERB[command_type], args
    elif command_type in GROUPS:
        grammar, operands, words = _second_word(command_type, args)
    else:
        raise _unknown_verb(command_type)

    flags, rest = _split(grammar, words)
    if grammar.verb == "cluster-info" and rest[:1] == ["dump"]:
        raise Refusal("denied_verb", denied.VERBS["cluster-info dump"], argument="dump", allowed=VERBS)
    operands = (*operands, *rest)
    grammar.operands(operands)
    command = KubectlCommand(grammar.verb, tuple(sorted(flags.items())), operands)
    # It is what the hub sends and the agent parses again, so it must keep the bounds as well. That of plain arguments
    # can only have too many of them: its flags' long names add less than is left to the bytes.
    if not is_plain or len(flags) + len(operands) >= MAX_ARGUMENTS:
        _check_bounds(command.argv()[1:])
    grammar.check(command)
    return command


def _check_bounds(args: Sequence[str]) -> bool:
    """Raise Refusal for too many arguments, too long ones, and what is no text. True: they are plain."""
    if len(args) > MAX_ARGUMENTS:
        raise Refusal(
            "too_many_arguments",
            f"{len(args)} arguments are more than the {MAX_ARGUMENTS} a command may have: ask for less",
        )
    if _is_plain(args):
        return True
    total = 0
    for index, arg in enumerate(args):
        _check_text(f"argument {index + 1}", arg)
        size = len(arg.encode())
        total += size
        if size > MAX_ARGUMENT_BYTES:
            raise Refusal(
                "argument_too_long",
                f"has {size} bytes, and an argument may have {MAX_ARGUMENT_BYTES}: ask for less",
                argument=arg,
            )
    if total > MAX_TOTAL_BYTES:
        raise Refusal(
            "argument_too_long",
            f"the arguments have {total} bytes, and together they may have {MAX_TOTAL_BYTES}: ask for less",
        )
    return False


def _is_plain(args: Sequence[str]) -> bool:
    """Whether the arguments are within their bounds even taken as one; a glance that spares most commands the look."""
    try:
        text = "".join(args)
    except TypeError:
        return False
    # At most four bytes of UTF-8 for a character; half of the bound is left for the names of flags in canonical form.
    return len(text) * 4 <= MAX_ARGUMENT_BYTES // 2 and _UNPRINTABLE.search(text) is None


def _check_text(name: str, text: object) -> None:
    if not isinstance(text, str):
        raise Refusal("invalid_text", f"{name} is not text: send a string")
    match = _UNPRINTABLE.search(text)
    if match is None:
        return
    if match["surrogate"]:
        raise Refusal("invalid_text", "holds half of a surrogate pair: send valid Unicode", argument=text)
    raise Refusal("control_character", "holds a control character: leave it out, no command needs one", argument=text)


def _unknown_verb(command_type: str) -> Refusal:
    if command_type in denied.VERBS:
        return Refusal("denied_verb", denied.VERBS[command_type], argument=command_type, allowed=VERBS)
    return Refusal(
        "unknown_verb",
        f"is no command that may run{_nearest(command_type, VERBS)}",
        argument=command_type,
        allowed=VERBS,
    )


def _second_word(group: str, args: Sequence[str]) -> tuple[Grammar, tuple[str, ...], list[str]]:
    """Find the second word of a command such as `rollout history`, as cobra's Find does.

    Flags may stand before it. cobra takes every one of them that has no `=` for one that swallows the next word, unless
    it is a bundle of short ones; only global flags are known at that place, and none we allow goes without a value.
    """
    table = GROUPS[group]
    position = 0
    while position < len(args) and args[position] != "--":
        word = args[position]
        if not word.startswith("-"):
            if word in table:
                words = [*args[:position], *args[position + 1 :]]
                key = table[word]
                return GRAMMARS[key], (key.split()[1],) if group == "top" else (), words
            reason = denied.VERBS.get(f"{group} {word}")
            if reason is not None:
                raise Refusal("denied_verb", reason, argument=word, allowed=tuple(table))
            raise Refusal(
                "unknown_verb",
                f"is no command of {group} that may run{_nearest(word, table)}",
                argument=word,
                allowed=tuple(table),
            )
        swallows = "=" not in word and (word.startswith("--") or len(word) == 2)
        position += 2 if swallows else 1
    raise Refusal(
        "unknown_verb", f"needs one of {', '.join(table)} as its first argument", argument=group, allowed=tuple(table)
    )


def _split(grammar: Grammar, words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Part flags from operands, as pflag's parseArgs does: {long name: canonical value} and the operands."""
    values: dict[str, str] = {}
    operands: list[str] = []
    rest = iter(words)
    for word in rest:
        if len(word) < 2 or word[0] != "-":
            operands.append(word)
        elif word == "--":
            operands.extend(rest)
        elif word.startswith("--"):
            _long_flag(grammar, word, rest, values)
        else:
            _short_flags(grammar, word, rest, values)
    return values, operands


def _long_flag(grammar: Grammar, word: str, rest: Iterator[str], values: dict[str, str]) -> None:
    name, equals, value = word[2:].partition("=")
    if not name or name[0] == "-":
        raise Refusal("bad_flag_syntax", "is no flag: write --name=value", argument=word)
    name = name.replace("_", "-")
    flag = grammar.named.get(name)
    if flag is None:
        raise _refused_flag(grammar, word, "name", name)
    given = word
    if not equals:
        if flag.is_switch:
            value = "true"
        else:
            value = given = _next(flag, word, rest)
    _store(flag, value, given, values)


def _short_flags(grammar: Grammar, word: str, rest: Iterator[str], values: dict[str, str]) -> None:
    letters = word[1:]
    while letters:
        flag = grammar.lettered.get(letters[0])
        if flag is None:
            raise _refused_flag(grammar, word, "short", letters[0])
        given = word
        if len(letters) > 2 and letters[1] == "=":
            value, letters = letters[2:], ""
        elif flag.is_switch:
            value, letters = "true", letters[1:]
        elif len(letters) > 1:
            value, letters = letters[1:], ""
        else:
            value = given = _next(flag, word, rest)
            letters = ""
        _store(flag, value, given, values)


def _next(flag: Flag, word: str, rest: Iterator[str]) -> str:
    value = next(rest, None)
    if value is None:
        raise Refusal(
            "missing_value", f"lacks its value: flag needs an argument: write --{flag.name}=VALUE", argument=word
        )
    return value


def _store(flag: Flag, value: str, given: str, values: dict[str, str]) -> None:
    try:
        canonical = flag.kind(value)
    except BadValue as bad:
        raise Refusal(
            bad.rule, f"is refused: --{flag.name} {bad.clause}", argument=given, allowed=bad.allowed
        ) from None
    if flag.is_list and values.get(flag.name):
        canonical = f"{values[flag.name]},{canonical}" if canonical else values[flag.name]
    values[flag.name] = canonical


def _refused_flag(grammar: Grammar, word: str, attribute: str, name: str) -> Refusal:
    known = tuple(str(flag) for flag in sorted(grammar.flags, key=lambda flag: flag.name))
    for row in grammar.denied:
        if name == getattr(row, attribute):
            return Refusal("denied_flag", row.reason, argument=word, allowed=known)
    words = " ".join(WORDS.get(grammar.verb, (grammar.verb,)))
    hint = _nearest(name, [flag.name for flag in grammar.flags], "--") if attribute == "name" else ""
    within = f"is refused: -{name} " if attribute == "short" and word != f"-{name}" else ""
    return Refusal(
        "unknown_flag", f"{within}is no flag of {words} that may be given{hint}", argument=word, allowed=known
    )


def _nearest(word: str, candidates: Sequence[str] | dict[str, str], dashes: str = "") -> str:
    close = difflib.get_close_matches(word[:64], list(candidates), n=1)
    return f"; did you mean {dashes}{close[0]}?" if close else ""
