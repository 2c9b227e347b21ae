"""How often something that takes time is repeated while other work goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Pace:
    """Says when something is due again: at most every `every` seconds, and so seldom that it takes
    no more than a tenth of the time."""

    def __init__(self, every: float, first: float = 0.0) -> None:
        """It is due for the first time in `first` seconds."""
        self._every = every
        self._next = time.monotonic() + first

    def due(self) -> bool:
        """Whether it is due."""
        return time.monotonic() >= self._next

    @contextmanager
    def spend(self) -> Iterator[None]:
        """A context in which it is done."""
        started = time.monotonic()
        yield
        ended = time.monotonic()
        self._next = max(started + self._every, ended + 9 * (ended - started))
