"""Which kubectl the tests compare with."""

import re
import shutil
from functools import cache
from pathlib import Path


@cache
def kubectl_binary() -> str:
    """The newest real kubectl: beside a dispatcher lie the binaries it chooses from. Raises LookupError."""
    found = shutil.which("kubectl")
    if found is None:
        raise LookupError("kubectl is not installed (on Debian: apt-get install kubernetes-client)")
    real = Path(found).resolve()
    versions = {
        int(match[1]): path
        for path in real.parent.glob("kubectl.1.*")
        if (match := re.fullmatch(r"kubectl\.1\.(\d+)", path.name))
    }
    return str(versions[max(versions)]) if versions else str(real)
