"""What an auto-encoder minimises, and its codes of many pictures."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pixelgen.data import ImageData, cut
from pixelgen.errors import PixelgenError
from pixelgen.models.autoencoder import Autoencoder
from pixelgen.models.config import AutoencoderConfig
from pixelgen.models.likelihood import to_signed
from pixelgen.training.distillation import Distillation
from pixelgen.training.principal_axes import principal_axes
from pixelgen.training.recipe import AutoencoderRecipe, Recipe


class AutoencoderLoss(nn.Module):
    """Bits per dimension given h, the squared error of the mean (section 3.4), and what a
    classifier has to say, each with its weight.

    A module of its own so that wrappers (distributed, compiled) see one forward pass.
    """

    def __init__(
        self, model: Autoencoder, recipe: AutoencoderRecipe, semantics: Distillation | None = None
    ) -> None:
        """Of `model` the parts whose loss has no weight are frozen. `semantics` is needed where
        `semantic_weight` is above 0."""
        super().__init__()
        self.model, self.recipe, self.semantics = model, recipe, semantics
        for part in (model.pixels, model.map_of_mean):
            if part is not None:
                part.requires_grad_(recipe.bits_weight > 0)
        if model.semantic is not None:
            model.semantic.requires_grad_(recipe.semantic_weight > 0)

    def forward(
        self,
        x: Tensor,
        classes: Tensor | None = None,
        vector: Tensor | None = None,
        dropped: Tensor | None = None,
    ) -> Tensor:
        """x int64 [B, 3, S, S] of 0 … 255 → a number. The PixelCNN is not told the h of those where
        `dropped` bool [B] is true; there is no use for `classes`. `vector` [B, F] is what the
        classifier sees of the pictures."""
        images = to_signed(x, 256)
        h = self.model.encode(images)
        semantic = h[:, self.model.config.spatial :]
        if self.recipe.noise:
            h = h + self.recipe.noise * torch.randn_like(h)
        if share := self.recipe.semantic_dropout:
            untold = torch.rand(len(h), 1, device=h.device) < share
            h = torch.where(untold, self.model.shortened(h, self.model.config.spatial), h)
        if inner := self.model.config.inner:
            # Batches are drawn in random order, so that it may always be the first.
            few = math.ceil(self.recipe.inner_share * len(h))
            h = torch.cat((self.model.shortened(h[:few], inner), h[few:]))
        made = self.model.predict(h if self.recipe.joint else h.detach())
        loss: Tensor = self.recipe.mean_weight * (made - images).square().mean()
        if self.semantics is not None:
            assert vector is not None  # `AutoencoderTask` gives both
            loss = loss + self.recipe.semantic_weight * self.semantics(semantic, vector).mean()
        if not self.recipe.bits_weight:
            return loss
        condition = self.model.condition(h, made)
        if dropped is not None:
            condition = self.model.pixels.drop_condition(condition, dropped)
        bits = self.model.pixels.log_prob(x, condition).mean() / -math.log(2.0)
        return loss + self.recipe.bits_weight * bits


MANY_PICTURES = 20000
"""As many as tell their principal components."""
_ROUNDING = 2 / 255 / math.sqrt(12)
"""Standard deviation of what rounding to 256 levels did to a value of -1 … 1: directions in which
pictures vary less tell nothing."""


def components_of(recipe: Recipe, data: ImageData, rows: Tensor) -> dict[str, Tensor]:
    """The state of the `PrincipalComponents` of an auto-encoder: of the `rows` of the data that it
    is trained on.

    Raises PixelgenError for fewer pictures than components.
    """
    config = recipe.model
    assert isinstance(config, AutoencoderConfig)
    if len(rows) <= config.spatial:
        raise PixelgenError(
            f"{config.spatial} principal components need more pictures than {len(rows)}",
            "lower model.bottleneck or data.holdout",
        )
    some = rows[torch.linspace(0, len(rows) - 1, min(len(rows), MANY_PICTURES)).long()]
    pictures = cut(data.images[some], config.size)
    return principal_components(pictures, config.spatial, mirrored=recipe.data.flip)


def principal_components(
    images: Tensor, length: int, *, mirrored: bool = False
) -> dict[str, Tensor]:
    """The state of `PrincipalComponents` of pictures uint8 [N, C, S, S] of V = C·S² values each:
    `center` [V], `components` [D, V] for D = `length`, the first the one in which they vary most,
    and `spread` [D]. With `mirrored`, every second picture counts as its mirror image."""
    x = to_signed(images, 256)
    if mirrored:
        x[::2] = x[::2].flip(3)
    center, directions, variances = principal_axes(x.flatten(1), length)
    spread = variances.clamp(min=_ROUNDING**2).sqrt()
    components = directions.T.float().contiguous()
    return {"center": center, "components": components, "spread": spread.float()}
