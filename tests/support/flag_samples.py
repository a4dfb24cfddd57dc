"""A value that each flag of the command grammar takes."""

from typing import Final

from schemas.kubectl.verbs import Flag

_SAMPLES: Final = {
    "api-group": "apps",
    "api-version": "apps/v1",
    "categories": "all",
    "chunk-size": "100",
    "container": "app",
    "field-selector": "a=b",
    "for": "pod/web",
    "label-columns": "app",
    "limit": "5",
    "limit-bytes": "1",
    "max-log-requests": "5",
    "namespace": "web",
    "output": "",
    "pod-running-timeout": "5s",
    "request-timeout": "5s",
    "revision": "1",
    "selector": "a=b",
    "since": "5s",
    "since-time": "2024-01-20T10:30:45Z",
    "sort-by": "",
    "subresource": "",
    "tail": "5",
    "template": "{{.}}",
    "timeout": "5s",
    "types": "Normal",
    "verbs": "get",
}


def sample(flag: Flag) -> str:
    """Return a canonical value, "true" for a switch. Raises KeyError for a flag that has none here yet."""
    return "true" if flag.is_switch else _SAMPLES[flag.name]
