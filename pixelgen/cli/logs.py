"""The log of `--verbose`, on stderr."""

from __future__ import annotations

import logging
import sys

from pixelgen.cli import terminal

# The loggers that report, with -vv, every request to the Hub.
_HUB_LOGGERS = ("huggingface_hub", "httpx", "urllib3")


class _StderrHandler(logging.Handler):
    """Writes to stderr as it was at the start: `batch` redirects that of its jobs."""

    def __init__(self) -> None:
        super().__init__()
        self._stream = sys.stderr

    def emit(self, record: logging.LogRecord) -> None:
        source = "" if record.name.startswith("pixelgen") else f"{record.name}: "
        terminal.log(f"{source}{record.getMessage()}", self._stream)


def log_to_stderr(level: int) -> None:
    """Log to stderr: with `level` 1 what pixelgen does, with 2 also the requests to the Hub, with 0
    nothing."""
    levels = {"pixelgen": logging.INFO} if level == 1 else {}
    if level > 1:
        levels = dict.fromkeys(("pixelgen", *_HUB_LOGGERS), logging.DEBUG)
    for name in ("pixelgen", *_HUB_LOGGERS):
        logger = logging.getLogger(name)
        for handler in [h for h in logger.handlers if isinstance(h, _StderrHandler)]:
            logger.removeHandler(handler)
            logger.setLevel(logging.NOTSET)
        if name in levels:
            logger.addHandler(_StderrHandler())
            logger.setLevel(levels[name])
