"""What an auto-encoder minimises, and its codes of many pictures."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from pixelgen.models.autoencoder import Autoencoder
from pixelgen.models.conditioning import Condition
from pixelgen.models.likelihood import to_unit
from pixelgen.models.tokenizer import to_bytes
from pixelgen.training.objective import autocast
from pixelgen.training.recipe import AutoencoderRecipe


class Autoencoding(nn.Module):
    """Bits per dimension given h, and the weighted squared error of the mean (section 3.4).

    A module of its own so that wrappers (distributed, compiled) see one forward pass.
    """

    def __init__(self, model: Autoencoder, recipe: AutoencoderRecipe) -> None:
        super().__init__()
        self.model, self.recipe = model, recipe

    def forward(
        self,
        x: Tensor,
        classes: Tensor | None = None,
        vector: Tensor | None = None,
        dropped: Tensor | None = None,
    ) -> Tensor:
        """x int64 [B, 3, S, S] of 0 … 255 → a number. The PixelCNN is not told the h of those where
        `dropped` bool [B] is true; there is no use for `classes` and `vector`."""
        images = to_unit(x, 256)
        h = self.model.encode(images)
        if self.recipe.noise:
            h = h + self.recipe.noise * torch.randn_like(h)
        if inner := self.model.config.inner:
            # Batches are drawn in random order, so that it may always be the first.
            few = math.ceil(self.recipe.inner_share * len(h))
            h = torch.cat((self.model.shortened(h[:few], inner), h[few:]))
        made = self.model.predict(h if self.recipe.joint else h.detach())
        error = (made - images).square().mean()
        condition = self.model.condition(h, made)
        if dropped is not None:
            condition = self.model.pixels.drop_condition(condition, dropped)
        bits = self.model.pixels.log_prob(x, condition).mean() / -math.log(2.0)
        loss: Tensor = bits + self.recipe.mean_weight * error
        return loss


@torch.inference_mode()
def bottleneck(
    model: Autoencoder,
    images: Tensor,
    batch: int,
    *,
    precision: str = "fp32",
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Tensor, Tensor]:
    """The h of pictures uint8 [N, 3, S, S], [N, D] of -1 … 1, and the mean that is decoded of it,
    uint8 [N, 3, S, S]; both on the CPU. `progress(done, total)` is told after every batch."""
    training, device = model.training, next(model.parameters()).device
    model.eval()
    codes: list[Tensor] = []
    means: list[Tensor] = []
    for start in range(0, len(images), batch):
        with autocast(device, precision):
            h = model.encode(to_unit(images[start : start + batch].to(device), 256))
            means.append(to_bytes(model.decode(h)).cpu())
        codes.append(h.float().cpu())
        if progress is not None:
            progress(min(start + batch, len(images)), len(images))
    model.train(training)
    return torch.cat(codes), torch.cat(means)


@torch.inference_mode()
def conditions(model: Autoencoder, h: Tensor, batch: int, *, precision: str = "fp32") -> Condition:
    """What the PixelCNN is told of h [N, D], on the CPU."""
    training, device = model.training, next(model.parameters()).device
    model.eval()
    every: list[Condition] = []
    for part in h.split(batch):
        with autocast(device, precision):
            every.append(model.condition(part.to(device)).to("cpu"))
    model.train(training)
    return Condition.cat(*every)


MANY_PICTURES = 20000
"""As many as tell their principal components."""


@torch.inference_mode()
def principal_components(
    images: Tensor, length: int, device: torch.device, *, mirrored: bool
) -> dict[str, Tensor]:
    """The state of `PrincipalComponents` of pictures uint8 [N, C, S, S], spread over all; with
    `mirrored`, of every second one its mirror image."""
    rows = torch.linspace(0, len(images) - 1, min(len(images), MANY_PICTURES)).long()
    x = to_unit(images[rows].to(device), 256)
    if mirrored:
        x[::2] = x[::2].flip(3)
    x = x.flatten(1)
    center = x.mean(0)
    x -= center
    # In double precision, so that another machine finds the same ones but for their signs.
    values, vectors = torch.linalg.eigh((x.T @ x).double() / len(x))
    components = vectors[:, -length:].flip(1).T
    spread = values[-length:].flip(0).clamp(min=1e-12).sqrt()
    return {"center": center, "components": components.float(), "spread": spread.float()}
