"""Weights that stay in memory between uses: `cache_weights`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from pixelgen.files import content_key

T = TypeVar("T")


class LRUCache(Generic[T]):
    """The values that were used last, by key."""

    def __init__(self, capacity: int) -> None:
        """At most `capacity` values, at least one."""
        self._capacity = max(capacity, 1)
        self._values: OrderedDict[Hashable, T] = OrderedDict()

    def get(self, key: Hashable, build: Callable[[], T]) -> T:
        """The value of `key`, built where it is missing."""
        if key not in self._values:
            # Evict first, so that memory never holds more than `capacity` values.
            while len(self._values) >= self._capacity:
                self._values.popitem(last=False)
            self._values[key] = build()
        self._values.move_to_end(key)
        return self._values[key]


@dataclass
class WeightsCache:
    """What one `cache_weights` context holds. The types of its values are defined in files above
    this one, hence `Any`."""

    checkpoints: LRUCache[Any]
    """`LoadedCheckpoint`s, on the device that their last user moved them to."""
    sources: dict[str, Any] = field(default_factory=dict)
    """The `Source` of every Hub id that was looked up."""
    revisions: LRUCache[str] = field(default_factory=lambda: LRUCache(100))
    """Digests of tensor files."""


_active: ContextVar[WeightsCache | None] = ContextVar("weights_cache", default=None)


def active_cache() -> WeightsCache | None:
    """The cache of the surrounding `cache_weights`; None outside of one."""
    return _active.get()


@contextmanager
def cache_weights(capacity: int) -> Iterator[None]:
    """A context in which loaded weights stay in memory, the last `capacity` that were used.

    Weights whose files change in the meantime are loaded again. A branch on the Hub is looked up
    once and means the same commit throughout.
    """
    token = _active.set(WeightsCache(LRUCache(capacity)))
    try:
        yield
    finally:
        _active.reset(token)


def file_signature(files: Sequence[Path]) -> Hashable:
    """A key that changes whenever one of `files` does: see `content_key`. Raises OSError for a
    missing file."""
    return tuple((str(file), content_key(file)) for file in files)
