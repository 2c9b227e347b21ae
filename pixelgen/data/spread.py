"""Some rows in place of all."""

from __future__ import annotations

import torch
from torch import Tensor


def evenly_spread(total: int, count: int) -> Tensor:
    """Up to `count` of `total` rows, evenly spread, int64."""
    return torch.linspace(0, total - 1, min(total, count)).round().long()
