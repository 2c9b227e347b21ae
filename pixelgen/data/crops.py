"""Square crops of pictures, mirrored beyond their edges."""

from __future__ import annotations

import torch
from torch import Tensor


def _mirrored(index: Tensor, length: int) -> Tensor:
    """Any whole numbers → 0 … length - 1, mirrored at both ends."""
    period = max(2 * (length - 1), 1)
    index = index.remainder(period)
    return torch.minimum(index, period - index) if length > 1 else torch.zeros_like(index)


def cut(images: Tensor, size: int, shift: Tensor | None = None) -> Tensor:
    """Crop pictures [N, C, H, W] to their middle, moved by `shift` int64 [N, 2] (rows down, columns
    right) of each: [N, C, size, size], mirrored where it leaves the picture."""
    n, _, height, width = images.shape
    top, left = (height - size) // 2, (width - size) // 2
    inside = min(top, left) >= 0
    if shift is None and inside:
        return images[:, :, top : top + size, left : left + size]
    device = images.device
    shift = torch.zeros(n, 2, dtype=torch.int64) if shift is None else shift
    shift, offset = shift.to(device), torch.arange(size, device=device)
    rows = _mirrored(shift[:, :1] + top + offset, height)  # [N, size]
    columns = _mirrored(shift[:, 1:] + left + offset, width)  # [N, size]
    picture = torch.arange(n, device=device)[:, None, None]
    crops = images.permute(0, 2, 3, 1)[
        picture, rows[:, :, None], columns[:, None, :]
    ]  # [N, size, size, C]
    return crops.permute(0, 3, 1, 2).contiguous()  # [N, C, size, size]
