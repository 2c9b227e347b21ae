"""What a tokenizer minimises, and how near its reconstructions come."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from pixelgen.imaging.reconstruction_metrics import BEST_PSNR
from pixelgen.metrics.perceptual import PerceptualDistance, disagreement, distance
from pixelgen.models.likelihood import to_signed
from pixelgen.models.tokenizer import Tokenizer, to_bytes
from pixelgen.training.discriminator import Discriminator
from pixelgen.training.objective import autocast
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


def psnr(images: Tensor, others: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of pictures uint8 [N, C, H, W], float64 [N] in dB: 10 log10 of
    255² over the mean squared difference; `BEST_PSNR` where there is none."""
    difference = images.double() - others.double()
    error = difference.square().flatten(1).mean(1)
    return (10 * torch.log10(255**2 / error)).clamp(max=BEST_PSNR)


@torch.no_grad()
def codes_of(model: Tokenizer, images: Tensor, precision: str) -> Tensor:
    """The codes of pictures of 0 … 255, [N, 3, S, S], int64 [N, C, h, w] where the model is."""
    device = next(model.parameters()).device
    with autocast(device, precision):
        return model.encode(to_signed(images.to(device), 256))


@torch.inference_mode()
def encode(
    model: Tokenizer,
    images: Tensor,
    batch: int,
    *,
    precision: str = "fp32",
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """The codes of pictures uint8 [N, 3, S, S], uint8 [N, C, h, w] on the CPU.

    `progress(done, total)` is told after every batch.
    """
    parts: list[Tensor] = []
    for start in range(0, len(images), batch):
        codes = codes_of(model, images[start : start + batch], precision)
        parts.append(codes.to("cpu", torch.uint8))
        if progress is not None:
            progress(min(start + batch, len(images)), len(images))
    if not parts:
        return torch.empty((0, *model.config.code_shape), dtype=torch.uint8)
    return torch.cat(parts)


@torch.inference_mode()
def reconstruct(
    model: nn.Module,
    images: Tensor,
    batch: int,
    *,
    precision: str = "fp32",
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """What a tokenizer makes of pictures uint8 [N, 3, S, S] and their codes; of the same form.

    `progress(done, total)` is told after every batch.
    """
    training, device = model.training, next(model.parameters()).device
    model.eval()
    parts: list[Tensor] = []
    for start in range(0, len(images), batch):
        with autocast(device, precision):
            made, _ = model(to_signed(images[start : start + batch].to(device), 256))
        parts.append(to_bytes(made).cpu())
        if progress is not None:
            progress(min(start + batch, len(images)), len(images))
    model.train(training)
    return torch.cat(parts)
