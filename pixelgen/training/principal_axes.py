"""In which directions rows of numbers vary most."""

from __future__ import annotations

import torch
from torch import Tensor

AT_ONCE = 2000


def principal_axes(x: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of rows x [N, V]: their mean [V], and of the `count` directions in which they vary most, the
    first most of all, the unit vectors [V, count] and the variances [count], both float64."""
    mean = x.mean(0)
    covariance = torch.zeros(x.shape[1], x.shape[1], dtype=torch.float64, device=x.device)
    for part in (x - mean).split(AT_ONCE):  # few rows leave most variances at 0: bad in float32
        covariance.addmm_(part.double().T, part.double())
    variances, directions = torch.linalg.eigh(covariance / len(x))
    return mean, directions[:, -count:].flip(1), variances[-count:].flip(0)
