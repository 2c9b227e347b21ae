"""Squares cut out of pictures, mirrored where they leave them."""

from __future__ import annotations

import torch
from torch import Tensor


def _mirrored(index: Tensor, length: int) -> Tensor:
    """Places on a line of `length` without end → 0 … length - 1, mirrored at both ends."""
    period = max(2 * (length - 1), 1)
    index = index.remainder(period)
    return torch.minimum(index, period - index) if length > 1 else torch.zeros_like(index)


def cut(images: Tensor, size: int, shift: Tensor | None = None) -> Tensor:
    """The middle size×size of pictures [N, C, H, W], moved by `shift` int64 [N, 2] (rows down,
    columns right) for each of them."""
    n, _, height, width = images.shape
    top, left = (height - size) // 2, (width - size) // 2
    inside = min(top, left) >= 0
    if shift is None and inside:
        return images[:, :, top : top + size, left : left + size]
    device = images.device
    moved = torch.zeros(n, 2, dtype=torch.int64) if shift is None else shift
    moved, place = moved.to(device), torch.arange(size, device=device)
    rows = _mirrored(moved[:, :1] + top + place, height)  # [N, size]
    columns = _mirrored(moved[:, 1:] + left + place, width)
    which = torch.arange(n, device=device)[:, None, None]
    taken = images.permute(0, 2, 3, 1)[which, rows[:, :, None], columns[:, None, :]]
    return taken.permute(0, 3, 1, 2).contiguous()
