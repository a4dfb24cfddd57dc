"""agent/logs.py: what must never be written."""

import logging

from agent import logs


def test_the_socket_library_never_prints_its_frames() -> None:
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    try:
        logs.configure("debug", "text")
        assert not logging.getLogger("websockets.client").isEnabledFor(logging.DEBUG)
        logs.configure("error", "text")
        assert not logging.getLogger("websockets.client").isEnabledFor(logging.WARNING)
    finally:
        logging.captureWarnings(capture=False)
        logging.getLogger("websockets").setLevel(logging.NOTSET)
        root.setLevel(level)
        root.handlers[:] = handlers
