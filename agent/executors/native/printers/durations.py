"""How long ago something was, in the few characters kubectl spends on it: `5m30s`, `3d12h`, `2y`. Pure."""

from typing import Final

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_YEAR: Final = 365 * _DAY
# kubectl counts nanoseconds in 64 bits, and a difference of times beyond that stays at the end: 292 years.
_LONGEST: Final = 2**63 / 1e9
# From `since` seconds on, an age is written in `unit`; the next smaller unit stands beside it only until `plain`.
# Measured with kubectl 1.33: 119s 2m 9m59s 10m 179m 3h 7h59m 8h 47h 2d 7d23h 8d 729d 2y 7y364d 8y.
_STEPS: Final = (
    # (below, unit, letter, smaller unit or 0, its letter)
    (2 * _MINUTE, 1, "s", 0, ""),
    (10 * _MINUTE, _MINUTE, "m", 1, "s"),
    (3 * _HOUR, _MINUTE, "m", 0, ""),
    (8 * _HOUR, _HOUR, "h", _MINUTE, "m"),
    (2 * _DAY, _HOUR, "h", 0, ""),
    (8 * _DAY, _DAY, "d", _HOUR, "h"),
    (2 * _YEAR, _DAY, "d", 0, ""),
    (8 * _YEAR, _YEAR, "y", _DAY, "d"),
)


def human_duration(seconds: float) -> str:
    """An age of so many seconds as kubectl writes it: `human_duration(330)` is "5m30s".

    A negative age is "0s" down to -1 (clocks differ a little), `<invalid>` beyond.
    """
    whole = int(max(-_LONGEST, min(seconds, _LONGEST)))
    if whole < 0:
        return "0s" if whole == -1 else "<invalid>"
    for below, unit, letter, smaller, small_letter in _STEPS:
        if whole < below:
            rest = whole % unit // smaller if smaller else 0
            return f"{whole // unit}{letter}" + (f"{rest}{small_letter}" if rest else "")
    return f"{whole // _YEAR}y"


def go_duration(seconds: float) -> str:
    """A second or more to the nanosecond, as Go writes durations: `go_duration(259209.5)` is "72h0m9.5s"."""
    nanoseconds = round(seconds * 1e9) if seconds < _LONGEST else 2**63 - 1
    minutes, rest = divmod(nanoseconds, 60 * 10**9)
    whole, fraction = divmod(rest, 10**9)
    text = f"{whole}.{fraction:09}".rstrip("0").rstrip(".") if fraction else f"{whole}"
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{text}s"
