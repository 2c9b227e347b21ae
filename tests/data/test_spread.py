"""Rows that stand for all."""

from __future__ import annotations

from pixelgen.data import evenly_spread


def test_rows_are_evenly_spread() -> None:
    assert evenly_spread(9, 5).tolist() == [0, 2, 4, 6, 8]
    assert evenly_spread(9, 4).tolist() == [0, 3, 5, 8]
    assert evenly_spread(3, 5).tolist() == [0, 1, 2]
