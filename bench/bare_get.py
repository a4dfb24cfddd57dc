"""The floor of a listing: a bare aiohttp GET of the same table, one after the other, its pages read and thrown away.

`python -m bench.bare_get KUBECONFIG NAMESPACE SECONDS`; prints what `bench.load` prints.
"""

import asyncio
import json
import re
import sys
import time
from pathlib import Path
from typing import Final

import aiohttp

from bench.pods import access

_CONTINUE: Final = re.compile(rb'"continue":"([^"]+)"')
_TABLE: Final = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


async def measure(kubeconfig: Path, namespace: str, seconds: float) -> dict[str, float]:
    """Latencies in microseconds, as `bench.load` gives them."""
    url, secret, context = access(kubeconfig)
    headers = {"Authorization": f"Bearer {secret}", "Accept": _TABLE}
    took: list[float] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context), headers=headers) as http:
        started_at = time.perf_counter()
        while (before := time.perf_counter()) < started_at + seconds:
            token = ""
            while True:
                query = {"limit": "500"} | ({"continue": token} if token else {})
                async with http.get(f"{url}/api/v1/namespaces/{namespace}/pods", params=query) as answer:
                    answer.raise_for_status()
                    more = _CONTINUE.search(await answer.read())
                if more is None:
                    break
                token = more[1].decode()
            took.append(time.perf_counter() - before)
        elapsed = time.perf_counter() - started_at
    took.sort()
    return {
        "requests": len(took),
        "microseconds": elapsed * 1e6,
        "p50": took[len(took) // 2] * 1e6,
        "p99": took[len(took) * 99 // 100] * 1e6,
        "failed": 0,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])))))
