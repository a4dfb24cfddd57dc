"""`-o name`: which object, as `pod/web` or `deployment.apps/web`."""

from collections.abc import Mapping
from typing import Any, Final

_UNKNOWN: Final = "<unknown>"


def print_name(obj: Mapping[str, Any]) -> str:
    """The object's line, with its newline; `<unknown>` for a name or kind it lacks."""
    group = str(obj.get("apiVersion") or "").rpartition("/")[0]
    kind = str(obj.get("kind") or "").lower()
    metadata = obj.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    resource = f"{kind}.{group}" if kind and group else kind
    return f"{resource or _UNKNOWN}/{name if name and isinstance(name, str) else _UNKNOWN}\n"
