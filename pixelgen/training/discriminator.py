"""A discriminator of pictures and reconstructions, for the adversarial loss of a tokenizer.

Esser, Rombach, Ommer, "Taming Transformers for High-Resolution Image Synthesis", 2021 (section
3.1): patches are scored, not pictures. Sauer, Chitta, Müller, Geiger, "Projected GANs Converge
Faster", 2021: the discriminator reads the frozen features of a classifier at several depths, which
the perceptual distance computes anyway, and so learns in minutes. Huang, Gokaslan, Kuleshov,
Tompkin, "The GAN is dead; long live the GAN!", 2024 (section 3): real and generated images are
scored in pairs, and gradients are kept small; here a picture is paired with its own reconstruction,
and the change under noise stands in for the gradient.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Head(nn.Module):
    """Features [B, F, s, s] of one depth → a score for every position [B, 1, s, s]; positive:
    real."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(features, hidden, 3, padding=1)
        self.second = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.last = nn.Conv2d(hidden, 1, 1)
        # Features of length 1 have small values.
        self.gain = features**0.5

    def forward(self, x: Tensor, frozen: bool) -> Tensor:
        """With `frozen` only `x` receives a gradient."""
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
        """`paired`: score pictures above their reconstructions instead of above 1; `smoothness`:
        weight of the change of scores under small noise on the features."""
        super().__init__()
        self.paired, self.smoothness = paired, smoothness
        self.heads = nn.ModuleList(Head(width, hidden) for width in widths)

    def forward(self, features: Sequence[Tensor], frozen: bool = False) -> list[Tensor]:
        """The scores at every depth, [B, 1, s, s] each."""
        return [head(x, frozen) for head, x in zip(self.heads, features, strict=True)]

    def loss(self, real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
        """The discriminator's loss: hinges at 1 for real features and -1 for fake ones, or if
        `paired` the softplus of the fake score less that of the real one."""
        total = torch.zeros((), device=real[0].device)
        both = ([x.detach() for x in real], [x.detach() for x in fake])
        scores = [self(features) for features in both]
        for ours, theirs in zip(*scores, strict=True):
            if self.paired:
                total = total + F.softplus(theirs - ours).mean()
            else:
                total = total + F.relu(1 - ours).mean() + F.relu(1 + theirs).mean()
        if self.smoothness:
            for features, before in zip(both, scores, strict=True):
                # Scaled by F⁻½: every number by `NOISE` of what a number's size is.
                moved = [
                    x + torch.randn_like(x) * (self.NOISE * x.shape[1] ** -0.5) for x in features
                ]
                for a, b in zip(before, self(moved), strict=True):
                    total = total + self.smoothness * ((a - b) / self.NOISE).square().mean()
        return total / len(self.heads)

    def fooled(self, real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
        """The decoder's loss: the negative score of fake features, or if `paired` the softplus
        of the real score less that of the fake one."""
        if not self.paired:
            return -torch.stack([x.mean() for x in self(fake, frozen=True)]).mean()
        pairs = zip(self(real, frozen=True), self(fake, frozen=True), strict=True)
        return torch.stack([F.softplus(a - b).mean() for a, b in pairs]).mean()
