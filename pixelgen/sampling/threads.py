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
    """`count` neighbouring parts of `total` rows, about as many in each."""
    bounds = [total * k // count for k in range(count + 1)]
    return [slice(a, b) for a, b in pairwise(bounds)]


@contextmanager
def threads(count: int) -> Iterator[int]:
    """Sets the number of threads for a while; gives the number that was set before.

    Thousands of products that take microseconds lose far more by waiting for a second thread, on a
    busy machine milliseconds each, than they gain by it.
    """
    global _inside, _before
    with _changing:
        # Threads that begin take the number that was set last, in whichever thread: of calls that
        # overlap, all put back what the first has found.
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
