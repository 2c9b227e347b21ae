"""Bounds on what the Hub, or a mirror of it, can make a caller store and wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, TypeVar

from pixelgen.checkpoints.hub.errors import InvalidResponse

LARGEST_ANSWER = 2**24
"""Bytes of an answer of the Hub that is not a file."""
LARGEST_FILE = 2**32
"""Bytes of a file whose size the Hub does not report."""
MIN_RATE = 1000
"""Bytes per second that must arrive on average over every `RATE_WINDOW`."""
RATE_WINDOW = 30.0
"""Seconds of waiting for responses, their headers included."""

_POLL_INTERVAL = 0.1
_FILE_STATUS = (200, 206)

T = TypeVar("T")


class TooLong(InvalidResponse):
    """A response of more bytes than were announced, or than any Hub sends."""


class TooSlow(Exception):
    """A response that arrives at less than `MIN_RATE`."""


class Traffic:
    """The responses to one call of the library, in a thread of its own.

    The waits of the web client start anew with every byte; so a response that comes in single bytes
    could take for ever, also in its headers, where no code of a caller runs. Hence the thread,
    which is abandoned when it gets too slow.
    """

    def __init__(self, largest_file: int | None) -> None:
        """`largest_file` is the largest file to accept; None: the call sends files, and may take
        its time."""
        self._largest = LARGEST_ANSWER if largest_file is None else largest_file
        self.is_bounded = largest_file is not None
        self._thread: int | None = None
        self._waits = self._is_abandoned = False
        self._arrived = 0

    def run(self, call: Callable[[], T]) -> T:
        """The result of `call`, which passes its requests and responses to `begin` and `follow`.
        Raises what it raises, and TooSlow."""
        results: list[T] = []
        errors: list[BaseException] = []
        done = threading.Event()

        def work() -> None:
            self._thread = threading.get_ident()
            try:
                results.append(call())
            except BaseException as error:
                errors.append(error)
            finally:
                done.set()

        threading.Thread(target=work, daemon=True, name="pixelgen-hub").start()
        waited, counted = 0.0, 0
        try:
            while not done.wait(_POLL_INTERVAL):
                waited += _POLL_INTERVAL if self._waits and self.is_bounded else 0
                if waited >= RATE_WINDOW:
                    if self._arrived - counted < MIN_RATE * waited:
                        raise TooSlow(f"{(self._arrived - counted) / waited:.0f} bytes per second")
                    waited, counted = 0.0, self._arrived
        finally:
            self._is_abandoned = True
        for error in errors:
            raise error
        return results[0]

    def begin(self, request: object) -> None:
        """Called before a request is sent, by any thread."""
        if threading.get_ident() == self._thread:
            self._check_wanted()
            self._waits = True

    def follow(self, response: Any) -> None:
        """Called with a response whose body is not read yet, by any thread: the reading raises
        TooLong for too long a body."""
        if threading.get_ident() != self._thread:
            return
        is_file = response.status_code in _FILE_STATUS
        largest = self._largest if is_file else LARGEST_ANSWER
        if hasattr(response, "iter_raw"):
            close, iter_raw, iter_bytes = response.close, response.iter_raw, response.iter_bytes

            def ended() -> None:
                self._waits = False
                close()

            response.close = ended
            response.iter_raw = lambda *size, **more: self._counted(iter_raw(*size, **more))
            response.iter_bytes = lambda *size, **more: _bounded(iter_bytes(*size, **more), largest)
        else:  # before version 1.0 of the library; it tells neither of requests nor of single bytes
            self._waits = False
            stream = response.raw.stream
            response.raw.stream = lambda *size, **more: _bounded(stream(*size, **more), largest)

    def _counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._check_wanted()
            self._arrived += len(chunk)
            yield chunk

    def _check_wanted(self) -> None:
        """Ends the thread if nobody waits for it any more."""
        if self._is_abandoned:
            raise TooSlow("abandoned")


def _bounded(chunks: Any, largest: int) -> Iterator[bytes]:
    """`chunks`, a generator. Raises TooLong beyond `largest` bytes in all."""
    size = 0
    with closing(chunks):
        for chunk in chunks:
            size += len(chunk)
            if size > largest:
                raise TooLong(f"more than {largest} bytes")
            yield chunk
