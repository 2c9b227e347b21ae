"""Paths through the space of conditions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def interpolate_path(points: Tensor, steps: int, slerp: bool = False) -> Tensor:
    """`steps` points, evenly spread, from the first of `points` [P, D] through all to the last:
    [steps, D], on straight lines, or with `slerp` on great circles (Shoemake 1985)."""
    import torch

    place = torch.linspace(0, len(points) - 1, steps)
    before = place.floor().long().clamp(max=len(points) - 2)
    share = (place - before)[:, None]  # [steps, 1]
    a, b = points[before], points[before + 1]
    if not slerp:
        return a + share * (b - a)
    angle = (a * b).sum(1, keepdim=True).clamp(-1, 1).acos()
    # Where both are the same or opposite there is no one great circle.
    straight = angle.sin() < 1e-4
    sine = angle.sin().masked_fill(straight, 1.0)
    arc = (((1 - share) * angle).sin() * a + (share * angle).sin() * b) / sine
    return torch.where(straight, a + share * (b - a), arc)
