"""How many processor threads torch uses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from threading import Lock

import torch

from pixelgen.models.autoregressive import AutoregressiveModel

WORTH_THREADS = 1e8
"""Floating-point operations of a pass from which on several of torch's threads pay. Measured with
networks of 4×4 to 32×32 pixels that score or train: two threads took 1 to 1.5 times as long as one
below 3e7 operations, 0.8 to 1.3 times around 1e8, and 0.5 to 0.9 times from 1e9 on."""

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


def pass_flops(model: AutoregressiveModel, rows: int) -> float:
    """Floating-point operations of a pass of the network over `rows` pictures, about: every
    parameter is a weight that is used once at every position of the grid."""
    config = model.config
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return 2.0 * parameters * config.grid_height * config.grid_width * rows


@contextmanager
def threads_for(flops: float) -> Iterator[None]:
    """A context for passes of `flops` operations each: below `WORTH_THREADS` it sets the number of
    torch's threads to 1. A number that the user has chosen, which OMP_NUM_THREADS says, stays."""
    if flops >= WORTH_THREADS or "OMP_NUM_THREADS" in os.environ:
        yield
        return
    with threads(1):
        yield
