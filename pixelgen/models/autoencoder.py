"""Pictures as a handful of numbers, and two ways back: the blurred mean, and a PixelCNN.

van den Oord et al., "Conditional Image Generation with PixelCNN Decoders", 2016 (arXiv 1606.05328),
section 3.4 and Figure 6. One encoder serves both decoders. Deviations:

- the bottleneck h is bounded by a tanh: codes fill a box without corners cut off, so that every
  point on a straight line between two codes is one that the decoders may be given. (On a sphere the
  middle of such a line would be a vector of a length that they have never seen.)
- the deconvolutions of the first decoder are convolutions followed by depth-to-space;
- one network may serve two bottlenecks: the smaller is the first numbers of h, the others being 0.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from pixelgen.models.conditioning import Condition
from pixelgen.models.config import AutoencoderConfig
from pixelgen.models.gated_pixelcnn import ChannelNorm, GatedPixelCNN
from pixelgen.models.tokenizer import blocks, enlarge
from pixelgen.models.vector_encoder import VectorEncoder


class MeanDecoder(nn.Module):
    """h [B, D] → pictures [B, 3, S, S], about -1 … 1: trained on squared errors, their mean."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        wide, deep = config.wide_features, config.deep_features
        self.side = config.deep_size
        self.stem = nn.Linear(config.bottleneck, deep * self.side**2)
        self.deep = nn.Sequential(blocks(deep, config.deep_blocks), enlarge(deep, wide))
        self.wide = blocks(wide, config.wide_blocks)
        self.patches = nn.Sequential(
            ChannelNorm(wide, 1),
            nn.Conv2d(wide, config.output_features * config.patch**2, 3, padding=1),
            nn.PixelShuffle(config.patch),
        )
        self.out = nn.Conv2d(config.output_features, config.channels, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        x = self.stem(h).unflatten(1, (-1, self.side, self.side))  # [B, D, S/2p, S/2p]
        x = self.wide(self.deep(x))  # [B, W, S/p, S/p]
        picture: Tensor = self.out(self.patches(x))
        return picture.float()


class Autoencoder(nn.Module):
    """Pictures → h → pictures: their mean, or draws from p(x | h)."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = VectorEncoder(config, config.place_features, config.bottleneck)
        self.mean = MeanDecoder(config)
        self.pixels = GatedPixelCNN(config.pixels)
        self.kept = config.bottleneck
        """Numbers of h that are told; the others are 0."""

    def keeping(self, kept: int) -> Autoencoder:
        """The same network, not a copy, that tells only the first `kept` numbers of h."""
        view = copy.copy(self)
        view.kept = kept
        return view

    def learning_rates(self) -> dict[str, float]:
        """Parameters by name that should learn at another rate: those of the PixelCNN."""
        return {f"pixels.{name}": rate for name, rate in self.pixels.learning_rates().items()}

    def encode(self, images: Tensor) -> Tensor:
        """Pictures [B, 3, S, S] of -1 … 1 → h [B, D] of -1 … 1."""
        return self.shortened(torch.tanh(self.encoder(images)), self.kept)

    def shortened(self, h: Tensor, kept: int) -> Tensor:
        """h [B, D] with all but its first `kept` numbers 0."""
        return h * (torch.arange(h.shape[1], device=h.device) < kept)

    def decode(self, h: Tensor) -> Tensor:
        """h [B, D] → the mean of the pictures that it may be of, [B, 3, S, S] of -1 … 1."""
        picture: Tensor = self.mean(h)
        return picture.clamp(-1, 1)

    def log_prob(self, x: Tensor, h: Tensor) -> Tensor:
        """log p(x | h) of pictures int64 [B, 3, S, S] of 0 … 255, value by value, in nats."""
        return self.pixels.log_prob(x, Condition(vector=h))
