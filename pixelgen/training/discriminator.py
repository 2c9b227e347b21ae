"""A critic of reconstructions: it learns to tell them from pictures, the decoder to deceive it.

Esser, Rombach, Ommer, "Taming Transformers for High-Resolution Image Synthesis", 2021 (section
3.1): patches are judged, not pictures. Sauer, Chitta, Müller, Geiger, "Projected GANs Converge
Faster", 2021: the critic reads the frozen features of a classifier at several depths, those that
the perceptual distance has computed already, and so learns in minutes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Head(nn.Module):
    """Features [B, F, s, s] of one depth → a mark for every place [B, 1, s, s]: above 0, real."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(features, hidden, 3, padding=1)
        self.second = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.last = nn.Conv2d(hidden, 1, 1)
        # Features of length 1 are small numbers.
        self.gain = features**0.5

    def forward(self, x: Tensor, frozen: bool) -> Tensor:
        """With `frozen` the gradient passes to `x` alone."""
        x = x * self.gain
        for layer, active in ((self.first, True), (self.second, True), (self.last, False)):
            weight, bias = layer.weight, layer.bias
            assert bias is not None
            if frozen:
                weight, bias = weight.detach(), bias.detach()
            x = F.conv2d(x, weight, bias, padding=layer.padding)
            if active:
                x = F.leaky_relu(x, 0.2)
        return x


class Discriminator(nn.Module):
    """A head for every depth of the features."""

    def __init__(self, widths: Sequence[int], hidden: int = 64) -> None:
        super().__init__()
        self.heads = nn.ModuleList(Head(width, hidden) for width in widths)

    def forward(self, features: Sequence[Tensor], frozen: bool = False) -> list[Tensor]:
        """The marks of every depth, [B, 1, s, s] each."""
        return [head(x, frozen) for head, x in zip(self.heads, features, strict=True)]

    def loss(self, real: Sequence[Tensor], made: Sequence[Tensor]) -> Tensor:
        """What the critic minimises: hinges around 1 for real features and -1 for made ones."""
        found = [F.relu(1 - x).mean() for x in self([x.detach() for x in real])]
        found += [F.relu(1 + x).mean() for x in self([x.detach() for x in made])]
        return torch.stack(found).sum() / len(self.heads)

    def fooled(self, made: Sequence[Tensor]) -> Tensor:
        """What the decoder minimises: the negative mark of what it made."""
        return -torch.stack([x.mean() for x in self(made, frozen=True)]).mean()
