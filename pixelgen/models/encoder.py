"""Square pictures → vectors: the encoder of face embedders and auto-encoders.

A residual network of our own that reads patches of pixels, so that it trains on a processor without
a GPU.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from pixelgen.models.config import SquareConfig
from pixelgen.models.layers import ChannelNorm, downsample, residual_blocks
from pixelgen.models.precision import full_precision


class VectorEncoder(nn.Module):
    """Pictures [B, 3, S, S] of -1 … 1 → vectors [B, D], not bounded, in full precision."""

    def __init__(
        self, config: SquareConfig, place_features: int, length: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        wide, deep = config.wide_features, config.deep_features
        self.patch = nn.PixelUnshuffle(config.patch)
        self.stem = nn.Conv2d(config.channels * config.patch**2, wide, 3, padding=1)
        self.wide = residual_blocks(wide, config.wide_blocks)
        self.shrink = downsample(wide, deep)
        self.deep = residual_blocks(deep, config.deep_blocks)
        self.norm = ChannelNorm(deep, 1)
        # Positions are not averaged: where something is matters for what it is.
        self.places = nn.Conv2d(deep, place_features, 1)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(place_features * config.deep_size**2, length)

    def features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features of small patches [B, W, S/p, S/p] and of large ones [B, D, S/2p, S/2p]."""
        wide = self.wide(self.stem(self.patch(images)))
        return wide, self.norm(self.deep(self.shrink(wide)))

    def forward(self, images: Tensor) -> Tensor:
        return self.vector(self.features(images)[1])

    def vector(self, deep: Tensor) -> Tensor:
        """The vector [B, D] of the second of the `features`."""
        # [B, place_features · (S/2p)²]
        flat = self.dropout(F.silu(self.places(deep)).flatten(1))
        with full_precision(flat.device):
            vector: Tensor = self.out(flat.to(self.out.weight.dtype))
        return vector
