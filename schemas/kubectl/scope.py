"""What of the grammar a key, a hub or a cluster's policy lets through. Pure; what it cannot be sure of it refuses.

One class for all three, so that they cannot differ in what they take for a Secret or for a namespace of one's own.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from schemas.globs import take_in, takes_in
from schemas.kubectl.command import KubectlCommand
from schemas.kubectl.kinds import ALL, NAMESPACES, Kind, is_category, is_surely, kind_of, may_be
from schemas.kubectl.reads import SYSTEM_NAMESPACE, Read, reads, shown_beside, shows_events, spelled_out
from schemas.kubectl.refusal import By, Refusal

_ALL: Final = "*"
_SHOWN: Final = 20
_WHOSE: Final[dict[By, str]] = {
    "grammar": "the grammar",
    "hub": "this hub",
    "key": "this key",
    "agent": "this cluster's policy",
}
# What one command may name, where each is held against lists of up to some hundred kinds; it takes milliseconds then.
_MOST_READS: Final = 256
# `example.com`, and not `v1.example.com`: a group that is no version, with a dot as groups of custom resources have.
_GROUP: Final = re.compile(r"(?!v\d+((alpha|beta)\d+)?\.)[a-z0-9-]+(\.[a-z0-9-]+)+", re.ASCII)


class Scope(msgspec.Struct, frozen=True, gc=False):
    """What may run: these verbs, in namespaces that these globs take in, on these kinds and none of the denied ones.

    None: all there are. Kinds are words as kubectl takes them (`po`, `deployments.apps`); one that is none of
    Kubernetes' own has its group, `widgets.example.com` (`unclear_kind` finds those that have not).
    """

    command_types: tuple[str, ...] | None = None
    namespaces: tuple[str, ...] | None = None
    kinds: tuple[str, ...] | None = None
    denied_kinds: tuple[str, ...] = ()

    @classmethod
    def listed(
        cls,
        *,
        verbs: tuple[str, ...],
        namespaces: tuple[str, ...],
        kinds: tuple[str, ...] = (_ALL,),
        denied_kinds: tuple[str, ...],
    ) -> "Scope":
        """One as settings and policies write it: a list with "*" in it is all there are."""
        return cls(_some(verbs), _some(namespaces), _some(kinds), denied_kinds)

    def check(self, command: KubectlCommand, by: By) -> None:
        """Raise Refusal unless the command may run; `by` says whose scope this is."""
        try:
            self._check(command, _WHOSE[by])
        except Refusal as refusal:
            refusal.by = by
            raise

    def _check(self, command: KubectlCommand, whose: str) -> None:
        if self.command_types is not None and command.verb not in self.command_types:
            raise Refusal(
                "verb_not_allowed",
                f"is not allowed: {whose} is limited to {_listed(self.command_types)}",
                argument=command.verb,
                allowed=self.command_types,
            )
        asked = reads(command) if self.judges_kinds else []
        if len(asked) > _MOST_READS:
            raise Refusal(
                "kind_not_allowed",
                f"begins a list of {len(asked)} kinds or objects; {_MOST_READS} can be judged: ask for some at a time",
                argument=asked[0].argument,
            )
        if self.kinds is not None or self.denied_kinds:
            self._check_kinds(command, asked, whose)
        if self.namespaces is not None:
            self._check_namespaces(command, asked, whose)

    @property
    def judges_kinds(self) -> bool:
        """Whether it matters which kinds a command reads."""
        return self.kinds is not None or self.namespaces is not None or bool(self.denied_kinds)

    def takes_in(self, other: "Scope") -> bool:
        """Whether nothing may run under the other one that may not under this one, as far as can be told."""
        return (
            _is_within(other.command_types, self.command_types)
            and take_in(self.namespaces, other.namespaces)
            and self._takes_in_kinds(other.kinds)
            and all(kind_of(word) in map(kind_of, other.denied_kinds) for word in self.denied_kinds)
        )

    def _takes_in_kinds(self, words: tuple[str, ...] | None) -> bool:
        if words is None:
            return self.kinds is None
        # To list a kind that is not Kubernetes' own says of it that it lies in namespaces.
        mine = self.kinds is None and self.namespaces is None
        return all(self._lists(kind) or mine or (self.kinds is None and kind.is_known) for kind in map(kind_of, words))

    def _lists(self, kind: Kind) -> bool:
        return any(is_surely(kind, kind_of(word)) for word in self.kinds or ())

    def _check_kinds(self, command: KubectlCommand, asked: Sequence[Read], whose: str) -> None:
        denied = [kind_of(word) for word in self.denied_kinds]
        for kind, argument, _ in asked:
            if not kind.is_known and is_category(kind.plural):
                if kind.plural == ALL and self.kinds is None and all(_is_never_in_all(one) for one in denied):
                    continue
                raise Refusal(
                    "kind_not_allowed",
                    f"stands for several kinds, and {whose} is limited to some: name them, such as pods,services",
                    argument=argument,
                    allowed=self.kinds or (),
                )
            if any(may_be(kind, one) for one in denied):
                remedy = "" if kind.is_known or kind.group else "; name it with its group, such as widgets.example.com"
                raise Refusal(
                    "kind_not_allowed",
                    f"is, or may be, of a kind that {whose} does not allow: {_listed(self.denied_kinds)}{remedy}",
                    argument=argument or str(kind),
                )
            if self.kinds is not None and not self._lists(kind):
                raise Refusal(
                    "kind_not_allowed",
                    f"is none of the kinds that {whose} is limited to: {_listed(self.kinds)}",
                    argument=argument or str(kind),
                    allowed=self.kinds,
                )
        for kind in shown_beside(command):
            if any(may_be(kind, one) for one in denied):
                remedy = ": add --show-events=false" if shows_events(command) and kind.plural == "events" else ""
                raise Refusal(
                    "kind_not_allowed",
                    f"shows {kind} beside it, which {whose} does not allow{remedy}",
                    argument=command.verb,
                    allowed=("--show-events=false",) if remedy else (),
                )

    def _check_namespaces(self, command: KubectlCommand, asked: Sequence[Read], whose: str) -> None:
        assert self.namespaces is not None
        if not asked:
            return
        forms = tuple(f"-n {glob}" for glob in self.namespaces)
        limits = f"{whose} is limited to the namespaces {_listed(self.namespaces)}"
        if command.is_set("all-namespaces"):
            raise Refusal(
                "namespace_not_allowed",
                f"would read all namespaces, and {limits}: name one with -n",
                argument="--all-namespaces",
                allowed=forms,
            )
        is_in_namespace = False
        for read in asked:
            is_in_namespace |= self._is_in_namespace(read, limits)
        namespace = SYSTEM_NAMESPACE if command.verb == "cluster-info" else command.namespace
        if not is_in_namespace or (namespace is not None and takes_in(self.namespaces, namespace)):
            return
        if namespace is None:
            raise Refusal("namespace_not_allowed", f"Name a namespace with -n: {limits}", allowed=forms)
        raise Refusal("namespace_not_allowed", f"is not allowed: {limits}", argument=namespace, allowed=forms)

    def _is_in_namespace(self, read: Read, limits: str) -> bool:
        """Whether the namespace of the command decides. Raises Refusal for what lies beyond all namespaces."""
        kind, argument, names = read
        if kind == NAMESPACES and names:
            other = next((name for name in names if not takes_in(self.namespaces, name)), None)
            if other is None:
                return False
            raise Refusal("namespace_not_allowed", f"is not allowed: {limits}", argument=other)
        if kind.is_known and kind.is_namespaced:
            return True
        if kind.is_known:
            message = f"is of the whole cluster, and {limits}"
        elif self._lists(kind):
            return True  # whoever listed it by name knows that it lies in namespaces
        else:
            message = f"may be of the whole cluster, and {limits}; kinds that are not Kubernetes' own must be listed"
        raise Refusal("namespace_not_allowed", message, argument=argument)


# Whoever is limited in nothing.
EVERYTHING: Final = Scope()


def admit(command: KubectlCommand, scopes: Iterable[tuple[By, Scope | None]]) -> KubectlCommand:
    """The command as it may run under all of them, None among them limiting nothing. Raises the first one's Refusal.

    Where kinds or namespaces decide it has its kinds in full, so that no cluster takes for another kind what was judged
    here.
    """
    judges_kinds = False
    for by, scope in scopes:
        if scope is not None:
            scope.check(command, by)
            judges_kinds |= scope.judges_kinds
    return spelled_out(command) if judges_kinds else command


def unclear_kind(words: Sequence[str]) -> str | None:
    """The first word with which a Scope would not know what is meant: a category, or no kind of Kubernetes' own and
    without its group or with a version. None: all are clear.
    """
    return next((word for word in words if is_category(word) or not _is_clear(kind_of(word))), None)


def _is_clear(kind: Kind) -> bool:
    return kind.is_known or _GROUP.fullmatch(kind.group) is not None


def _some(words: tuple[str, ...]) -> tuple[str, ...] | None:
    return None if _ALL in words else words


def _is_never_in_all(kind: Kind) -> bool:
    return kind.is_known and not kind.is_in_all


def _is_within(some: Sequence[str] | None, all_of_them: Sequence[str] | None) -> bool:
    if all_of_them is None:
        return True
    return some is not None and set(some) <= set(all_of_them)


def _listed(words: Sequence[str]) -> str:
    shown = ", ".join(words[:_SHOWN]) or "none"
    return f"{shown}, …" if len(words) > _SHOWN else shown
