"""The tables: for each verb the flags it takes, the operands it takes, and which of kubectl's flags it refuses by name.

Flags and their types are those of kubectl 1.33 (`kubectl <verb> --help`); an older kubectl may know fewer of them and
then says so itself.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from schemas.kubectl import conflicts, denied, operands
from schemas.kubectl.command import KubectlCommand
from schemas.kubectl.denied import EVERYWHERE, DeniedFlag
from schemas.kubectl.operands import OperandRule
from schemas.kubectl.values import (
    BadValue,
    Kind,
    boolean,
    duration,
    free_text,
    integer,
    one_of,
    output,
    pattern,
    request_timeout,
    segment,
    timeout,
    timestamp,
)


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag that may be given: long name without dashes, short letter or "", and what its value may be.

    `is_switch`: it needs no value and never takes the next word as one. `is_list`: given again, values add up; else
    the last one holds.
    """

    name: str
    short: str
    kind: Kind
    is_switch: bool = False
    is_list: bool = False

    def __str__(self) -> str:
        """Write the flag as kubectl's help does: `-o, --output`."""
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


@dataclass(frozen=True, slots=True)
class Grammar:
    """What one verb takes. `check` looks at the parsed command as a whole; like `operands` it raises Refusal."""

    verb: str
    flags: tuple[Flag, ...]
    operands: OperandRule
    denied: tuple[DeniedFlag, ...] = EVERYWHERE
    check: Callable[[KubectlCommand], None] = conflicts.check_nothing
    named: dict[str, Flag] = field(init=False, repr=False)  # the flags by name, and by short letter
    lettered: dict[str, Flag] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "named", {flag.name: flag for flag in self.flags})
        object.__setattr__(self, "lettered", {flag.short: flag for flag in self.flags if flag.short})


def _switch(name: str, short: str = "") -> Flag:
    return Flag(name, short, boolean, is_switch=True)


def _words(name: str, short: str = "") -> Flag:
    return Flag(name, short, pattern(r"[A-Za-z0-9._/,-]*", "words separated by commas"), is_list=True)


def _type_and_name(text: str) -> str:
    problem = operands.type_and_name(text) if text else None
    if problem is not None:
        raise BadValue(f"wants TYPE/NAME, and this {problem}")
    return text


_ROWS: Final = integer(1, 100_000)
_NAMESPACE: Final = Flag("namespace", "n", segment)
_EVERYWHERE: Final = (_NAMESPACE, Flag("request-timeout", "", request_timeout))
_ALL_NAMESPACES: Final = _switch("all-namespaces", "A")
_SELECTOR: Final = Flag("selector", "l", free_text)
_FIELD_SELECTOR: Final = Flag("field-selector", "", free_text)
_CHUNK_SIZE: Final = Flag("chunk-size", "", integer(0, 100_000))
_NO_HEADERS: Final = _switch("no-headers")
_JSONPATH: Final = ("jsonpath", "jsonpath-as-json")
_PRINTED: Final = (
    Flag("output", "o", output("json", "yaml", "name", with_argument=_JSONPATH, denied=denied.TEMPLATE_OUTPUTS)),
    _switch("allow-missing-template-keys"),
    _switch("show-managed-fields"),
)
_GET_OUTPUT: Final = output(
    "json",
    "yaml",
    "name",
    "wide",
    with_argument=(*_JSONPATH, "custom-columns", "go-template", "template"),
    denied=denied.FILE_OUTPUTS,
)

_GET: Final = Grammar(
    "get",
    (
        *_EVERYWHERE,
        _ALL_NAMESPACES,
        _SELECTOR,
        _FIELD_SELECTOR,
        _CHUNK_SIZE,
        Flag("output", "o", _GET_OUTPUT),
        Flag("template", "", free_text),
        Flag("sort-by", "", free_text),
        Flag("subresource", "", one_of("status", "scale", denied=denied.SUBRESOURCES)),
        Flag("limit", "", _ROWS),  # ours, not kubectl's
        _words("label-columns", "L"),
        _NO_HEADERS,
        _switch("allow-missing-template-keys"),
        _switch("ignore-not-found"),
        _switch("output-watch-events"),
        _switch("server-print"),
        _switch("show-kind"),
        _switch("show-labels"),
        _switch("show-managed-fields"),
        _switch("watch", "w"),
        _switch("watch-only"),
    ),
    operands.resources,
    (*denied.FILES, *denied.RAW, *denied.EVERYWHERE),
    conflicts.check_get,
)

_DESCRIBE: Final = Grammar(
    "describe",
    (*_EVERYWHERE, _ALL_NAMESPACES, _SELECTOR, _CHUNK_SIZE, _switch("show-events")),
    operands.resources,
    (*denied.FILES, *denied.EVERYWHERE),
)

_EXPLAIN: Final = Grammar(
    "explain",
    (
        *_EVERYWHERE,
        Flag("api-version", "", pattern(r"([A-Za-z0-9][A-Za-z0-9.-]*(/[A-Za-z0-9-]+)?)?", "GROUP/VERSION or v1")),
        Flag("output", "", one_of("plaintext")),
        _switch("recursive"),
    ),
    operands.field_path,
)

_VERSION: Final = Grammar(
    "version",
    (*_EVERYWHERE, Flag("output", "o", one_of("json", "yaml")), _switch("client")),
    operands.at_most(0, "version takes only flags"),
)

_CLUSTER_INFO: Final = Grammar("cluster-info", _EVERYWHERE, operands.at_most(0, "cluster-info takes only flags"))

_API_RESOURCES: Final = Grammar(
    "api-resources",
    (
        *_EVERYWHERE,
        Flag("api-group", "", pattern(r"[A-Za-z0-9.-]*", "an API group such as apps")),
        Flag("output", "o", one_of("wide", "name")),
        Flag("sort-by", "", one_of("name", "kind")),
        _words("categories"),
        _words("verbs"),
        _NO_HEADERS,
        _switch("cached"),
        _switch("namespaced"),
    ),
    operands.at_most(0, "api-resources takes only flags"),
)

_API_VERSIONS: Final = Grammar("api-versions", _EVERYWHERE, operands.at_most(0, "api-versions takes only flags"))

_EVENTS: Final = Grammar(
    "events",
    (
        *_EVERYWHERE,
        *_PRINTED,
        _ALL_NAMESPACES,
        _CHUNK_SIZE,
        Flag("for", "", _type_and_name),
        _words("types"),
        _NO_HEADERS,
        _switch("watch", "w"),
    ),
    operands.at_most(0, "events takes only flags, such as --for=pod/web-0"),
    (*denied.TEMPLATES, *denied.EVERYWHERE),
)

_LOGS: Final = Grammar(
    "logs",
    (
        *_EVERYWHERE,
        _SELECTOR,
        Flag("container", "c", segment),
        Flag("limit-bytes", "", integer(0)),
        Flag("max-log-requests", "", integer(1, 20)),
        Flag("pod-running-timeout", "", timeout),
        Flag("since", "", duration),
        Flag("since-time", "", timestamp),
        Flag("tail", "", integer(-1)),
        _switch("all-containers"),
        _switch("all-pods"),
        _switch("follow", "f"),
        _switch("ignore-errors"),
        _switch("prefix"),
        _switch("previous", "p"),
        _switch("timestamps"),
    ),
    operands.log_source,
    (*denied.KUBELET_IDENTITY, *denied.EVERYWHERE),
)

_METRICS: Final = (
    *_EVERYWHERE,
    _SELECTOR,
    Flag("sort-by", "", one_of("cpu", "memory")),
    _NO_HEADERS,
    _switch("use-protocol-buffers"),
)
_TOP_POD: Final = Grammar(
    "top",
    (*_METRICS, _ALL_NAMESPACES, _FIELD_SELECTOR, _switch("containers"), _switch("sum")),
    operands.metrics_source,
)
_TOP_NODE: Final = Grammar("top", (*_METRICS, _switch("show-capacity")), operands.metrics_source)

_AUTH_CAN_I: Final = Grammar(
    "auth-can-i",
    (
        *_EVERYWHERE,
        _ALL_NAMESPACES,
        Flag("subresource", "", pattern(r"[A-Za-z0-9*/-]*", "a subresource such as log")),
        _NO_HEADERS,
        _switch("list"),
        _switch("quiet", "q"),
    ),
    operands.access_question,
)

_AUTH_WHOAMI: Final = Grammar(
    "auth-whoami",
    (*_EVERYWHERE, *_PRINTED),
    operands.at_most(0, "auth whoami takes only flags"),
    (*denied.TEMPLATES, *denied.EVERYWHERE),
)

_ROLLOUT_STATUS: Final = Grammar(
    "rollout-status",
    (*_EVERYWHERE, _SELECTOR, Flag("revision", "", integer(0)), Flag("timeout", "", timeout), _switch("watch", "w")),
    operands.resources,
    (*denied.FILES, *denied.EVERYWHERE),
)

# With --revision this prints a pod template and so the values of its env entries; they are no Secret's.
_ROLLOUT_HISTORY: Final = Grammar(
    "rollout-history",
    (*_EVERYWHERE, *_PRINTED, _SELECTOR, Flag("revision", "", integer(0))),
    operands.resources,
    (*denied.FILES, *denied.TEMPLATES, *denied.EVERYWHERE),
)

# By the words of kubectl; `top` is one verb with two tables.
GRAMMARS: Final[dict[str, Grammar]] = {
    "get": _GET,
    "describe": _DESCRIBE,
    "explain": _EXPLAIN,
    "version": _VERSION,
    "cluster-info": _CLUSTER_INFO,
    "api-resources": _API_RESOURCES,
    "api-versions": _API_VERSIONS,
    "events": _EVENTS,
    "logs": _LOGS,
    "top pod": _TOP_POD,
    "top node": _TOP_NODE,
    "auth can-i": _AUTH_CAN_I,
    "auth whoami": _AUTH_WHOAMI,
    "rollout status": _ROLLOUT_STATUS,
    "rollout history": _ROLLOUT_HISTORY,
}

VERBS: Final[tuple[str, ...]] = tuple(dict.fromkeys(grammar.verb for grammar in GRAMMARS.values()))

# Commands whose first word is a group, with the second words each takes and the table that one means.
GROUPS: Final[dict[str, dict[str, str]]] = {
    "auth": {"can-i": "auth can-i", "whoami": "auth whoami"},
    "rollout": {"status": "rollout status", "history": "rollout history"},
    "top": {
        **dict.fromkeys(("pod", "pods", "po"), "top pod"),
        **dict.fromkeys(("node", "nodes", "no"), "top node"),
    },
}
