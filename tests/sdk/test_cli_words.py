"""Which words of a command line are kubently's own, and which kubectl's; and kubectl's tables as one."""

from typing import Any

import pytest
import typer.main

from kubently.cli import tables, words
from kubently.cli.app import app
from kubently.cli.failures import UsageError
from kubently.cli.printing import printable
from kubently.cli.words import Asked


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("get pods -A", {"words": ["get", "pods", "-A"]}),
        ("get pods --cluster prod -o wide", {"words": ["get", "pods", "-o", "wide"], "cluster": "prod"}),
        ("get --cluster=prod pods", {"words": ["get", "pods"], "cluster": "prod"}),
        ("get pods --json", {"words": ["get", "pods"], "as_json": True}),
        ("get pods -o json", {"words": ["get", "pods", "-o", "json"]}),
        ("logs -f web --time-limit 60", {"words": ["logs", "-f", "web"], "time_limit": 60}),
        ("logs web -c app --agent-wait=5", {"words": ["logs", "web", "-c", "app"], "agent_wait": 5}),
        ("get pods -- --cluster x", {"words": ["get", "pods", "--", "--cluster", "x"]}),
        ("exec prod -- get pods -A", {"words": ["get", "pods", "-A"], "cluster": "prod"}),
        ("exec prod get pods", {"words": ["get", "pods"], "cluster": "prod"}),
        ("exec --json prod -- get pods", {"words": ["get", "pods"], "cluster": "prod", "as_json": True}),
        ("exec prod --profile p -- get --json", {"words": ["get", "--json"], "cluster": "prod", "profile": "p"}),
        ("exec prod --", {"words": [], "cluster": "prod"}),
        ("delete pod x --cluster prod", {"words": ["delete", "pod", "x"], "cluster": "prod"}),
        ("rollout status deploy/web --timeout=5s", {"words": ["rollout", "status", "deploy/web", "--timeout=5s"]}),
        ("get pods -l a=b,c=d --selector x", {"words": ["get", "pods", "-l", "a=b,c=d", "--selector", "x"]}),
    ],
)
def test_ours_are_taken_out(line: str, asked: dict[str, Any]) -> None:
    assert words.read(line.split()) == Asked(**asked)


@pytest.mark.parametrize(
    "line", ["", "clusters", "--version", "get --help", "fleet get pods", "exec --help", "nonsense"]
)
def test_what_is_left_to_typer(line: str) -> None:
    assert words.read(line.split()) is None


@pytest.mark.parametrize(
    "line",
    [
        "exec",
        "exec -- get pods",
        "exec -A",
        "get --cluster",
        "get --json=1",
        "get --time-limit 1.5",
        "exec a --cluster b",
    ],
)
def test_what_cannot_be_understood(line: str) -> None:
    with pytest.raises(UsageError):
        words.read(line.split())


def test_help_and_completion_show_what_is_read() -> None:
    commands: Any = typer.main.get_command(app)
    for name in ("get", "delete", "exec"):
        shown = {
            option for parameter in commands.commands[name].params for option in parameter.opts if option[:2] == "--"
        }
        assert shown == set(words._OPTIONS) - ({"--cluster"} if name == "exec" else set())


PODS = """\
NAMESPACE   NAME    READY   STATUS             RESTARTS        AGE
shop        web-0   1/1     Running            0               5m
shop        web-1   0/1     CrashLoopBackOff   7 (2m10s ago)   5m
"""
TOP = "NAME    CPU(cores)   MEMORY(bytes)\nweb-0   5m           20Mi\n"
WIDE = """\
NAME    READY   NOMINATED NODE   READINESS GATES
web-0   1/1     <none>           <none>
"""


def test_tables_are_read_and_merged() -> None:
    pods, wide = tables.parse(PODS), tables.parse(WIDE)
    assert pods is not None
    assert pods.rows[1] == ("shop", "web-1", "0/1", "CrashLoopBackOff", "7 (2m10s ago)", "5m")
    assert wide is not None
    assert wide.columns == ("NAME", "READY", "NOMINATED NODE", "READINESS GATES")
    assert tables.parse(TOP) == tables.Table(("NAME", "CPU(cores)", "MEMORY(bytes)"), (("web-0", "5m", "20Mi"),))
    merged = tables.merge({"a": pods, "b": wide})
    assert merged.columns[:3] == ("CLUSTER", "NAMESPACE", "NAME")
    assert merged.rows[-1] == ("b", "", "web-0", "1/1", "", "", "", "<none>", "<none>")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "pod/web-0\npod/web-1\n",
            "yes\n",
            '{\n    "a": 1\n}\n',
            "apiVersion: v1\nkind: Pod\n",
            "line 1\nline 2\n",
        ),
        *(
            "Name:         web-0\nNamespace:    shop\n",
            f"{PODS}\n{WIDE}",
            "NAME   AGE\nthis-is-longer-than-its-column\n",
        ),
    ],
)
def test_what_is_no_table(text: str) -> None:
    assert tables.parse(text) is None


def test_others_text_does_nothing_to_a_terminal() -> None:
    assert printable("a\x1b[31m[red]b\nc\u202e é 東") == "a\\x1b[31m[red]b\\nc\\u202e é 東"
