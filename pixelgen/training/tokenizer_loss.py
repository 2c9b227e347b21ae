"""What a tokenizer minimises, and how near its reconstructions come."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pixelgen.metrics.perceptual import PerceptualDistance, disagreement, distance
from pixelgen.models.likelihood import to_signed
from pixelgen.training.discriminator import Discriminator
from pixelgen.training.recipe import LossesRecipe


class TokenizerLoss(nn.Module):
    """The weighted losses of a batch and its reconstruction.

    A module of its own so that wrappers (distributed, compiled) see one forward pass.
    """

    def __init__(
        self,
        model: nn.Module,
        losses: LossesRecipe,
        perceptual: PerceptualDistance | None,
        discriminator: Discriminator | None = None,
    ) -> None:
        super().__init__()
        self.model, self.losses = model, losses
        self.perceptual, self.discriminator = perceptual, discriminator

    def forward(self, x: Tensor, classes: Tensor | None = None) -> Tensor:
        """x int64 [B, 3, S, S] of 0 … 255 → a number. There is no use for `classes`."""
        images = to_signed(x, 256)
        reconstruction, _ = self.model(images)
        loss = self.losses.pixel_weight * pixel_loss(reconstruction - images, self.losses.pixel)
        if self.perceptual is not None:
            # Batches are drawn in random order, so their first pictures are a random share.
            few = slice(math.ceil(self.losses.perceptual_share * len(x)))
            made, guess = self.perceptual.see(reconstruction[few])
            with torch.no_grad():
                real, opinion = self.perceptual.see(images[few])
            loss = loss + self.losses.perceptual * distance(made, real).mean()
            if guess is not None and opinion is not None:
                loss = loss + self.losses.classifier * disagreement(guess, opinion)
            if self.discriminator is not None:
                depths = len(self.discriminator.heads)
                made, real = made[:depths], real[:depths]
                loss = loss + self.losses.adversarial * self.discriminator.fooled(real, made)
                # Neither's gradient reaches the other, so that one step serves both.
                loss = loss + self.discriminator.loss(real, made)
        return loss


def pixel_loss(difference: Tensor, name: str) -> Tensor:
    """The mean over all values of a difference, by the name that a recipe gives it."""
    if name == "l1":
        return difference.abs().mean()
    squared = difference.square()
    # Charbonnier: a hyperbola, smooth over about one level of 256.
    return squared.mean() if name == "l2" else (squared + 1e-4).sqrt().mean() - 1e-2
