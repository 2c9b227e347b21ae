"""Calls of huggingface_hub that stay quiet, wait when the Hub asks for it, and give up in time."""

from __future__ import annotations

import logging
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from pixelgen.checkpoints.hub.errors import (
    HubRef,
    OddAnswer,
    chain,
    explain,
    is_inconsistent,
    kinds,
)
from pixelgen.errors import PixelgenError

TIMEOUT = 10.0
"""Seconds for the Hub to begin an answer."""
PATIENCE = 60.0
"""Seconds that are waited at most, all together, because the Hub asks for it."""
TRIES = 3
"""So often is a transfer begun again that broke off."""
CHUNK = 2**18
"""Bytes that are written at once; the library's own 10 MB would hide the progress of most weights,
and be lost where a connection breaks off."""

_TAG = re.compile(r'(W/)?("[\w.+=-]{1,128}"|[\w.+=-]{0,128})')
_NAMES = {"X-Repo-Commit": re.compile("([0-9a-f]{40})?"), "ETag": _TAG, "X-Linked-ETag": _TAG}

T = TypeVar("T")
Tell = Callable[[str], None]
"""Takes a line about what is being waited for."""


class _Busy(Exception):
    """The Hub asks to be left alone for a while."""

    def __init__(self, status: int, seconds: float) -> None:
        super().__init__(f"{status}, in {seconds:.0f} s again")
        self.status = status
        self.seconds = seconds


def ask(call: Callable[[], T], errand: HubRef, tell: Tell) -> T:
    """What `call`, a use of the library, returns. Raises PixelgenError for whatever it raises."""
    waited, tries = 0.0, 1
    while True:
        try:
            with _mannered():
                return call()
        except (PixelgenError, MemoryError):
            raise
        except Exception as error:
            busy = _busy(error)
            if busy is not None:
                waited += busy.seconds
                if waited > PATIENCE:
                    raise errand.error(
                        f"the Hub is busy ({busy.status})",
                        f"it asks to try again in {busy.seconds:.0f} s",
                    ) from error
                tell(f"the Hub is busy, it asks to wait {busy.seconds:.0f} s")
                time.sleep(busy.seconds)
            elif tries < TRIES and _broke_off(error):
                tries += 1
                tell(f"the connection broke off, try {tries} of {TRIES}")
                time.sleep(1)
            else:
                raise explain(error, errand) from error


@contextmanager
def _mannered() -> Iterator[None]:
    """The library without bars and warnings of its own, in small chunks, and without waits of any
    length."""
    from huggingface_hub import constants, get_session
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    log = logging.getLogger("huggingface_hub")
    level = log.level
    # Where the variable is set, the library warns of calls that it then ignores.
    bars = constants.HF_HUB_DISABLE_PROGRESS_BARS is None and not are_progress_bars_disabled()
    session: Any = get_session()
    # The client before version 1.0 calls them otherwise.
    hooks = (session.hooks if hasattr(session, "hooks") else session.event_hooks)["response"]
    chunk = constants.DOWNLOAD_CHUNK_SIZE
    constants.DOWNLOAD_CHUNK_SIZE = CHUNK
    log.setLevel(logging.ERROR)
    if bars:
        disable_progress_bars()
    hooks.append(_inspect)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        hooks.remove(_inspect)
        if bars:
            enable_progress_bars()
        log.setLevel(level)
        constants.DOWNLOAD_CHUNK_SIZE = chunk


def _inspect(response: Any, **_: object) -> None:
    """Raises where the Hub asks to wait, which the library would do for as long as it is told, and
    for names that would lead the library out of the cache, where it writes under them."""
    if response.status_code in (429, 503):
        seconds = _pause(response.headers)
        if seconds is not None:
            response.close()
            raise _Busy(response.status_code, seconds)
    if response.request.method == "HEAD":
        for header, name in _NAMES.items():
            if not name.fullmatch(response.headers.get(header, "")):
                response.close()
                raise OddAnswer(f"{header} is {response.headers[header][:80]!r}")


def _busy(error: Exception) -> _Busy | None:
    """The request to wait that `error` is about."""
    for link in chain(error):
        if isinstance(link, _Busy):
            return link
        response = getattr(link, "response", None)
        if response is not None and response.status_code in (429, 503):
            seconds = _pause(response.headers)
            return None if seconds is None else _Busy(response.status_code, seconds)
    return None


def _pause(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, as `Retry-After` (a number or a date) or the Hub's `RateLimit` says."""
    after = (headers.get("Retry-After") or "").strip()
    if after.isdecimal():
        return float(after)
    if after:
        try:
            then = parsedate_to_datetime(after)
            return max((then - datetime.now(timezone.utc)).total_seconds(), 0.0)
        except (ValueError, TypeError):
            return None
    spent = re.search(r"\br\s*=\s*0\s*;\s*t\s*=\s*(\d+)", headers.get("RateLimit") or "")
    return float(spent[1]) if spent else None


def _broke_off(error: Exception) -> bool:
    """Whether an answer ended before its time, which another try may put right."""
    names = kinds(error)
    if names & {"ConnectError", "NewConnectionError", "TimeoutException", "Timeout"}:
        return False
    broken = {"ReadError", "WriteError", "RemoteProtocolError", "ChunkedEncodingError"}
    return bool(names & (broken | {"ProtocolError"})) or is_inconsistent(error)
