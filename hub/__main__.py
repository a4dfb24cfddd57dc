"""The command `kubently-hub`: reads the settings, serves until told to stop, or looks at the audit log.

Exit codes: 0 stopped as asked, 2 cannot start (a bad setting, an unusable database, a taken port). Those of
`audit` are in audit_tool.py.
"""

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import signal
import ssl
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import uvloop
from aiohttp import web

from hub import app as hub_app
from hub import audit_tool, keys, logs
from hub.api.health import VERSION
from hub.errors import StoreUnusable
from hub.listener import listening
from hub.settings import ADMIN_KEY_VARIABLE, ENVIRONMENT_PREFIX, Settings
from schemas.settings import SettingsError, load

_log = logging.getLogger("hub")

# Objects made and not yet freed before the youngest are looked through; Python's own 700 are two dozen requests.
_GARBAGE_THRESHOLD: Final = 20_000

# Which flag sets which setting; every other setting is reached by the environment and the file.
_FLAGS: Final = {
    "host": "server.host",
    "port": "server.port",
    "tls_cert": "server.tls_cert",
    "tls_key": "server.tls_key",
    "tls_client_ca": "server.tls_client_ca",
    "database": "database.url",
    "key_file": "audit.key_file",
    "log_level": "log.level",
    "log_format": "log.format",
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command; leaves by SystemExit."""
    options = _parser().parse_args(argv)
    try:
        settings = _settings(options, os.environ)
        if options.command == "audit":
            sys.exit(audit_tool.run(options, settings))
        logs.configure(settings.log.level, settings.log.format)
        uvloop.run(_serve(settings, os.environ.get(ADMIN_KEY_VARIABLE)))
    except (SettingsError, StoreUnusable, OSError, ValueError, ssl.SSLError) as error:
        sys.exit(_fail(error))


def _fail(error: Exception) -> int:
    print(f"kubently-hub: {error}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kubently-hub", description="The hub that Kubernetes clusters dial into.")
    parser.add_argument("--version", action="version", version=f"kubently-hub {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="listen for clients and agents")
    defaults = Settings()
    serve.add_argument("--host", help=f"address to listen on ({defaults.server.host})")
    serve.add_argument("--port", help=f"port to listen on, 0 for a free one ({defaults.server.port})")
    serve.add_argument("--database", metavar="URL", help=f"where to keep things ({defaults.database.url})")
    serve.add_argument("--tls-cert", metavar="FILE", help="certificate chain (PEM), to serve https and wss")
    serve.add_argument("--tls-key", metavar="FILE", help="private key (PEM) of the certificate")
    serve.add_argument("--tls-client-ca", metavar="FILE", help="authorities (PEM) that agents' certificates must be of")
    serve.add_argument("--log-level", help=f"debug, info, warning or error ({defaults.log.level})")
    serve.add_argument("--log-format", help=f"text or json ({defaults.log.format})")
    serve.add_argument("--config", metavar="FILE", help="settings file (TOML); see docs/settings.md")
    audit_tool.add_parser(commands)
    return parser


def _settings(options: argparse.Namespace, environ: Mapping[str, str]) -> Settings:
    file: dict[str, Any] = {}
    if options.config is not None:
        try:
            file = tomllib.loads(Path(options.config).read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{options.config} is not TOML: {error}") from None
    flags = {path: getattr(options, name, None) for name, path in _FLAGS.items()}
    return load(
        Settings,
        file=file,
        environ=environ,
        prefix=ENVIRONMENT_PREFIX,
        flags=flags,
        reserved=frozenset({ADMIN_KEY_VARIABLE}),
    )


async def _serve(settings: Settings, admin_key: str | None) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopped.set)

    app = hub_app.build(settings)
    runner = web.AppRunner(app, shutdown_timeout=1.0, handler_cancellation=True)
    await runner.setup()
    try:
        made = await app[keys.API_KEYS].bootstrap(admin_key)
        if made is not None:
            print(f"The first admin key, shown this once: {made}", flush=True)
        async with listening(runner, settings.server) as url:
            app[keys.HEALTH].started()
            _calm_garbage_collector()
            _log.info("listening", extra={"url": url, "version": VERSION})
            await stopped.wait()
            _log.info("stopping")
            await _drain(app, stopped)
    finally:
        await runner.cleanup()
    _log.info("stopped")


def _calm_garbage_collector() -> None:
    """Look for reference cycles less often, and never again in what lives as long as the hub.

    A command leaves no cycles, yet with Python's own threshold a twelfth of its time goes into looking for them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE_THRESHOLD)


async def _drain(app: web.Application, stopped: asyncio.Event) -> None:
    """Drain, unless a second signal says to leave at once."""
    stopped.clear()
    draining = asyncio.create_task(hub_app.drain(app), name="drain")
    hurry = asyncio.create_task(stopped.wait(), name="second signal")
    await asyncio.wait([draining, hurry], return_when=asyncio.FIRST_COMPLETED)
    for task in (draining, hurry):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


if __name__ == "__main__":
    main()
