"""What stands between a command and the hub: one for each, made by the agent's `Redaction`."""

import time
from typing import Any, Final

from agent.redaction.markers import Marker
from agent.redaction.objects import Objects
from agent.redaction.text import Text
from schemas.frames import Stream

# Over so much, or while the last piece took so long, text is looked through in a thread.
_SLOW_BYTES: Final = 256 * 1024
_SLOW_SECONDS: Final = 0.004


class Screen:
    """One command's. `counts` says how often each rule was used, `{"secret": 2}`; objects and text add to it."""

    def __init__(self, marker: Marker, *, hides: bool, shows_controls: bool) -> None:
        self.counts: dict[str, int] = {}
        self.hides = hides
        self._is_active = hides or shows_controls
        self._objects = Objects(marker, self.counts)
        self._texts: dict[str, Text] = {
            name: Text(self.counts, hides=hides, shows_controls=shows_controls) for name in ("stdout", "stderr")
        }
        self._seconds = 0.0

    def objects(self, value: Any) -> Any:
        """What the API server sent, as JSON values, fit to be looked at: changed in place."""
        return self._objects.redact(value) if self.hides else value

    def feed(self, stream: Stream, data: bytes) -> bytes:
        """Bytes on their way out, as far as they may go yet."""
        if not self._is_active:
            return data
        begun = time.perf_counter()
        shown = self._texts[stream].feed(data)
        self._seconds = time.perf_counter() - begun
        return shown

    def finish(self, stream: Stream) -> bytes:
        """The rest of a stream."""
        return self._texts[stream].finish()

    def sentence(self, text: str) -> str:
        """A text that travels by itself, such as a command's error."""
        screened = Text(self.counts, hides=self.hides)
        return (screened.feed(text.encode(errors="replace")) + screened.finish()).decode(errors="replace")

    def is_slow(self, data: bytes) -> bool:
        """Whether to feed this may take over some milliseconds."""
        return self._is_active and (len(data) > _SLOW_BYTES or self._seconds > _SLOW_SECONDS)


class Redaction:
    """Makes the screens of one agent process, so that their tags can be compared. Both may change; screens do not."""

    def __init__(self, *, hides: bool = True, shows_controls: bool = True) -> None:
        self._marker = Marker()
        self.hides = hides
        self.shows_controls = shows_controls

    def screen(self) -> Screen:
        """One for a command."""
        return Screen(self._marker, hides=self.hides, shows_controls=self.shows_controls)


# For who has nothing to hide: a test of what is printed.
NO_SCREEN: Final = Screen(Marker(), hides=False, shows_controls=False)
