"""Batches of rows, one process's share of them."""

from __future__ import annotations

import pytest
import torch

from pixelgen.errors import PixelgenError
from pixelgen.metrics import shared_batches
from pixelgen.metrics.shared_batches import in_batches, shared_among


def test_one_process_computes_all() -> None:
    values, seen = torch.arange(10), []
    with shared_among(0, 1):
        found = in_batches(10, 4, lambda rows: values[rows], lambda *done: seen.append(done))
    assert torch.equal(torch.cat(found), values)
    assert seen == [(4, 10), (8, 10), (10, 10)]
    assert in_batches(0, 4, lambda rows: rows) == []


def test_each_computes_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    every = {start: slice(start, start + 2) for start in range(0, 10, 2)}
    monkeypatch.setattr(shared_batches, "_of_all", lambda parts, count: [every, parts])
    for rank, expected in enumerate(([0, 6], [2, 8], [4])):
        computed: list[int] = []

        def compute(rows: slice, computed: list[int] = computed) -> slice:
            computed.append(rows.start)
            return rows

        token = shared_batches._place.set((rank, 3))
        assert in_batches(10, 2, compute) == [*every.values()]
        shared_batches._place.reset(token)
        assert computed == expected


def test_others_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(PixelgenError, match="lost the other processes"), shared_among(0, 2):
        pass
