"""A parsed command: what the hub stores and sends, and what an executor runs."""

from typing import Final

import msgspec

# Verbs of two words, as kubectl writes them; all others are one word.
WORDS: Final = {
    "auth-can-i": ("auth", "can-i"),
    "auth-whoami": ("auth", "whoami"),
    "rollout-status": ("rollout", "status"),
    "rollout-history": ("rollout", "history"),
}


class KubectlCommand(msgspec.Struct, frozen=True, gc=False):
    """A command that may run, in canonical form. Only `parse` makes these.

    `flags` are long names without dashes and their value as text, each name once, in alphabetical order:
    `(("all-namespaces", "true"), ("output", "wide"))`. `operands` are what follows `--`: `("pod", "web-0")`; for `top`
    the first one is `pod` or `node` and stands before the flags.
    """

    verb: str
    flags: tuple[tuple[str, str], ...] = ()
    operands: tuple[str, ...] = ()

    def argv(self) -> list[str]:
        """The canonical words, verb first: `["get", "--output=wide", "--", "pods"]`; `parse` reads them back."""
        return [self.verb, *self._arguments(self.flags)]

    def kubectl_argv(self) -> list[str]:
        """What to hand to the kubectl binary: `["rollout", "history", "--namespace=x", "--", "deploy/web"]`.

        Every flag is `--name=value`, everything else stands behind `--`; `--limit`, which kubectl does not know, is
        left out.
        """
        words = WORDS.get(self.verb, (self.verb,))
        return [*words, *self._arguments(tuple(pair for pair in self.flags if pair[0] != "limit"))]

    def flag(self, name: str) -> str | None:
        """The value of a flag by its long name; None when it was not given."""
        for known, value in self.flags:
            if known == name:
                return value
        return None

    def is_set(self, name: str) -> bool:
        """Whether a boolean flag was given as true."""
        return self.flag(name) == "true"

    @property
    def output(self) -> str:
        """The name of the output format without its argument: `json`, `jsonpath`; "" is the verb's own text."""
        name = (self.flag("output") or "").partition("=")[0]
        return name or ("go-template" if self.flag("template") else "")

    @property
    def namespace(self) -> str | None:
        """The namespace asked for; None: the agent's default one."""
        return self.flag("namespace") or None

    @property
    def limit(self) -> int | None:
        """The most items to return; None: all."""
        value = self.flag("limit")
        return None if value is None else int(value)

    @property
    def is_streaming(self) -> bool:
        """Whether the command goes on until it is ended: a watch, or logs that are followed."""
        if self.verb == "logs":
            return self.is_set("follow")
        return self.verb in {"get", "events"} and (self.is_set("watch") or self.is_set("watch-only"))

    def _arguments(self, flags: tuple[tuple[str, str], ...]) -> list[str]:
        first, rest = (self.operands[:1], self.operands[1:]) if self.verb == "top" else ((), self.operands)
        return [*first, *(f"--{name}={value}" for name, value in flags), *(("--", *rest) if rest else ())]
