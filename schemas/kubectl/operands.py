"""What may stand where names stand: resource types, names, field paths. One rule per shape, each raises Refusal."""

import re
from collections.abc import Callable, Sequence
from typing import Final

from schemas.kubectl.refusal import Refusal
from schemas.kubectl.values import unsafe_segment

OperandRule = Callable[[Sequence[str]], None]

# `pods`, `Deployment`, `deployments.v1.apps`, `secrets.v1.` (the empty group of the core API).
_TYPE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*", re.ASCII)
_FIELD_PATH: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.$_-]*", re.ASCII)
_REVIEWED_VERB: Final = re.compile(r"\*|[A-Za-z][A-Za-z0-9-]*", re.ASCII)
_REVIEWED_TYPE: Final = re.compile(r"(?:\*|[A-Za-z0-9][A-Za-z0-9-]*)(?:\.[A-Za-z0-9.*-]*)?", re.ASCII)


def at_most(count: int, shape: str) -> OperandRule:
    """No more than so many operands; `shape` shows what is wanted: `explain TYPE[.FIELD...]`."""

    def check(operands: Sequence[str]) -> None:
        if len(operands) > count:
            raise Refusal("unexpected_operand", f"is one argument too many: {shape}", argument=operands[count])

    return check


def resources(operands: Sequence[str]) -> None:
    """`TYPE[,TYPE...] [NAME...]` or `TYPE/NAME...`, never mixed, as kubectl has it."""
    if any("/" in operand for operand in operands):
        for operand in operands:
            _type_and_name(operand)
    elif operands:
        for word in operands[0].split(","):
            _resource_type(word, operands[0])
        for name in operands[1:]:
            _name(name)


def resource_types(operands: Sequence[str]) -> list[tuple[str, str]]:
    """The type words of operands that `resources` has passed, each with the operand it stands in.

    `["cm,secret", "x"]` gives `[("cm", "cm,secret"), ("secret", "cm,secret")]`.
    """
    if any("/" in operand for operand in operands):
        return [(operand.partition("/")[0], operand) for operand in operands]
    return [(word, operand) for operand in operands[:1] for word in operand.split(",")]


def log_source(operands: Sequence[str]) -> None:
    """`POD [CONTAINER]` or `TYPE/NAME [CONTAINER]`."""
    at_most(2, "logs (POD | TYPE/NAME) [CONTAINER]")(operands)
    for operand in operands[:1]:
        if "/" in operand:
            _type_and_name(operand)
        else:
            _name(operand)
    for operand in operands[1:]:
        _name(operand)


def metrics_source(operands: Sequence[str]) -> None:
    """`pod [NAME]` or `node [NAME]`; the first is the parser's own word."""
    at_most(2, "top (pod | node) [NAME]")(operands)
    for operand in operands[1:]:
        _name(operand)


def field_path(operands: Sequence[str]) -> None:
    """`TYPE[.FIELD...]`: `deployments.spec.template`."""
    at_most(1, "explain TYPE[.FIELD...]")(operands)
    for operand in operands:
        if _FIELD_PATH.fullmatch(operand) is None:
            raise Refusal(
                "bad_operand", "is no resource type with fields, such as pods.spec.containers", argument=operand
            )


def access_question(operands: Sequence[str]) -> None:
    """`VERB TYPE`, `VERB TYPE/NAME` or `VERB /URL`; nothing of it is fetched, only asked about."""
    at_most(2, "auth can-i VERB (TYPE | TYPE/NAME | /URL)")(operands)
    for operand in operands[:1]:
        if _REVIEWED_VERB.fullmatch(operand) is None:
            raise Refusal("bad_operand", "is no verb of the API, such as get, list or create", argument=operand)
    for operand in operands[1:]:
        if operand.startswith("/"):
            continue
        word, slash, name = operand.partition("/")
        if _REVIEWED_TYPE.fullmatch(word) is None:
            raise Refusal("bad_operand", "is no resource type, such as pods or deployments.apps", argument=operand)
        if slash:
            _name(name, operand)


def type_and_name(text: str) -> str | None:
    """Why `text` is not one `TYPE/NAME`, as a clause; None when it is."""
    word, slash, name = text.partition("/")
    if not slash or _TYPE.fullmatch(word) is None:
        return "is not TYPE/NAME, such as pod/web-0"
    problem = unsafe_segment(name)
    return None if problem is None else f"has no safe name: it {problem}"


def _type_and_name(operand: str) -> None:
    if "/" not in operand:
        raise Refusal("bad_operand", "is not TYPE/NAME: give either TYPE NAME... or only TYPE/NAME", argument=operand)
    word, _, name = operand.partition("/")
    _resource_type(word, operand)
    _name(name, operand)


def _resource_type(word: str, operand: str) -> None:
    if _TYPE.fullmatch(word) is None:
        raise Refusal("bad_operand", "is no resource type, such as pods or deployments.apps", argument=operand)


def _name(name: str, operand: str | None = None) -> None:
    problem = unsafe_segment(name)
    if problem is not None:
        raise Refusal(
            "unsafe_name",
            f"is no name that can be asked for: a name {problem}; give it as kubectl get prints it",
            argument=name if operand is None else operand,
        )
