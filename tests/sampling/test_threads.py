"""The number of threads is put back, also where calls overlap."""

from __future__ import annotations

from contextlib import ExitStack
from threading import Event, Thread

import torch

from pixelgen.sampling.threads import threads


def test_calls_that_overlap_put_back_what_was_before() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    found: list[int] = []
    entered, left = Event(), Event()

    def second() -> None:
        with threads(1) as workers:
            found.append(workers)
            entered.set()
            left.wait(10)
        found.append(torch.get_num_threads())

    try:
        with ExitStack() as first:
            found.append(first.enter_context(threads(1)))
            other = Thread(target=second)
            other.start()
            assert entered.wait(10)
        left.set()
        other.join()
        found.append(torch.get_num_threads())
        fresh = Thread(target=lambda: found.append(torch.get_num_threads()))
        fresh.start()
        fresh.join()
        assert found == [2, 2, 2, 2, 2]
    finally:
        torch.set_num_threads(before)
