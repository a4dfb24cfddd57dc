"""Small programs that stand in for kubectl where no cluster is needed."""

import sys
from pathlib import Path
from textwrap import dedent

VERSION_JSON = '{"clientVersion":{"gitVersion":"v1.33.1"},"serverVersion":{"gitVersion":"v1.32.4"}}'


def stub_kubectl(folder: Path, body: str, name: str = "kubectl") -> Path:
    """Write an executable Python program; `args` are its arguments. `version` it answers itself."""
    path = folder / name
    path.write_text(
        f"#!{sys.executable} -SE\n"
        "import os, pathlib, signal, sys, time\n"
        "args = sys.argv[1:]\n"
        "if args[:1] == ['version']:\n"
        f"    print('''{VERSION_JSON}''')\n"
        "    sys.exit()\n" + dedent(body)
    )
    path.chmod(0o755)
    return path


def kubeconfig(folder: Path) -> Path:
    """Write a kubeconfig of a cluster that is not there."""
    path = folder / "kubeconfig"
    path.write_text(
        dedent("""\
            apiVersion: v1
            kind: Config
            current-context: test
            contexts:
            - name: test
              context: {cluster: test, user: test, namespace: web}
            clusters:
            - name: test
              cluster: {server: "https://127.0.0.1:1"}
            users:
            - name: test
              user: {token: not-a-secret}
        """)
    )
    return path


def is_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
