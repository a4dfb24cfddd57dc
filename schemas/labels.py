"""Labels of clusters, and selectors over them, in Kubernetes' syntax.

Rules and words are those of k8s.io/apimachinery (`util/validation`, `labels.Parse`), so that `-l` of kubectl and
`selector` of the hub read alike: `env=prod,tier in (web, api),region notin (eu),gpu,!spot`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

MAX_LABELS: Final = 32
MAX_SELECTOR_CHARACTERS: Final = 1024
MAX_REQUIREMENTS: Final = 32  # each is asked of each cluster

_NAME: Final = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_PREFIX: Final = r"(?=[^/]{1,253}/)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_KEY: Final = re.compile(rf"({_PREFIX}/)?{_NAME}")
_VALUE: Final = re.compile(rf"({_NAME})?")
_REQUIREMENT: Final = re.compile(
    r"\s*(?:(?P<absent>!)\s*(?P<unwanted>[^\s!=,()]+)"
    r"|(?P<key>[^\s!=,()]+)\s*(?:(?P<operator>=|==|!=)\s*(?P<value>[^\s!=,()]*)"
    r"|(?<=\s)(?P<set>in|notin)\s*\((?P<values>[^()]*)\))?)\s*(?:,(?!\s*\Z)|\Z)"
)


class LabelError(ValueError):
    """A label or selector that is none; the message says what is wrong with it."""


def check(labels: Mapping[str, str]) -> None:
    """Raise LabelError unless all are labels, and no more than there may be."""
    if len(labels) > MAX_LABELS:
        raise LabelError(f"{len(labels)} labels, {MAX_LABELS} at most")
    for key, value in labels.items():
        check_key(key)
        check_value(value)


def check_key(key: str) -> None:
    """Raise LabelError unless it is one."""
    if _KEY.fullmatch(key) is None:
        raise LabelError(
            f"{key[:64]!r} is no label's key: at most 63 letters, digits, '-', '_' and '.', the first and last a letter"
            " or digit; before it, if anything, a DNS name and '/'"
        )


def check_value(value: str) -> None:
    """Raise LabelError unless it is one."""
    if _VALUE.fullmatch(value) is None:
        raise LabelError(
            f"{value[:64]!r} is no label's value: at most 63 letters, digits, '-', '_' and '.', the first and last a"
            " letter or digit; or nothing"
        )


def parse(pairs: Iterable[str]) -> dict[str, str]:
    """`["env=prod", "tier=web"]` as a mapping. Raises LabelError."""
    labels: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise LabelError(f"{pair[:64]!r} is no label: write key=value")
        if key in labels:
            raise LabelError(f"{key!r} is there twice")
        labels[key] = value
    check(labels)
    return labels


@dataclass(frozen=True, slots=True)
class _Requirement:
    """One condition. `values` None: the key is there; else one of these, an absent key counting as none of them."""

    key: str
    values: frozenset[str] | None
    is_negative: bool

    def holds(self, labels: Mapping[str, str]) -> bool:
        is_found = self.key in labels and (self.values is None or labels[self.key] in self.values)
        return is_found != self.is_negative


@dataclass(frozen=True, slots=True)
class Selector:
    """Conditions that must all hold."""

    requirements: tuple[_Requirement, ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether these labels are chosen."""
        return all(requirement.holds(labels) for requirement in self.requirements)


def selector(text: str) -> Selector:
    """Read `env=prod,tier in (web,api),!spot`. Raises LabelError, also for one that is empty."""
    if len(text) > MAX_SELECTOR_CHARACTERS:
        raise LabelError(f"{len(text)} characters, {MAX_SELECTOR_CHARACTERS} at most")
    requirements: list[_Requirement] = []
    position = 0
    while position < len(text) or not requirements:
        found = _REQUIREMENT.match(text, position)
        if found is None:
            rest = text[position:].strip()[:64]
            raise LabelError(
                f"{rest!r} is no condition: write key=value, key!=value, key in (a,b), key notin (a,b), key or !key,"
                " with commas between"
            )
        position = found.end()
        requirements.append(_requirement(found))
        if len(requirements) > MAX_REQUIREMENTS:
            raise LabelError(f"more than {MAX_REQUIREMENTS} conditions")
    return Selector(tuple(requirements))


def _requirement(found: re.Match[str]) -> _Requirement:
    key = found["unwanted"] or found["key"]
    check_key(key)
    values: frozenset[str] | None = None
    if found["set"]:
        values = frozenset(value.strip() for value in found["values"].split(","))
    elif found["operator"]:
        values = frozenset((found["value"],))
    for value in values or ():
        check_value(value)
    is_negative = bool(found["absent"]) or found["set"] == "notin" or found["operator"] == "!="
    return _Requirement(key, values, is_negative)
