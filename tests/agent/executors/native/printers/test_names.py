"""`-o name`."""

from typing import Any

import pytest

from agent.executors.native.printers.names import print_name


@pytest.mark.parametrize(
    ("obj", "line"),
    [
        ({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}}, "pod/web"),
        ({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}, "deployment.apps/web"),
        ({"apiVersion": "A.b/v1", "kind": "X", "metadata": None}, "x.A.b/<unknown>"),
        ({"kind": "X", "metadata": {"name": 5}}, "x/<unknown>"),
        ({"apiVersion": "/c", "kind": "X", "metadata": "x"}, "x/<unknown>"),
        ({"apiVersion": "v1", "kind": "X", "metadata": {"name": ""}}, "x/<unknown>"),
        ({"apiVersion": "apps/v1", "metadata": {"name": "web"}}, "<unknown>/web"),
    ],
)
def test_a_name(obj: dict[str, Any], line: str) -> None:
    assert print_name(obj) == line + "\n"
