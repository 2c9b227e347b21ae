"""Weights that stay in memory for whoever asks for them next: `cache_weights`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from pixelgen.checkpoints.source import Source
    from pixelgen.checkpoints.storage import LoadedCheckpoint

Thing = TypeVar("Thing")


class LRUCache(Generic[Thing]):
    """The few things that were used last, by what they are made from."""

    def __init__(self, most: int) -> None:
        """At most `most` of them, at least one."""
        self._most = max(most, 1)
        self._things: OrderedDict[Hashable, Thing] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Thing]) -> Thing:
        """The thing of `key`, made where it is not here."""
        if key not in self._things:
            # Room first, so that there are never more, not even for a moment.
            while len(self._things) >= self._most:
                self._things.popitem(last=False)
            self._things[key] = make()
        self._things.move_to_end(key)
        return self._things[key]


@dataclass
class WeightsCache:
    """What is kept."""

    loaded: LRUCache[LoadedCheckpoint]
    """Networks, wherever who used them last has moved them."""
    found: dict[str, Source] = field(default_factory=dict)
    """Weights on the Hub, by what they were asked for as."""
    revisions: LRUCache[str] = field(default_factory=lambda: LRUCache(100))
    """Digests of tensor files."""


kept: ContextVar[WeightsCache | None] = ContextVar("kept", default=None)
"""What is kept here; None outside of `cache_weights`."""


@contextmanager
def cache_weights(most: int) -> Iterator[None]:
    """A context in which weights that were loaded stay in memory, the last `most` that were used.

    Those whose files change meanwhile are loaded again. A branch on the Hub is looked up once, and
    means the same commit throughout.
    """
    token = kept.set(WeightsCache(LRUCache(most)))
    try:
        yield
    finally:
        kept.reset(token)


def signature(files: Sequence[Path]) -> Hashable:
    """What changes when one of `files` does; raises OSError where one is not there."""
    told = [(str(file), file.stat()) for file in files]
    return tuple((name, s.st_ino, s.st_size, s.st_mtime_ns) for name, s in told)
