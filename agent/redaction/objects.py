"""An object of the API server's, or a list, a watch event, a Table of them, with its credentials hidden. Pure.

What is in Secrets is hidden whole, whatever it is. Elsewhere a value is hidden for its name (`clientSecret`, an env
entry `DB_PASSWORD`), else what looks like a credential in it. Keys, types and sizes stay, so that what is missing or
differs can still be seen.
"""

import base64
import binascii
import bisect
import itertools
from typing import Any, Final

from agent.redaction.markers import Marker, is_marker
from agent.redaction.names import is_credential, is_key_in_secret
from agent.redaction.patterns import SUSPICION, Counts
from agent.redaction.text import Text

_SECRET_FIELDS: Final = ("data", "stringData")
# Annotations that are whole objects again, Secrets' values with them: kubectl's, and those of others who keep theirs.
_OBJECT_ANNOTATIONS: Final = ("last-applied", "applied-configuration", "objectset.rio.cattle.io/applied", "/original")
_HELM_KEY: Final = "release"
_NO_VALUES: Final = frozenset({"", "true", "false", "null", "none"})
_MAX_DEPTH: Final = 10_000  # that of Go's JSON decoder, which API servers use
_SHORTEST: Final = 6  # no pattern finds anything in a shorter text
_MAX_NAMES: Final = 10_000


class Objects:
    """Redacts the objects of one command. `counts` is added to, by the names of the rules."""

    def __init__(self, marker: Marker, counts: Counts) -> None:
        self._marker = marker
        self._counts = counts
        self._verdicts: dict[str, bool] = {}  # whether a name is a credential's

    def redact(self, value: Any) -> Any:
        """The value itself, changed in place."""
        texts: set[str] = set()
        self._walk(value, texts)
        found = self._look_into(texts)
        if found:
            self._replace(value, found)
        return value

    def _walk(self, root: Any, texts: set[str]) -> None:
        """Hide what has to go for its name or its place; gather the other texts.

        Most of the time that redaction takes goes by here, in a list of pods some hundred steps for each.
        """
        verdicts = self._verdicts
        add = texts.add
        left: list[tuple[Any, str, int]] = [(root, "", 0)]
        while left:
            value, name, depth = left.pop()
            if depth > _MAX_DEPTH:
                raise ValueError("an object is nested too deep")
            if type(value) is list:
                before = ""
                for index, item in enumerate(value):
                    if type(item) is str:
                        # `--token`, `x` of a container's args: the name stands in the entry before.
                        is_flag = before.startswith("-") and "=" not in before and not item.startswith("-")
                        is_hidden = self._is_hidden(value, index, item, before.lstrip("-") if is_flag else name)
                        if not is_hidden and len(item) > _SHORTEST:
                            add(item)
                        before = item
                    elif type(item) is dict or type(item) is list:
                        left.append((item, name, depth + 1))
            elif type(value) is dict:
                if "kind" in value or "annotations" in value:
                    self._by_kind(value)
                named = value.get("name")
                for key, item in value.items():
                    if type(item) is str:
                        # An env entry, or a parameter of some controller's, has its name beside it.
                        own = named if key == "value" and type(named) is str else key
                        verdict = verdicts.get(own)
                        if (verdict is None or verdict) and self._is_hidden(value, key, item, own):
                            continue
                        if len(item) > _SHORTEST:
                            add(item)
                    elif (type(item) is dict or type(item) is list) and item and key != "managedFields":
                        left.append((item, key, depth + 1))  # managedFields hold names only

    def _is_hidden(self, holder: Any, key: Any, text: str, name: str) -> bool:
        """Hide a text that has to go for its name. Whether it did."""
        verdict = self._verdicts.get(name)
        if verdict is None:
            verdict = is_credential(name)
            if len(self._verdicts) < _MAX_NAMES:
                self._verdicts[name] = verdict
        if not verdict or text.lower() in _NO_VALUES or is_marker(text) or _is_reference(text):
            return False
        if is_key_in_secret(name, text):
            return False
        holder[key] = self._hide("credential", text)
        return True

    def _look_into(self, texts: set[str]) -> dict[str, tuple[str, dict[str, int]]]:
        """Those texts that hold what looks like a credential: as they are to be, and how often each rule hid something.

        All are searched at once: most have nothing.
        """
        listed = list(texts)
        joined = "\n".join(listed)
        if joined.isascii():
            starts = list(itertools.accumulate((len(text) + 1 for text in listed), initial=0))
        else:
            raws = (text.encode(errors="surrogatepass") for text in listed)
            starts = list(itertools.accumulate((len(raw) + 1 for raw in raws), initial=0))
        found: dict[str, tuple[str, dict[str, int]]] = {}
        last = -1
        for match in SUSPICION.finditer(joined.encode(errors="surrogatepass")):
            index = bisect.bisect_right(starts, match.start()) - 1
            if index == last:
                continue
            last = index
            counts: dict[str, int] = {}
            screened = Text(counts, shows_controls=False)
            raw = listed[index].encode(errors="surrogatepass")
            shown = screened.feed(raw) + screened.finish()
            if shown != raw:
                found[listed[index]] = (shown.decode(errors="replace"), counts)
        return found

    def _replace(self, root: Any, found: dict[str, tuple[str, dict[str, int]]]) -> None:
        left: list[Any] = [root]
        while left:
            value = left.pop()
            for key, item in list(value.items() if type(value) is dict else enumerate(value)):
                if type(item) is str:
                    if item in found:
                        value[key], counts = found[item]
                        for rule, count in counts.items():
                            self._counts[rule] = self._counts.get(rule, 0) + count
                elif (type(item) is dict or type(item) is list) and key != "managedFields":
                    left.append(item)

    def _by_kind(self, obj: dict[str, Any]) -> None:
        """What goes for the kind of object that it is part of."""
        kind = obj.get("kind")
        if kind == "Secret":
            self._secret(obj)
        elif kind == "ConfigMap":
            self._config_map(obj)
        elif kind in ("SecretList", "ConfigMapList") and isinstance(items := obj.get("items"), list):
            for item in items:  # in a list of one kind objects do not say theirs
                if isinstance(item, dict):
                    (self._secret if kind == "SecretList" else self._config_map)(item)
        annotations = obj.get("annotations")
        if isinstance(annotations, dict):
            self._annotations(annotations)

    def _secret(self, secret: dict[str, Any]) -> None:
        for field in _SECRET_FIELDS:
            values = secret.get(field)
            if isinstance(values, dict):
                for key, value in values.items():
                    if not (isinstance(value, str) and is_marker(value)):
                        values[key] = self._hide("secret", value, is_base64=field == "data")
            elif values is not None and not (isinstance(values, str) and is_marker(values)):
                secret[field] = self._hide("secret", values)
        metadata = secret.get("metadata")
        annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
        if isinstance(annotations, dict):  # some keep the whole Secret there, under a name of their own
            for key, value in annotations.items():
                if isinstance(value, str) and not is_marker(value) and (value[:1] in ("{", "[") or len(value) > 256):
                    annotations[key] = self._hide("secret", value)

    def _config_map(self, config_map: dict[str, Any]) -> None:
        metadata = config_map.get("metadata")
        labels = metadata.get("labels") if isinstance(metadata, dict) else None
        is_helms = isinstance(labels, dict) and str(labels.get("owner", labels.get("OWNER", ""))).lower() in (
            "helm",
            "tiller",
        )
        data = config_map.get("data")
        if isinstance(data, dict):
            for key, value in data.items():
                if is_helms and isinstance(value, str) and not is_marker(value):
                    data[key] = self._hide("helm_release", value)
        binary = config_map.get("binaryData")
        if isinstance(binary, dict):
            for key, value in binary.items():
                if isinstance(value, str) and not is_marker(value) and self._is_suspicious(key, value):
                    binary[key] = self._hide("credential", value, is_base64=True)

    def _is_suspicious(self, key: str, value: str) -> bool:
        """Whether base64 data has a credential's name, or a credential in it."""
        content = _decoded(value)
        screened = Text({}, shows_controls=False)
        return is_credential(key) or screened.feed(content) + screened.finish() != content

    def _annotations(self, annotations: dict[str, Any]) -> None:
        for name, value in annotations.items():
            is_object = any(part in name for part in _OBJECT_ANNOTATIONS)
            if is_object and isinstance(value, str) and value and not is_marker(value):
                annotations[name] = self._hide("last_applied", value)

    def _hide(self, rule: str, value: Any, *, is_base64: bool = False) -> str:
        self._counts[rule] = self._counts.get(rule, 0) + 1
        text = value if isinstance(value, str) else repr(value)
        return self._marker.of(rule, _decoded(text) if is_base64 else text.encode(errors="surrogatepass"))


def _decoded(text: str) -> bytes:
    """What base64 stands for; the text itself where it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return text.encode(errors="surrogatepass")


def _is_reference(text: str) -> bool:
    """Whether a text stands for a value that is elsewhere: `$(DB_PASSWORD)`, `${TOKEN}`, `{{ .Values.token }}`."""
    return text.startswith(("$(", "${", "{{")) and text.endswith((")", "}"))
