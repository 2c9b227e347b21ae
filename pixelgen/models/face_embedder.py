"""Faces as points on a sphere, near to each other where they are of one person.

Schroff, Kalenichenko, Philbin, "FaceNet", 2015 (arXiv 1503.03832): the f of van den Oord et al.
2016, section 3.3. The network is a residual one of our own that takes in a patch of pixels at a
time, so that it trains on a processor without a GPU.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelgen.models.config import FaceEmbedderConfig
from pixelgen.models.gated_pixelcnn import ChannelNorm
from pixelgen.models.tokenizer import blocks, shrink


class FaceEmbedder(nn.Module):
    """Aligned faces [B, 3, S, S] of -1 … 1 → embeddings [B, D] of length 1."""

    def __init__(self, config: FaceEmbedderConfig) -> None:
        super().__init__()
        self.config = config
        wide, deep = config.wide_features, config.deep_features
        self.patch = nn.PixelUnshuffle(config.patch)
        self.stem = nn.Conv2d(config.channels * config.patch**2, wide, 3, padding=1)
        self.wide = blocks(wide, config.wide_blocks)
        self.shrink = shrink(wide, deep)
        self.deep = blocks(deep, config.deep_blocks)
        self.norm = ChannelNorm(deep, 1)
        # Where something is in an aligned face tells whose face it is: places are not averaged
        # before they have been weighed.
        side = config.size // (2 * config.patch)
        self.places = nn.Conv2d(deep, config.place_features, 1)
        self.dropout = nn.Dropout(config.dropout)
        self.out = nn.Linear(config.place_features * side * side, config.embedding)

    def forward(self, images: Tensor) -> Tensor:
        x = self.wide(self.stem(self.patch(images)))  # [B, W, S/p, S/p]
        x = self.norm(self.deep(self.shrink(x)))  # [B, D, S/2p, S/2p]
        flat = self.dropout(F.silu(self.places(x)).flatten(1))
        with torch.autocast(flat.device.type, enabled=False):
            embedding: Tensor = self.out(flat.to(self.out.weight.dtype))
            return F.normalize(embedding, dim=1)
