"""Globs of names, as keys and policies are limited by: `team-*`, `shop`. Pure."""

import fnmatch
from collections.abc import Iterable
from typing import Final

_WILD: Final = frozenset("*?[")


def is_glob(text: str) -> bool:
    """Whether a text may stand for other names than itself."""
    return not _WILD.isdisjoint(text)


def takes_in(globs: Iterable[str] | None, name: str) -> bool:
    """Whether one of the globs takes in a name; None takes in all."""
    return globs is None or any(fnmatch.fnmatchcase(name, glob) for glob in globs)


def take_in(globs: tuple[str, ...] | None, others: tuple[str, ...] | None) -> bool:
    """Whether globs take in all that others do, as far as can be told: each of those is one of them, or a name that
    they take in. None takes in all.
    """
    if globs is None or others is None:
        return globs is None
    return all(other in globs or (not is_glob(other) and takes_in(globs, other)) for other in others)
