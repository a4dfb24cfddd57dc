"""A LabelSelector, as workloads have one, as the text of a query."""

from collections.abc import Mapping, Sequence
from typing import Any


def as_query(selector: Mapping[str, Any]) -> str:
    """`{"matchLabels": {"app": "web"}, "matchExpressions": […]}` as `app=web,tier in (a,b)`; "" selects everything.

    Raises ValueError for an operator there is not.
    """
    labels: Mapping[str, str] = selector.get("matchLabels") or {}
    expressions: Sequence[Mapping[str, Any]] = selector.get("matchExpressions") or ()
    return ",".join(filter(None, (labels_as_query(labels), *map(_requirement, expressions))))


def labels_as_query(labels: Mapping[str, str]) -> str:
    """`{"app": "web", "tier": "a"}` as `app=web,tier=a`."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _requirement(expression: Mapping[str, Any]) -> str:
    key, operator = expression["key"], expression["operator"]
    values = ",".join(sorted(expression.get("values") or ()))
    match operator:
        case "In":
            return f"{key} in ({values})"
        case "NotIn":
            return f"{key} notin ({values})"
        case "Exists":
            return str(key)
        case "DoesNotExist":
            return f"!{key}"
    raise ValueError(f'"{operator}" is not a valid label selector operator')
