"""Which kubectl the tests compare with."""

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path


@cache
def kubectl_binary() -> str:
    """The newest real kubectl. Raises LookupError."""
    binaries = kubectl_binaries()
    return binaries[max(binaries)]


@cache
def kubectl_binaries() -> dict[int, str]:
    """Every real kubectl by its minor version: `{32: "/…/kubectl.1.32", 33: "/…/kubectl.1.33"}`; at least one.

    Beside a dispatcher lie the binaries it chooses from. Raises LookupError.
    """
    found = shutil.which("kubectl")
    if found is None:
        raise LookupError("kubectl is not installed (on Debian: apt-get install kubernetes-client)")
    real = Path(found).resolve()
    versions = {
        int(match[1]): str(path)
        for path in real.parent.glob("kubectl.1.*")
        if (match := re.fullmatch(r"kubectl\.1\.(\d+)", path.name))
    }
    return versions or {_minor(real): str(real)}


def _minor(binary: Path) -> int:
    command = [str(binary), "version", "--client", "--output=json"]
    told = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return int(told["clientVersion"]["minor"].rstrip("+"))  # vendors' builds end in a plus
