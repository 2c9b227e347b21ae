"""Cuts are the middle, moved, and mirrored outside of the picture."""

from __future__ import annotations

import torch

from pixelgen.data import cut

PICTURES = torch.arange(2 * 3 * 6 * 6).view(2, 3, 6, 6)


def test_the_middle() -> None:
    assert torch.equal(cut(PICTURES, 4), PICTURES[:, :, 1:5, 1:5])
    assert torch.equal(cut(PICTURES, 6), PICTURES)


def test_each_picture_moves_by_itself() -> None:
    moved = cut(PICTURES, 4, torch.tensor([[1, 0], [-1, 1]]))
    assert torch.equal(moved[0], PICTURES[0, :, 2:6, 1:5])
    assert torch.equal(moved[1], PICTURES[1, :, 0:4, 2:6])
    assert torch.equal(cut(PICTURES, 4, torch.zeros(2, 2, dtype=torch.int64)), cut(PICTURES, 4))


def test_what_lies_outside_is_mirrored() -> None:
    row = torch.tensor([0, 1, 2, 3]).view(1, 1, 1, 4).expand(1, 1, 4, 4)
    moved = cut(row, 4, torch.tensor([[0, 2]]))
    assert moved[0, 0, 0].tolist() == [2, 3, 2, 1]
    assert cut(row, 4, torch.tensor([[0, -2]]))[0, 0, 0].tolist() == [2, 1, 0, 1]
    padded = torch.nn.functional.pad(PICTURES.float(), (2, 2, 2, 2), mode="reflect")
    assert torch.equal(cut(PICTURES, 10).float(), padded)
