"""Something that takes time is repeated only so often while other work goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class RateLimiter:
    """Limits how often something is done: at most every `every` seconds, and in no more than a
    tenth of the time."""

    def __init__(self, every: float, first: float = 0.0) -> None:
        """It is due for the first time in `first` seconds."""
        self._every = every
        self._next = time.monotonic() + first

    def due(self) -> bool:
        """Whether it may be done now."""
        return time.monotonic() >= self._next

    @contextmanager
    def spend(self) -> Iterator[None]:
        """A context in which it is done, and timed."""
        started = time.monotonic()
        yield
        ended = time.monotonic()
        self._next = max(started + self._every, ended + 9 * (ended - started))
