"""How many processor threads torch uses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def threads(count: int) -> Iterator[int]:
    """Sets the number of threads for a while; gives the number that was set before.

    Thousands of products that take microseconds lose far more by waiting for a second thread, on a
    busy machine milliseconds each, than they gain by it.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield before
    finally:
        torch.set_num_threads(before)
