"""The log of `--verbose` on stderr, and what other libraries log and warn of."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pixelgen.cli import terminal
from pixelgen.errors import harmless

# The loggers that report, with -vv, every request to the Hub.
_HUB_LOGGERS = ("huggingface_hub", "httpx", "urllib3")
_WARNINGS_LOGGER = "py.warnings"


class _StderrHandler(logging.Handler):
    """Writes to stderr as it was at the start: `batch` redirects that of its jobs."""

    def __init__(self) -> None:
        super().__init__()
        self._stream = sys.stderr

    def emit(self, record: logging.LogRecord) -> None:
        source = "" if record.name.startswith("pixelgen") else f"{record.name}: "
        terminal.log(f"{source}{record.getMessage()}", self._stream)


class _HarmlessRecord(logging.LogRecord):
    """A record in one line that is harmless on a terminal, whatever handler writes it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.exc_info and self.exc_info[1] is not None:
            lines = traceback.format_exception(self.exc_info[1])
            # Formatters take this instead of writing the traceback themselves.
            self.exc_text = harmless("".join(lines).rstrip(), "\n\t")

    def getMessage(self) -> str:
        return harmless(" ".join(super().getMessage().splitlines()))


@contextmanager
def harmless_libraries() -> Iterator[None]:
    """A context in which what libraries log is harmless on a terminal, and what they warn of is
    shown with `--verbose` only: users can do nothing about it."""
    made = logging.getLogRecordFactory()
    logging.setLogRecordFactory(_HarmlessRecord)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        logging.setLogRecordFactory(made)


def log_to_stderr(level: int) -> None:
    """Log to stderr: with `level` 1 what pixelgen does and all warnings, with 2 also the requests
    to the Hub, with 0 nothing."""
    levels = dict.fromkeys(("pixelgen", _WARNINGS_LOGGER), logging.INFO) if level == 1 else {}
    if level > 1:
        levels = dict.fromkeys(("pixelgen", _WARNINGS_LOGGER, *_HUB_LOGGERS), logging.DEBUG)
    for name in ("pixelgen", _WARNINGS_LOGGER, *_HUB_LOGGERS):
        logger = logging.getLogger(name)
        for handler in [h for h in logger.handlers if isinstance(h, _StderrHandler)]:
            logger.removeHandler(handler)
            logger.setLevel(logging.NOTSET)
        if name in levels:
            logger.addHandler(_StderrHandler())
            logger.setLevel(levels[name])
