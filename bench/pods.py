"""Namespaces full of pods on a real API server, for lists of a known length."""

import asyncio
import ssl
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml

SIZES: Final = (50, 500, 5000)

_AT_ONCE: Final = 32
_LABELS: Final = {
    "app.kubernetes.io/name": "shop",
    "app.kubernetes.io/part-of": "bench",
    "pod-template-hash": "7d4b9c6f5",
}


def namespace(size: int) -> str:
    """The namespace with so many pods."""
    return f"bench-{size}"


def access(kubeconfig: Path) -> tuple[str, str, ssl.SSLContext]:
    """What a kubeconfig of the test cluster holds: the server's URL, the token, and how to trust it."""
    content = yaml.safe_load(kubeconfig.read_bytes())
    cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
    return cluster["server"], user["token"], ssl.create_default_context(cafile=cluster["certificate-authority"])


async def fill(kubeconfig: Path) -> None:
    """Make a namespace for each size, with its pods. No scheduler takes them, so that nothing changes them later."""
    url, token, context = access(kubeconfig)
    connector = aiohttp.TCPConnector(ssl=context, limit=_AT_ONCE)
    async with aiohttp.ClientSession(url, connector=connector, headers={"Authorization": f"Bearer {token}"}) as http:

        async def make(path: str, content: dict[str, Any]) -> None:
            while True:
                async with http.post(path, json=content) as answer:
                    # A namespace's account comes a moment after it; until then pods are forbidden.
                    if answer.status != 403:
                        answer.raise_for_status()
                        return
                await asyncio.sleep(0.1)

        for size in SIZES:
            await make("/api/v1/namespaces", {"metadata": {"name": namespace(size)}})
        names = iter([(size, number) for size in SIZES for number in range(size)])

        async def work() -> None:
            for size, number in names:
                await make(f"/api/v1/namespaces/{namespace(size)}/pods", _pod(number))

        await asyncio.gather(*(work() for _ in range(_AT_ONCE)))


def _pod(number: int) -> dict[str, Any]:
    resources = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}}
    variables = [{"name": f"SETTING_{index}", "value": f"value-{index}"} for index in range(5)]
    return {
        "metadata": {"name": f"shop-7d4b9c6f5-{number:05}", "labels": _LABELS},
        "spec": {
            "schedulerName": "nobody",
            "containers": [
                {"name": "shop", "image": "example.com/shop:1.4.2", "env": variables, "resources": resources}
            ],
        },
    }
