"""Calls of huggingface_hub without its output, with bounded waits and retries."""

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

from pixelgen.checkpoints.hub.bounds import LARGEST_ANSWER, Traffic
from pixelgen.checkpoints.hub.errors import (
    InvalidResponse,
    cause_chain,
    class_names,
    explain,
    is_wrong_length,
)
from pixelgen.checkpoints.hub_ref import HubRef
from pixelgen.errors import PixelgenError

TIMEOUT = 10.0
"""Seconds for the Hub to begin a response."""
MAX_WAIT = 60.0
"""Seconds to wait at most, in all, where the Hub asks to try again later."""
TRIES = 3
"""How often a transfer is tried whose connection breaks off."""
CHUNK = 2**18
"""Bytes that are written at once. The library's own 10 MB would hide the progress of most weights,
and a broken connection would lose them."""

_ETAG = re.compile(r'(W/)?("[\w.+=-]{1,128}"|[\w.+=-]{0,128})')
_FILE_NAME_HEADERS = {
    "X-Repo-Commit": re.compile("([0-9a-f]{40})?"),
    "ETag": _ETAG,
    "X-Linked-ETag": _ETAG,
}
"""Headers that the library builds file names of, and what they may hold."""

T = TypeVar("T")
OnNote = Callable[[str], None]
"""Is called with a line about what the transfer waits for."""


class _RetryLater(Exception):
    """The Hub asks to try again after some seconds."""

    def __init__(self, status: int, seconds: float) -> None:
        super().__init__(f"{status}, try again in {seconds:.0f} s")
        self.status = status
        self.seconds = seconds


def call_hub(
    call: Callable[[], T], ref: HubRef, on_note: OnNote, *, largest: int | None = LARGEST_ANSWER
) -> T:
    """The result of `call`, which uses the library and gets no file or answer of more than
    `largest` bytes; None for a call that sends files. Raises PixelgenError for whatever it raises,
    and for responses that are too long or too slow."""
    waited, tries = 0.0, 1

    def bounded_call() -> T:
        with _quiet_library(traffic):
            return call()

    while True:
        traffic = Traffic(largest)
        try:
            return traffic.run(bounded_call)
        except (PixelgenError, MemoryError):
            raise
        except Exception as error:
            later = _retry_later(error)
            if later is not None:
                waited += later.seconds
                if waited > MAX_WAIT:
                    raise ref.error(
                        f"the Hub is busy ({later.status})",
                        f"it asks to try again in {later.seconds:.0f} s",
                    ) from error
                on_note(f"the Hub is busy, it asks to wait {later.seconds:.0f} s")
                time.sleep(later.seconds)
            elif tries < TRIES and _connection_broke(error):
                tries += 1
                on_note(f"the connection broke off, try {tries} of {TRIES}")
                time.sleep(1)
            else:
                raise explain(error, ref) from error


@contextmanager
def _quiet_library(traffic: Traffic) -> Iterator[None]:
    """The library without progress bars and warnings, in small chunks, and without waits of its
    own; requests and responses pass `traffic`."""
    from huggingface_hub import constants, get_session
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    log = logging.getLogger("huggingface_hub")
    level = log.level
    # With the variable set, the library ignores these calls, with a warning.
    bars = constants.HF_HUB_DISABLE_PROGRESS_BARS is None and not are_progress_bars_disabled()
    session: Any = get_session()
    # Before version 1.0 the client has another name for them, and none for requests.
    hooks = session.hooks if hasattr(session, "hooks") else session.event_hooks
    added = {"response": (_check_response, traffic.follow), "request": (traffic.begin,)}
    added = {event: those for event, those in added.items() if event in hooks}
    chunk, xet = constants.DOWNLOAD_CHUNK_SIZE, constants.HF_HUB_DISABLE_XET
    constants.DOWNLOAD_CHUNK_SIZE = CHUNK
    if traffic.is_bounded:  # the other protocol for large files is not
        constants.HF_HUB_DISABLE_XET = True
    log.setLevel(logging.ERROR)
    if bars:
        disable_progress_bars()
    for event, those in added.items():
        hooks[event].extend(those)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for event, those in added.items():
            for hook in those:
                hooks[event].remove(hook)
        if bars:
            enable_progress_bars()
        log.setLevel(level)
        constants.DOWNLOAD_CHUNK_SIZE, constants.HF_HUB_DISABLE_XET = chunk, xet


def _check_response(response: Any, **_: object) -> None:
    """Raises `_RetryLater` where the Hub asks to wait, since the library would wait for any time,
    and `InvalidResponse` for headers that would make the library write outside the cache."""
    if response.status_code in (429, 503):
        seconds = _seconds_to_wait(response.headers)
        if seconds is not None:
            response.close()
            raise _RetryLater(response.status_code, seconds)
    if response.request.method == "HEAD":
        for header, pattern in _FILE_NAME_HEADERS.items():
            if not pattern.fullmatch(response.headers.get(header, "")):
                response.close()
                raise InvalidResponse(f"{header} is {response.headers[header][:80]!r}")


def _retry_later(error: Exception) -> _RetryLater | None:
    """The Hub's request to wait that caused `error`, if one did."""
    for link in cause_chain(error):
        if isinstance(link, _RetryLater):
            return link
        response = getattr(link, "response", None)
        if response is not None and response.status_code in (429, 503):
            seconds = _seconds_to_wait(response.headers)
            return None if seconds is None else _RetryLater(response.status_code, seconds)
    return None


def _seconds_to_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by `Retry-After` (a number or a date) or the Hub's `RateLimit`, if any."""
    after = (headers.get("Retry-After") or "").strip()
    if after.isdecimal():
        return float(after)
    if after:
        try:
            moment = parsedate_to_datetime(after)
            return max((moment - datetime.now(timezone.utc)).total_seconds(), 0.0)
        except (ValueError, TypeError):
            return None
    spent = re.search(r"\br\s*=\s*0\s*;\s*t\s*=\s*(\d+)", headers.get("RateLimit") or "")
    return float(spent[1]) if spent else None


def _connection_broke(error: Exception) -> bool:
    """Whether a response ended too early, which another try may mend."""
    names = class_names(error)
    if names & {"ConnectError", "NewConnectionError", "TimeoutException", "Timeout"}:
        return False
    broken = {"ReadError", "WriteError", "RemoteProtocolError", "ChunkedEncodingError"}
    return bool(names & (broken | {"ProtocolError"})) or is_wrong_length(error)
