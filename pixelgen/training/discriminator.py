"""A critic of reconstructions: it learns to tell them from pictures, the decoder to deceive it.

Esser, Rombach, Ommer, "Taming Transformers for High-Resolution Image Synthesis", 2021 (section
3.1): patches are judged, not pictures. Sauer, Chitta, Müller, Geiger, "Projected GANs Converge
Faster", 2021: the critic reads the frozen features of a classifier at several depths, those that
the perceptual distance has computed already, and so learns in minutes. Huang, Gokaslan, Kuleshov,
Tompkin, "The GAN is dead; long live the GAN!", 2024 (section 3): pictures and what is made are
compared in pairs, and gradients are kept small; here a picture's pair is its own reconstruction,
and noise stands for the gradient.
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

    NOISE = 0.02
    """Standard deviation of what is added to features, of length 1 times `gain`, for
    `smoothness`."""

    def __init__(
        self,
        widths: Sequence[int],
        paired: bool = False,
        smoothness: float = 0.0,
        hidden: int = 64,
    ) -> None:
        """`paired`: pictures are marked above their reconstructions, not above 1; `smoothness`:
        weight of keeping marks as they are when features change a little."""
        super().__init__()
        self.paired, self.smoothness = paired, smoothness
        self.heads = nn.ModuleList(Head(width, hidden) for width in widths)

    def forward(self, features: Sequence[Tensor], frozen: bool = False) -> list[Tensor]:
        """The marks of every depth, [B, 1, s, s] each."""
        return [head(x, frozen) for head, x in zip(self.heads, features, strict=True)]

    def loss(self, real: Sequence[Tensor], made: Sequence[Tensor]) -> Tensor:
        """What the critic minimises: hinges around 1 for real features and -1 for made ones, or the
        chance that a made one is marked above its real one."""
        total = torch.zeros((), device=real[0].device)
        both = ([x.detach() for x in real], [x.detach() for x in made])
        for ours, theirs in zip(*map(self, both), strict=True):
            if self.paired:
                total = total + F.softplus(theirs - ours).mean()
            else:
                total = total + F.relu(1 - ours).mean() + F.relu(1 + theirs).mean()
        if self.smoothness:
            for features in both:
                # Scaled by F⁻½: every number by `NOISE` of what a number's size is.
                moved = [
                    x + torch.randn_like(x) * (self.NOISE * x.shape[1] ** -0.5) for x in features
                ]
                for a, b in zip(self(features), self(moved), strict=True):
                    total = total + self.smoothness * ((a - b) / self.NOISE).square().mean()
        return total / len(self.heads)

    def fooled(self, real: Sequence[Tensor], made: Sequence[Tensor]) -> Tensor:
        """What the decoder minimises: the negative mark of what it made, or the chance that it is
        marked below the real one."""
        if not self.paired:
            return -torch.stack([x.mean() for x in self(made, frozen=True)]).mean()
        pairs = zip(self(real, frozen=True), self(made, frozen=True), strict=True)
        return torch.stack([F.softplus(a - b).mean() for a, b in pairs]).mean()
