"""The commands that are run, how often, and how their outputs are checked."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from chaos.ledger import Extent, Fault, Kind, Manner, digest
from chaos.samples import LOG_LINES, Samples, log_pod
from tests.cluster import numbered

# The agents' own policy, see `scene.py`: all that is asked here, and not the verb that is to be refused.
ALLOWED_VERBS: Final = ("get", "logs", "describe")
REFUSED_VERB: Final = "cluster-info"

_SECONDS: Final = 120
_GOES_ON: Final = frozenset({"timeout"})
_COMPLETED: Final = frozenset({"completed"})

# How to ask for what ends by itself, with weights.
_ENDING: Final[dict[Manner, int]] = {"sync": 4, "async": 4, "plain": 1}


@dataclass(frozen=True, slots=True)
class _Share:
    """One kind of command with its weight; `make` is asked anew for each command. `goes_on`: until it is ended."""

    weight: int
    make: Callable[[Random], Kind]
    goes_on: bool = False


class Mix:
    """Commands of all kinds and lengths, drawn at random. `has_streams`, `has_cancel`: what the hub offers."""

    def __init__(self, samples: Samples, *, has_streams: bool, has_cancel: bool) -> None:
        self.has_streams = has_streams
        self.has_cancel = has_cancel
        self._shares = _shares(samples)
        self._weights = [share.weight for share in self._shares]
        # Without a way to cancel a command its session is closed.
        self._going: dict[Manner, int] = {"sync": 2, "async": 2, "cancelled" if has_cancel else "closed": 2}
        if has_streams:
            self._going["followed"] = 4

    def draw(self, random: Random) -> tuple[Kind, Manner]:
        """The next command, and how to ask for it."""
        share = random.choices(self._shares, self._weights)[0]
        manners = self._going if share.goes_on else _ENDING
        return share.make(random), random.choices(list(manners), list(manners.values()))[0]


def _shares(samples: Samples) -> list[_Share]:
    namespace = f"--namespace={samples.namespace}"

    def text(weight: int, name: str) -> _Share:
        args = ("configmap", f"text-{name}", "-o", "jsonpath={.data.text}", namespace)
        return _always(weight, _kind(f"text {name}", "get", args, _exactly(samples.texts[name])))

    def log(weight: int, count: int) -> _Share:
        return _always(weight, _kind(f"log of {count:,}", "logs", (log_pod(count), namespace), _numbered(0, count)))

    def tail(random: Random) -> Kind:
        count = random.choice(LOG_LINES)
        kept = random.randint(1, count)
        args = (log_pod(count), f"--tail={kept}", namespace)
        return _kind("tail of a log", "logs", args, _numbered(count - kept, kept))

    def follow(weight: int, pod: str, longest_seconds: int) -> _Share:
        def make(random: Random) -> Kind:
            seconds = random.randint(1, longest_seconds)
            return Kind(f"followed {pod}", "logs", (pod, "-f", namespace), seconds, _GOES_ON, _numbered(0, None))

        return _Share(weight, make, goes_on=True)

    def watch(random: Random) -> Kind:
        args = ("pods", "-w", "-o", "name", namespace)
        wanted = "".join(f"pod/{name}\n" for name in samples.pods)
        return Kind("watch", "get", args, random.randint(1, 3), _GOES_ON, _exactly(wanted))

    return [
        text(20, "small"),
        _always(2, _described(samples.pods[0], namespace)),
        text(8, "medium"),
        text(4, "large"),
        _always(12, _rows(samples, namespace)),
        log(12, LOG_LINES[0]),
        log(6, LOG_LINES[1]),
        log(2, LOG_LINES[2]),
        _Share(8, tail),
        _always(5, _missing(namespace)),
        _always(3, Kind("refused", REFUSED_VERB, (), _SECONDS, frozenset({"refused"}), _exactly(""))),
        follow(14, "talker", 5),
        follow(1, "flooder", 2),
        _Share(3, watch, goes_on=True),
    ]


def _always(weight: int, kind: Kind) -> _Share:
    return _Share(weight, lambda _: kind)


def _kind(name: str, command_type: str, args: tuple[str, ...], fault: Fault) -> Kind:
    return Kind(name, command_type, args, _SECONDS, _COMPLETED, fault)


def _missing(namespace: str) -> Kind:
    args = ("pod", "nobody", namespace)
    return Kind("missing", "get", args, _SECONDS, frozenset({"failed"}), _exactly(""))


def _described(pod: str, namespace: str) -> Kind:
    """What only kubectl can answer."""

    def fault(output: str, extent: Extent) -> str | None:
        begins_well = output.split()[:2] == ["Name:", pod]
        return None if begins_well or extent == "head" else f"{_size(output)} that do not describe {pod}"

    args = ("pod", pod, namespace, "--show-events=false")
    return _kind("description", "describe", args, fault)


def _rows(samples: Samples, namespace: str) -> Kind:
    columns = "custom-columns=NAME:.metadata.name,SUM:.data.sum"
    args = ("configmaps", "-l", "chaos=row", "--no-headers", "-o", columns, namespace)
    wanted = [[name, sum_] for name, sum_ in samples.rows.items()]

    def fault(output: str, extent: Extent) -> str | None:
        found = [line.split() for line in output.splitlines()]
        if found == wanted or (extent == "head" and wanted[: max(0, len(found) - 1)] == found[:-1]):
            return None
        return f"{len(found)} rows that are not the {len(wanted)} there are"

    return _kind("custom columns", "get", args, fault)


def _exactly(wanted: str) -> Fault:
    """All of `wanted`; of a command that was cut short its beginning."""

    def fault(output: str, extent: Extent) -> str | None:
        if output == wanted or (extent == "head" and wanted.startswith(_cut_short(output))):
            return None
        return f"{_size(output)} are not the {_size(wanted)} there are"

    return fault


def _numbered(first: int, count: int | None) -> Fault:
    """Numbered lines of one reading; where bytes were left out, the beginning may be what is missing."""

    def fault(output: str, extent: Extent) -> str | None:
        if extent == "whole":
            return numbered.fault(output, first, count)
        output = _cut_short(output)
        wrong = numbered.fault(output, first)
        if wrong is None or extent == "head":
            return wrong
        kept = output.partition("\n")[2]
        number = numbered.first_number(kept)
        return wrong if number is None else numbered.fault(kept, number)

    return fault


def _cut_short(output: str) -> str:
    """An output that was cut short without the half of a character it may end with, which reads as U+FFFD."""
    return output.removesuffix("\ufffd")


def _size(text: str) -> str:
    return f"{len(text.encode()):,} bytes with sha256 {digest(text)[:12]}"
