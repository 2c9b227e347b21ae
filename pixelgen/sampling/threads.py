"""How many processor threads torch uses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from threading import Lock

import torch

_changing = Lock()
_inside, _before = 0, 1


def shares(total: int, count: int) -> list[slice]:
    """`count` consecutive slices of `total` rows, of about the same length."""
    bounds = [total * k // count for k in range(count + 1)]
    return [slice(a, b) for a, b in pairwise(bounds)]


@contextmanager
def threads(count: int) -> Iterator[int]:
    """Sets the number of torch's threads inside the context, and yields the number outside it.

    A product that takes microseconds loses more by waiting for a second thread (on a busy machine,
    milliseconds) than it gains.
    """
    global _inside, _before
    with _changing:
        # The number is global to all threads: of calls that overlap, all restore the number that
        # the first one found.
        if not _inside:
            _before = torch.get_num_threads()
        _inside += 1
        before = _before
        torch.set_num_threads(count)
    try:
        yield before
    finally:
        with _changing:
            _inside -= 1
            torch.set_num_threads(before)
