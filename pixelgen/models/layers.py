"""Building blocks that several networks share: norms, gates, residual blocks, resampling."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NORM_EPSILON = 1e-6
"""Added to the mean square by `ChannelNorm`, so that maps that are all zero stay zero."""


def gate(x: Tensor) -> Tensor:
    """tanh(W_f * x) ⊙ sigmoid(W_g * x), equation 2: [B, 2P, H, W] → [B, P, H, W]."""
    f, g = x.chunk(2, dim=1)  # [B, P, H, W] each
    return torch.tanh(f) * torch.sigmoid(g)


class ChannelNorm(nn.Module):
    """Root-mean-square normalisation over the maps of one position, within each channel group.

    Looking at one position and one group only, it cannot break causality.
    """

    def __init__(self, features: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.weight = nn.Parameter(torch.ones(features))

    def forward(self, x: Tensor) -> Tensor:
        """[B, P, H, W] → the same shape, in single precision or better."""
        x = x if x.dtype == torch.float64 else x.float()
        grouped = x.unflatten(1, (self.groups, -1))  # [B, G, P/G, H, W]
        scale = torch.rsqrt(grouped.square().mean(2, keepdim=True) + NORM_EPSILON)
        return (grouped * scale).flatten(1, 2) * self.weight[:, None, None]  # [B, P, H, W]


class ResidualBlock(nn.Module):
    """x + two convolutions of the normalised x; before training the second one adds a constant, its
    bias."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(features, 1)
        self.first = nn.Conv2d(features, features, 3, padding=1)
        self.second = nn.Conv2d(features, features, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        """[B, P, H, W] → the same shape."""
        out: Tensor = self.second(F.silu(self.first(self.norm(x))))
        return x + out


def residual_blocks(features: int, count: int) -> nn.Sequential:
    """`count` residual blocks in a row."""
    return nn.Sequential(*(ResidualBlock(features) for _ in range(count)))


def downsample(in_features: int, out_features: int) -> nn.Module:
    """Half the resolution by space-to-depth: [B, in, 2N, 2N] → [B, out, N, N]."""
    return nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4 * in_features, out_features, 1))


def upsample(in_features: int, out_features: int, factor: int = 2, kernel: int = 1) -> nn.Module:
    """`factor` times the resolution by depth-to-space, with an odd `kernel`: [B, in, N, N] →
    [B, out, factor * N, factor * N]."""
    return nn.Sequential(
        ChannelNorm(in_features, 1),
        nn.Conv2d(in_features, factor**2 * out_features, kernel, padding=kernel // 2),
        nn.PixelShuffle(factor),
    )
