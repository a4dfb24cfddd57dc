"""`describe`: Secrets as kubectl does it but without their values, anything else as kubectl does a custom resource.

Pure. The texts have tabs between columns; `TabWriter.of_descriptions` aligns them.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from agent.executors.native.printers.values import go_text
from agent.redaction.markers import hidden_bytes

Object = Mapping[str, Any]

# kubectl shows it nowhere in a description: it is the whole object again, a Secret's values too.
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_LONGEST_ANNOTATION: Final = 140  # bytes of key and value on a line; measured with kubectl 1.33
# What the head says, and what nobody reads.
_NOT_IN_METADATA: Final = frozenset({"name", "namespace", "labels", "annotations", "managedFields"})
_INDENT: Final = "  "

_ACRONYMS: Final = frozenset({"API", "URL", "UID", "OSB", "GUID"})  # measured with kubectl 1.33
# A word of a name in camel case: `URL` and `Path` of `URLPath`.
_WORD: Final = re.compile(r"-+|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^-A-Za-z]+")


def secret(obj: Object) -> str:
    """A Secret: its keys, and the sizes of what they stand for. Nothing of what it holds, and no annotation's value."""
    data = obj.get("data") or {}
    annotations = [f"{key}: {_size(value)} bytes" for key, value in _annotations(obj)]
    return "".join(
        (
            _head(obj, annotations),
            f"\nType:\t{obj.get('type', '')}\n\nData\n====\n",
            # kubectl prints them in any order.
            *(f"{key}:\t{_decoded_size(value)} bytes\n" for key, value in sorted(data.items())),
        )
    )


def anything(obj: Object) -> str:
    """An object of any kind: all of its fields, one on a line."""
    annotations = [line for key, value in _annotations(obj) for line in _annotation(key, value)]
    metadata = obj.get("metadata") or {}
    shown = {**obj, "metadata": {key: value for key, value in metadata.items() if key not in _NOT_IN_METADATA}}
    return _head(obj, annotations) + "".join(_fields(shown, ""))


def events(rows: Iterable[tuple[str, ...]]) -> str:
    """The table of an object's events; a row is type, reason, age, source, message."""
    lines = ["\t".join(row) + "\n" for row in rows]
    if not lines:
        return "Events:\t<none>\n"
    heads = ("Type\tReason\tAge\tFrom\tMessage\n", "----\t------\t----\t----\t-------\n")
    return "Events:\n" + "".join(_INDENT + line for line in (*heads, *lines))


def _head(obj: Object, annotations: list[str]) -> str:
    metadata = obj.get("metadata") or {}
    labels = [f"{key}={value}" for key, value in sorted((metadata.get("labels") or {}).items())]
    return (
        f"Name:\t{metadata.get('name', '')}\n"
        f"Namespace:\t{metadata.get('namespace', '')}\n"
        f"Labels:\t{_column(labels)}"
        f"Annotations:\t{_column(annotations)}"
    )


def _column(lines: list[str]) -> str:
    return "\n\t".join(lines or ["<none>"]) + "\n"


def _annotations(obj: Object) -> list[tuple[str, str]]:
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    return sorted((key, str(value)) for key, value in annotations.items() if key != _LAST_APPLIED)


def _annotation(key: str, value: str) -> Iterator[str]:
    value = value.removesuffix("\n")
    if "\n" not in value and len(f"{key}: {value}".encode()) <= _LONGEST_ANNOTATION:
        yield f"{key}: {value}"
        return
    yield f"{key}:"
    longest = _LONGEST_ANNOTATION - len(_INDENT)
    for line in value.split("\n"):
        cut = line.encode()[:longest].decode(errors="ignore")
        yield f"{_INDENT}{line if cut == line else f'{cut}...'}"


def _decoded_size(base64: str) -> int:
    """How many bytes a base64 text stands for, or a marker in its place."""
    hidden = hidden_bytes(base64)
    return len(base64) * 3 // 4 - base64.count("=") if hidden is None else hidden


def _size(text: str) -> int:
    hidden = hidden_bytes(text)
    return len(text.encode()) if hidden is None else hidden


def _fields(obj: Object, indent: str) -> Iterator[str]:
    for key, value in sorted(obj.items()):
        if isinstance(value, Mapping):
            yield f"{indent}{label(key)}:\n"
            yield from _fields(value, indent + _INDENT)
        elif isinstance(value, list):
            yield f"{indent}{label(key)}:\n"
            for item in value:
                if isinstance(item, Mapping):
                    yield from _fields(item, indent + _INDENT)
                else:
                    yield f"{indent}{_INDENT}{go_text(item)}\n"
        else:
            yield f"{indent}{label(key)}:\t{go_text(value)}\n"


def label(field: str) -> str:
    """A field's name for people: `hostIP` is `Host IP`; one with more than letters and dashes stays as it is."""
    if not all(character.isalpha() or character == "-" for character in field):
        return field
    words = _WORD.findall(field)
    return " ".join(word.upper() if word.upper() in _ACRONYMS else word[:1].upper() + word[1:] for word in words)
