"""The number of threads is put back, also where calls overlap."""

from __future__ import annotations

from contextlib import ExitStack
from threading import Event, Thread

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pixelgen.models import GatedPixelCNNConfig, build_model
from pixelgen.sampling.threads import WORTH_THREADS, pass_flops, threads, threads_for


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


def test_little_work_runs_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def used(flops: float) -> int:
        with threads_for(flops):
            return torch.get_num_threads()

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        assert [used(WORTH_THREADS / 2), used(2 * WORTH_THREADS)] == [1, 2]
        monkeypatch.setenv("OMP_NUM_THREADS", "2")  # as --threads does
        assert used(WORTH_THREADS / 2) == 2
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_the_work_of_a_pass_is_about_what_is_counted() -> None:
    model = build_model(GatedPixelCNNConfig(height=8, width=8, features=12, layers=2, patch=2))
    with FlopCounterMode(display=False) as counter:
        model.log_prob(torch.zeros(3, 3, 8, 8).long())
    assert pass_flops(model, 3) == pytest.approx(counter.get_total_flops(), rel=0.1)
