"""What this cluster's owner allows, within what the shared grammar has. Pure; `policy_file.py` reads it from a file."""

from typing import Annotated, Any, Final, Literal

import msgspec
import yaml
from msgspec import Meta

from schemas import kubectl
from schemas.frames import Run

_ALL: Final = "*"
_MAX_WORDS: Final = 500

_Words = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=253)], ...], Meta(max_length=_MAX_WORDS)]


class PolicyError(ValueError):
    """A text that is no policy; the message names the place and the remedy in one line."""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The most that a command may take, and the most at once; None: as the hub asks, within its own limits."""

    max_seconds: Annotated[float, Meta(gt=0, le=86_400)] | None = None
    max_output_bytes: Annotated[int, Meta(ge=1024)] | None = None  # of stdout
    max_commands: Annotated[int, Meta(ge=1, le=1024)] | None = None
    max_streams: Annotated[int, Meta(ge=1, le=1024)] | None = None


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Verbs, globs of namespaces, kinds as kubectl names them; "*" is all there are, nothing listed is nothing allowed.

    The defaults let the whole grammar through, which reads and never writes, and hide credentials.
    """

    verbs: _Words = (_ALL,)
    namespaces: _Words = (_ALL,)
    kinds: _Words = (_ALL,)
    denied_kinds: _Words = ()
    redaction: Literal["on", "off"] = "on"
    control_characters: Literal["neutralise", "keep"] = "neutralise"
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        unknown = sorted(set(self.verbs) - {*kubectl.VERBS, _ALL})
        if unknown:
            raise ValueError(f"verbs: {unknown[0]} is no verb; there are {', '.join(sorted(kubectl.VERBS))}")
        for name, words in (("kinds", self.kinds), ("denied_kinds", self.denied_kinds)):
            unclear = kubectl.unclear_kind([word for word in words if (name, word) != ("kinds", _ALL)])
            if unclear is not None:
                raise ValueError(
                    f"{name}: {unclear} is not clear; name one kind, and if it is none of Kubernetes' own with its"
                    " group, as widgets.example.com"
                )

    @property
    def scope(self) -> kubectl.Scope:
        """What may run."""
        return kubectl.Scope.listed(
            verbs=self.verbs, namespaces=self.namespaces, kinds=self.kinds, denied_kinds=self.denied_kinds
        )

    def admit(self, command: kubectl.KubectlCommand) -> kubectl.KubectlCommand:
        """The command as it may run. Raises kubectl.Refusal."""
        return kubectl.admit(command, (("agent", self.scope),))

    def limited(self, run: Run) -> Run:
        """The same command, within the limits."""
        seconds, size = self.limits.max_seconds, self.limits.max_output_bytes
        if seconds is None and size is None:
            return run
        contract = run.contract
        if contract is not None and size is not None:
            contract = msgspec.structs.replace(contract, max_full_bytes=min(contract.max_full_bytes, size))
        return msgspec.structs.replace(
            run,
            timeout_seconds=min(run.timeout_seconds, seconds or run.timeout_seconds),
            max_output_bytes=min(run.max_output_bytes, size or run.max_output_bytes),
            contract=contract,
        )

    def announced(self, problem: str | None = None) -> dict[str, msgspec.Raw]:
        """What the hub is told: each field as JSON, and `problem`: why a newer file does not hold, None: none does."""
        fields: dict[str, Any] = msgspec.structs.asdict(self)
        return {
            name: msgspec.Raw(msgspec.json.encode(value)) for name, value in (fields | {"problem": problem}).items()
        }


def parse(text: str) -> Policy:
    """Read a policy from YAML. Raises PolicyError."""
    try:
        content = _Loader(text).get_single_data()
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f" on line {error.problem_mark.line + 1}"
        raise PolicyError(f"not YAML{line}: {error.problem}") from None
    except yaml.YAMLError as error:
        raise PolicyError(f"not YAML: {error}") from None
    except Exception as error:  # noqa: BLE001 - a border: of odd tags and numbers PyYAML raises whatever it stumbles over
        raise PolicyError(f"not YAML that can be read ({type(error).__name__})") from None
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise PolicyError("not a policy: expected keys such as `verbs: [get, logs]`")
    if isinstance(content.get("redaction"), bool):  # YAML 1.1 takes on and off for true and false
        content["redaction"] = "on" if content["redaction"] else "off"
    try:
        return msgspec.convert(content, Policy)
    except msgspec.ValidationError as error:
        raise PolicyError(str(error)) from None


class _Loader(yaml.SafeLoader):
    """Takes no key twice: of two lists of verbs only one would hold, and the reader cannot tell which."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise yaml.YAMLError(f"{twice} stands there twice")
        return super().construct_mapping(node, deep)
